"""Trips that begin in a step, for rules: whether a truck may drive, and whether it has to, to be where it is due."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from gridferry.controllers.contract import ControllerError, Forecast, Plant
from gridferry.controllers.devices import Device
from gridferry.controllers.devices.traits import places_due, traveller_of

_LATE = 1.25
"""a trip to where a truck is due may take so many times as long as forecast"""


@dataclass(frozen=True, eq=False)
class TripsNow:
    """Trips that begin in a step of the run, under its forecast."""

    plant: Plant
    step: int
    forecast: Forecast

    @cached_property
    def transit_steps(self) -> Int[np.ndarray, "station station"]:
        """Steps of every trip.

        Raises
        ------
        ControllerError
            where the forecast congestion is not finite.
        """
        roads = self.plant.roads
        assert roads is not None
        if not len(self._congestion):
            raise ControllerError(f"step {self.step}: the forecast congestion is not finite")
        step_s = self.plant.step_s
        found: Int[np.ndarray, "station station"]
        (found,) = roads.transit_steps(self._congestion, step_s, step=self.step, departures=1)
        return found

    @cached_property
    def _congestion(self) -> Float[np.ndarray, "row road"]:
        """Forecast congestion up to where it is not known."""
        finite = np.isfinite(self.forecast.congestion).all(axis=1)
        return self.forecast.congestion[: len(finite) if finite.all() else int(finite.argmin())]

    def left(self, device: Device[Any], state: Any) -> bool:
        """Whether a truck may begin another trip today."""
        traveller = traveller_of(device)
        if traveller is None or self.plant.roads is None:
            return False
        return bool(state.trips_today < traveller.trips_max_per_day)

    def may_begin(self, device: Device[Any], state: Any, target: int, least_mwh: float) -> bool:
        """Whether a trip is within the shift, the battery can pay it, and the truck is in time where it is due.

        Parameters
        ----------
        least_mwh : least energy of the battery [MWh]
        """
        here, due = int(state.station), self._due(device)
        steps, legs = int(self.transit_steps[here, target]), [(here, target)]
        if not self._on_shift(device, steps, 0):
            return False
        if due is not None and target != due[1]:
            legs.append((target, due[1]))
            # a step at least is spent there
            if self._latest(device, legs[1], due[0]) <= steps:
                return False
        needed = sum(self._drive_mwh(device, leg) for leg in legs)
        return needed == 0.0 or bool(state.energy_mwh - needed >= least_mwh)

    def due_now(self, device: Device[Any], state: Any) -> int | None:
        """Return where a truck is due, if it has to leave for there now; ``None`` if it has not."""
        due, here = self._due(device), int(state.station)
        if due is None or due[1] == here or self._latest(device, (here, due[1]), due[0]) > 0:
            return None
        return due[1]

    def reserve_mwh(self, device: Device[Any], state: Any) -> float:
        """Energy that a truck keeps for the trip to where it is due [MWh]."""
        due = self._due(device)
        return 0.0 if due is None else self._drive_mwh(device, (int(state.station), due[1]))

    def _due(self, device: Device[Any]) -> tuple[int, int] | None:
        """Steps until a truck is due next, and where."""
        return min(places_due(device, self.plant.clock_h(self.step, self.plant.steps_in_24_h + 1)), default=None)

    def _latest(self, device: Device[Any], leg: tuple[int, int], due: int) -> int:
        """Last step, 0 for this one, in which a trip can begin to be in time; -1 where it is too late."""
        steps = int(self.transit_steps[leg])
        in_time = (at for at in range(due, -1, -1) if at + _LATE * steps <= due and self._on_shift(device, steps, at))
        return next(in_time, -1)

    def _on_shift(self, device: Device[Any], steps: int, later: int) -> bool:
        """Whether a trip of so many steps may begin so many steps later."""
        on_shift = getattr(device, "on_shift", None)
        clock_h = self.plant.clock_h(self.step + later, 1)[0]
        return on_shift is None or bool(on_shift(steps, clock_h, self.plant.step_h))

    def _drive_mwh(self, device: Device[Any], leg: tuple[int, int]) -> float:
        """Energy that a trip takes from the battery [MWh]."""
        drive_mwh, roads = getattr(device, "drive_mwh", None), self.plant.roads
        if drive_mwh is None or roads is None or not len(self._congestion):
            return 0.0
        trips = roads.trips(self._congestion, step_s=self.plant.step_s, step=self.step, departures=1)
        return float(drive_mwh(trips.km[0][leg]))
