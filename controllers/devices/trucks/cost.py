"""Cost of driving a truck: fuel, and what its driver is paid [A, eq. 28]."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from gridferry.controllers.devices.trucks.config import Labour, Mileage

_ROUNDING_H = 1e-9


@dataclass(frozen=True)
class TruckCost:
    """Cost parameters of driving [A, eq. 28].

    Attributes
    ----------
    fuel_per_km : fuel rate [currency/km]
    labour_per_h : labour rate [currency/h]
    mileage : charge each trip's own leg, or the longest leg for every trip (as published)
    labour : charge the hours in transit (steps of transit, installation included), or ``flat_hours`` (as published) or
        the hours of the shift on every day on which the truck drives or its battery is used
    flat_hours : hours charged under ``flat_if_used`` [h/day]
    by_hour : labour rate in each hour of a local day, in the place of one for all [currency/h]
    shift_pay : charged on a day of use under ``shift_if_used`` [currency/day]
    """

    fuel_per_km: float
    labour_per_h: float
    mileage: Mileage
    labour: Labour
    flat_hours: float
    by_hour: tuple[float, ...] = ()
    shift_pay: float = 0.0

    @property
    def day_pay(self) -> float:
        """Labour due on a day of use, where it is not paid by the hours on the road [currency/day]."""
        return self.shift_pay if self.labour is Labour.SHIFT_IF_USED else self.labour_per_h * self.flat_hours

    def rate(self, clock_h: Any) -> Any:
        """Labour rate of the hour that a local time lies in; of an array of times, one each [currency/h]."""
        if not self.by_hour:
            return self.labour_per_h
        return np.asarray(self.by_hour)[np.floor(np.asarray(clock_h) + _ROUNDING_H).astype(np.int64) % 24]


def pay_of_shift(by_hour: Sequence[float], begin_h: float, length_h: float) -> float:
    """Return what hours from a local time on are paid, by the rate of each hour of a local day [currency]."""
    end_h = begin_h + length_h
    edges = [begin_h, *(float(hour) for hour in range(48) if begin_h < hour < end_h), end_h]
    return sum((b - a) * by_hour[int(a + _ROUNDING_H) % 24] for a, b in pairwise(edges))
