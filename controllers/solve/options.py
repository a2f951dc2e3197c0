"""Options and answers of the solvers."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from jaxtyping import Float

from gridferry.controllers.contract import ControllerError
from gridferry.controllers.outcome import SolverOutcome, Status, Termination, relative_gap


class Method(StrEnum):
    """Method for mixed-integer conic problems; both are exact."""

    OUTER_APPROXIMATION = "outer_approximation"
    SCIP = "scip"


class TimeRecord:
    """Record of what a time limit cut short, and of what takes time; shared by all solves for a plan.

    Attributes
    ----------
    cut : the limit cut something short
    model_s : longest time that a model took to build and compile [s]
    """

    def __init__(self) -> None:
        self.cut = False
        self.model_s = 0.0

    def see(self, error: ControllerError) -> None:
        """Note an error that is not passed on, if the time limit is why."""
        self.cut = self.cut or error.out_of_time


@dataclass(frozen=True)
class SolveOptions:
    """Settings of a solve.

    Attributes
    ----------
    method : outer approximation (HiGHS and Clarabel), or SCIP directly
    gap : relative gap ``(objective - bound) / |objective|`` at which to stop
    gap_abs : absolute gap at which to stop [currency]
    gap_of_saving : gap as a share of what the point saves over ``reference`` at which to stop
    reference : cost to save over [currency]
    time_limit_s : time after which the best point found is returned, with its gap; none by default [s]
    record : of what the limit cut short
    """

    method: Method = Method.OUTER_APPROXIMATION
    gap: float = 1e-4
    gap_abs: float = 1e-6
    gap_of_saving: float = 0.0
    reference: float = float("nan")
    time_limit_s: float = float("inf")
    record: TimeRecord = field(default_factory=TimeRecord, compare=False, repr=False)

    @property
    def grace_s(self) -> float:
        """Time beyond the limit that a solve may take which alone gives a plan [s]."""
        return 0.1 * self.time_limit_s

    def tolerance(self, objective: float) -> float:
        """Return the gap in the unit of the objective at which to stop."""
        gap = max(self.gap_abs, self.gap * abs(objective))
        if self.gap_of_saving > 0 and self.reference > objective:
            gap = max(gap, self.gap_of_saving * (self.reference - objective))
        return gap


@dataclass(frozen=True, eq=False)
class Answer:
    """The best point found, its cost, and a proved lower bound of the cost of any point."""

    x: Float[np.ndarray, " column"]
    objective: float
    bound: float
    termination: Termination
    seconds: float

    def outcome(self, options: SolveOptions) -> SolverOutcome:
        """Return the answer as the contract's outcome."""
        within = self.objective - self.bound <= options.tolerance(self.objective)
        return SolverOutcome(
            status=Status.OPTIMAL if within else Status.FEASIBLE,
            termination=self.termination,
            objective=self.objective,
            bound=self.bound,
            gap=relative_gap(self.objective, self.bound),
            seconds=self.seconds,
        )
