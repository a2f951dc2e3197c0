"""Generalised Benders decomposition: decisions in a master problem, recourse variables in blocks.

Once trucks and powers are decided, the flow of every network in every step is a small cone program of its own. Its
minimum cost is a convex function of the decisions, and the multipliers of a solve give a cut below it:

    θ(x) = min { c'u : b - B u - A x in K } ≥ y'A x - y'b     for every y in K* with c + B'y = 0
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import scipy.sparse as sp
from jaxtyping import Bool, Float, Int
from scipy.sparse.csgraph import connected_components

from gridferry.controllers import tolerances
from gridferry.controllers.solve.conic import ConicAnswer, solve_conic
from gridferry.controllers.solve.form import ConicForm


@dataclass(frozen=True, eq=False)
class Decomposition:
    """Decomposition of a form: decision columns, and recourse columns in independent blocks.

    Attributes
    ----------
    form : the full problem
    decision_columns : columns of the decisions
    block_of_column : block of each column, -1 for a decision
    block_of_row : block of each row, -1 for rows of decisions only
    n_block : number of blocks
    """

    form: ConicForm
    decision_columns: Int[np.ndarray, " decision"]
    block_of_column: Int[np.ndarray, " column"]
    block_of_row: Int[np.ndarray, " row"]
    n_block: int

    @cached_property
    def master(self) -> ConicForm:
        """Master problem: the decisions, and one column for the cost of each block."""
        own = self.form.with_rows(self.block_of_row < 0)
        empty = sp.csr_array((len(own.b), self.n_block))
        return replace(
            own,
            cost=np.concatenate([own.cost[self.decision_columns], np.ones(self.n_block)]),
            a=sp.csr_array(sp.hstack([own.a[:, self.decision_columns], empty])),
            integer=np.concatenate([own.integer[self.decision_columns], np.zeros(self.n_block, dtype=bool)]),
            columns={},
        )

    @cached_property
    def _blocks(self) -> ConicForm:
        """Problem of all blocks, with the decisions among its columns."""
        cost = np.where(self.block_of_column >= 0, self.form.cost, 0.0)
        return replace(self.form.with_rows(self.block_of_row >= 0), cost=cost, offset=0.0)

    def recourse(self, decisions: Float[np.ndarray, " column"], time_limit_s: float = np.inf) -> ConicAnswer:
        """Solve the blocks for decisions that need not satisfy their own rows; NaN in the columns of the blocks."""
        answer = solve_conic(self._blocks, decisions, time_limit_s)
        return answer if answer.y is None else replace(answer, y=self._in_all_rows(answer.y))

    def recourse_nearby(
        self, decisions: Float[np.ndarray, " column"], price: float, time_limit_s: float = np.inf
    ) -> ConicAnswer:
        """Solve the blocks with decisions that may move, at a price for every unit moved.

        Where the decisions are impossible this gives cuts for all blocks at once, as steep as the price.
        """
        blocks = self._blocks
        touched = np.zeros(blocks.n, dtype=bool)
        touched[blocks.a.indices] = True
        moved = np.flatnonzero(touched & (self.block_of_column < 0))
        pick = sp.csr_array((np.ones(len(moved)), (np.arange(len(moved)), moved)), shape=(len(moved), blocks.n))
        eye, n_linear = sp.eye_array(len(moved)), blocks.n_linear
        empty = sp.csr_array((len(blocks.b), len(moved)))
        rows = sp.hstack([blocks.a, empty], format="csr")
        slack = sp.vstack([sp.hstack([pick, -eye]), sp.hstack([-pick, -eye])], format="csr")
        at = decisions[moved]
        wider = replace(
            blocks,
            cost=np.concatenate([blocks.cost, np.full(len(moved), price)]),
            a=sp.csr_array(sp.vstack([rows[:n_linear], slack, rows[n_linear:]])),
            b=np.concatenate([blocks.b[:n_linear], at, -at, blocks.b[n_linear:]]),
            n_nonneg=blocks.n_nonneg + 2 * len(moved),
            integer=np.zeros(blocks.n + len(moved), dtype=bool),
        )
        fixed = np.concatenate([decisions, np.full(len(moved), np.nan)])
        fixed[moved] = np.nan
        answer = solve_conic(wider, fixed, time_limit_s)
        if answer.x is None or answer.y is None:
            return answer
        own = np.concatenate([answer.y[:n_linear], answer.y[n_linear + 2 * len(moved) :]])
        return replace(answer, x=answer.x[: blocks.n], y=self._in_all_rows(own))

    def lipschitz_bound(self, y: Float[np.ndarray, " row"]) -> float:
        """Return the largest change of the blocks' cost per unit of a decision, under given multipliers."""
        slope = self.form.a[:, self.decision_columns].T @ _of_blocks(self, y)
        return float(np.abs(slope).max(initial=0.0))

    def _in_all_rows(self, y: Float[np.ndarray, " blockrow"]) -> Float[np.ndarray, " row"]:
        full = np.zeros(len(self.form.b))
        full[self.block_of_row >= 0] = y
        return full

    @cached_property
    def _sum_rows(self) -> sp.csr_array:
        """Matrix (block, row) that sums the rows of a block."""
        rows = np.flatnonzero(self.block_of_row >= 0)
        shape = (self.n_block, len(self.block_of_row))
        return sp.csr_array((np.ones(len(rows)), (self.block_of_row[rows], rows)), shape=shape)

    def decisions(self, x: Float[np.ndarray, " column"]) -> Float[np.ndarray, " master"]:
        """Point of the master problem: decisions and cost of each block at a point of the full problem."""
        follows = self.block_of_column >= 0
        cost = np.bincount(self.block_of_column[follows], (self.form.cost * x)[follows], self.n_block)
        return np.concatenate([x[self.decision_columns], cost])

    def fix(self, point: Float[np.ndarray, " master"]) -> Float[np.ndarray, " column"]:
        """Fix the decisions of a point of the master; NaN elsewhere."""
        fixed = np.full(self.form.n, np.nan)
        fixed[self.decision_columns] = point[: len(self.decision_columns)]
        return fixed

    def cost_cuts(
        self, y: Float[np.ndarray, " row"], x: Float[np.ndarray, " column"]
    ) -> tuple[sp.csr_array, Float[np.ndarray, " cut"]]:
        """Return cuts ``G z ≤ g`` on the cost of each block, from the multipliers ``y`` of a solve at ``x``."""
        form = self.form
        by_block = self._sum_rows @ sp.diags_array(y)
        weights = sp.csr_array(by_block @ form.a)
        # c + B'y is zero up to the solver's accuracy; what is left of it is taken at the solution
        left = np.where(self.block_of_column >= 0, form.cost + form.a.T @ _of_blocks(self, y), 0.0) * x
        rest = np.bincount(np.maximum(self.block_of_column, 0), left, self.n_block)
        rows = sp.csr_array(sp.hstack([weights[:, self.decision_columns], -sp.eye_array(self.n_block)]))
        return rows, by_block @ form.b - rest

    def ray_cuts(self, ray: Float[np.ndarray, " row"]) -> tuple[sp.csr_array, Float[np.ndarray, " cut"]]:
        """Return feasibility cuts ``G z ≤ g`` from a certificate of infeasibility: one per block, or a single one.

        A ray with multipliers of the decisions' own rows gives a single cut.
        """
        form = self.form
        in_master = np.abs(ray[self.block_of_row < 0]).max(initial=0.0) > tolerances.RAY * np.abs(ray).max(initial=1.0)
        weigh = (
            sp.csr_array(ray[None, :])
            if in_master or not self.n_block
            else sp.csr_array(self._sum_rows @ sp.diags_array(ray))
        )
        rows = sp.csr_array(weigh @ form.a)
        follows = np.flatnonzero(self.block_of_column >= 0)
        residue = np.abs(rows[:, follows]).max(axis=1).toarray().ravel() if len(follows) else np.zeros(rows.shape[0])
        size = np.abs(rows).max(axis=1).toarray().ravel()
        good = np.flatnonzero((size > tolerances.RAY) & (residue <= tolerances.RESIDUE * size))
        part = sp.csr_array(rows[good][:, self.decision_columns])
        part.data[np.abs(part.data) < tolerances.COEFFICIENT] = 0.0
        part.eliminate_zeros()
        empty = sp.csr_array((len(good), self.n_block))
        return sp.csr_array(sp.hstack([part, empty])), (weigh @ form.b)[good]


