"""Unexpected exceptions: the traceback goes to a file, one line names it."""

from __future__ import annotations

import os
import tempfile
import traceback
from contextlib import suppress
from pathlib import Path

TRACEBACK = "traceback.txt"


def keep_traceback(error: BaseException, directory: Path | None = None) -> Path:
    """Write the traceback of an exception into a directory, or into a temporary file, and return where it is."""
    text = "".join(traceback.format_exception(error))
    if directory is not None:
        with suppress(OSError):  # such as a full disk; the temporary file may lie on another
            path = directory / TRACEBACK
            path.unlink(missing_ok=True)
            path.write_text(text, encoding="utf-8")
            return path
    number, name = tempfile.mkstemp(prefix="gridferry-traceback-", suffix=".txt")
    with os.fdopen(number, "w", encoding="utf-8") as file:
        file.write(text)
    return Path(name)


def error_in_one_line(error: BaseException) -> str:
    """Describe an exception in one line."""
    return " ".join(f"{type(error).__name__}: {error}".split()) if str(error) else type(error).__name__
