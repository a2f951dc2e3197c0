"""Search space of the published second stage: time shifts of trips, powers within scheduled periods.

A period is a run of steps in which the first stage charges, or discharges, with the idle steps between them; it is
widened by the largest shift, so that power can move along with the trip. A point has, vehicle after vehicle, the shift
of every trip and the size of the power in every step of its periods.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int

from gridferry.controllers import tolerances
from gridferry.controllers.schedule.itinerary import moved_trips, trip_steps

_ROUNDS_DOWN = 0.499
"""added to the largest shift, so that a point is as likely to round to it as to any other"""


@dataclass(frozen=True, eq=False)
class ScheduledPeriods:
    """The first stage's schedule and its variables in the second stage.

    Attributes
    ----------
    vehicles : what travels: its columns of the ports and of the positions
    position : what every position is set to
    start : what it is before
    p_mw, q_mvar : injection of every port [MW, Mvar]
    p_max_mw : largest power of every port [MW]
    shift_max : steps by which a trip may be shifted either way
    """

    vehicles: tuple[tuple[int, int], ...]
    position: Int[np.ndarray, "horizon position"]
    start: Int[np.ndarray, " position"]
    p_mw: Float[np.ndarray, "horizon port"]
    q_mvar: Float[np.ndarray, "horizon port"]
    p_max_mw: Float[np.ndarray, " port"]
    shift_max: int

    @cached_property
    def trips(self) -> tuple[Int[np.ndarray, " _"], ...]:
        """Steps in which the trips of every vehicle begin."""
        return tuple(trip_steps(self.position[:, at], int(self.start[at])) for _, at in self.vehicles)

    @cached_property
    def direction(self) -> tuple[Int[np.ndarray, " horizon"], ...]:
        """Direction of every vehicle: -1 in periods of charging, +1 in periods of discharging, else 0."""
        return tuple(periods(self.p_mw[:, port], self.shift_max) for port, _ in self.vehicles)

    @cached_property
    def _spans(self) -> tuple[tuple[slice, slice, Int[np.ndarray, " step"]], ...]:
        """Ranges of every vehicle's shifts and powers in a point, and the steps of the powers."""
        spans, at = [], 0
        for k, trips in enumerate(self.trips):
            steps = np.flatnonzero(self.direction[k])
            spans.append((slice(at, at + len(trips)), slice(at + len(trips), at + len(trips) + len(steps)), steps))
            at += len(trips) + len(steps)
        return tuple(spans)

    @property
    def size(self) -> int:
        """Length of a point."""
        return self._spans[-1][1].stop if self._spans else 0

    @property
    def bounds(self) -> tuple[Float[np.ndarray, " variable"], Float[np.ndarray, " variable"]]:
        """Lower and upper bound of every variable."""
        low, high = np.zeros(self.size), np.empty(self.size)
        for k, (shifts, powers, _) in enumerate(self._spans):
            high[shifts], high[powers] = self.shift_max + _ROUNDS_DOWN, self.p_max_mw[self.vehicles[k][0]]
            low[shifts] = -high[shifts]
        return low, high

    def point(self, shift: tuple[Int[np.ndarray, " _"], ...] | None = None) -> Float[np.ndarray, " variable"]:
        """Return the first stage's schedule as a point, its trips shifted by given steps or not at all."""
        x = np.zeros(self.size)
        for k, (shifts, powers, steps) in enumerate(self._spans):
            x[shifts] = 0.0 if shift is None else np.clip(shift[k], -self.shift_max, self.shift_max)
            x[powers] = np.abs(self.p_mw[steps, self.vehicles[k][0]])
        return x

    def around(
        self, start: Float[np.ndarray, " variable"], count: int, rng: np.random.Generator
    ) -> Float[np.ndarray, "point variable"]:
        """Draw points: shifts anywhere within reach, powers those of ``start`` in one half, further and further from
        them in the other.
        """
        low, high = self.bounds
        drawn = low + (high - low) * rng.random((count, self.size))
        far = np.maximum(np.linspace(-1.0, 1.0, count), 0.0)[:, None]
        for _, powers, _ in self._spans:
            drawn[:, powers] = start[powers] + far * (drawn[:, powers] - start[powers])
        return drawn

    def schedules(
        self, x: Float[np.ndarray, "row variable"]
    ) -> tuple[
        Int[np.ndarray, "row horizon position"],
        Float[np.ndarray, "row horizon port"],
        Float[np.ndarray, "row horizon port"],
    ]:
        """Return positions, P and Q of points; scheduled reactive power applies where the vehicle is as scheduled."""
        rows = len(x)
        position = np.repeat(self.position[None], rows, axis=0)
        p, q = (np.repeat(one[None], rows, axis=0) for one in (self.p_mw, self.q_mvar))
        for k, (shifts, powers, steps) in enumerate(self._spans):
            port, at = self.vehicles[k]
            by = np.rint(x[:, shifts]).astype(np.int64)
            for row in range(rows):
                position[row, :, at] = moved_trips(self.position[:, at], int(self.start[at]), by[row])
            p[:, :, port] = 0.0
            p[:, steps, port] = self.direction[k][steps] * x[:, powers]
            q[:, :, port] *= position[:, :, at] == self.position[:, at]
        return position, p, q


def periods(p_mw: Float[np.ndarray, " horizon"], widened: int) -> Int[np.ndarray, " horizon"]:
    """Direction of the period of each step, 0 for none; idle steps belong to the nearest period in reach."""
    horizon = len(p_mw)
    direction = np.sign(p_mw).astype(np.int64) * (np.abs(p_mw) > tolerances.POWER_MW)
    works = np.flatnonzero(direction)
    if not len(works):
        return direction
    step = np.arange(horizon)
    after = np.searchsorted(works, step, side="left")
    before = np.searchsorted(works, step, side="right") - 1
    to_next = np.where(after < len(works), works[np.minimum(after, len(works) - 1)] - step, horizon + widened)
    to_last = np.where(before >= 0, step - works[np.maximum(before, 0)], horizon + widened)
    next_direction = direction[works[np.minimum(after, len(works) - 1)]]
    last_direction = direction[works[np.maximum(before, 0)]]
    inside = (after < len(works)) & (before >= 0) & (next_direction == last_direction)
    nearest = np.where(to_next < to_last, next_direction, last_direction)
    return np.where(inside | (np.minimum(to_next, to_last) <= widened), nearest, 0)
