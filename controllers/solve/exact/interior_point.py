"""Exact problems by IPOPT.

A cone ``h ≥ ‖t‖`` that holds with equality is written ``h = √(‖t‖² + ε²)``, so that it has a slope at its tip, too; a
product of squares as it is. Two powers a, b ≥ 0 of which one must be zero are such a cone: ``a + b = |a - b|``.
"""

from __future__ import annotations

import time
from typing import Any

import casadi as ca
import numpy as np
import scipy.sparse as sp
from jaxtyping import Float

from gridferry.controllers import tolerances
from gridferry.controllers.solve.form import ConicForm

_OPTIONS = {
    "print_time": False,
    "ipopt.print_level": 0,
    "ipopt.sb": "yes",
    "ipopt.tol": 1e-9,
    "ipopt.acceptable_tol": 1e-7,
    "ipopt.max_iter": 400,
    "ipopt.bound_relax_factor": 0.0,
    "ipopt.mu_strategy": "adaptive",
}
_WARM = {"ipopt.bound_push": 1e-7, "ipopt.bound_frac": 1e-7}
_DAY_S = 86400.0


def solve_ipopt(
    form: ConicForm, start: Float[np.ndarray, " column"], time_limit_s: float
) -> Float[np.ndarray, " column"] | None:
    """Minimise locally with the cones marked `ConicForm.equal` as equations, smoothed less and less.

    Returns the last point that was found, which is exact where all smoothing was taken away; ``None`` if there is none.
    """
    began, x, found = time.perf_counter(), start, None
    problem, bounds = _program(form)
    for number, smoothing in enumerate(tolerances.SMOOTHING):
        left = time_limit_s - (time.perf_counter() - began)
        if left <= 0:
            break
        options: dict[str, Any] = {**_OPTIONS, **(_WARM if number else {}), "ipopt.max_wall_time": min(left, _DAY_S)}
        solver = ca.nlpsol("exact", "ipopt", problem, options)
        x = np.asarray(solver(x0=x, p=smoothing, **bounds)["x"]).ravel()
        if not solver.stats()["success"]:
            return x if form.is_exact(x) else found
        found = x
    return found


def _program(form: ConicForm) -> tuple[dict[str, ca.SX], dict[str, np.ndarray]]:
    """Return the problem for casadi, and the bounds of its columns and rows."""
    x, smoothing = ca.SX.sym("x", form.n), ca.SX.sym("smoothing")
    single = np.diff(form.a.indptr)[: form.n_linear] == 1
    rows, lower, upper = np.flatnonzero(~single), np.full(form.n, -np.inf), np.full(form.n, np.inf)
    bounding = form.a[np.flatnonzero(single)]
    column, entry, limit = bounding.indices, bounding.data, form.b[: form.n_linear][single] / bounding.data
    equation = np.flatnonzero(single) < form.n_zero
    high, low = equation | (entry > 0), equation | (entry < 0)
    np.minimum.at(upper, column[high], limit[high])
    np.maximum.at(lower, column[low], limit[low])
    entries = ca.DM(form.b[form.n_linear :]) - ca.mtimes(_dm(form.cone_part), x)
    each = np.arange(len(form.is_head))
    sums = sp.csr_array((~form.is_head * 1.0, (form.cone_of_row, each)), shape=(len(form.equal), len(each)))
    tails = ca.mtimes(_dm(sums), entries**2)
    cones = [
        (entries[start] ** 2 - tails[k]) / 4 if product else entries[start] - ca.sqrt(tails[k] + smoothing**2)
        for k, (start, product) in enumerate(zip(form.cone_starts.tolist(), form.product, strict=True))
    ]
    problem = {
        "x": x,
        "p": smoothing,
        "f": ca.dot(ca.DM(form.cost), x),
        "g": ca.vertcat(ca.mtimes(_dm(form.a[rows]), x), *cones),
    }
    least = np.concatenate([np.where(rows < form.n_zero, form.b[rows], -np.inf), np.zeros(len(cones))])
    most = np.concatenate([form.b[rows], np.where(form.equal, 0.0, np.inf)])
    return problem, {"lbx": lower, "ubx": upper, "lbg": least, "ubg": most}


def _dm(matrix: sp.csr_array) -> ca.DM:
    """Matrix for casadi, by columns as it has them."""
    by_column = sp.csc_array(matrix)
    by_column.sort_indices()
    rows, columns = (int(size) for size in by_column.shape)
    sparsity = ca.Sparsity(rows, columns, by_column.indptr.tolist(), by_column.indices.tolist())
    return ca.DM(sparsity, by_column.data)
