"""Output directory of a run: a new one, or one whose earlier run is replaced."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from gridferry.networks.faults import Fault, InputError
from gridferry.sim.loop.defects import TRACEBACK
from gridferry.sim.loop.manifest import is_ours
from gridferry.sim.results.export import export_names
from gridferry.sim.results.run_directory import (
    CONFIG,
    DATABASE,
    EXPORT,
    FAILURES,
    FORESIGHT,
    MANIFEST,
    PLAN,
    REPORT,
    SUMMARY,
    beside,
    read_json,
    wal_beside,
)
from gridferry.sim.results.run_lock import LOCK

# the manifest last, and figures before what they were computed from: a directory that was cleared in part is still
# known as that of a run, and does not claim to have what is gone
_WRITTEN = (SUMMARY, PLAN, REPORT, FAILURES, TRACEBACK, f"{DATABASE}.wal", DATABASE, CONFIG, MANIFEST)
_FILES = (wal_beside(Path(DATABASE)).name, *(name for one in _WRITTEN for name in (beside(Path(one)).name, one)))
_LEFT_OVER = {LOCK, beside(Path(MANIFEST)).name}
"""what a run leaves that is killed before it has written anything"""
_SPILLED = f"{DATABASE}.tmp"


def new_directory(name: str) -> Path:
    """Return a new directory for a run without ``--out``."""
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S-%f")[:-3]
    return Path("runs") / f"{name.replace(' ', '-')}-{stamp}"


def refuse_unusable(directory: Path, *, resume: bool, overwrite: bool, regret: bool, reads: Iterable[Path]) -> None:
    """Check that a run may be written to a directory, without any change.

    Parameters
    ----------
    reads : files that the run reads, and that it must not remove

    Raises
    ------
    InputError
        where it holds something else, or a run that is not to be replaced.
    """
    holds = _names(directory)
    if resume:
        if not _holds_run(directory):
            raise InputError(Fault("--resume", str(directory), "no run to resume; leave --resume out to start one"))
    elif not holds <= _LEFT_OVER:
        if MANIFEST in holds and not _holds_run(directory):
            message = f"its {MANIFEST} is not that of a run; choose another"
            raise InputError(Fault("--out", str(directory), message))
        if MANIFEST not in holds:
            raise InputError(Fault("--out", str(directory), "exists and is no run directory; choose another"))
        if not overwrite:
            ways = "choose another, or --resume to continue it, or --overwrite to replace it"
            raise InputError(Fault("--out", str(directory), f"contains a run; {ways}"))
    foresight = directory / FORESIGHT
    if regret and os.path.lexists(foresight) and not _is_folder(foresight):
        raise InputError(Fault("--regret", str(foresight), "is in the way; move it, or choose another --out"))
    if regret and _is_folder(foresight) and not _holds_run(foresight) and not _names(foresight).isdisjoint(_FILES):
        raise InputError(Fault("--regret", str(foresight), "exists and is no run directory; choose another --out"))
    if not resume:
        _refuse_removing(directory, reads)


def _refuse_removing(directory: Path, reads: Iterable[Path]) -> None:
    needed = {place for path in reads for place in (_place(path), path.resolve())}
    for path in written(directory):
        if _place(path) in needed:
            message = f"{path.name} in it is read by this run, and would be removed; choose another"
            raise InputError(Fault("--out", str(directory), message))
        if _is_folder(path):
            raise InputError(Fault("--out", str(directory), f"{path.name} in it is a folder; choose another"))


def _place(path: Path) -> Path:
    """Return a path with symbolic links resolved, but for a link at its end."""
    return path.parent.resolve() / path.name


def written(directory: Path) -> Iterator[Path]:
    """Files in a run directory that the run, its report and its export wrote; the manifest comes last.

    Symbolic links stand for themselves, not for what they point to.
    """
    if not _holds_run(directory):
        return
    foresight = directory / FORESIGHT
    if foresight.is_symlink():
        yield foresight
    elif _is_folder(foresight):
        yield from written(foresight)
    for folder, names in ((EXPORT, export_names(directory)), (_SPILLED, _names_or_none(directory / _SPILLED))):
        if (directory / folder).is_symlink():
            yield directory / folder
        elif _is_folder(directory / folder):
            yield from _there(directory / folder, names)
    yield from _there(directory, _FILES)


def clear(directory: Path) -> None:
    """Remove the files of `written`, and the run's folders that become empty.

    Raises
    ------
    InputError
        where a file cannot be removed.
    """
    files = list(written(directory))
    try:
        for path in files:
            path.unlink(missing_ok=True)
    except OSError as error:
        message = f"{path.name} in it cannot be removed ({error.strerror}); choose another"
        raise InputError(Fault("--out", str(directory), message)) from None
    for folder in {path.parent for path in files} - {directory}:
        with suppress(OSError):  # it holds something else, or the lock of the run with foresight that is to come
            folder.rmdir()


def _there(folder: Path, names: Iterable[str]) -> Iterator[Path]:
    return (folder / name for name in names if os.path.lexists(folder / name))


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _holds_run(directory: Path) -> bool:
    manifest = directory / MANIFEST
    if not manifest.is_file():
        return False
    try:
        return is_ours(read_json(manifest))
    except InputError:
        return False


def _names(directory: Path) -> set[str]:
    try:
        return {one.name for one in directory.iterdir()} if directory.exists() else set()
    except NotADirectoryError:
        raise InputError(Fault("--out", str(directory), "exists and is no run directory; choose another")) from None
    except (OSError, ValueError) as error:
        raise InputError(Fault("--out", str(directory), f"cannot be used ({error}); choose another")) from None


def _names_or_none(directory: Path) -> set[str]:
    return _names(directory) if _is_folder(directory) else set()
