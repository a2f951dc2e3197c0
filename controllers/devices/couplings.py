"""Couplings of devices: the roads between the stations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from jaxtyping import Float

from gridferry.controllers.devices.coupled_step import Coupling
from gridferry.controllers.devices.device import Device
from gridferry.controllers.devices.steps import Now, Request, Travel
from gridferry.networks.roads.travel import Roads


@lru_cache(maxsize=1024)
def travel_under(roads: Roads, congestion: tuple[tuple[float, ...], ...], step_s: int, step: int) -> Travel:
    """Return the trips that begin in a step of the run.

    Parameters
    ----------
    congestion : of each road, as `Roads` takes it, in this step and those that follow; that of the last lasts
    """
    now = np.array(congestion, dtype=np.float64)
    trips = roads.trips(now, step_s=step_s, step=step, departures=1)
    return Travel(
        steps=tuple(tuple(row) for row in roads.transit_steps(now, step_s, step=step, departures=1)[0].tolist()),
        minutes=tuple(tuple(row) for row in trips.minutes[0].tolist()),
        km=tuple(tuple(row) for row in trips.km[0].tolist()),
        install_min=roads.install_min,
    )


def congestion_around(rows: Float[np.ndarray, "row road"], step: int) -> dict[str, Sequence[float]]:
    """Return what surrounds devices on roads in a step of the run.

    Parameters
    ----------
    rows : congestion of each road in this step and in those that a trip may meet
    """
    end = len(rows)
    while end > 1 and np.array_equal(rows[end - 1], rows[end - 2]):
        end -= 1
    return {"congestion": rows[0].tolist(), "congestion_ahead": rows[1:end].ravel().tolist(), "step": [float(step)]}


@dataclass(frozen=True, eq=False)
class RoadTrips(Coupling):
    """Coupling by roads: gives travel times at the present congestion to devices with a requested trip.

    ``around`` has the ``congestion`` of each road, as `Roads` takes it, and may have the ``step`` of the run and
    ``congestion_ahead``: that in the coming steps, one after the other; without it, the congestion lasts.
    """

    roads: Roads
    step_s: int

    def inform(
        self,
        devices: Sequence[Device[Any]],
        states: Sequence[Any],
        requests: Sequence[Request],
        nows: Sequence[Now],
        around: Mapping[str, Sequence[float]],
    ) -> Sequence[Now]:
        """Give travel times to the devices whose position with routes is to change."""
        changing = [
            device if request.position != device.at(state) else None
            for device, state, request in zip(devices, states, requests, strict=True)
        ]
        return self._with_travel(changing, nows, around)

    def inform_all(
        self, devices: Sequence[Device[Any]], nows: Sequence[Now], around: Mapping[str, Sequence[float]]
    ) -> Sequence[Now]:
        """Give the travel times of this step to all devices that have a position with routes."""
        return self._with_travel(devices, nows, around)

    def _with_travel(
        self, devices: Sequence[Device[Any] | None], nows: Sequence[Now], around: Mapping[str, Sequence[float]]
    ) -> Sequence[Now]:
        leaving = [
            (number, device)
            for number, device in enumerate(devices)
            if device is not None and any(one.with_routes for one in device.positions)
        ]
        if not leaving:
            return nows
        if "congestion" not in around:
            raise ValueError(f"{leaving[0][1].name}: a trip needs the congestion of the roads; connect it")
        now, ahead = tuple(around["congestion"]), tuple(around.get("congestion_ahead", ()))
        rows = (now, *(ahead[at : at + len(now)] for at in range(0, len(ahead), max(len(now), 1))))
        step = int(around.get("step", (0.0,))[0]) if self.roads.changes_by_time else 0
        travel = travel_under(self.roads, rows, self.step_s, step)
        informed = list(nows)
        for number, _ in leaving:
            informed[number] = replace(informed[number], trips=travel)
        return informed
