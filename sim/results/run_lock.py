"""Lock of a run directory, held by the operating system: a killed process leaves none."""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gridferry.networks.faults import Fault, InputError

LOCK = "run.lock"
"""The locked file. It names the process that holds it; where none does, it means nothing."""

_ATTEMPTS = 10
_PAUSE_S = 0.01

if sys.platform == "win32":
    import msvcrt

    _FAR = 1 << 30  # Windows forbids reading what is locked, and the name of the holder is read

    def _take(file: int, shared: bool) -> None:
        os.lseek(file, _FAR, os.SEEK_SET)
        msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        os.lseek(file, 0, os.SEEK_SET)
else:
    import fcntl

    def _take(file: int, shared: bool) -> None:
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)


@contextmanager
def locked(directory: Path, key: str = "--out") -> Iterator[None]:
    """Lock a directory; it is created if missing, and removed again if it stays empty.

    Raises
    ------
    InputError
        for ``key``, where another run holds the lock, or the directory can be neither made nor locked.
    """
    made = [one for one in (directory, *directory.parents) if not one.exists()]
    path = directory / LOCK
    try:
        file = _locked_file(directory, key)
        try:
            yield
        finally:
            if sys.platform == "win32":
                os.close(file)
            with suppress(OSError):  # another took it in between, which only Windows allows
                path.unlink()
            if sys.platform != "win32":
                os.close(file)
    finally:
        with suppress(OSError):  # it is not empty
            for one in made:
                one.rmdir()


def _locked_file(directory: Path, key: str) -> int:
    path = directory / LOCK
    for _ in range(_ATTEMPTS):
        try:
            directory.mkdir(parents=True, exist_ok=True)
            if path.is_symlink():
                path.unlink()
            file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except FileNotFoundError:  # removed by another that was refused
            continue
        except OSError as error:
            message = f"cannot be created or written to ({error.strerror}); choose another"
            raise InputError(Fault(key, str(directory), message)) from None
        try:
            _take(file, shared=False)
        except (BlockingIOError, PermissionError):
            os.close(file)
            time.sleep(_PAUSE_S)  # another process may only be checking the lock
            continue
        except OSError as error:
            os.close(file)
            message = f"cannot be locked ({error.strerror}); choose one on another file system"
            raise InputError(Fault(key, str(directory), message)) from None
        if _is_at(file, path):
            os.ftruncate(file, 0)
            os.write(file, f"{os.getpid()} {platform.node()}".encode())
            return file
        os.close(file)  # its holder removed it in between
    holder = _holder_named(path)
    raise InputError(Fault(key, str(directory), f"in use by {holder}; wait for its end, or choose another directory"))


def _is_at(file: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except FileNotFoundError:
        return False


def refuse_in_use(directory: Path) -> None:
    """Raise `InputError` if another process writes a run to a directory."""
    path = directory / LOCK
    try:
        file = os.open(path, os.O_RDONLY)
    except OSError:
        return
    try:
        _take(file, shared=True)
    except (BlockingIOError, PermissionError):
        if _read_holder(path)[0] != str(os.getpid()):
            message = f"in use by {_holder_named(path)}; wait for the end of its run, or give another"
            raise InputError(Fault(str(directory), "", message)) from None
    except OSError:  # a file system that has no locks: no run is in there
        return
    finally:
        os.close(file)


def _read_holder(path: Path) -> tuple[str, str]:
    """Process and machine in a lock file; empty if it has none."""
    try:
        process, _, machine = path.read_text(encoding="utf-8", errors="replace").partition(" ")
    except OSError:
        return "", ""
    return process, machine


def _holder_named(path: Path) -> str:
    process, machine = _read_holder(path)
    if not process.isdigit():
        return "another process"
    return f"process {process}" + (f" on {machine}" if machine not in ("", platform.node()) else "")
