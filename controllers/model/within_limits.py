"""Planning within all limits, or with the minimum violation; messages about binding limits.

All optimisers use it. Three cases are told apart: no plan keeps every limit, which is proved; none was found, which
proves nothing; and the solver stopped without a plan. `refuse_violations` names the tightest limit in each.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from gridferry.controllers import tolerances
from gridferry.controllers.contract import Note, NoteKind
from gridferry.controllers.model.exact_finish import plan_dispatch
from gridferry.controllers.model.objective import Aim
from gridferry.controllers.model.solution import Dispatch, Solved, solve_dispatch
from gridferry.controllers.model.violations import (
    conflicting,
    is_largest_least,
    largest_violation,
    total_violation,
    violations,
)
from gridferry.controllers.solve import InfeasibleError, NoPlanError, NoPlanFoundError, SolverTroubleError

_GAP = 1e-4
"""gap at which the search for the minimum violation stops, relative and in its own unit"""
_ELASTIC = 2.0
"""a model in which every constraint may be violated takes so many times as long to compile"""
_LINEARISED = 4
"""so often are squares linearised near the largest violation found"""


def plan_within_limits(attempts: Sequence[Dispatch], least_on: Dispatch, *, relax: bool) -> Solved:
    """Return the first plan that keeps all limits; if none does, one with the minimum violation.

    Parameters
    ----------
    attempts : what is planned in turn, the widest choice last; limits that have to be violated are violated in the
        first
    least_on : for which the minimum violation is looked for, that of routes decided before
    relax : the minimum violation is wanted at the least cost; without it `refuse_violations` follows

    Raises
    ------
    NoPlanError
        where there is no plan even so; its class says what is known.
    UnboundedError
    """
    began = time.perf_counter()
    trouble: NoPlanError = InfeasibleError("nothing was planned")
    for dispatch in attempts:
        try:
            return plan_dispatch(dispatch)
        except NoPlanError as error:
            if error.out_of_time or (isinstance(error, SolverTroubleError) and dispatch.late):
                raise
            trouble = error
    deadline = time.perf_counter() + least_on.extra_s
    first, least_on = (replace(one, deadline=max(one.deadline, deadline)) for one in (attempts[0], least_on))
    try:
        least = minimise_violation(least_on)
    except NoPlanError as failed:
        if isinstance(failed, InfeasibleError):
            raise
        message = f"{_finding(trouble)}; which limit is the tightest was not found: {failed}"
        raise type(trouble)(message, out_of_time=failed.out_of_time) from trouble
    if least.violated and not relax:
        return replace(least, trouble=trouble)
    found = within_violation(first, least)
    if found is None and not relax:
        raise trouble
    found = found or least
    seconds = time.perf_counter() - began
    found = replace(found, solution=replace(found.solution, seconds=seconds))
    if not found.violated:
        return found
    return replace(found, trouble=trouble, notes=(Note(_KINDS[type(trouble)]), *found.notes))


_KINDS = {
    InfeasibleError: NoteKind.INFEASIBLE,
    NoPlanFoundError: NoteKind.NO_PLAN_FOUND,
    SolverTroubleError: NoteKind.SOLVER_TROUBLE,
}


def _finding(trouble: NoPlanError) -> str:
    return Note(_KINDS[type(trouble)]).words


def refuse_violations(solved: Solved) -> None:
    """Raise if a plan violates limits, with the tightest one and with what is known about other plans.

    Raises
    ------
    InfeasibleError, NoPlanFoundError, SolverTroubleError
    """
    if solved.violated and solved.trouble is not None:
        tightest, *others = (one.words for one in solved.violated)
        also = "".join(f"; {words}" for words in others)
        where = "on the incumbent routes " if solved.routes_given else ""
        least = "" if solved.exact or solved.tight else ", by a relaxation, which is the least that it can be,"
        limit, it = ("these limits", "them") if others else ("that limit", "it")
        advice = f"Widen {limit} by as much, or lower the load or the margins kept from {it}"
        raise type(solved.trouble)(
            f"{_finding(solved.trouble)}; {where}the tightest{least} is {tightest}{also}. {advice}"
        ) from solved.trouble


def minimise_violation(dispatch: Dispatch) -> Solved:
    """Minimise violations of limits, the largest first, then their sum; return which limits are violated.

    Raises
    ------
    InfeasibleError
        where there is no plan even so; it names the constraints that exclude each other.
    UnboundedError, SolverTroubleError
    """
    gaps = replace(dispatch.solver, gap=_GAP, gap_abs=_GAP, gap_of_saving=0.0)
    soft = _aiming(replace(dispatch, solver=gaps), Aim.LARGEST)
    try:
        try:
            found = plan_dispatch(soft)
        except NoPlanFoundError:
            # no plan violates less than the relaxation; AC says what this one does
            found = solve_dispatch(soft)
    except InfeasibleError as hopeless:
        names = _conflicting(soft)
        why = f"these constraints exclude each other: {'; '.join(names)}" if names else str(hopeless)
        raise InfeasibleError(f"no plan, even where limits may be violated; {why}") from hopeless
    for _ in range(_LINEARISED):
        if is_largest_least(found.model) or dispatch.late:
            break
        again = _tried(_aiming(replace(soft, near=found.model), Aim.LARGEST, largest_violation(found.model)))
        if again is None or largest_violation(again.model) >= largest_violation(found.model):
            break
        found = again
    for room in () if dispatch.late else tolerances.FEASIBILITY_TOLERANCES:
        try:
            near = replace(soft, near=found.model)
            found = plan_dispatch(_aiming(near, Aim.TOTAL, largest_violation(found.model) + room))
        except NoPlanFoundError:
            # the largest violation, which matters most, is the least; a little more room changes little
            break
        except NoPlanError as error:
            dispatch.solver.record.see(error)
            continue
        break
    return _violating(found, dispatch)


def within_violation(dispatch: Dispatch, least: Solved) -> Solved | None:
    """Minimise the cost within the largest violation and the sum of a solution; ``None`` if no such plan is found.

    Parameters
    ----------
    least : solution with the minimum violation
    """
    for room in tolerances.FEASIBILITY_TOLERANCES:
        if dispatch.late:
            return None
        largest = largest_violation(least.model) + room
        total = total_violation(least.model, largest)
        near = replace(dispatch, near=least.model)
        found = _tried(_aiming(near, Aim.COST, largest, total + room * (1.0 + total)))
        if found is not None:
            found = _violating(found, dispatch)
            return found if found.notes else replace(found, notes=(Note(NoteKind.LIMITS_WIDENED, room),))
    return None


def _aiming(dispatch: Dispatch, aim: Aim, largest: float = 0.0, total: float = float("inf")) -> Dispatch:
    options = replace(dispatch.options, aim=aim, largest=largest, total=total)
    return replace(dispatch, options=options)


def _conflicting(dispatch: Dispatch) -> list[str]:
    """Name the constraints that exclude each other, where there is time for a model that is so much larger."""
    try:
        dispatch.require(_ELASTIC * dispatch.solver.record.model_s)
        return conflicting(dispatch.build(), dispatch.in_time())
    except SolverTroubleError:
        return []


def _tried(dispatch: Dispatch) -> Solved | None:
    try:
        return plan_dispatch(dispatch)
    except NoPlanError as error:
        dispatch.solver.record.see(error)
        return None


def _violating(found: Solved, dispatch: Dispatch) -> Solved:
    """Return a solution with the limits that it violates."""
    violated = tuple(violations(found.model, dispatch.limits))
    return replace(found, dispatch=dispatch, violated=violated, notes=tuple(one.note for one in violated))
