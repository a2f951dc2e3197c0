"""Plan the power for routes that are given."""

from __future__ import annotations

from dataclasses import replace

from gridferry.controllers.contract import SolverOutcome
from gridferry.controllers.model.solution import Task
from gridferry.controllers.model.storage_dispatch import MessModel
from gridferry.controllers.solve import InfeasibleError, Problem, SolverTroubleError, Values

_TIGHT = 0.01
"""share of the saving that power is planned to, where it needs integers"""


def solve_held(problem: Problem, built: MessModel, held: Values, task: Task) -> SolverOutcome:
    """Minimise for given routes, and set the values of the model's variables; the bound is for these routes.

    Without other binaries that is one cone program. Others, as negative prices need them, are read out of the
    relaxation first; outer approximation decides about them only where that leaves too large a gap.

    Parameters
    ----------
    held : the binaries of the routes

    Raises
    ------
    InfeasibleError, UnboundedError, SolverTroubleError
    """
    if not built.guesses:
        return problem.solve(task.asked_in_time(), held=held)
    task = replace(task, asked=replace(task.asked, gap_of_saving=min(task.asked.gap_of_saving, _TIGHT)))
    relaxed = problem.relax(held, task.asked_in_time().time_limit_s)
    guessed = {**held, **{binaries: read() for binaries, read in built.guesses}}
    try:
        found = problem.solve(task.asked_in_time(), held=guessed)
    except (InfeasibleError, SolverTroubleError):
        return problem.solve(task.asked_in_time(), held=held)
    found = replace(found, bound=min(relaxed.bound, found.objective))
    if found.objective - found.bound <= task.asked.tolerance(found.objective):
        return found
    point = problem.point
    try:
        return problem.solve(task.asked_in_time(), starts=[guessed], held=held)
    except (InfeasibleError, SolverTroubleError):
        problem.show(point)
        return found
