"""Closed-loop co-simulation: config, mosaik simulators, world, records, metrics, command line.

``from sim import run, load_run`` gives a notebook what the command line gives a terminal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sim.runner import Run, RunFailedError, load_run, run
    from sim.validation import Verdict, validate

__all__ = ["Run", "RunFailedError", "Verdict", "load_run", "run", "validate"]


def __getattr__(name: str) -> Any:
    # imported on first use: power flow and co-simulation libraries take seconds, and `gridferry --help` needs none
    if name in ("Verdict", "validate"):
        from sim import validation

        return getattr(validation, name)
    if name in __all__:
        from sim import runner

        return getattr(runner, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
