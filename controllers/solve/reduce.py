"""Fix columns and propagate what follows, so that what is left has an interior."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from jaxtyping import Bool, Float, Int

from controllers.solve.form import ConicForm

_FIXED = 1e-10
"""bounds closer than this fix a column"""
_VIOLATION = 1e-7
"""a row without free columns may be violated by this much"""


@dataclass(frozen=True, eq=False)
class Reduced:
    """A form after fixing columns.

    Attributes
    ----------
    value : values of the fixed columns, NaN where free
    free : free columns
    lower, upper : bounds of the columns, from rows with a single column
    row : rows that still have a free column (all rows of a cone, if one has)
    b : right-hand side with the fixed columns moved over
    conflict : the rows or bounds contradict each other
    """

    value: Float[np.ndarray, " column"]
    free: Bool[np.ndarray, " column"]
    lower: Float[np.ndarray, " column"]
    upper: Float[np.ndarray, " column"]
    row: Bool[np.ndarray, " row"]
    b: Float[np.ndarray, " row"]
    conflict: bool


def reduce_form(form: ConicForm, fixed: Float[np.ndarray, " column"] | None = None) -> Reduced:
    """Fix the columns that are not NaN in ``fixed``, then every column that rows with one free column pin down."""
    value = np.full(form.n, np.nan) if fixed is None else fixed.copy()
    lower, upper = np.full(form.n, -np.inf), np.full(form.n, np.inf)
    pattern = sp.csr_array((np.ones(form.a.nnz), form.a.indices, form.a.indptr), shape=form.a.shape)
    kind_zero = np.arange(len(form.b)) < form.n_zero
    linear = np.arange(len(form.b)) < form.n_linear
    conflict = False
    while True:
        free = np.isnan(value)
        b = form.b - form.a @ np.where(free, 0.0, value)
        count = pattern @ free.astype(float)
        rows = np.flatnonzero(linear & (count == 1))
        single = form.a[rows] @ sp.diags_array(free.astype(float))
        single.eliminate_zeros()
        column, entry = single.indices, single.data
        limit = b[rows] / entry
        equal = kind_zero[rows]
        np.minimum.at(upper, column[equal | (entry > 0)], limit[equal | (entry > 0)])
        np.maximum.at(lower, column[equal | (entry < 0)], limit[equal | (entry < 0)])
        bounded = np.flatnonzero(np.isfinite(lower) & np.isfinite(upper))
        room, scale = (upper - lower)[bounded], 1 + np.abs(upper[bounded])
        conflict |= bool(np.any(room < -_VIOLATION * scale))
        pinned = bounded[free[bounded] & (room <= _FIXED * scale)]
        value[pinned] = 0.5 * (lower[pinned] + upper[pinned])
        forced, at = _forced(form, free, lower, upper, b)
        value[forced] = at
        if conflict or not (len(pinned) or len(forced)):
            break
    keep = count > 0
    cone_rows = keep[form.n_linear :]
    some = np.zeros(len(form.cone_sizes), dtype=bool)
    np.logical_or.at(some, form.cone_of_row[cone_rows], True)
    whole = np.concatenate([keep[: form.n_linear], some[form.cone_of_row]])
    conflict |= _contradicts(form, b, whole)
    return Reduced(value=value, free=free, lower=lower, upper=upper, row=whole, b=b, conflict=conflict)


def _forced(
    form: ConicForm,
    free: Bool[np.ndarray, " column"],
    lower: Float[np.ndarray, " column"],
    upper: Float[np.ndarray, " column"],
    b: Float[np.ndarray, " row"],
) -> tuple[Int[np.ndarray, " forced"], Float[np.ndarray, " forced"]]:
    """Find inequalities that can only just be met; returns their columns and the bounds these are held at."""
    rows = np.arange(form.n_zero, form.n_linear)
    part = sp.csr_array(form.a[rows] @ sp.diags_array(free.astype(float)))
    part.eliminate_zeros()
    cheaper = np.where(part.data > 0, lower[part.indices], upper[part.indices])
    part.data = part.data * cheaper
    least = part.sum(axis=1)
    known = (np.diff(part.indptr) > 0) & np.isfinite(least)
    tight = np.flatnonzero(known)[np.abs(least - b[rows])[known] <= _FIXED * (1 + np.abs(least[known]))]
    entries = np.concatenate(
        [np.arange(part.indptr[row], part.indptr[row + 1]) for row in tight] or [np.zeros(0, dtype=int)]
    )
    return part.indices[entries].astype(np.int64), cheaper[entries]


def _contradicts(form: ConicForm, b: Float[np.ndarray, " row"], kept: Bool[np.ndarray, " row"]) -> bool:
    """Whether a row or cone without free columns is violated."""
    slack = b[: form.n_zero][~kept[: form.n_zero]]
    if np.any(np.abs(slack) > _VIOLATION):
        return True
    if np.any(b[form.n_zero : form.n_linear][~kept[form.n_zero : form.n_linear]] < -_VIOLATION):
        return True
    entries = b[form.n_linear :]
    tail = np.sqrt(np.bincount(form.cone_of_row, np.where(form.is_head, 0.0, entries) ** 2, len(form.cone_sizes)))
    dropped = ~kept[form.n_linear :][form.cone_starts]
    return bool(np.any((tail - entries[form.cone_starts])[dropped] > _VIOLATION))
