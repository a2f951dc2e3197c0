"""Second-order cone programs by Clarabel, with some columns fixed."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import clarabel
import numpy as np
import scipy.sparse as sp
from jaxtyping import Float

from gridferry.controllers import tolerances
from gridferry.controllers.outcome import Termination
from gridferry.controllers.solve.errors import InfeasibleError, SolverTroubleError, UnboundedError
from gridferry.controllers.solve.form import ConicForm
from gridferry.controllers.solve.master import solve_by_cuts
from gridferry.controllers.solve.reduce import reduce_form

_SOLVED = ("Solved", "AlmostSolved")


@dataclass(frozen=True, eq=False)
class ConicAnswer:
    """Answer of the conic solver.

    Attributes
    ----------
    x : the point, or ``None`` where there is none
    objective : its cost, inf where there is none
    bound : dual bound of the cost
    y : multipliers of the rows; where there is no point, a ray of the dual cone with ``y'(b - A x) < 0`` for the fixed
        values, if one was found
    ended : the solver's own word
    """

    x: Float[np.ndarray, " column"] | None
    objective: float
    bound: float
    y: Float[np.ndarray, " row"] | None
    ended: str

    @property
    def termination(self) -> Termination:
        """Termination of a solve that found a point."""
        return Termination.ACCURACY_EXHAUSTED if self.ended == "AlmostSolved" else Termination.SOLVED


def solve_conic(
    form: ConicForm,
    fixed: Float[np.ndarray, " column"] | None = None,
    time_limit_s: float = np.inf,
    *,
    persistent: bool = False,
    attempts: int | None = None,
) -> ConicAnswer:
    """Minimise over the columns that are NaN in ``fixed``; integrality is left aside.

    That no point exists is said only where a ray proves it; numerical trouble is retried with other tolerances,
    regularisation and scaling.

    Parameters
    ----------
    persistent : after all of that, try another solver, which has no multipliers
    attempts : so many settings are tried after the quick one, all by default

    Raises
    ------
    UnboundedError, SolverTroubleError
    """
    began = time.perf_counter()
    small = reduce_form(form, fixed)
    if small.conflict:
        return ConicAnswer(x=None, objective=np.inf, bound=np.inf, y=None, ended="conflicting bounds")
    free, rows = np.flatnonzero(small.free), np.flatnonzero(small.row)
    x = np.where(small.free, 0.0, small.value)
    if not len(free):
        cost = form.objective(x)
        y = small.complete(form, form.cost, np.zeros(len(form.b)))
        return ConicAnswer(x=x, objective=cost, bound=cost, y=y, ended="every column is fixed")
    constant, kept = form.objective(x), form.with_rows(small.row)
    problem = (
        sp.csc_array((len(free), len(free))),
        form.cost[free],
        sp.csc_array(kept.a[:, free]),
        small.b[rows],
        _cones(kept),
    )
    for attempt in (tolerances.CONIC_QUICK, *tolerances.CONIC_ATTEMPTS[:attempts]):
        left = time_limit_s - (time.perf_counter() - began)
        if left <= 0.0:
            raise _out_of_time(time_limit_s)
        settings = _settings(*attempt, left)
        if attempt is tolerances.CONIC_QUICK:
            settings.iterative_refinement_enable = False
            settings.reduced_tol_feas = tolerances.CONIC_QUICK_ALMOST
            settings.reduced_tol_gap_abs = settings.reduced_tol_gap_rel = tolerances.CONIC_QUICK_ALMOST
        answer = clarabel.DefaultSolver(*problem, settings).solve()
        ended = str(answer.status)
        proved = "PrimalInfeasible" in ended and _proves(problem[2], problem[3], np.asarray(answer.z))
        if proved or ended in (*_SOLVED, "MaxTime"):
            break
    if ended in _SOLVED:
        x[free] = np.asarray(answer.x)
        y = small.complete(form, form.cost, _spread(form, rows, answer.z))
        return ConicAnswer(x, form.objective(x), answer.obj_val_dual + constant, y, ended)
    if proved:
        ray = small.complete(form, np.zeros(form.n), _spread(form, rows, answer.z))
        return ConicAnswer(x=None, objective=np.inf, bound=np.inf, y=ray / np.abs(ray).max(), ended=ended)
    if ended == "DualInfeasible":
        raise UnboundedError("the cost has no lower bound; a price or a limit is missing from the model")
    if ended == "MaxTime":
        raise _out_of_time(time_limit_s)
    trouble = SolverTroubleError(f"Clarabel stopped with {ended}; check the scale of prices, loads and impedances")
    if not persistent:
        raise trouble
    rest = replace(kept, cost=form.cost[free], offset=constant, a=sp.csr_array(problem[2]), b=problem[3])
    try:
        x[free], bound = solve_by_cuts(rest, time_limit_s - (time.perf_counter() - began))
    except InfeasibleError as proof:
        return ConicAnswer(x=None, objective=np.inf, bound=np.inf, y=None, ended=str(proof))
    except SolverTroubleError as failed:
        raise trouble from failed
    return ConicAnswer(x, form.objective(x), bound, None, "AlmostSolved")


def _out_of_time(time_limit_s: float) -> SolverTroubleError:
    return SolverTroubleError(f"no plan was found within {time_limit_s:.3g} s; allow more time", out_of_time=True)


def _proves(a: sp.csc_array, b: Float[np.ndarray, " row"], ray: Float[np.ndarray, " row"]) -> bool:
    """Whether a ray of the dual cone proves that no point exists with columns that plans could have.

    All points have ``y'A x ≤ y'b``.
    """
    return bool(ray @ b + tolerances.LARGEST_COLUMN * np.abs(a.T @ ray).sum() < 0.0)


def _spread(form: ConicForm, rows: np.ndarray, z: object) -> Float[np.ndarray, " row"]:
    """Put multipliers back to all rows, and raise into the dual cone what rounding left below it."""
    y = np.zeros(len(form.b))
    y[rows] = np.asarray(z)
    inequality = slice(form.n_zero, form.n_linear)
    y[inequality] = np.maximum(y[inequality], 0.0)
    cones = y[form.n_linear :]
    tail = np.sqrt(np.bincount(form.cone_of_row, np.where(form.is_head, 0.0, cones) ** 2, len(form.cone_sizes)))
    cones[form.cone_starts] = np.maximum(cones[form.cone_starts], tail)
    return y


def _cones(form: ConicForm) -> list[object]:
    """Cones of the rows, in Clarabel's words."""
    cones: list[object] = [clarabel.ZeroConeT(form.n_zero)] if form.n_zero else []
    cones += [clarabel.NonnegativeConeT(form.n_nonneg)] if form.n_nonneg else []
    return cones + [clarabel.SecondOrderConeT(int(size)) for size in form.cone_sizes]


def _settings(tolerance: float, regularization: float, scaling: float, time_limit_s: float) -> clarabel.DefaultSettings:
    settings = clarabel.DefaultSettings()
    settings.verbose = False
    settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = tolerance
    settings.static_regularization_constant = regularization
    settings.reduced_tol_feas = tolerances.CONIC_ALMOST
    settings.reduced_tol_gap_abs = settings.reduced_tol_gap_rel = 10 * tolerances.CONIC_ALMOST
    settings.equilibrate_max_scaling, settings.equilibrate_min_scaling = scaling, 1.0 / scaling
    settings.time_limit = time_limit_s
    settings.max_threads = 1
    return settings
