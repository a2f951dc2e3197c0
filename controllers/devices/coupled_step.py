"""What devices share, and one step of all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Bool

from gridferry.controllers.devices.device import NOTHING, Device, overrides, refuse
from gridferry.controllers.devices.steps import Now, Outcome, Outcomes, Request, Requests


class Coupling:
    """Base of couplings: what devices share, such as roads; `step_all` calls it before and after devices move.

    Attributes
    ----------
    block : what it adds to an optimisation, as ``package.module:function``: a function of the coupling, and of the
        blocks of all devices by `Device.key`, gives a `gridferry.controllers.devices.planning.block.Block`
    """

    block: ClassVar[str] = ""

    def inform(
        self,
        devices: Sequence[Device[Any]],
        states: Sequence[Any],
        requests: Sequence[Request],
        nows: Sequence[Now],
        around: Mapping[str, Sequence[float]],
    ) -> Sequence[Now]:
        """Return the surroundings of devices before they move; ``around`` is common to all, by key."""
        return nows

    def inform_all(
        self, devices: Sequence[Device[Any]], nows: Sequence[Now], around: Mapping[str, Sequence[float]]
    ) -> Sequence[Now]:
        """Return the surroundings as `inform`, for any device that changes a position, whatever the others do.

        Without it, schedules are not done many at once but one by one.
        """
        return nows

    @property
    def same_in_all_samples(self) -> bool:
        """Whether `inform` says the same whatever is requested."""
        return not overrides(type(self), "inform_all", {"inform"})

    def grant(
        self, devices: Sequence[Device[Any]], moved: Sequence[Any], requests: Sequence[Request], nows: Sequence[Now]
    ) -> Sequence[Now]:
        """Return the surroundings of devices after they moved: what they may use."""
        return nows

    def grants_all(
        self,
        devices: Sequence[Device[Any]],
        states: Sequence[Any],
        requests: Sequence[Requests],
        outcomes: Sequence[Outcomes],
    ) -> Bool[np.ndarray, " sample"]:
        """Return which of many schedules, done as if all was granted, would be done alike with `grant`.

        The others are done one by one. ``states`` are those that all schedules begin from.
        """
        return np.full(len(requests[0].p_mw), type(self).grant is Coupling.grant)


def step_all(
    devices: Sequence[Device[Any]],
    couplings: Sequence[Coupling],
    states: Sequence[Any],
    requests: Sequence[Request],
    nows: Sequence[Now],
    around: Mapping[str, Sequence[float]] = NOTHING,
) -> list[tuple[Any, Outcome]]:
    """Simulate one step of all devices; return the new state and the outcome of each.

    Raises
    ------
    ValueError
        for a request that is not finite, or has not a value for every port and position.
    """
    for device, request in zip(devices, requests, strict=True):
        refuse(device, request)
    for one in couplings:
        nows = one.inform(devices, states, requests, nows, around)
    moved = [
        device.move(state, request, now)
        for device, state, request, now in zip(devices, states, requests, nows, strict=True)
    ]
    for one in couplings:
        nows = one.grant(devices, moved, requests, nows)
    return [
        device.step(state, request, now)
        for device, state, request, now in zip(devices, moved, requests, nows, strict=True)
    ]
