"""Closed-loop co-simulation: config, mosaik simulators, runs, results, studies, command line.

``from gridferry.sim import run, load_run`` gives a notebook what the command line gives a terminal.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gridferry.sim.loop.runner import RunFailedError, run
    from gridferry.sim.loop.validation import Verdict, validate
    from gridferry.sim.results.run_directory import Run, load_run

__all__ = ["Run", "RunFailedError", "Verdict", "load_run", "run", "validate"]

_HOMES = {
    "Run": "gridferry.sim.results.run_directory",
    "load_run": "gridferry.sim.results.run_directory",
    "RunFailedError": "gridferry.sim.loop.runner",
    "run": "gridferry.sim.loop.runner",
    "Verdict": "gridferry.sim.loop.validation",
    "validate": "gridferry.sim.loop.validation",
}


def __getattr__(name: str) -> Any:
    # imported on first use: power flow and co-simulation libraries take seconds, and reading a run needs none
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
