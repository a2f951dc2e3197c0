"""Faults of how a network is named, which the catalogue gives a place."""

from __future__ import annotations

from pathlib import Path

from gridferry.networks.faults import no_such


class SpecError(Exception):
    """A network spec is wrong; `gridferry.networks.catalog` adds where it was given."""


def check_file(path: Path) -> None:
    """Raise `SpecError` where a file is not there, with similar names."""
    if not path.is_file():
        near = sorted(one.name for one in path.parent.iterdir()) if path.parent.is_dir() else []
        raise SpecError(no_such(f"file in {path.parent}", path.name, near))


def words_of(error: BaseException) -> str:
    """Type and message of an exception."""
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
