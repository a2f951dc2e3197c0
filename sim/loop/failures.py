"""Failures of the controller during a run: the first on stderr, all in a file, their number at the end."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from gridferry.sim.results.live_state import LiveState
from gridferry.sim.results.run_directory import FAILURES

_MOST_BYTES = 1_000_000
"""length of the file from which on nothing is added"""


class FailureLog:
    """Log of a run's failures.

    Parameters
    ----------
    directory : of the run
    progress : called after every step, too
    """

    def __init__(self, directory: Path, progress: Callable[[LiveState], None]):
        self._path = directory / FAILURES
        self._progress = progress
        self._reported = False
        self._last = ""

    def after_step(self, live: LiveState) -> None:
        """Report and keep what failed in a step."""
        if live.failure:
            self._keep(live)
            if not self._reported:
                self._reported = True
                instead = f"; dispatched instead: {live.fallback}" if live.fallback else ""
                where = f"{self._path.parent.name}: {live.failure}{instead}"
                print(f"{where}; all failures are in {FAILURES} of the run directory", file=sys.stderr, flush=True)
        self._progress(live)

    def _keep(self, live: LiveState) -> None:
        """Append a failure; its traceback unless it is that of the last."""
        if self._path.exists() and self._path.stat().st_size > _MOST_BYTES:
            return
        with self._path.open("a", encoding="utf-8", newline="\n") as file:
            file.write(f"{live.failure}\n")
            if live.traceback and live.traceback != self._last:
                file.write(f"{live.traceback}\n")
        self._last = live.traceback


FELL_BACK = "fell_back"
"""status of a run in whose every step the controller was replaced"""


def fell_back(summary: Mapping[str, Any]) -> bool:
    """Whether no plan of the controller was dispatched in any step of a run."""
    return 0 < summary["steps"] == summary["solver"]["fallbacks"]


def report_count(directory: Path, summary: Mapping[str, Any]) -> None:
    """Print how often the controller failed, and how often it was replaced, if it did."""
    failures, fallbacks = (summary["solver"][name] for name in ("failures", "fallbacks"))
    if failures:
        steps = f"{failures} of {summary['steps']} steps"
        count = f"{directory.name}: the controller failed in {steps}; {fallbacks} fell back"
        print(f"{count}: see {FAILURES} and the report", file=sys.stderr, flush=True)
