"""Promises about the optimisation block of a kind."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from gridferry.controllers.conformance.devices.trial import Trial
from gridferry.controllers.conformance.findings import Promise


def _done_as_planned(trial: Trial) -> Iterable[str]:
    if not trial.device.block:
        return ()
    # cvxpy, and all that stands on it, only for kinds that have a block
    from gridferry.controllers.conformance.devices.planned import done_as_planned

    return done_as_planned(trial)


BLOCK_PROMISES: Mapping[str, Promise[Trial]] = {"the device does and costs what its block plans": _done_as_planned}
"""Promises of kinds that are optimised."""
