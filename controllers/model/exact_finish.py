"""Plans of dispatch models: where a relaxation is not tight, the exact equations are solved from its solution."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np

from gridferry.controllers.model.dispatch_model import DispatchModel
from gridferry.controllers.model.plan import positions, setpoints
from gridferry.controllers.model.solution import Dispatch, Solved, solve_dispatch, solve_fixed
from gridferry.controllers.plans.injections import device_injections
from gridferry.controllers.solve import InfeasibleError, NoPlanError, NoPlanFoundError, SolverTroubleError, Values

_SPATIAL_TIME, _SPATIAL_GAP = 0.1, 2e-3
"""share of the time that is left for spatial branching, and the relative gap at which it stops"""
_LINEARISED, _Q_MVAR = 4, 1e-5
"""so often is Q(U) linearised anew, and by how little it may be wrong [Mvar]"""
_TRIED = 12
"""on so many other routes the exact equations are solved"""


def plan_dispatch(dispatch: Dispatch) -> Solved:
    """Minimise the cost; where the relaxation is not tight the exact equations are solved from there.

    A Q that follows the voltage is linearised at the plan, and planned for again, until it is that of its voltage.

    Raises
    ------
    InfeasibleError
        where the relaxation has no solution.
    NoPlanFoundError
        where it has one, and no power flow was found.
    UnboundedError, SolverTroubleError
    """
    found = _plan(dispatch)
    for _ in range(_LINEARISED):
        if found.model.q_of_v_error_mvar() <= _Q_MVAR or dispatch.late:
            break
        try:
            found = _plan(replace(dispatch, outlook=replace(dispatch.outlook, v_pu=found.model.v_pu())))
        except NoPlanError as error:
            dispatch.solver.record.see(error)
            break
    return found


def _plan(dispatch: Dispatch) -> Solved:
    relaxed = solve_dispatch(dispatch)
    return relaxed if relaxed.tight else finish(relaxed)


def finish(relaxed: Solved) -> Solved:
    """Solve the exact equations where a relaxation is not tight.

    The relaxation is solved again with upper limits of all losses, which every power flow keeps; from there the exact
    equations are solved locally on its routes, and on others that were tried; near the last plan first, if that is on
    its routes, and from the relaxation, too, unless this is within the requested gap. Small problems are searched to
    the end by spatial branching, in the time that is left.

    Raises
    ------
    InfeasibleError, NoPlanFoundError, SolverTroubleError
    """
    began = time.perf_counter()
    dispatch, options = relaxed.dispatch, relaxed.model.options
    tighter = relaxed
    if not (options.bounded_losses or options.soft) and not dispatch.late:
        try:
            tighter = solve_dispatch(replace(dispatch, options=replace(options, bounded_losses=True)))
        except SolverTroubleError as error:
            dispatch.solver.record.see(error)
        else:
            tighter = _bounded_by(tighter, relaxed.solution.bound)
    # it alone gives a plan: where a search has used up the time, it has a little more
    deadline = max(dispatch.deadline, time.perf_counter() + dispatch.extra_s)
    began_at, previous = tighter.model.problem.values, None if dispatch.near else previous_flow(tighter.model)
    found = _locally(replace(tighter, dispatch=replace(dispatch, deadline=deadline)), previous)
    found = None if found is None else replace(found, dispatch=dispatch)
    if previous and not _is_enough(found) and not dispatch.late:
        found = _from(began_at, found, tighter)
    if tighter is not relaxed and not (_is_enough(found) or (found and dispatch.near)) and not dispatch.late:
        # other routes, or another side of what is not convex
        cold = replace(relaxed, dispatch=replace(dispatch, near=None))
        found = _cheaper(found, _locally(cold), tighter.solution.bound)
    if not _is_enough(found):
        found = _on_tried_routes(found, tighter)
    if not _is_enough(found) and not dispatch.late:
        found = _globally(found, tighter)
    if found is None:
        raise NoPlanFoundError(
            "no solution of the exact equations was found near that of the relaxation", out_of_time=dispatch.late
        )
    seconds = relaxed.solution.seconds + time.perf_counter() - began
    return replace(found, solution=replace(found.solution, seconds=seconds))


def _is_enough(found: Solved | None) -> bool:
    """Whether a plan is within the requested gap; there is no bound of violations."""
    return found is not None and (found.within or found.model.options.soft)


def _on_tried_routes(found: Solved | None, tighter: Solved) -> Solved | None:
    """Solve the exact equations on the other routes that a search has tried, as long as they may be cheaper."""
    model, dispatch = tighter.model, tighter.dispatch
    others = [one for one in model.tried if one[0] > tighter.solution.objective]
    for cost, routes in sorted(others, key=lambda one: one[0])[:_TRIED]:
        if (found is not None and cost >= found.solution.objective) or _is_enough(found) or dispatch.late:
            break
        known = model.problem.values
        try:
            solve_fixed(model, routes, dispatch)
        except (InfeasibleError, SolverTroubleError) as error:
            dispatch.solver.record.see(error)
            model.problem.values = known
        else:
            found = _from(model.problem.values, found, tighter, known)
    return found


def _from(values: Values, found: Solved | None, tighter: Solved, known: Values | None = None) -> Solved | None:
    """Solve the exact equations from other values, too; those of the cheaper plan are those of the model then.

    Parameters
    ----------
    known : the values of the plan found before, which the variables have by default
    """
    problem = tighter.model.problem
    known = problem.values if known is None else known
    problem.values = values
    best = _cheaper(found, _locally(tighter), tighter.solution.bound)
    if best is found:
        problem.values = known
    return best


def _locally(relaxed: Solved, begin: Values | None = None) -> Solved | None:
    """Solve the exact equations locally from the values that a model's variables have; the bound is kept.

    Parameters
    ----------
    begin : flows to begin near
    """
    try:
        dispatch, problem = relaxed.dispatch, relaxed.model.problem
        near = None if dispatch.near is None else dispatch.near.problem
        outcome = problem.solve_exact(dispatch.in_time().time_limit_s, near, begin)
    except (NoPlanFoundError, SolverTroubleError) as error:
        relaxed.dispatch.solver.record.see(error)
        return None
    return _bounded_by(replace(relaxed, solution=outcome, exact=True), relaxed.solution.bound)


def _cheaper(found: Solved | None, other: Solved | None, bound: float) -> Solved | None:
    """Return the cheaper of two plans, under a bound that holds for both."""
    if other is None or (found is not None and found.solution.objective <= other.solution.objective):
        return found
    return _bounded_by(other, bound)


def _bounded_by(solved: Solved, bound: float) -> Solved:
    """Return a solution with another bound, where that is higher."""
    outcome = solved.solution
    return replace(solved, solution=replace(outcome, bound=min(max(outcome.bound, bound), outcome.objective)))


def _globally(found: Solved | None, tighter: Solved) -> Solved | None:
    """Search the optimum of the exact problem by spatial branching, where it is small; the plan known where not.

    Raises
    ------
    InfeasibleError
        where the exact problem has no solution, on no routes.
    """
    known = found or tighter
    solver = known.dispatch.solver
    options = replace(solver, gap=max(solver.gap, _SPATIAL_GAP), gap_of_saving=max(solver.gap_of_saving, _SPATIAL_GAP))
    try:
        limit_s = _SPATIAL_TIME * known.dispatch.in_time().time_limit_s
        outcome = known.model.problem.branch_spatially(replace(options, time_limit_s=limit_s), found is not None)
    except (NoPlanFoundError, SolverTroubleError) as error:
        solver.record.see(error)
        return found
    if outcome is None:
        return found
    return _bounded_by(replace(known, solution=outcome, exact=True), known.solution.bound)


def previous_flow(model: DispatchModel) -> Values | None:
    """Return the flow if the last plan is continued; in steps beyond it, the solution of the model is.

    ``None`` without such a plan, where it takes other routes, or where it has no flow.
    """
    plan, position = model.observation.previous_plan, positions(model)
    rows = 0 if plan is None else min(plan.steps - 1, model.horizon)
    if plan is None or rows < 1 or not np.array_equal(plan.position[1 : rows + 1], position[:rows]):
        return None
    p_mw, q_mvar = setpoints(model)
    p_last, q_last = p_mw.copy(), q_mvar.copy()
    p_last[:rows], q_last[:rows] = plan.p_mw[1 : rows + 1], plan.q_mvar[1 : rows + 1]
    (p_then, q_then), (p_now, q_now) = (
        device_injections(model.plant, model.forecast, p, q, position) for p, q in ((p_last, q_last), (p_mw, q_mvar))
    )
    return model.exact_flow(p_then - p_now, q_then - q_now)
