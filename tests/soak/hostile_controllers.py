"""Hostile controllers, each in a run of its own: a fallback, or a clean end before anything is written."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import redirect_stderr
from pathlib import Path

from cases.hostile import ACTS
from cases.hostile_runs import BUILDS, assert_reality_unchanged, assert_refused


def attacks(number: int, folder: Path) -> Iterator[tuple[str, str]]:
    """Yield the name of each of some hostile controllers, spread over the list, and the outcome.

    Parameters
    ----------
    number : how many; all from 60 on
    folder : for their runs
    """
    names = [*ACTS, *BUILDS]
    step = 1 if number >= 60 else len(names) / number
    for index in range(round(len(names) / step)):
        name = names[int(index * step)]
        (folder / name).mkdir()
        yield name, _outcome(name, folder / name)


def _outcome(name: str, folder: Path) -> str:
    try:
        with redirect_stderr(io.StringIO()):
            if name in BUILDS:
                assert_refused(name, folder)
                return "a clean end"
            done = assert_reality_unchanged(["", name, "", name], folder)
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        return f"FAILED: {type(error).__name__}: {error}".partition("\n")[0]
    return "a fallback" if done.summary["solver"]["fallbacks"] else "as if nothing had been done"
