"""Closed-loop co-simulation: config, mosaik simulators, world, records, metrics, command line.

``from sim import run, load_run`` gives a notebook what the command line gives a terminal.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sim.run_directory import Run, load_run
    from sim.runner import RunFailedError, run
    from sim.validation import Verdict, validate

__all__ = ["Run", "RunFailedError", "Verdict", "load_run", "run", "validate"]

_HOMES = {
    "Run": "sim.run_directory",
    "load_run": "sim.run_directory",
    "RunFailedError": "sim.runner",
    "run": "sim.runner",
    "Verdict": "sim.validation",
    "validate": "sim.validation",
}


def __getattr__(name: str) -> Any:
    # imported on first use: power flow and co-simulation libraries take seconds, and reading a run needs none
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
