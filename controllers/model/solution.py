"""Solution of the dispatch model with a tight relaxation, so that its plan is a power flow."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from jaxtyping import Int

from gridferry.controllers.contract import Note, SolverOutcome
from gridferry.controllers.model.ahead import Outlook
from gridferry.controllers.model.dispatch_model import DispatchModel, build_dispatch_model
from gridferry.controllers.model.networks import Limits
from gridferry.controllers.model.objective import ModelOptions
from gridferry.controllers.model.plan import cost_of_plan, relaxation_gap, simultaneous
from gridferry.controllers.model.violations import Violation
from gridferry.controllers.solve import (
    InfeasibleError,
    NoPlanError,
    SolveOptions,
    SolverTroubleError,
    Values,
)

_COMPILING = 6.0
"""a model takes mostly so many times as long to compile as to build"""
EXTRA_TIME = 0.1
"""share of a time limit that minimising violations may take beyond it"""
_TIGHT = 0.01
"""share of the saving that power is planned to, where it needs integers"""


@dataclass(frozen=True, kw_only=True, eq=False)
class Dispatch:
    """Planning task: inputs, limits, options and deadline of a dispatch model.

    Attributes
    ----------
    outlook, limits, options : of the model
    solver : gaps at which to stop, and the cost that savings are counted from
    search : decides routes and power of a built model, and sets the values of its variables; power alone where not
        given, for routes decided before
    near : solved model of a similar task, where an exact finish begins
    warm_starts : for the search, positions of plans that are likely good, of all positions, the best first
    deadline : time, by `time.perf_counter`, after which nothing is improved any more [s]
    extra_s : time from when it turns out that limits have to be violated, or that a relaxation is not tight, where that
        ends after the deadline [s]
    """

    outlook: Outlook
    limits: Limits
    options: ModelOptions
    solver: SolveOptions
    search: Callable[[DispatchModel, Dispatch], SolverOutcome] | None = None
    near: DispatchModel | None = None
    warm_starts: Sequence[Int[np.ndarray, "horizon position"]] = ()
    deadline: float = float("inf")
    extra_s: float = 0.0

    @property
    def late(self) -> bool:
        """Whether the deadline has passed; to be read only where there is more to be done, as it is recorded."""
        late = time.perf_counter() > self.deadline
        self.solver.record.cut = self.solver.record.cut or late
        return late

    def require(self, seconds: float = 0.0) -> float:
        """Return the time that is left [s].

        Parameters
        ----------
        seconds : what is to be begun takes at least so long

        Raises
        ------
        SolverTroubleError
            where less time is left, or less than a model of this plan has taken: its solve takes no less, and neither
            is interrupted.
        """
        left = self.deadline - time.perf_counter()
        if left <= max(seconds, self.solver.record.model_s):
            self.solver.record.cut = True
            raise SolverTroubleError("the time for a plan is used up; allow more", out_of_time=True)
        return left

    def in_time(self) -> SolveOptions:
        """Return the solver settings for the remaining time.

        Raises
        ------
        SolverTroubleError
            where too little is left.
        """
        return replace(self.solver, time_limit_s=min(self.solver.time_limit_s, self.require()))

    def on_positions(self, fixed: Int[np.ndarray, "horizon position"]) -> Dispatch:
        """Return the same task with fixed positions."""
        return replace(self, outlook=replace(self.outlook, fixed=fixed), search=None)

    def build(self) -> DispatchModel:
        """Build the dispatch model."""
        return build_dispatch_model(self.outlook, self.limits, self.options)


@dataclass(frozen=True, kw_only=True, eq=False)
class Solved:
    """A solved model, its outcome and its bound.

    Attributes
    ----------
    dispatch : what was to be planned
    solution : objective and bound as the model has them, which may be violations, with a price of losses
    violated : limits that it violates because no plan keeps them all, the tightest first
    trouble : why no plan keeps them all
    notes : what else is to be known, limits that had to be violated among it
    exact : the solution is one of the exact equations, locally optimal
    """

    dispatch: Dispatch
    model: DispatchModel
    solution: SolverOutcome
    violated: tuple[Violation, ...] = ()
    trouble: NoPlanError | None = None
    notes: tuple[Note, ...] = ()
    exact: bool = False

    @cached_property
    def outcome(self) -> SolverOutcome:
        """What the plan costs, without any price of losses, and the bound of that; none where limits are soft."""
        paid = float(cost_of_plan(self.model).sum())
        if self.model.options.soft:
            return replace(self.solution, objective=paid, bound=float("nan"))
        return replace(
            self.solution, objective=paid, bound=min(self.solution.bound - self.model.bound_correction, paid)
        )

    @cached_property
    def tight(self) -> bool:
        """Whether the relaxation is tight, so that the solution is a power flow that its devices can do."""
        return relaxation_gap(self.model) <= 1.0 and not simultaneous(self.model)

    @property
    def within(self) -> bool:
        """Whether objective and bound are within the requested gap."""
        objective = self.solution.objective
        return objective - self.solution.bound <= self.dispatch.solver.tolerance(objective)

    @property
    def routes_given(self) -> bool:
        """Whether routes were fixed, so that the bound is for them."""
        return self.dispatch.outlook.fixed is not None and bool(self.model.routes)


def solve_model(model: DispatchModel, dispatch: Dispatch) -> SolverOutcome:
    """Solve a model with all its integers at once."""
    return model.problem.solve(dispatch.in_time())


def solve_power(model: DispatchModel, dispatch: Dispatch) -> SolverOutcome:
    """Solve a model with fixed routes."""
    return solve_fixed(model, {}, dispatch)


def solve_fixed(model: DispatchModel, fixed: Values, dispatch: Dispatch) -> SolverOutcome:
    """Solve a model for given routes, and set the values of its variables; the bound is for these routes.

    Without other binaries that is one cone program. Others, as negative prices need them, are read out of the
    relaxation first; outer approximation decides about them only where that leaves too large a gap.

    Parameters
    ----------
    fixed : the binaries of the routes, where the model has any

    Raises
    ------
    InfeasibleError, UnboundedError, SolverTroubleError
    """
    found = _solve_fixed(model, fixed, dispatch)
    if fixed:
        model.tried.append((found.objective, fixed))
    return found


def _solve_fixed(model: DispatchModel, fixed: Values, dispatch: Dispatch) -> SolverOutcome:
    problem = model.problem
    if not model.likely:
        return problem.solve(dispatch.in_time(), fixed=fixed)
    solver = replace(dispatch.solver, gap_of_saving=min(dispatch.solver.gap_of_saving, _TIGHT))
    dispatch = replace(dispatch, solver=solver)
    relaxed = problem.relax(fixed, dispatch.in_time().time_limit_s)
    likely = {**fixed, **{binaries: read() for binaries, read in model.likely}}
    try:
        found = problem.solve(dispatch.in_time(), fixed=likely)
    except (InfeasibleError, SolverTroubleError):
        return problem.solve(dispatch.in_time(), fixed=fixed)
    found = replace(found, bound=min(relaxed.bound, found.objective))
    if found.objective - found.bound <= solver.tolerance(found.objective):
        return found
    point = problem.point
    try:
        return problem.solve(dispatch.in_time(), warm_starts=[likely], fixed=fixed)
    except (InfeasibleError, SolverTroubleError) as error:
        solver.record.see(error)
        problem.show(point)
        return found


def solve_dispatch(dispatch: Dispatch) -> Solved:
    """Build and solve a model; forbid simultaneous charging and discharging where the solution has it.

    Raises
    ------
    InfeasibleError, UnboundedError, SolverTroubleError
    """
    seconds = 0.0
    options = dispatch.options
    solved: Solved | None = None
    while True:
        try:
            model = _compiled(replace(dispatch, options=options))
            outcome = (dispatch.search or solve_power)(model, dispatch)
        except SolverTroubleError as error:
            dispatch.solver.record.see(error)
            if solved is None:
                raise
            # the point found is one, though one with simultaneous charging
            return solved
        seconds += outcome.seconds
        solved = Solved(dispatch=dispatch, model=model, solution=replace(outcome, seconds=seconds))
        both, known = simultaneous(model), options.exclusive
        both = {name: steps | known[name] if name in known else steps for name, steps in both.items()}
        if all(name in known and not (steps & ~known[name]).any() for name, steps in both.items()) or dispatch.late:
            return solved
        options = replace(options, exclusive={**known, **both})


def _compiled(dispatch: Dispatch) -> DispatchModel:
    """Build and compile a model, where there is time for it."""
    dispatch.require()
    began, record = time.perf_counter(), dispatch.solver.record
    model = dispatch.build()
    dispatch.require(_COMPILING * (time.perf_counter() - began))
    _ = model.problem
    record.model_s = max(record.model_s, time.perf_counter() - began)
    return model


def route_values(model: DispatchModel, targets: Int[np.ndarray, "horizon position"]) -> Values:
    """Return the binaries of the routes to given positions at the travel times of the roads."""
    values: Values = {}
    for column, route in model.routes:
        values |= route.values(targets[:, column])
    return values
