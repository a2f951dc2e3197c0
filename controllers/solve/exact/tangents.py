"""Exact problems by tangents: sequential convex programming on a conic form.

Cones of the exact problem that are closed stay cones. Open ones are replaced by their tangent equation at the last
point, ``h = (t₀/‖t₀‖)'t``, which misses ``h = ‖t‖`` by the square of the step only. A tangent whose multiplier would
close its cone becomes a cone again, so that the curvature that keeps a step short is not lost. Where steps stay long,
as where much is indifferent, they are limited more and more.
"""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import scipy.sparse as sp
from jaxtyping import Bool, Float

from gridferry.controllers import tolerances
from gridferry.controllers.solve.conic import solve_conic
from gridferry.controllers.solve.errors import SolverTroubleError, UnboundedError
from gridferry.controllers.solve.form import ConicForm

_ROUNDS = 20
"""most programs that are solved"""
_FREE_ROUNDS, _SHORTER, _SHORTEST = 3, 0.35, 1e-3
"""after these a step is limited to this share of the last one, not below this [pu], and a tangent stays one"""
_TIP = 1e-9
"""a shorter tail has no direction"""
_PUSHES = 1e-3
"""multiplier that closes a cone"""


def follow_tangents(
    form: ConicForm, start: Float[np.ndarray, " column"], time_limit_s: float
) -> Float[np.ndarray, " column"] | None:
    """Minimise locally from a solution of the relaxation; ``None`` where that leads nowhere."""
    began, x, radius = time.perf_counter(), start, np.inf
    opened = form.equal & (form.cone_slack(x) > tolerances.EXACT)
    for number in range(_ROUNDS):
        left = time_limit_s - (time.perf_counter() - began)
        if left <= 0:
            return None
        try:
            answer = solve_conic(_with_tangents(form, x, opened, radius), time_limit_s=left)
        except (SolverTroubleError, UnboundedError):
            return None
        if answer.x is None or answer.y is None:
            return None
        step = np.abs(form.cone_values(answer.x) - form.cone_values(x))[form.cone_starts[opened & form.product] + 1]
        x = answer.x
        if form.is_exact(x):
            return x
        if number >= _FREE_ROUNDS:
            radius = max(_SHORTER * min(float(step.max(initial=0.0)), radius), _SHORTEST)
        if number < _FREE_ROUNDS:
            opened[np.flatnonzero(opened)[answer.y[: int(opened.sum())] > _PUSHES]] = False
        opened |= form.equal & (form.cone_slack(x) > tolerances.EXACT)
    return None


def _with_tangents(
    form: ConicForm, x: Float[np.ndarray, " column"], opened: Bool[np.ndarray, " cone"], radius: float
) -> ConicForm:
    """Return a form with the tangent equations of some cones in place of these, the first of its rows.

    Parameters
    ----------
    radius : by which no power of those that are products may change
    """
    entries, starts = form.cone_values(x), form.cone_starts
    at = starts[form.product]
    # on the surface, whatever the losses were at the point
    b = np.maximum((entries[at] - entries[at + 3]) / 2, _TIP)
    entries[at + 3] = (entries[at + 1] ** 2 + entries[at + 2] ** 2) / (4 * b) - b
    tails = np.where(form.is_head, 0.0, entries)
    norm = np.sqrt(np.bincount(form.cone_of_row, tails**2, len(form.equal)))
    tails[starts[norm < _TIP] + 1] = 1.0
    weight = np.where(form.is_head, 1.0, -tails / np.where(norm < _TIP, 1.0, norm)[form.cone_of_row])
    mine = np.flatnonzero(opened[form.cone_of_row])
    row = np.cumsum(opened)[form.cone_of_row[mine]] - 1
    combine = sp.csr_array((weight[mine], (row, mine)), shape=(int(opened.sum()), len(weight)))
    kept = form.with_rows(np.concatenate([np.ones(form.n_linear, dtype=bool), ~opened[form.cone_of_row]]))
    powers = np.concatenate([starts[opened & form.product] + number for number in (1, 2)])
    near = powers if np.isfinite(radius) else powers[:0]
    entry, most, change = form.cone_part[near], form.b[form.n_linear :][near], form.cone_values(x)[near]
    a = [combine @ form.cone_part, kept.a[: form.n_zero], entry, -entry, kept.a[form.n_zero :]]
    b = [combine @ form.b[form.n_linear :], kept.b[: form.n_zero], most - change + radius, change - most + radius]
    return replace(
        kept,
        a=sp.csr_array(sp.vstack(a)),
        b=np.concatenate([*b, kept.b[form.n_zero :]]),
        n_zero=form.n_zero + int(opened.sum()),
        n_nonneg=form.n_nonneg + 2 * len(near),
    )
