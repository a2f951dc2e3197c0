"""The one scale of violations, for planning, the host's AC check and the swarm.

A violation of 1 is as large as the band of a voltage, ``v_max - v_min`` of its bus; as the rating of a branch; as the
rated energy of a store. Plans are compared by the largest violation, then by the sum of all, then by cost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from gridferry.controllers import tolerances

_LEAST_BAND_PU = 0.01
"""narrower bands, as of limits that are equal, count as this one"""
_UNSOLVED = 1e6
"""rank of a power flow without a solution; any violation is small against it"""


def voltage_band(v_min_pu: Float[np.ndarray, " bus"], v_max_pu: Float[np.ndarray, " bus"]) -> Float[np.ndarray, " bus"]:
    """Band of every voltage, a violation of which counts as 1 [pu]."""
    return np.maximum(v_max_pu - v_min_pu, _LEAST_BAND_PU)


@dataclass(frozen=True, eq=False)
class RelativeViolation:
    """Violation of all limits by schedules, on the one scale.

    Attributes
    ----------
    unsolved : power flows without a solution
    largest, total : the largest violation, and the sum of all
    """

    unsolved: Int[np.ndarray, "*schedule"]
    largest: Float[np.ndarray, "*schedule"]
    total: Float[np.ndarray, "*schedule"]

    @classmethod
    def of(
        cls, unsolved: Int[np.ndarray, "*schedule"], relative: Sequence[Float[np.ndarray, "*schedule _"]]
    ) -> RelativeViolation:
        """Take together the relative violations of all limits."""
        every = np.concatenate(relative, axis=-1)
        return cls(unsolved, np.asarray(every.max(axis=-1, initial=0.0)), np.asarray(every.sum(axis=-1)))

    @property
    def rank(self) -> Float[np.ndarray, "*schedule"]:
        """One number that orders schedules: flows unsolved, the largest violation in steps of its tolerance, the sum.

        The sum takes less than a step, so that it decides only between equals; 0 is a schedule that keeps all limits.
        """
        step = tolerances.SAME_VIOLATION
        return _UNSOLVED * self.unsolved + step * (np.floor(self.largest / step) + self.total / (1.0 + self.total))

    def at(self, schedule: int) -> RelativeViolation:
        """Return that of one schedule."""
        return RelativeViolation(*(np.asarray(one[schedule]) for one in (self.unsolved, self.largest, self.total)))

    def compared(self, other: RelativeViolation) -> int:
        """Return -1 where this single schedule violates less than another, 1 where it violates more, 0 where alike."""
        same = tolerances.SAME_VIOLATION
        for mine, its, room in (
            (int(self.unsolved), int(other.unsolved), 0.0),
            (float(self.largest), float(other.largest), same),
            (float(self.total), float(other.total), same * (1.0 + float(other.total))),
        ):
            if abs(mine - its) > room:
                return -1 if mine < its else 1
        return 0
