"""Plan on two time scales: power for routes that are kept, or routes and power; by the least where limits must give.

Each is proved against its own bound: of the routes kept, or of all routes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Int

from gridferry.controllers.contract import Note, NoteKind, SolverOutcome
from gridferry.controllers.model import storage_plan as mess_plan
from gridferry.controllers.model.solution import SolvedMess, Task, close_cones, openness, solve_mess, violations
from gridferry.controllers.model.storage_dispatch import MessModel
from gridferry.controllers.routes.diving import search_routes
from gridferry.controllers.routes.fixed_route_power import solve_held
from gridferry.controllers.routes.fixed_routes import route_values, stretched
from gridferry.controllers.solve import InfeasibleError, Method, Problem, SolverTroubleError, Values

_ROOMS = (1e-6, 1e-5, 1e-4)
"""added to what has to be missed of a limit, the next where a solver finds no room [pu², MWh]"""


def plan_power(task: Task, wanted: Int[np.ndarray, "row truck"]) -> SolvedMess:
    """Plan the power for trucks that follow the wanted stations as the roads allow.

    Raises
    ------
    InfeasibleError, UnboundedError, SolverTroubleError
    """
    # energy is carried along a route that is given whether the model says so or not
    task = replace(task, options=replace(task.options, carried=False))
    rows = stretched(wanted, task.forecast.steps)

    def run(built: MessModel) -> SolverOutcome:
        held = route_values(task.plant, built, task.observation, rows)
        return solve_held(Problem(built.model), built, held, task)

    return replace(close_cones(task, solve_mess(task, run), run), routes_given=bool(task.plant.trucks))


def plan_routes(task: Task, tries: Callable[[MessModel], Sequence[Values]]) -> SolvedMess:
    """Plan routes and power.

    Parameters
    ----------
    tries : routes that are likely good, in the terms of a model

    Raises
    ------
    InfeasibleError, UnboundedError, SolverTroubleError
    """

    def run(built: MessModel) -> SolverOutcome:
        problem = Problem(built.model)
        if task.asked.method is Method.SCIP or not built.routes:
            return problem.solve(task.asked_in_time(), starts=tries(built))
        return search_routes(problem, built, task, tries(built))

    first = solve_mess(task, run)
    if openness(task, first) <= 1.0:
        return first
    rows = mess_plan.destinations(first.built, task.observation)
    lean = replace(task, options=replace(task.options, carried=False))

    def keep(built: MessModel) -> SolverOutcome:
        held = route_values(task.plant, built, task.observation, rows)
        return solve_held(Problem(built.model), built, held, task)

    return close_cones(lean, first, keep)


def plan_nearest(
    task: Task, at_hand: Int[np.ndarray, "row truck"], attempt: Callable[[Task], SolvedMess], trouble: Exception
) -> SolvedMess:
    """Plan where no plan keeps all limits: miss them by the least that the routes at hand make possible.

    The least is that of the sum over steps, networks and stores, each kind at its own price.

    Parameters
    ----------
    at_hand : stations that trucks follow when the least is found
    attempt : plans as far as limits may be missed
    trouble : why limits have to give

    Raises
    ------
    InfeasibleError
        where there is no plan even so.
    UnboundedError, SolverTroubleError
    """
    try:
        least = plan_power(replace(task, options=replace(task.options, relaxed=True)), at_hand)
    except InfeasibleError as hopeless:
        raise InfeasibleError(f"no plan, even where limits may be missed: {hopeless}") from trouble
    missed = [np.maximum(one.value, 0.0) for one in least.built.slack]
    violated = violations(least.built)
    for room in _ROOMS:
        if time.perf_counter() > task.until:
            break
        options = replace(task.options, allowed=tuple(one + room for one in missed))
        try:
            found = attempt(replace(task, options=options))
        except (InfeasibleError, SolverTroubleError):
            continue
        if openness(task, found) <= 1.0:
            notes = violated or (Note(NoteKind.LIMITS_WIDENED, room),)
            outcome = replace(found.outcome, notes=(*found.outcome.notes, *notes))
            return replace(found, outcome=outcome, kept_limits=False)
    return least
