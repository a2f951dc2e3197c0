"""Exact problems by tangents: sequential convex programming on a conic form.

Cones of the exact problem that are closed stay cones. Open ones are replaced by their tangent equation at the last
point, ``h = (t₀/‖t₀‖)'t``, which misses ``h = ‖t‖`` by the square of the step only. A tangent whose multiplier would
close its cone becomes a cone again, so that the curvature that keeps a step short is not lost. Where steps stay long,
as where much is indifferent, they are limited more and more.

The flow of every point is completed to a power flow. From a point whose flow keeps the limits, as where these can be
violated, all cones of flows are tangents and steps are limited from the start: losses of devices are made exact at
nearly the same powers, one that costs more than the point that it began at is taken back, and the best power flow is
known at any time.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp
from jaxtyping import Bool, Float, Int

from gridferry.controllers import tolerances
from gridferry.controllers.solve.conic import solve_conic
from gridferry.controllers.solve.errors import SolverTroubleError, UnboundedError
from gridferry.controllers.solve.exact.nearest import nearest
from gridferry.controllers.solve.form import ConicForm

_ROUNDS = 20
"""most programs that are solved"""
_FREE_ROUNDS, _SHORTER, _SHORTEST = 3, 0.35, 1e-3
"""after these a step is limited to this share of the last one, not below this [pu], and a tangent stays one"""
_NEARBY = 0.05
"""how far the first step may go from a flow that keeps the limits [pu]"""
_ATTEMPTS = 2
"""so many settings of the conic solver are tried where a point is known"""
_LARGEST_COST = 10.0
"""to which costs are scaled, for the sake of the conic solver: those of violations are large"""
_RESTORED = 3
"""most times that losses of devices are linearised to make them exact"""
_TIP = 1e-9
"""a shorter tail has no direction"""
_PUSHES = 1e-3
"""multiplier that closes a cone"""


@dataclass(frozen=True)
class Steps:
    """How to go.

    Attributes
    ----------
    gap : an exact point that costs so little more than tangents promise is good enough, as a share of the cost
    short : from a point near the solution whose flow keeps the limits go short steps
    """

    gap: float = 1e-5
    short: bool = True


FAR = Steps()


@dataclass(frozen=True, eq=False)
class Flowing:
    """A point whose flows are exact.

    Attributes
    ----------
    x : the point
    flows : columns of the flows
    follows : columns that are free again, as they follow from the others
    """

    x: Float[np.ndarray, " column"]
    flows: Bool[np.ndarray, " column"]
    follows: Bool[np.ndarray, " column"]


def follow_tangents(
    form: ConicForm,
    start: Float[np.ndarray, " column"],
    time_limit_s: float,
    completed: Callable[[Float[np.ndarray, " column"]], Flowing | None],
    near: Float[np.ndarray, " column"] | None = None,
    steps: Steps = FAR,
) -> tuple[Float[np.ndarray, " column"] | None, bool]:
    """Minimise locally from a solution of the relaxation; return the best exact point, and whether it is a minimum.

    ``None`` where that leads nowhere.

    Parameters
    ----------
    completed : gives the flows of a point, where that is known
    near : a point that is likely near the solution; it is begun there
    """
    began, gap = time.perf_counter(), steps.gap
    scale = max(float(np.abs(form.cost).max(initial=0.0)) / _LARGEST_COST, 1.0)
    form = replace(form, cost=form.cost / scale, offset=form.offset / scale)
    opened = form.equal & (form.cone_slack(start) > tolerances.EXACT)
    near_by = steps.short and near is not None
    at, best, kept = _flowing(form, start if near is None else near, completed, near_by, began + time_limit_s)
    certain = best is not None
    if kept := kept and near_by:
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
        x, powers = answer.x, _powers(form, opened)
        if form.is_exact(x):
            return cheaper(form, x, best), True
        step = float(np.abs(form.cone_values(x) - form.cone_values(at))[powers].max(initial=0.0))
        flowing, found, keeps = _flowing(form, x, completed, kept, began + time_limit_s)
        best = cheaper(form, found, best)
        promised, begun, ended = answer.objective, form.objective(at), form.objective(flowing)
        # a step that is as long as it may be promises more further on
        far = not kept or step < 0.99 * radius or begun - promised <= gap * abs(promised)
        if best is not None and far and form.objective(best) - promised <= gap * abs(promised):
            return best, True
        if not kept and number < _FREE_ROUNDS:
            opened[np.flatnonzero(opened)[scale * answer.y[: int(opened.sum())] > _PUSHES]] = False
        opened |= form.equal & (form.cone_slack(x) > tolerances.EXACT)
        better = keeps and (ended < begun or not certain)
        if number >= _FREE_ROUNDS if not kept else not keeps or ended - promised > 0.5 * abs(begun - promised):
            if radius == _SHORTEST and kept and not better:
                return best, True
            radius = max((_SHORTER if keeps or not kept else _SHORTER**2) * min(step, radius), _SHORTEST)
        elif kept and ended - promised < 0.3 * abs(begun - promised):
            radius /= _SHORTER
        if better or not kept:
            # otherwise the step was too long: a shorter one follows from where it began
            at, certain = flowing, found is not None
    return best, False


def _flowing(
    form: ConicForm,
    x: Float[np.ndarray, " column"],
    completed: Callable[[Float[np.ndarray, " column"]], Flowing | None],
    restores: bool,
    until: float,
) -> tuple[Float[np.ndarray, " column"], Float[np.ndarray, " column"] | None, bool]:
    """Return a point with exact flows, the exact point that it is, if it is one, and whether it keeps the limits.

    Parameters
    ----------
    restores : losses of devices are made exact first
    until : no solve is begun after that [s]
    """
    found = completed(x)
    inside = form.equal & ~form.product
    for _ in range(_RESTORED if restores else 0):
        if found is None or not inside.any() or np.abs(form.cone_slack(x)[inside]).max() <= tolerances.EXACT:
            break
        # powers near these with which devices are exact, too
        known = np.where(found.flows & ~found.follows, x, np.nan)
        near = nearest(_with_tangents(form, x, inside, np.inf), known, until - time.perf_counter())
        x, found = (x, found) if near is None else (near, completed(near))
    if found is None:
        return x, None, False
    touched = np.zeros(form.n)
    touched[found.follows] = 1.0
    rows = abs(form.a) @ touched > 0
    cones = np.bincount(form.cone_of_row, rows[form.n_linear :], len(form.equal)) > 0
    some = form.with_rows(np.concatenate([rows[: form.n_linear], cones[form.cone_of_row]]))
    fixed = np.where(found.follows, np.nan, found.x)
    try:
        answer = solve_conic(some, fixed, until - time.perf_counter(), attempts=1)
        if answer.x is not None and (both := some.equal & (some.cone_slack(answer.x) > tolerances.EXACT)).any():
            # as import and export at once, where that pays; their difference is right
            exact = _with_tangents(some, answer.x, both, np.inf)
            answer = solve_conic(exact, fixed, until - time.perf_counter(), attempts=1)
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


def _powers(form: ConicForm, opened: Bool[np.ndarray, " cone"]) -> Int[np.ndarray, " conerow"]:
    """Rows of the powers in some cones: of flows, and of converters with losses."""
    starts = form.cone_starts[opened & (form.cone_sizes > 2)]
    return np.concatenate([starts + 1, starts + 2])


def _with_tangents(
    form: ConicForm, x: Float[np.ndarray, " column"], opened: Bool[np.ndarray, " cone"], radius: float
) -> ConicForm:
    """Return a form with the tangent equations of some cones in place of these, the first of its rows.

    Parameters
    ----------
    radius : by which no power in these may change
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
    near = _powers(form, opened) if np.isfinite(radius) else np.zeros(0, dtype=np.int64)
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
