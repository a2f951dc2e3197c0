"""Plan the power for routes that are given."""

from __future__ import annotations

from dataclasses import replace

from controllers.blocks.mess import MessModel
from controllers.contract import SolverOutcome
from controllers.solve import InfeasibleError, Problem, SolveOptions, Values

_TIGHT = 0.01
"""share of the saving that power is planned to, where it needs integers"""


def solve_held(problem: Problem, built: MessModel, held: Values, asked: SolveOptions) -> SolverOutcome:
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
        return problem.solve(asked, held=held)
    asked = replace(asked, gap_of_saving=min(asked.gap_of_saving, _TIGHT))
    relaxed = problem.relax(held, asked.time_limit_s)
    guessed = {**held, **{binaries: read() for binaries, read in built.guesses}}
    try:
        found = problem.solve(asked, held=guessed)
    except InfeasibleError:
        return problem.solve(asked, held=held)
    if found.objective - relaxed.bound <= asked.tolerance(found.objective):
        return replace(found, bound=min(relaxed.bound, found.objective))
    return problem.solve(asked, starts=[guessed], held=held)
