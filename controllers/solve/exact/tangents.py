"""Exact problems by tangents: sequential convex programming on a conic form.

Cones of the exact problem that are closed stay cones. Open ones are replaced by their tangent equation at the last
point, ``h = (t₀/‖t₀‖)'t``, which misses ``h = ‖t‖`` by the square of the step only. A tangent whose multiplier would
close its cone becomes a cone again, so that the curvature that keeps a step short is not lost. Where steps stay long,
as where much is indifferent, they are limited more and more.

The flow of every point is completed to a power flow. From a point whose flow keeps the limits, as where these can be
violated, all cones of flows are tangents and steps are limited from the start: one that costs more than the point that
it began at is taken back, and the best power flow is known at any time.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

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
_NEAR = 1e-5
"""an exact point that costs so little more than tangents promise is good enough, as a share of the cost"""
_NEARBY = 0.05
"""how far the first step may go from a flow that keeps the limits [pu]"""
_ATTEMPTS = 2
"""so many settings of the conic solver are tried where a point is known"""
_TIP = 1e-9
"""a shorter tail has no direction"""
_PUSHES = 1e-3
"""multiplier that closes a cone"""


@dataclass(frozen=True, eq=False)
class Flowing:
    """A point whose flows are exact.

    Attributes
    ----------
    x : the point
    follows : columns that are free again, as they follow from the others
    """

    x: Float[np.ndarray, " column"]
    follows: Bool[np.ndarray, " column"]


def follow_tangents(
    form: ConicForm,
    start: Float[np.ndarray, " column"],
    time_limit_s: float,
    completed: Callable[[Float[np.ndarray, " column"]], Flowing | None],
    near: Float[np.ndarray, " column"] | None = None,
) -> tuple[Float[np.ndarray, " column"] | None, bool]:
    """Minimise locally from a solution of the relaxation; return the best exact point, and whether it is a minimum.

    ``None`` where that leads nowhere.

    Parameters
    ----------
    completed : gives the flows of a point, where that is known
    near : a point that is likely near the solution; it is begun there, with short steps if its flow keeps the limits
    """
    began = time.perf_counter()
    opened = form.equal & (form.cone_slack(start) > tolerances.EXACT)
    at, best, kept = _flowing(form, start if near is None else near, completed)
    certain = best is not None
    if kept := kept and near is not None:
        opened |= form.product
    radius = _NEARBY if kept else np.inf
    for number in range(_ROUNDS):
        left = time_limit_s - (time.perf_counter() - began)
        if left <= 0:
            return best, False
        try:
            tangents = _with_tangents(form, at, opened, radius)
            answer = solve_conic(tangents, time_limit_s=left, attempts=None if best is None else _ATTEMPTS)
        except (SolverTroubleError, UnboundedError):
            return best, False
        if answer.x is None or answer.y is None:
            return best, False
        x, powers = answer.x, form.cone_starts[opened & form.product] + 1
        if form.is_exact(x):
            return cheaper(form, x, best), True
        step = float(np.abs(form.cone_values(x) - form.cone_values(at))[powers].max(initial=0.0))
        flowing, found, keeps = _flowing(form, x, completed)
        best = cheaper(form, found, best)
        promised, begun, ended = answer.objective, form.objective(at), form.objective(flowing)
        # a step that is as long as it may be promises more further on
        short = not kept or step < 0.99 * radius or begun - promised <= _NEAR * abs(promised)
        if best is not None and short and form.objective(best) - promised <= _NEAR * abs(promised):
            return best, True
        if not kept and number < _FREE_ROUNDS:
            opened[np.flatnonzero(opened)[answer.y[: int(opened.sum())] > _PUSHES]] = False
        opened |= form.equal & (form.cone_slack(x) > tolerances.EXACT)
        better = keeps and (ended < begun or not certain)
        if number >= _FREE_ROUNDS if not kept else not keeps or ended - promised > 0.5 * abs(begun - promised):
            if radius == _SHORTEST and kept and not better:
                return best, True
            radius = max((_SHORTER if keeps or not kept else _SHORTER**2) * min(step, radius), _SHORTEST)
        elif kept and ended - promised < 0.1 * abs(begun - promised):
            radius /= _SHORTER
        if better or not kept:
            # otherwise the step was too long: a shorter one follows from where it began
            at, certain = flowing, found is not None
    return best, False


def _flowing(
    form: ConicForm,
    x: Float[np.ndarray, " column"],
    completed: Callable[[Float[np.ndarray, " column"]], Flowing | None],
) -> tuple[Float[np.ndarray, " column"], Float[np.ndarray, " column"] | None, bool]:
    """Return a point with exact flows, the exact point that it is, if it is one, and whether it keeps the limits."""
    found = completed(x)
    if found is None:
        return x, None, False
    touched = np.zeros(form.n)
    touched[found.follows] = 1.0
    rows = abs(form.a) @ touched > 0
    cones = np.bincount(form.cone_of_row, rows[form.n_linear :], len(form.equal)) > 0
    some = form.with_rows(np.concatenate([rows[: form.n_linear], cones[form.cone_of_row]]))
    try:
        answer = solve_conic(some, np.where(found.follows, np.nan, found.x))
    except (SolverTroubleError, UnboundedError):
        return found.x, None, False
    if answer.x is None:
        return found.x, None, False
    slack = (form.b - form.a @ answer.x)[: form.n_linear]
    kept = slack[form.n_zero :].min(initial=0.0) >= -tolerances.EXACT
    return answer.x, answer.x if form.is_exact(answer.x) else None, bool(kept)


def cheaper(
    form: ConicForm, one: Float[np.ndarray, " column"] | None, other: Float[np.ndarray, " column"] | None
) -> Float[np.ndarray, " column"] | None:
    """Return the cheaper of two points, of which either may be missing."""
    if one is None or other is None:
        return other if one is None else one
    return min(one, other, key=form.objective)


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
