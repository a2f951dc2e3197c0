"""Limit violations of an AC power flow on the forecast, and the feedback to the controller."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from gridferry.controllers.contract import AcFeedback, Plan, Plant
from gridferry.controllers.schedule.ac_flow import AcFlow


@dataclass(frozen=True, eq=False)
class LimitViolation:
    """Limit violations by AC on the forecast; 0 within the tolerance, or where nothing is known.

    Attributes
    ----------
    v_low_pu, v_high_pu : below the lower and above the upper voltage limit [pu]
    loading : above the limit of the loading, as a share of the rating
    reserved : what the limit of the loading leaves free of the rating, as a share of it
    is_slack : buses whose voltage no controller changes, the slack buses
    unsolved : networks without a power flow
    """

    v_low_pu: Float[np.ndarray, " bus"]
    v_high_pu: Float[np.ndarray, " bus"]
    loading: Float[np.ndarray, " branch"]
    reserved: Float[np.ndarray, " branch"]
    is_slack: Bool[np.ndarray, " bus"]
    unsolved: int

    @property
    def v_pu(self) -> float:
        """Largest voltage violation; NaN if a network has no power flow [pu]."""
        return float("nan") if self.unsolved else float(max(self.v_low_pu.max(), self.v_high_pu.max()))

    @property
    def percent(self) -> float:
        """Largest violation of a rating; NaN if a network has no power flow [%]."""
        return float("nan") if self.unsolved else 100.0 * float(self.loading.max(initial=0.0))

    @property
    def rank(self) -> tuple[int, float]:
        """Rank for comparing plans: networks without a power flow, then the largest violation in per unit.

        The voltages of slack buses, which are the same under every plan, do not count.
        """
        free = np.where(self.is_slack, 0.0, np.maximum(self.v_low_pu, self.v_high_pu))
        return self.unsolved, float(max(free.max(), self.loading.max(initial=0.0)))

    @property
    def correctable(self) -> bool:
        """Whether a limit is violated that another plan might keep."""
        return self.rank[1] > 0.0

    def __str__(self) -> str:
        if self.unsolved:
            return "leaves AC on the forecast without a solution"
        return f"breaks limits by up to {self.v_pu:.3g} pu and {self.percent:.3g} %"


class AcLimits:
    """Limits of the grid, with the tolerances of `gridferry.sim.results.metrics`.

    Parameters
    ----------
    plant : has the limits of voltages and the ratings
    loading_max_percent : limit of the loading of each network, 100 % when not given [%]
    v_tolerance_pu, loading_tolerance_percent : less than this breaks no limit [pu, %]
    """

    def __init__(
        self,
        plant: Plant,
        loading_max_percent: Sequence[float] | None = None,
        v_tolerance_pu: float = 1e-6,
        loading_tolerance_percent: float = 1e-3,
    ):
        feeders = plant.feeders
        percents = [100.0] * len(feeders) if loading_max_percent is None else loading_max_percent
        self._low = np.concatenate([feeder.v_min_pu for feeder in feeders])
        self._high = np.concatenate([feeder.v_max_pu for feeder in feeders])
        self._loading = np.repeat(np.array(percents) / 100.0, [feeder.n_branch for feeder in feeders])
        self._is_slack = np.zeros(plant.n_bus, dtype=bool)
        self._is_slack[
            [buses.start + feeder.slack for feeder, buses in zip(feeders, plant.bus_slices, strict=True)]
        ] = True
        self._v_tolerance = v_tolerance_pu
        self._loading_tolerance = loading_tolerance_percent / 100.0

    def violation(self, flow: AcFlow) -> LimitViolation:
        """Return the limit violations of the first step of the first schedule."""
        v_pu, loading = flow.v_pu[0, 0], flow.loading[0, 0]
        return LimitViolation(
            v_low_pu=_beyond(self._low - v_pu, self._v_tolerance),
            v_high_pu=_beyond(v_pu - self._high, self._v_tolerance),
            loading=_beyond(loading - self._loading, self._loading_tolerance),
            reserved=np.maximum(1.0 - self._loading, 0.0),
            is_slack=self._is_slack,
            unsolved=int((~flow.converged[0, 0]).sum()),
        )


def next_feedback(feedback: AcFeedback | None, violation: LimitViolation, plan: Plan) -> AcFeedback:
    """Return the feedback after ``plan``: earlier feedback plus the new violations; read-only."""
    low, high = (np.where(violation.is_slack, 0.0, one) for one in (violation.v_low_pu, violation.v_high_pu))
    rating = np.zeros_like(violation.loading)
    if feedback is not None:
        low, high = low + feedback.v_low_pu, high + feedback.v_high_pu
        rating = feedback.rating
    # a plant has ratings, and no limits below them
    rating = np.where(violation.loading > 0, np.maximum(rating + violation.loading, violation.reserved), rating)
    rating = np.minimum(rating, 1.0)
    for one in (low, high, rating):
        one.setflags(write=False)
    return AcFeedback(v_low_pu=low, v_high_pu=high, rating=rating, plan=plan)


def _beyond(distance: Float[np.ndarray, " entity"], tolerance: float) -> Float[np.ndarray, " entity"]:
    return np.where(distance > tolerance, distance, 0.0)
