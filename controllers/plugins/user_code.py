"""Running users' code: output goes to stderr, exceptions become one line with file and line.

Plug-ins had to import our packages by their bare names once; they are given the lines to write instead.
"""

from __future__ import annotations

import ast
import inspect
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import numpy as np

# top-level names that our packages had; a user's own folders may have them now
_BARE = ("networks", "controllers", "sim")

_MOVED = {
    "controllers.sample_plants": "gridferry.controllers.conformance.sample_plants",
    "controllers.rehearsal": "gridferry.controllers.conformance.dry_run",
    "controllers.plan_file": "gridferry.controllers.plans.plan_file",
    "controllers.shifting": "gridferry.controllers.plans.shifting",
}

_LONGEST = 2000
"""characters of a message that are kept"""


@contextmanager
def running_user_code() -> Iterator[None]:
    """Redirect output to stderr, since stdout may carry JSON, and undo changes of numpy's error handling."""
    with redirect_stdout(sys.stderr), np.errstate():
        yield


def described(error: BaseException, of: type | None = None) -> str:
    """Describe an exception in one line, with file and line.

    Parameters
    ----------
    of : the class whose code was called; the place is then the last line in its file, and nothing for code of ours
    """
    if isinstance(error, SyntaxError):
        return one_line(f"SyntaxError: {error.msg} ({error.filename}, line {error.lineno})")
    frames = traceback.extract_tb(error.__traceback__)
    where = place_in(error, of)
    advice = advice_on_bare_imports(Path(frames[-1].filename)) if where and isinstance(error, ImportError) else ""
    try:
        message = str(error)
    except Exception as worse:  # the str() of a user's exception may fail
        message = f"(its text raised {type(worse).__name__})"
    # the message may be so long that it is cut off; the place is not
    words = one_line(f"{type(error).__name__}{': ' if message else ''}{message}")
    return " ".join(filter(None, [words, one_line(where)])) + (f"; {one_line(advice)}" if advice else "")


def place_in(error: BaseException, of: type | None = None) -> str:
    """Return `` (file, line n)`` of the last line that raised, in the file of ``of`` if given; or an empty text."""
    frames: list[traceback.FrameSummary] = traceback.extract_tb(error.__traceback__)
    if of is not None:
        frames = [one for one in frames if one.filename == source_file(of)]
    return f" ({frames[-1].filename}, line {frames[-1].lineno})" if frames else ""


def source_file(cls: type) -> str | None:
    """File of a user's class; ``None`` if it is built in or the file is unknown."""
    if cls.__module__.partition(".")[0] == "gridferry":
        return None
    try:
        return inspect.getsourcefile(cls)
    except (TypeError, OSError):
        return None


def place_of(cls: type, method: str) -> str:
    """Return `` (file, line n)`` of a method of a user's class, or an empty text."""
    code = getattr(getattr(cls, method, None), "__code__", None)
    if code is None or source_file(cls) != code.co_filename:
        return ""
    return f" ({code.co_filename}, line {code.co_firstlineno})"


def one_line(text: str) -> str:
    """Return a text as one line, without control characters, and not too long."""
    plain = " ".join(text[: 4 * _LONGEST].split()).encode("utf-8", "backslashreplace").decode("utf-8")
    plain = "".join(one if one.isprintable() else ascii(one)[1:-1] for one in plain)
    return plain if len(plain) <= _LONGEST else f"{plain[:_LONGEST]} ..."


def advice_on_bare_imports(file: Path) -> str:
    """List the bare imports of our modules in a Python file, each with the line to write instead.

    A file that cannot be read or parsed has none: what is wrong with it is said elsewhere.
    """
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, ValueError, SyntaxError):
        return ""
    found = sorted((line, was, now) for node in ast.walk(tree) for line, was, now in _bare(node))
    return "; ".join(f'in line {line} of {file.name} write "{now}" for "{was}"' for line, was, now in found)


def _bare(node: ast.AST) -> list[tuple[int, str, str]]:
    """Line, text and replacement of a bare import of one of our modules."""
    if isinstance(node, ast.ImportFrom) and node.module and not node.level and node.module.partition(".")[0] in _BARE:
        names = ", ".join(f"{one.name} as {one.asname}" if one.asname else one.name for one in node.names)
        now = _home(node.module) if all(_ours(node.module, one.name) for one in node.names) else ""
        return [(node.lineno, f"from {node.module} import {names}", f"from {now} import {names}")] if now else []
    if isinstance(node, ast.Import):
        homes = [(one.name, _home(one.name)) for one in node.names]
        return [(node.lineno, f"import {was}", f"import {now}") for was, now in homes if now]
    return []


def _ours(module: str, name: str) -> bool:
    """Whether a name exists in our module; a user's module of the same name has other names."""
    return "." in module or hasattr(import_module(f"gridferry.{module}"), name) or bool(_home(f"{module}.{name}"))


def _home(module: str) -> str:
    """Return the present name of one of our modules; empty for others."""
    if module.partition(".")[0] not in _BARE:
        return ""
    home = _MOVED.get(module, f"gridferry.{module}")
    try:
        return home if find_spec(home) is not None else ""
    except ModuleNotFoundError:  # its package is none of ours
        return ""
