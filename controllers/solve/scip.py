"""Mixed-integer conic problems by SCIP directly; exact ones, too, by spatial branching."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pyscipopt
from jaxtyping import Float

from gridferry.controllers import tolerances
from gridferry.controllers.outcome import Termination
from gridferry.controllers.solve.conic import solve_conic
from gridferry.controllers.solve.errors import InfeasibleError, NoPlanFoundError, SolverTroubleError, UnboundedError
from gridferry.controllers.solve.form import ConicForm
from gridferry.controllers.solve.options import Answer, SolveOptions
from gridferry.controllers.solve.reduce import reduce_form


def solve_scip(
    form: ConicForm, options: SolveOptions, warm_starts: Sequence[Float[np.ndarray, " column"]] = ()
) -> Answer:
    """Minimise to the requested gap by SCIP, then solve the cones with its integers fixed by Clarabel.

    Raises
    ------
    InfeasibleError, UnboundedError, SolverTroubleError
    """
    began = time.perf_counter()
    model, columns, entries = _model(form, options)
    for start in warm_starts:
        _suggest(model, columns, entries, form, start, options)
    left = options.time_limit_s - (time.perf_counter() - began)
    model.setParam("limits/time", min(max(left, 0.0), model.infinity()))
    model.optimize()
    status = model.getStatus()
    if status == "infeasible":
        raise InfeasibleError("no point satisfies the constraints")
    if status in ("unbounded", "inforunbd"):
        raise UnboundedError("the cost has no lower bound; a price or a limit is missing from the model")
    if status not in ("optimal", "gaplimit", "timelimit"):
        raise SolverTroubleError(f"SCIP stopped with {status}")
    options.record.cut = options.record.cut or status == "timelimit"
    if not model.getNSols():
        raise SolverTroubleError(
            f"no plan was found within {options.time_limit_s} s; allow more time", out_of_time=status == "timelimit"
        )
    best = model.getBestSol()
    fixed = np.full(form.n, np.nan)
    for index in np.flatnonzero(form.integer):
        fixed[index] = round(model.getSolVal(best, columns[index]))
    left = options.time_limit_s - (time.perf_counter() - began)
    answer = solve_conic(form, fixed, max(left, options.grace_s))
    if answer.x is None:
        raise SolverTroubleError("SCIP's plan violates the cones by more than its tolerance; rescale the problem")
    bound = min(float(model.getDualbound()), answer.objective)
    termination = Termination.TIME_LIMIT if options.record.cut else Termination.GAP_REACHED
    return Answer(answer.x, answer.objective, bound, termination, time.perf_counter() - began)


def branch_spatially(form: ConicForm, options: SolveOptions, incumbent: Float[np.ndarray, " column"] | None) -> Answer:
    """Minimise the exact problem, its marked cones being equations: SCIP's best point, to its own tolerance, and bound.

    Parameters
    ----------
    incumbent : a point that satisfies it; returned where SCIP finds none with a lower cost

    Raises
    ------
    InfeasibleError
        where the exact problem has no solution.
    NoPlanFoundError
        where none was found.
    """
    began = time.perf_counter()
    known = np.inf if incumbent is None else form.objective(incumbent)
    gap = options.gap_abs if incumbent is None else options.tolerance(known)
    model, columns, entries = _model(form, replace(options, gap_abs=gap))
    for first, size in zip(form.cone_starts[form.equal], form.cone_sizes[form.equal], strict=True):
        head, tail = entries[first], entries[first + 1 : first + size]
        model.addCons(pyscipopt.quicksum(one * one for one in tail) >= head * head)
    if incumbent is not None:
        _add(model, columns, entries, form, incumbent)
    model.optimize()
    bound, late = float(model.getDualbound()), model.getStatus() == "timelimit"
    options.record.cut = options.record.cut or late
    x, objective = incumbent, known
    if model.getNSols() and (x is None or model.getPrimalbound() < known):
        best = model.getBestSol()
        x, objective = np.array([model.getSolVal(best, one) for one in columns]), float(model.getPrimalbound())
    if x is None:
        if model.getStatus() == "infeasible":
            raise InfeasibleError("no point satisfies the exact equations")
        raise NoPlanFoundError(f"no plan that satisfies the exact equations was found ({model.getStatus()})")
    termination = Termination.TIME_LIMIT if late else Termination.GAP_REACHED
    return Answer(x, objective, min(bound, objective), termination, time.perf_counter() - began)


def _model(
    form: ConicForm, options: SolveOptions
) -> tuple[pyscipopt.Model, list[pyscipopt.Variable], list[pyscipopt.Variable]]:
    """Build SCIP's model: columns, linear rows, and a variable for every entry of a cone."""
    small = reduce_form(form)
    lower = np.where(np.isnan(small.value), small.lower, small.value)
    upper = np.where(np.isnan(small.value), small.upper, small.value)
    model = pyscipopt.Model()
    model.hideOutput()
    model.setParam("numerics/feastol", tolerances.FEASIBILITY)
    model.setParam("limits/gap", options.gap)
    model.setParam("limits/absgap", options.gap_abs)
    model.setParam("limits/time", min(options.time_limit_s, model.infinity()))
    columns = [
        model.addVar(
            vtype="B" if form.integer[i] else "C",
            lb=lower[i] if np.isfinite(lower[i]) else None,
            ub=upper[i] if np.isfinite(upper[i]) else None,
            obj=form.cost[i],
        )
        for i in range(form.n)
    ]
    model.addObjoffset(form.offset)
    a, entries = form.a, []
    for row in range(len(form.b)):
        span = slice(a.indptr[row], a.indptr[row + 1])
        total = pyscipopt.quicksum(
            float(value) * columns[column] for column, value in zip(a.indices[span], a.data[span], strict=True)
        )
        if row < form.n_zero:
            model.addCons(total == float(form.b[row]))
        elif row < form.n_linear:
            model.addCons(total <= float(form.b[row]))
        else:
            head = form.is_head[row - form.n_linear]
            entry = model.addVar(lb=0.0 if head else None, ub=None)
            model.addCons(total + entry == float(form.b[row]))
            entries.append(entry)
    for first, size in zip(form.cone_starts, form.cone_sizes, strict=True):
        head, tail = entries[first], entries[first + 1 : first + size]
        model.addCons(pyscipopt.quicksum(one * one for one in tail) <= head * head)
    return model, columns, entries


def _suggest(
    model: pyscipopt.Model,
    columns: list[pyscipopt.Variable],
    entries: list[pyscipopt.Variable],
    form: ConicForm,
    start: Float[np.ndarray, " column"],
    options: SolveOptions,
) -> None:
    """Give SCIP the best point with the integers of ``start``, if there is one."""
    fixed = np.full(form.n, np.nan)
    fixed[form.integer] = np.round(start[form.integer])
    try:
        answer = solve_conic(form, fixed, options.time_limit_s)
    except SolverTroubleError as error:
        options.record.see(error)
        return
    if answer.x is None:
        return
    _add(model, columns, entries, form, answer.x)


def _add(
    model: pyscipopt.Model,
    columns: list[pyscipopt.Variable],
    entries: list[pyscipopt.Variable],
    form: ConicForm,
    x: Float[np.ndarray, " column"],
) -> None:
    """Give SCIP a point."""
    solution = model.createSol()
    for variable, value in zip([*columns, *entries], [*x, *form.cone_values(x)], strict=True):
        model.setSolVal(solution, variable, float(value))
    model.addSol(solution)
