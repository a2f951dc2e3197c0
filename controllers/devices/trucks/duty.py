"""Duty of a truck: what driving takes from its battery, when it may drive, where it is due."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

_ROUNDING_H = 1e-9


@dataclass(frozen=True, kw_only=True)
class Duty:
    """Duty of a truck; without any of it, it drives at any time, and for nothing but fuel and labour.

    Attributes
    ----------
    drive_mwh_per_km : taken from the battery when a trip begins, for all of it [MWh/km]
    shift : local times between which it drives, the later one maybe on the next day [h]
    depot : station where it is due every day; ``None``: nowhere
    return_by : local time at which it is due there [h]
    transit_steps_initial : steps until it reaches its initial station, 0 where it is parked there at the start
    """

    drive_mwh_per_km: float = 0.0
    shift: tuple[float, float] | None = None
    depot: int | None = None
    return_by: float = 0.0
    transit_steps_initial: int = 0

    @property
    def shift_h(self) -> float:
        """Length of the shift [h]."""
        return 24.0 if self.shift is None else (self.shift[1] - self.shift[0]) % 24.0 or 24.0

    def on_shift(self, clock_h: Any, duration_h: Any) -> Any:
        """Whether trips begin and end within a shift, of numbers or arrays.

        The end is counted from the local time of departure, also where the clocks change on the way.
        """
        if self.shift is None:
            return np.ones(np.shape(duration_h), dtype=bool)
        since = (clock_h - self.shift[0] + _ROUNDING_H) % 24.0
        return since + duration_h <= self.shift_h + 2 * _ROUNDING_H

    def due_at(self, clock_h: np.ndarray) -> list[int]:
        """Steps after the first at whose start the truck is due at its depot.

        Parameters
        ----------
        clock_h : local time at the start of each step, and at the end of the last [h]
        """
        if self.depot is None:
            return []
        since = (clock_h - self.return_by + _ROUNDING_H) % 24.0
        passed = np.flatnonzero(np.diff(since) < 0) + 1
        # between the starts of two steps it is due at the earlier one
        at = np.where(since[passed] > 2 * _ROUNDING_H, passed - 1, passed)
        return [int(one) for one in at if one > 0]


FREE = Duty()
"""drives at any time, without energy of the battery"""
