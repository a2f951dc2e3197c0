"""Solve a problem given as matrices, by the chosen method."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float

from gridferry.controllers.solve.conic import solve_conic
from gridferry.controllers.solve.errors import InfeasibleError, SolverTroubleError
from gridferry.controllers.solve.form import ConicForm
from gridferry.controllers.solve.options import Answer, Method, SolveOptions
from gridferry.controllers.solve.outer_approximation import solve_outer_approximation
from gridferry.controllers.solve.presolve import presolve


def solve_form(
    form: ConicForm,
    options: SolveOptions,
    warm_starts: Sequence[Float[np.ndarray, " column"]] = (),
    recourse: Bool[np.ndarray, " column"] | None = None,
    fixed: Float[np.ndarray, " column"] | None = None,
) -> Answer:
    """Minimise a problem given as matrices; ``warm_starts`` and ``fixed`` are NaN where they say nothing.

    Parameters
    ----------
    warm_starts : integers of plans that are likely good, the best first
    recourse : columns of recourse variables, for outer approximation
    fixed : values that columns must keep

    Raises
    ------
    InfeasibleError, UnboundedError, SolverTroubleError
    """
    try:
        return _solve_form(form, options, warm_starts, recourse, fixed)
    except SolverTroubleError as error:
        options.record.see(error)
        raise


def _solve_form(
    form: ConicForm,
    options: SolveOptions,
    warm_starts: Sequence[Float[np.ndarray, " column"]],
    recourse: Bool[np.ndarray, " column"] | None,
    fixed: Float[np.ndarray, " column"] | None,
) -> Answer:
    began = time.perf_counter()
    small = presolve(form, fixed)
    if not small.form.integer.any():
        found = solve_conic(small.form, time_limit_s=options.time_limit_s, persistent=True)
        if found.x is None:
            raise InfeasibleError(f"no point satisfies the constraints ({found.ended})")
        return Answer(
            small.back(found.x),
            found.objective,
            min(found.bound, found.objective),
            found.termination,
            time.perf_counter() - began,
        )
    tried = [complete_integers(small.form, start[small.free], options) for start in warm_starts]
    begin = [one for one in tried if one is not None]
    options = replace(options, time_limit_s=max(options.time_limit_s - (time.perf_counter() - began), 0.0))
    if options.method is Method.SCIP:
        try:
            from gridferry.controllers.solve.scip import solve_scip  # the other method needs no SCIP
        except ImportError as error:
            way = 'install pyscipopt, or choose method = "outer_approximation"'
            raise SolverTroubleError(f"SCIP cannot be imported ({error}); {way}") from error
        answer = solve_scip(small.form, options, begin)
    else:
        answer = solve_outer_approximation(
            small.form, options, begin, None if recourse is None else recourse[small.free]
        )
    return replace(answer, x=small.back(answer.x), seconds=time.perf_counter() - began)


def complete_integers(
    form: ConicForm, start: Float[np.ndarray, " column"], options: SolveOptions | None = None
) -> Float[np.ndarray, " column"] | None:
    """Complete the integers of a warm start: solve the cone program with the given ones fixed, and round."""
    given = np.where(form.integer, start, np.nan)
    if not np.isnan(given[form.integer]).any():
        return given
    options = options or SolveOptions()
    try:
        found = solve_conic(form, given, options.time_limit_s)
    except SolverTroubleError as error:
        options.record.see(error)
        return None
    return None if found.x is None else np.where(form.integer & np.isnan(given), np.round(found.x), given)
