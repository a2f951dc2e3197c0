"""Reduction of a form: fix columns and propagate, so that the rest has an interior."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from jaxtyping import Bool, Float, Int

from gridferry.controllers import tolerances
from gridferry.controllers.solve.form import ConicForm


@dataclass(frozen=True, eq=False)
class Round:
    """Columns fixed by one round of the reduction, and the rows that fixed them.

    Attributes
    ----------
    column : columns pinned
    low_row, low_entry, high_row, high_entry : the row behind each of their bounds, and its entry in the column
    forced_row, forced_column, forced_entry : entries of the inequalities that can only just be met
    """

    column: Int[np.ndarray, " pinned"]
    low_row: Int[np.ndarray, " pinned"]
    low_entry: Float[np.ndarray, " pinned"]
    high_row: Int[np.ndarray, " pinned"]
    high_entry: Float[np.ndarray, " pinned"]
    forced_row: Int[np.ndarray, " forced"]
    forced_column: Int[np.ndarray, " forced"]
    forced_entry: Float[np.ndarray, " forced"]


@dataclass(frozen=True, eq=False)
class Reduced:
    """Reduced form, with some columns fixed.

    Attributes
    ----------
    value : values of the fixed columns, NaN where free
    free : free columns
    lower, upper : bounds of the columns, from rows with a single column
    row : rows that still have a free column (all rows of a cone, if one has)
    b : right-hand side with the fixed columns moved over
    conflict : the rows or bounds contradict each other
    rounds : how columns were pinned, in order
    """

    value: Float[np.ndarray, " column"]
    free: Bool[np.ndarray, " column"]
    lower: Float[np.ndarray, " column"]
    upper: Float[np.ndarray, " column"]
    row: Bool[np.ndarray, " row"]
    b: Float[np.ndarray, " row"]
    conflict: bool
    rounds: tuple[Round, ...]

    def complete(
        self, form: ConicForm, cost: Float[np.ndarray, " column"], y: Float[np.ndarray, " row"]
    ) -> Float[np.ndarray, " row"]:
        """Complete the multipliers of the rows that fixed columns, so that ``c + A'y`` vanishes there, too.

        Backwards, the last round first: its rows hold columns of earlier rounds, but not the other way round. Without
        this a plane through the solution would not know what a pinned column costs where other decisions free it.
        """
        y = y.copy()
        for one in reversed(self.rounds):
            left = cost + form.a.T @ y
            # a forced row takes as much as leaves every column of it pushing against its bound
            np.maximum.at(y, one.forced_row, -left[one.forced_column] / one.forced_entry)
            left = cost + form.a.T @ y
            up = left[one.column] > 0
            row = np.where(up, one.low_row, one.high_row)
            step = -left[one.column] / np.where(up, one.low_entry, one.high_entry)
            # the far bound of a forced column may have no row; only rounding pushes that way
            np.add.at(y, row[row >= 0], step[row >= 0])
        return y


def reduce_form(form: ConicForm, fixed: Float[np.ndarray, " column"] | None = None) -> Reduced:
    """Fix the columns that are not NaN in ``fixed``, then every column determined by a row with one free column."""
    value = np.full(form.n, np.nan) if fixed is None else fixed.copy()
    lower, upper = np.full(form.n, -np.inf), np.full(form.n, np.inf)
    pattern = sp.csr_array((np.ones(form.a.nnz), form.a.indices, form.a.indptr), shape=form.a.shape)
    kind_zero = np.arange(len(form.b)) < form.n_zero
    linear = np.arange(len(form.b)) < form.n_linear
    source = {side: (np.full(form.n, -1, dtype=np.int64), np.ones(form.n)) for side in ("low", "high")}
    rounds: list[Round] = []
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
        for side, better, bound, implied in (
            ("high", np.minimum, upper, equal | (entry > 0)),
            ("low", np.maximum, lower, equal | (entry < 0)),
        ):
            before = bound.copy()
            better.at(bound, column[implied], limit[implied])
            news = implied & (limit == bound[column]) & (bound[column] != before[column])
            source[side][0][column[news]], source[side][1][column[news]] = rows[news], entry[news]
        bounded = np.flatnonzero(np.isfinite(lower) & np.isfinite(upper))
        room, scale = (upper - lower)[bounded], 1 + np.abs(upper[bounded])
        conflict |= bool(np.any(room < -tolerances.ROW * scale))
        pinned = bounded[free[bounded] & (room <= tolerances.FIXED * scale)]
        value[pinned] = 0.5 * (lower[pinned] + upper[pinned])
        forced_row, forced, forced_entry, at = _forced(form, free, lower, upper, b)
        value[forced] = at
        if conflict or not (len(pinned) or len(forced)):
            break
        fixed_columns = np.union1d(pinned, forced)
        (low_row, low_entry), (high_row, high_entry) = source["low"], source["high"]
        rounds.append(
            Round(
                fixed_columns,
                low_row[fixed_columns],
                low_entry[fixed_columns],
                high_row[fixed_columns],
                high_entry[fixed_columns],
                forced_row,
                forced,
                forced_entry,
            )
        )
    keep = count > 0
    cone_rows = keep[form.n_linear :]
    some = np.zeros(len(form.cone_sizes), dtype=bool)
    np.logical_or.at(some, form.cone_of_row[cone_rows], True)
    remaining = np.concatenate([keep[: form.n_linear], some[form.cone_of_row]])
    conflict |= _contradicts(form, b, remaining)
    return Reduced(
        value=value, free=free, lower=lower, upper=upper, row=remaining, b=b, conflict=conflict, rounds=tuple(rounds)
    )


def _forced(
    form: ConicForm,
    free: Bool[np.ndarray, " column"],
    lower: Float[np.ndarray, " column"],
    upper: Float[np.ndarray, " column"],
    b: Float[np.ndarray, " row"],
) -> tuple[
    Int[np.ndarray, " forced"],
    Int[np.ndarray, " forced"],
    Float[np.ndarray, " forced"],
    Float[np.ndarray, " forced"],
]:
    """Find inequalities that force a column to its bound; returns row, column, entry and bound."""
    rows = np.arange(form.n_zero, form.n_linear)
    part = sp.csr_array(form.a[rows] @ sp.diags_array(free.astype(float)))
    part.eliminate_zeros()
    cheaper = np.where(part.data > 0, lower[part.indices], upper[part.indices])
    own = part.data
    part.data = part.data * cheaper
    least = part.sum(axis=1)
    known = (np.diff(part.indptr) > 0) & np.isfinite(least)
    tight = np.flatnonzero(known)[np.abs(least - b[rows])[known] <= tolerances.FIXED * (1 + np.abs(least[known]))]
    entries = np.concatenate(
        [np.arange(part.indptr[row], part.indptr[row + 1]) for row in tight] or [np.zeros(0, dtype=int)]
    )
    row_of_entry = np.repeat(rows, np.diff(part.indptr))
    return row_of_entry[entries], part.indices[entries].astype(np.int64), own[entries], cheaper[entries]


def _contradicts(form: ConicForm, b: Float[np.ndarray, " row"], kept: Bool[np.ndarray, " row"]) -> bool:
    """Whether a row or cone without free columns is violated."""
    slack = b[: form.n_zero][~kept[: form.n_zero]]
    if np.any(np.abs(slack) > tolerances.ROW):
        return True
    if np.any(b[form.n_zero : form.n_linear][~kept[form.n_zero : form.n_linear]] < -tolerances.ROW):
        return True
    entries = b[form.n_linear :]
    tail = np.sqrt(np.bincount(form.cone_of_row, np.where(form.is_head, 0.0, entries) ** 2, len(form.cone_sizes)))
    dropped = ~kept[form.n_linear :][form.cone_starts]
    return bool(np.any((tail - entries[form.cone_starts])[dropped] > tolerances.ROW))
