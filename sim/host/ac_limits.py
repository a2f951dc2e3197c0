"""Limit violations of an AC power flow on the forecast, and the feedback to the controller."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from gridferry.controllers.contract import AcFeedback, Plan, Plant
from gridferry.controllers.plans.violation import RelativeViolation
from gridferry.controllers.schedule.ac_flow import AcFlow
from gridferry.controllers.schedule.grid_limits import GridLimits, GridViolation, plain_limits, slack_buses


class LimitViolation:
    """Limit violations by AC on the forecast in one step.

    Parameters
    ----------
    grid : of the step
    limits : that are violated
    """

    def __init__(self, grid: GridViolation, limits: GridLimits):
        self.grid, self.limits = grid, limits
        self.relative: RelativeViolation = grid.relative

    @property
    def v_pu(self) -> float:
        """Largest voltage violation; NaN if a network has no power flow [pu]."""
        return float("nan") if self.unsolved else float(max(self.grid.v_low_pu.max(), self.grid.v_high_pu.max()))

    @property
    def percent(self) -> float:
        """Largest violation of a rating, or of import or export; NaN if a network has no power flow [%]."""
        _, _, loading, exchange = self.grid.scaled
        return float("nan") if self.unsolved else 100.0 * float(max(loading.max(initial=0.0), exchange.max()))

    @property
    def unsolved(self) -> int:
        """Networks without a power flow."""
        return int(self.grid.unsolved)

    @property
    def correctable(self) -> bool:
        """Whether a limit is violated that feedback to the controller tells of."""
        return any(bool(one.max(initial=0.0) > 0.0) for one in self.grid.scaled[:3])

    def __str__(self) -> str:
        if self.unsolved:
            return "leaves AC on the forecast without a solution"
        return f"breaks limits by up to {self.v_pu:.3g} pu and {self.percent:.3g} %"


class AcLimits:
    """Limits of the grid, with the tolerances of `gridferry.sim.results.metrics`.

    Parameters
    ----------
    plant : has the limits
    v_tolerance_pu, loading_tolerance_percent : less than this breaks no limit [pu, %]
    """

    def __init__(
        self,
        plant: Plant,
        v_tolerance_pu: float = 1e-6,
        loading_tolerance_percent: float = 1e-3,
    ):
        self._limits = replace(
            plain_limits(plant), v_tolerance_pu=v_tolerance_pu, loading_tolerance=loading_tolerance_percent / 100.0
        )

    def violation(self, flow: AcFlow) -> LimitViolation:
        """Return the limit violations of the first step of the first schedule."""
        first = replace(flow, p_mw=flow.p_mw[0, 0], v=flow.v[0, 0])
        return LimitViolation(self._limits.violation(first), self._limits)


def next_feedback(feedback: AcFeedback | None, violation: LimitViolation, plan: Plan) -> AcFeedback:
    """Return the feedback after ``plan``: earlier feedback plus the new violations; read-only."""
    grid = violation.grid
    low, high = (np.where(slack_buses(grid.plant), 0.0, one) for one in (grid.v_low_pu, grid.v_high_pu))
    rating = grid.loading
    if feedback is not None:
        low, high, rating = low + feedback.v_low_pu, high + feedback.v_high_pu, rating + feedback.rating
    rating = np.minimum(rating, violation.limits.loading)
    for one in (low, high, rating):
        one.setflags(write=False)
    return AcFeedback(v_low_pu=low, v_high_pu=high, rating=rating, plan=plan)
