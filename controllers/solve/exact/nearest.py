"""The point of a form that is nearest to what is known of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float

from gridferry.controllers.solve.conic import solve_conic
from gridferry.controllers.solve.errors import SolverTroubleError, UnboundedError
from gridferry.controllers.solve.form import ConicForm

_BESIDE = 10.0
"""weight of the error of an equation, in units of the largest cost"""


def nearest(
    form: ConicForm, known: Float[np.ndarray, " column"], time_limit_s: float
) -> Float[np.ndarray, " column"] | None:
    """Complete a point that is NaN where unknown, at the minimum cost and the minimum error of equations between both.

    Rows of unknown columns alone are satisfied, those of known ones left aside; ``None`` where there is no such point.
    """
    free = np.flatnonzero(np.isnan(known))
    if not len(free):
        return known
    unknown, given = abs(form.a)[:, free].sum(axis=1) > 0, abs(form.a) @ ~np.isnan(known) > 0
    cones = np.bincount(form.cone_of_row, unknown[form.n_linear :], len(form.equal)) > 0
    kept = np.concatenate([unknown[: form.n_linear], cones[form.cone_of_row]])
    some, beside = form.with_rows(kept), np.flatnonzero((given & kept)[: form.n_zero][kept[: form.n_zero]])
    shape = (len(some.b), len(beside))
    miss = sp.csr_array((np.ones(len(beside)), (beside, np.arange(len(beside)))), shape=shape)
    both = np.arange(2 * len(beside))
    signs = sp.csr_array((-np.ones(len(both)), (both, both)), shape=(len(both), len(both)))
    a = sp.csr_array(sp.hstack([some.a[:, free], miss, -miss]))
    low = sp.csr_array(sp.hstack([sp.csr_array((len(both), len(free))), signs]))
    elastic = replace(
        some,
        cost=np.concatenate(
            [form.cost[free], np.full(len(both), _BESIDE * max(np.abs(form.cost).max(initial=0.0), 1.0))]
        ),
        offset=0.0,
        a=sp.csr_array(sp.vstack([a[: some.n_zero], low, a[some.n_zero :]])),
        b=np.insert(some.b - some.a @ np.nan_to_num(known), some.n_zero, np.zeros(len(both))),
        n_nonneg=some.n_nonneg + len(both),
        integer=np.zeros(len(free) + len(both), dtype=bool),
        columns={},
    )
    try:
        x = solve_conic(elastic, time_limit_s=time_limit_s).x
    except (SolverTroubleError, UnboundedError):
        return None
    if x is None:
        return None
    point = known.copy()
    point[free] = x[: len(free)]
    return point