def _of_blocks(parts: Decomposition, y: Float[np.ndarray, " row"]) -> Float[np.ndarray, " row"]:
    return np.where(parts.block_of_row >= 0, y, 0.0)


def decompose(form: ConicForm, recourse: Bool[np.ndarray, " column"]) -> Decomposition:
    """Find the independent blocks of recourse columns; integers are always decisions."""
    recourse = recourse & ~form.integer
    own = np.flatnonzero(recourse)
    block_of_column = np.full(form.n, -1, dtype=np.int64)
    block_of_row = np.full(len(form.b), -1, dtype=np.int64)
    n_block = 0
    if len(own):
        # rows of a cone belong together
        unit = np.arange(len(form.b), dtype=np.int64)
        unit[form.n_linear :] = form.n_linear + form.cone_starts[form.cone_of_row]
        touched = sp.coo_array(form.a[:, own])
        size = len(form.b) + len(own)
        graph = sp.coo_array((np.ones(touched.nnz), (unit[touched.row], len(form.b) + touched.col)), shape=(size, size))
        _, label = connected_components(graph, directed=False)
        names, block = np.unique(label[len(form.b) :], return_inverse=True)
        n_block = len(names)
        block_of_column[own] = block
        number = np.full(label.max() + 1, -1, dtype=np.int64)
        number[names] = np.arange(n_block)
        block_of_row = number[label[unit]]
    return Decomposition(form, np.flatnonzero(~recourse), block_of_column, block_of_row, n_block)
