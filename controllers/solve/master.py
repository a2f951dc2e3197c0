"""Master problem of outer approximation: a mixed-integer linear relaxation in HiGHS, with cuts.

Without integers it solves cone programs by itself: slower than an interior point, and sure where that loses its digits.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import highspy
import numpy as np
import scipy.sparse as sp
from jaxtyping import Float

from gridferry.controllers import tolerances
from gridferry.controllers.solve.cuts import TangentCuts, heads_nonnegative
from gridferry.controllers.solve.errors import InfeasibleError, SolverTroubleError
from gridferry.controllers.solve.form import ConicForm
from gridferry.controllers.solve.reduce import reduce_form

_ROUNDS = 200
"""cutting planes are added so often to a cone program"""
_HIGHS: dict[str, object] = {
    "output_flag": False,
    "mip_rel_gap": 0.0,
    "primal_feasibility_tolerance": tolerances.FEASIBILITY,
    "dual_feasibility_tolerance": tolerances.FEASIBILITY,
    "mip_feasibility_tolerance": tolerances.MIP_FEASIBILITY,
    "random_seed": 0,
}


@dataclass(frozen=True, eq=False)
class MasterAnswer:
    """Solution of the master problem: a valid lower bound, the best point, if any, and whether the time ended it."""

    infeasible: bool
    bound: float
    point: Float[np.ndarray, " column"] | None
    cut: bool = False


class Master:
    """Mixed-integer linear relaxation in HiGHS, to which cuts are added."""

    def __init__(self, form: ConicForm):
        self._form = form
        self._cuts = TangentCuts(form)
        self._highs = highspy.Highs()
        for key, value in _HIGHS.items():
            self._highs.setOptionValue(key, value)
        small = reduce_form(form)
        pinned = ~np.isnan(small.value)
        heads, head_limit = heads_nonnegative(form)
        rows = sp.csr_array(sp.vstack([form.linear_part, heads]))
        limit = np.concatenate([form.b[: form.n_linear], head_limit])
        lp = highspy.HighsLp()
        lp.num_col_, lp.num_row_, lp.offset_ = form.n, rows.shape[0], form.offset
        lp.col_cost_ = form.cost
        lp.col_lower_ = np.where(pinned, small.value, small.lower)
        lp.col_upper_ = np.where(pinned, small.value, small.upper)
        lp.row_lower_ = np.where(np.arange(len(limit)) < form.n_zero, limit, -np.inf)
        lp.row_upper_ = limit
        lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
        lp.a_matrix_.start_, lp.a_matrix_.index_, lp.a_matrix_.value_ = rows.indptr, rows.indices, rows.data
        kinds = (highspy.HighsVarType.kContinuous, highspy.HighsVarType.kInteger)
        lp.integrality_ = [kinds[int(one)] for one in form.integer]
        self._highs.passModel(lp)

    def add(self, rows: sp.csr_array, limit: Float[np.ndarray, " cut"]) -> None:
        """Add rows ``G x ≤ g``, scaled so that no coefficient is above 1."""
        if rows.shape[0]:
            largest = np.maximum(np.abs(rows).max(axis=1).toarray().ravel(), 1.0)
            rows, limit = sp.csr_array(sp.diags_array(1.0 / largest) @ rows), limit / largest
            below = np.full(len(limit), -np.inf)
            self._highs.addRows(rows.shape[0], below, limit, rows.nnz, rows.indptr[:-1], rows.indices, rows.data)

    def add_tangents(self, x: Float[np.ndarray, " column"], least_violation: float = -np.inf) -> None:
        """Add the cuts that touch the cones at ``x``."""
        self.add(*self._cuts.at(x, least_violation))

    def forbid(self, x: Float[np.ndarray, " column"]) -> None:
        """Forbid the assignment of the integers in ``x``: at least one of them has to differ."""
        integers = np.flatnonzero(self._form.integer)
        ones = np.round(x[integers])
        row = sp.csr_array(
            (np.where(ones > 0.5, 1.0, -1.0), (np.zeros(len(integers), dtype=int), integers)), shape=(1, self._form.n)
        )
        self.add(row, np.array([ones.sum() - 1.0]))

    def solve(self, start: Float[np.ndarray, " column"] | None, gap_abs: float, time_limit_s: float) -> MasterAnswer:
        """Minimise to an absolute gap; a feasible start bounds the search from above."""
        highs = self._highs
        highs.setOptionValue("mip_abs_gap", gap_abs)
        highs.setOptionValue("time_limit", highs.getRunTime() + max(time_limit_s, 0.01))
        if start is not None:
            solution = highspy.HighsSolution()
            solution.col_value = start
            highs.setSolution(solution)
        highs.run()
        status, info = highs.getModelStatus(), highs.getInfo()
        if status == highspy.HighsModelStatus.kInfeasible:
            return MasterAnswer(infeasible=True, bound=np.inf, point=None)
        if status not in (highspy.HighsModelStatus.kOptimal, highspy.HighsModelStatus.kTimeLimit):
            raise SolverTroubleError(f"HiGHS stopped with {highs.modelStatusToString(status)}")
        found = info.primal_solution_status == highspy.SolutionStatus.kSolutionStatusFeasible
        point = np.array(highs.getSolution().col_value) if found else None
        cut = status == highspy.HighsModelStatus.kTimeLimit
        return MasterAnswer(infeasible=False, bound=float(info.mip_dual_bound), point=point, cut=cut)


def solve_by_cuts(form: ConicForm, time_limit_s: float = np.inf) -> tuple[Float[np.ndarray, " column"], float]:
    """Minimise a form with integrality left aside; return the point and its cost, which is a lower bound.

    Raises
    ------
    InfeasibleError
        where already the rows and some planes around the cones exclude each other, as a linear program proves.
    SolverTroubleError
    """
    began = time.perf_counter()
    form = replace(form, integer=np.zeros(form.n, dtype=bool))
    master = Master(form)
    # no entry of a tail is larger than the head
    head = np.flatnonzero(form.is_head)[form.cone_of_row]
    tail = np.flatnonzero(~form.is_head)
    a, b = form.cone_part, form.b[form.n_linear :]
    for sign in (1.0, -1.0):
        master.add(sp.csr_array(a[head[tail]] + sign * a[tail]), b[head[tail]] + sign * b[tail])
    for _ in range(_ROUNDS):
        answer = master.solve(None, 0.0, time_limit_s - (time.perf_counter() - began))
        if answer.infeasible:
            raise InfeasibleError("no point satisfies the constraints, as a linear program proves")
        if answer.point is None or time.perf_counter() - began > time_limit_s:
            break
        entries = form.cone_values(answer.point)
        tails = np.where(form.is_head, 0.0, entries) ** 2
        outside = np.sqrt(np.bincount(form.cone_of_row, tails, len(form.cone_sizes))) - entries[form.cone_starts]
        if outside.max(initial=0.0) <= tolerances.CONIC_ALMOST:
            return answer.point, form.objective(answer.point)
        master.add_tangents(answer.point, tolerances.CONE)
    raise SolverTroubleError(f"cutting planes found no point in {_ROUNDS} rounds or {time_limit_s:.3g} s")
