"""Promises about the optimisation block of a kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from gridferry.controllers.conformance.devices.trial import Trial


def _done_as_planned(trial: Trial) -> None:
    if not trial.device.block:
        return
    # cvxpy, and all that stands on it, only for kinds that have a block
    from gridferry.controllers.conformance.devices.planned import done_as_planned

    done_as_planned(trial)


BLOCK_PROMISES: Mapping[str, Callable[[Trial], None]] = {
    "the device does and costs what its block plans": _done_as_planned
}
"""Promises of kinds that are optimised."""
