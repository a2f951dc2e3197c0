"""Code that is not ours: what it prints goes to stderr, and what it raises is said in one line with file and line."""

from __future__ import annotations

import inspect
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

import numpy as np

from gridferry.controllers.bare_imports import advice_on_bare_imports

_LONGEST = 2000
"""characters of a message that are kept"""


@contextmanager
def running_user_code() -> Iterator[None]:
    """Send what is printed to stderr, since stdout may carry JSON, and undo changes of numpy's error handling."""
    with redirect_stdout(sys.stderr), np.errstate():
        yield


def described(error: BaseException, of: type | None = None) -> str:
    """Say in one line what was raised and where.

    Parameters
    ----------
    of : the class whose code was called; the place is then the last line in its file, and nothing for code of ours
    """
    if isinstance(error, SyntaxError):
        return one_line(f"SyntaxError: {error.msg} ({error.filename}, line {error.lineno})")
    frames = traceback.extract_tb(error.__traceback__)
    if of is not None:
        file = source_file(of)
        frames = traceback.StackSummary.from_list([one for one in frames if one.filename == file])
    where = f" ({frames[-1].filename}, line {frames[-1].lineno})" if frames else ""
    advice = advice_on_bare_imports(Path(frames[-1].filename)) if frames and isinstance(error, ImportError) else ""
    try:
        said = str(error)
    except Exception as worse:  # an exception of the user's may fail at saying what it is
        said = f"(saying what it is raised {type(worse).__name__})"
    return one_line(f"{type(error).__name__}{': ' if said else ''}{said}{where}" + (f"; {advice}" if advice else ""))


def source_file(cls: type) -> str | None:
    """File of a class that is not ours; ``None`` where it is ours or not known."""
    if cls.__module__.partition(".")[0] == "gridferry":
        return None
    try:
        return inspect.getsourcefile(cls)
    except (TypeError, OSError):
        return None


def place_of(cls: type, method: str) -> str:
    """Return `` (file, line n)`` of a method of a class that is not ours, or nothing."""
    code = getattr(getattr(cls, method, None), "__code__", None)
    if code is None or source_file(cls) != code.co_filename:
        return ""
    return f" ({code.co_filename}, line {code.co_firstlineno})"


def one_line(text: str) -> str:
    """Return a text that any file and terminal takes: one line, no control characters, not too long."""
    plain = " ".join(text[: 4 * _LONGEST].split()).encode("utf-8", "backslashreplace").decode("utf-8")
    plain = "".join(one if one.isprintable() else ascii(one)[1:-1] for one in plain)
    return plain if len(plain) <= _LONGEST else f"{plain[:_LONGEST]} ..."
