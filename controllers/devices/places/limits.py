"""Places and power of stations, for all that connects there.

Who came first stays plugged in until it leaves; of those that came in the same step, or stand there at the start, the
first in the order of the plant does. Who finds a station full waits there, without power. The power of a station is
given to who is plugged in, in the same order, each as much as it requests.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Bool, Int

from gridferry.controllers.devices.coupled_step import Coupling
from gridferry.controllers.devices.device import Device
from gridferry.controllers.devices.station import Station
from gridferry.controllers.devices.steps import NOWHERE, Now, Outcomes, Request, Requests


def limited(stations: Iterable[Station]) -> bool:
    """Whether any station has limits."""
    return any(one.places is not None or one.p_max_mw < math.inf for one in stations)


@dataclass(frozen=True, eq=False)
class StationLimits(Coupling):
    """Limits of stations, as the module says; states have ``parked_steps``, see `Traveller`."""

    block: ClassVar[str] = "gridferry.controllers.devices.places.block:station_limits_block"
    stations: tuple[Station, ...]

    def grant(
        self, devices: Sequence[Device[Any]], moved: Sequence[Any], requests: Sequence[Request], nows: Sequence[Now]
    ) -> Sequence[Now]:
        """Plug in who comes first, and share the power of each station."""
        granted = list(nows)
        free = [math.inf if one.places is None else one.places for one in self.stations]
        left_mw = [one.p_max_mw for one in self.stations]
        parked = [number for number, _ in vehicles(devices) if not any(devices[number].transit_steps(moved[number]))]
        for number in sorted(parked, key=lambda one: -parked_steps(moved[one])):
            device, requested = devices[number], requests[number]
            at = device.at(moved[number])[_column(device)]
            plugged, p_max_mw = free[at] > 0, left_mw[at]
            granted[number] = replace(nows[number], plugged=nows[number].plugged and plugged, p_max_mw=p_max_mw)
            if plugged:
                free[at] -= 1
                left_mw[at] -= min(_drawn_mw(device, requested.p_mw), p_max_mw)
        return granted

    def grants_all(
        self,
        devices: Sequence[Device[Any]],
        states: Sequence[Any],
        requests: Sequence[Requests],
        outcomes: Sequence[Outcomes],
    ) -> Bool[np.ndarray, " sample"]:
        """Return the schedules in which who waits wants nothing, and no station's power is exceeded."""
        found = vehicles(devices)
        same = np.ones(len(requests[0].p_mw), dtype=bool)
        if not found:
            return same
        at = np.stack([outcomes[number].reached[:, :, column] for number, column in found])
        here = np.stack([(outcomes[number].bus != NOWHERE).any(axis=2) for number, _ in found])
        plugged = self.plugged(at, here, [parked_steps(states[number]) for number, _ in found])
        wants = np.stack([(np.abs(requests[n].p_mw) + np.abs(requests[n].q_mvar)).sum(axis=2) > 0 for n, _ in found])
        same &= ~(here & ~plugged & wants).any(axis=(0, 2))
        drawn = np.stack(
            [
                sum(
                    np.minimum(np.abs(requests[number].p_mw[:, :, k]), max(-port.p_min_mw, port.p_max_mw))
                    for k, port in enumerate(devices[number].ports)
                )
                for number, _ in found
            ]
        )
        for number, station in enumerate(self.stations):
            if station.p_max_mw < math.inf:
                same &= ((drawn * (plugged & (at == number))).sum(axis=0) <= station.p_max_mw).all(axis=1)
        return same

    def plugged(
        self,
        at: Int[np.ndarray, "vehicle sample horizon"],
        here: Bool[np.ndarray, "vehicle sample horizon"],
        parked_before: Sequence[int],
    ) -> Bool[np.ndarray, "vehicle sample horizon"]:
        """Return who is plugged in, of vehicles in the order of the plant.

        Parameters
        ----------
        at, here : station, and whether it stands there
        parked_before : steps for which each has stood there at the start
        """
        step = np.arange(at.shape[2])
        absent = np.maximum.accumulate(np.where(here, -1, step), axis=2)
        since = np.array(parked_before, dtype=np.int64)[:, None, None]
        stood = np.where(absent < 0, step + since, step - absent - 1)
        places = np.array([np.iinfo(np.int64).max if one.places is None else one.places for one in self.stations])
        plugged = here.copy()
        for own in range(len(at)):
            first = (stood > stood[own]) | ((stood == stood[own]) & (np.arange(len(at)) < own)[:, None, None])
            ahead = (here & first & (at == at[own])).sum(axis=0)
            plugged[own] &= ahead < places[at[own]]
        return plugged


def vehicles(devices: Sequence[Device[Any]]) -> list[tuple[int, int]]:
    """Return the devices that connect at stations, by their numbers, with the number of the position of each."""
    return [(number, _column(one)) for number, one in enumerate(devices) if any(p.with_routes for p in one.positions)]


def parked_steps(state: Any) -> int:
    """Steps for which a device has stood at its station."""
    return int(getattr(state, "parked_steps", 0))


def _column(device: Device[Any]) -> int:
    return next(number for number, one in enumerate(device.positions) if one.with_routes)


def _drawn_mw(device: Device[Any], p_mw: Sequence[float]) -> float:
    """Power that is requested of a device, within its ratings."""
    return sum(min(abs(one), max(-port.p_min_mw, port.p_max_mw)) for one, port in zip(p_mw, device.ports, strict=True))
