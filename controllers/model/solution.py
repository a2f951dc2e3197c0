"""Solution of the dispatch model with a tight relaxation, so that its plan is a power flow."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Int

from gridferry.controllers.contract import Note, SolverOutcome
from gridferry.controllers.model.ahead import Outlook
from gridferry.controllers.model.dispatch_model import DispatchModel, build_dispatch_model
from gridferry.controllers.model.networks import Limits
from gridferry.controllers.model.objective import ModelOptions, tightening_prices
from gridferry.controllers.model.plan import cost_of_plan, positions, relaxation_gap, simultaneous
from gridferry.controllers.model.violations import Violation
from gridferry.controllers.solve import InfeasibleError, Problem, SolveOptions, SolverTroubleError, Values

LEAST_SECONDS = 0.05
"""what a solve is given when the time is used up [s]"""
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
    warm_starts : for the search, positions of plans that are likely good, of all positions, the best first
    deadline : time, by `time.perf_counter`, after which nothing is improved any more [s]
    extra_s : time from when it turns out that limits have to be violated, where that ends after the deadline [s]
    """

    outlook: Outlook
    limits: Limits
    options: ModelOptions
    solver: SolveOptions
    search: Callable[[DispatchModel, Dispatch], SolverOutcome] | None = None
    warm_starts: Sequence[Int[np.ndarray, "horizon position"]] = ()
    deadline: float = float("inf")
    extra_s: float = 0.0

    @property
    def late(self) -> bool:
        """Whether the deadline has passed."""
        return time.perf_counter() > self.deadline

    def in_time(self) -> SolveOptions:
        """Return the solver settings for the remaining time."""
        left = max(self.deadline - time.perf_counter(), LEAST_SECONDS)
        return replace(self.solver, time_limit_s=min(self.solver.time_limit_s, left))

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
    outcome : objective and bound are what the plan costs, without any price of losses; a plan that violates limits as
        little as possible has no bound
    violated : limits that it violates because no plan keeps them all, the tightest first
    notes : what else is to be known, limits that had to be violated among it
    simultaneous : a store charges and discharges at once and, netted, would hold more than it can
    """

    dispatch: Dispatch
    model: DispatchModel
    outcome: SolverOutcome
    violated: tuple[Violation, ...] = ()
    notes: tuple[Note, ...] = ()
    simultaneous: bool = False

    @property
    def tight(self) -> bool:
        """Whether the relaxation is tight, so that the solution is a power flow that its devices can do."""
        return relaxation_gap(self.model) <= 1.0

    @property
    def routes_given(self) -> bool:
        """Whether routes were fixed, so that the bound is for them."""
        return self.dispatch.outlook.fixed is not None and bool(self.model.routes)


def solve_model(model: DispatchModel, dispatch: Dispatch) -> SolverOutcome:
    """Solve a model with all its integers at once."""
    return Problem(model.model).solve(dispatch.in_time())


def solve_power(model: DispatchModel, dispatch: Dispatch) -> SolverOutcome:
    """Solve a model with fixed routes."""
    return solve_fixed(Problem(model.model), model, {}, dispatch)


def solve_fixed(problem: Problem, model: DispatchModel, fixed: Values, dispatch: Dispatch) -> SolverOutcome:
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
    except (InfeasibleError, SolverTroubleError):
        problem.show(point)
        return found


def plan_dispatch(dispatch: Dispatch) -> Solved:
    """Minimise the cost; losses are priced until the relaxation is tight, if that is possible.

    Raises
    ------
    InfeasibleError, UnboundedError, SolverTroubleError
    """
    return tightened(solve_dispatch(dispatch))


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
        model = replace(dispatch, options=options).build()
        try:
            outcome = (dispatch.search or solve_power)(model, dispatch)
        except (InfeasibleError, SolverTroubleError):
            if solved is None:
                raise
            # the plan found is one, though one with simultaneous charging
            return solved
        seconds += outcome.seconds
        paid = float(cost_of_plan(model).sum())
        bound = float("nan") if options.soft else min(outcome.bound - model.bound_correction, paid)
        outcome = replace(outcome, objective=paid, bound=bound, seconds=seconds)
        both, known = simultaneous(model), options.exclusive
        solved = Solved(dispatch=dispatch, model=model, outcome=outcome, simultaneous=bool(both))
        both = {name: steps | known[name] if name in known else steps for name, steps in both.items()}
        if all(name in known and not (steps & ~known[name]).any() for name, steps in both.items()) or dispatch.late:
            return solved
        options = replace(options, exclusive={**known, **both})


def tightened(first: Solved) -> Solved:
    """Tighten the relaxation by prices of losses; the bound stays that of the problem without them.

    Parameters
    ----------
    first : solution; its routes are kept
    """
    if first.tight or first.dispatch.late:
        return first
    best, seconds = first, first.outcome.seconds
    dispatch = first.dispatch.on_positions(positions(first.model))
    for price in tightening_prices(dispatch.outlook, dispatch.options):
        if best.tight or dispatch.late:
            break
        try:
            tried = solve_dispatch(replace(dispatch, options=replace(dispatch.options, loss_price=price)))
        except (InfeasibleError, SolverTroubleError):
            # the plan found is still one
            break
        seconds += tried.outcome.seconds
        if relaxation_gap(tried.model) < relaxation_gap(best.model):
            bound = min(first.outcome.bound, tried.outcome.objective)
            best = replace(tried, outcome=replace(tried.outcome, bound=bound))
    return replace(best, dispatch=first.dispatch, outcome=replace(best.outcome, seconds=seconds))
