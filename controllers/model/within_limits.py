"""Planning within all limits, or with the minimum violation; messages about binding limits.

All optimisers use it. Three cases are distinguished: no plan keeps every limit (`refuse_violations` names the
tightest), there is no plan even where limits may be violated (the error names the constraints that exclude each other),
and the solver stopped without a plan.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from gridferry.controllers import tolerances
from gridferry.controllers.contract import Note, NoteKind
from gridferry.controllers.model.solution import Dispatch, Solved, plan_dispatch
from gridferry.controllers.model.violations import allowed_beside, conflicting, violations
from gridferry.controllers.solve import InfeasibleError, SolverTroubleError

_GAP = 1e-4
"""gap at which the search for the minimum violation stops, relative and in its own unit"""


def plan_within_limits(attempts: Sequence[Dispatch], least_on: Dispatch, *, relax: bool) -> Solved:
    """Return the first plan that keeps all limits; if none does, one with the minimum violation.

    Parameters
    ----------
    attempts : what is planned in turn; limits that have to be violated are violated in the first
    least_on : for which the minimum violation is looked for, that of routes decided before
    relax : the plan is to be a power flow; without it a plan that is none, and says so, is taken all the same, and
        `refuse_violations` follows

    Raises
    ------
    InfeasibleError
        where there is no plan even so; or none, to the solver's accuracy, of the minimum violation.
    UnboundedError, SolverTroubleError
    """
    trouble: InfeasibleError | SolverTroubleError | None = None
    for dispatch in attempts:
        try:
            solved = plan_dispatch(dispatch)
        except (InfeasibleError, SolverTroubleError) as error:
            # trouble, too, is mostly a problem with no or hardly any room; but not where the time is up
            if trouble is None and isinstance(error, SolverTroubleError) and dispatch.late:
                raise
            trouble = error
        else:
            if solved.tight or not relax:
                return solved
            trouble = InfeasibleError("only fictitious losses keep the limits")
    deadline = time.perf_counter() + least_on.extra_s
    first, least_on = (replace(one, deadline=max(one.deadline, deadline)) for one in (attempts[0], least_on))
    try:
        least = minimise_violation(least_on)
    except SolverTroubleError as failed:
        if isinstance(trouble, InfeasibleError):
            message = f"no plan keeps every limit; which limit is the tightest was not found: {failed}"
            raise InfeasibleError(message) from trouble
        raise
    if least.violated and not relax:
        return least
    found = within_violation(first, least)
    if found is None and not relax and trouble is not None:
        raise trouble
    return found or least


def refuse_violations(solved: Solved) -> None:
    """Raise if a plan violates limits, with the tightest one.

    Raises
    ------
    InfeasibleError
    """
    if solved.violated:
        tightest, *others = (one.words for one in solved.violated)
        also = "".join(f"; {words}" for words in others)
        where = "on the incumbent routes " if solved.routes_given else ""
        advice = "Widen that limit by as much, or lower the load or the margins kept from it"
        raise InfeasibleError(f"no plan keeps every limit; {where}the tightest is {tightest}{also}. {advice}")


def minimise_violation(dispatch: Dispatch) -> Solved:
    """Minimise violations of limits, the largest first, then their sum; return which limits are violated.

    Raises
    ------
    InfeasibleError
        where there is no plan even so; it names the constraints that exclude each other.
    UnboundedError, SolverTroubleError
    """
    options = replace(dispatch.options, soft=True, allowed=None)
    gaps = replace(dispatch.solver, gap=_GAP, gap_abs=_GAP, gap_of_saving=0.0)
    soft = replace(dispatch, options=options, solver=gaps)
    try:
        found = plan_dispatch(soft)
    except InfeasibleError as hopeless:
        names = conflicting(soft.build())
        why = f"these constraints exclude each other: {'; '.join(names)}" if names else str(hopeless)
        raise InfeasibleError(f"no plan, even where limits may be violated; {why}") from hopeless
    violated = tuple(violations(found.model, dispatch.limits))
    return replace(found, dispatch=dispatch, violated=violated, notes=tuple(one.note for one in violated))


def within_violation(dispatch: Dispatch, least: Solved) -> Solved | None:
    """Minimise the cost within the violations of a solution; ``None`` if no such plan is found.

    Parameters
    ----------
    least : solution with the minimum violation
    """
    for room in tolerances.FEASIBILITY_TOLERANCES:
        if dispatch.late:
            return None
        options = replace(dispatch.options, allowed=allowed_beside(least.model, room))
        try:
            found = plan_dispatch(replace(dispatch, options=options))
        except (InfeasibleError, SolverTroubleError):
            continue
        if found.tight:
            notes = least.notes or (Note(NoteKind.LIMITS_WIDENED, room),)
            return replace(found, violated=least.violated, notes=notes)
    return None
