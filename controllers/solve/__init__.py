"""The one place that solves: cone programs and mixed-integer cone programs behind one call."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import cvxpy as cp
import numpy as np
from jaxtyping import Bool, Float

from controllers.contract import SolverOutcome
from controllers.solve.conic import solve_conic
from controllers.solve.errors import InfeasibleError, SolverTroubleError, UnboundedError
from controllers.solve.form import ConicForm, conic_form, read_back, write_in
from controllers.solve.options import Answer, Method, SolveOptions
from controllers.solve.outer_approximation import solve_outer_approximation
from controllers.solve.presolve import presolve
from controllers.solve.scip import solve_scip

__all__ = [
    "InfeasibleError",
    "Method",
    "Model",
    "SolveOptions",
    "SolverTroubleError",
    "UnboundedError",
    "solve",
    "solve_form",
]


@dataclass(frozen=True, eq=False)
class Model:
    """A cost to be minimised under constraints.

    Attributes
    ----------
    cost, constraints : the model; limits of variables are constraints, not attributes
    binaries : variables that must be 0 or 1, declared continuous
    follows : continuous variables that follow from the others in many small independent problems (the flows of every
        step): outer approximation then decides without them. A hint; the answer does not depend on it.
    """

    cost: cp.Expression
    constraints: Sequence[cp.Constraint]
    binaries: Sequence[cp.Variable] = field(default=())
    follows: Sequence[cp.Variable] = field(default=())


def solve(
    model: Model, options: SolveOptions | None = None, starts: Sequence[Mapping[cp.Variable, np.ndarray]] = ()
) -> SolverOutcome:
    """Minimise, and set the values of the model's variables.

    Parameters
    ----------
    starts : values of binaries of plans that are likely good, the best first; they are tried before anything else

    Raises
    ------
    InfeasibleError
        where no point satisfies the constraints.
    UnboundedError
        where the cost has no lower bound.
    SolverTroubleError
        where the solver gave up, or no plan was found in time.
    """
    options = options or SolveOptions()
    form = conic_form(model.cost, model.constraints, model.binaries)
    suggested = [write_in(form, dict(start)) for start in starts]
    follows = np.zeros(form.n, dtype=bool)
    for one in model.follows:
        if one.id in form.columns:
            follows[form.columns[one.id]] = True
    answer = solve_form(form, options, suggested, follows)
    read_back(form, [one for part in (model.cost, *model.constraints) for one in part.variables()], answer.x)
    return answer.outcome(options)


def solve_form(
    form: ConicForm,
    options: SolveOptions,
    starts: Sequence[Float[np.ndarray, " column"]] = (),
    follows: Bool[np.ndarray, " column"] | None = None,
) -> Answer:
    """Minimise a problem given as matrices; see `solve`. ``starts`` may be NaN where they say nothing."""
    began = time.perf_counter()
    small = presolve(form)
    if not small.form.integer.any():
        found = solve_conic(small.form)
        if found.x is None:
            raise InfeasibleError(f"no point satisfies the constraints ({found.ended})")
        return Answer(
            small.back(found.x),
            found.objective,
            min(found.bound, found.objective),
            found.ended,
            time.perf_counter() - began,
        )
    tried = [complete_integers(small.form, start[small.free]) for start in starts]
    begin = [one for one in tried if one is not None]
    if options.method is Method.SCIP:
        answer = solve_scip(small.form, options, begin)
    else:
        answer = solve_outer_approximation(small.form, options, begin, None if follows is None else follows[small.free])
    return replace(answer, x=small.back(answer.x), seconds=time.perf_counter() - began)


def complete_integers(form: ConicForm, start: Float[np.ndarray, " column"]) -> Float[np.ndarray, " column"] | None:
    """Round the integers that a start leaves open, from the cone program with the others fixed, if any."""
    given = np.where(form.integer, start, np.nan)
    if not np.isnan(given[form.integer]).any():
        return given
    found = solve_conic(form, given)
    return None if found.x is None else np.where(form.integer & np.isnan(given), np.round(found.x), given)
