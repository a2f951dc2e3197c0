"""Mixed-integer conic problems by outer approximation: HiGHS for the integers, Clarabel for the cones.

Tangent cuts of the cones, and cuts of the recourse cost (`decompose`), give a mixed-integer linear relaxation; HiGHS's
dual bound of it is the bound. With its integers fixed, a cone program gives a plan. Both points give new cuts, until
bound and plan meet.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float

from gridferry.controllers import tolerances
from gridferry.controllers.outcome import Termination
from gridferry.controllers.solve.conic import ConicAnswer, solve_conic
from gridferry.controllers.solve.decompose import Decomposition, decompose
from gridferry.controllers.solve.errors import InfeasibleError, SolverTroubleError, UnboundedError
from gridferry.controllers.solve.form import ConicForm
from gridferry.controllers.solve.master import Master
from gridferry.controllers.solve.options import Answer, SolveOptions

_MOVED = 10.0
"""impossible decisions may be moved at this many times the steepest cost seen"""
_ROUNDS_WITHOUT_GAIN = 20
"""rounds without a better bound or plan after which accuracy is exhausted"""


class _Search:
    """State of the search: incumbent, tried assignments, cuts.

    Parameters
    ----------
    options : of the search
    deadline : time, by `time.perf_counter`, that it ends at [s]
    """

    def __init__(self, parts: Decomposition, options: SolveOptions, deadline: float):
        self.parts, self.form = parts, parts.form
        self._options, self._deadline = options, deadline
        self.master = Master(parts.master)
        self._tried: set[bytes] = set()
        self.x: Float[np.ndarray, " column"] | None = None
        self.objective = np.inf
        self.lipschitz_bound = 0.0

    @property
    def left_s(self) -> float:
        """Time left [s]."""
        return max(self._deadline - time.perf_counter(), 0.0)

    def add_cuts(self, answer: ConicAnswer) -> None:
        """Add the cuts of a solve."""
        if answer.x is not None and answer.y is not None:
            self.lipschitz_bound = max(self.lipschitz_bound, self.parts.lipschitz_bound(answer.y))
            self.master.add_tangents(self.parts.decisions(answer.x))
            self.master.add(*self.parts.cost_cuts(answer.y, answer.x))
        elif answer.y is not None:
            self.master.add(*self.parts.ray_cuts(answer.y))

    def add_block_cuts(self, decisions: Float[np.ndarray, " column"]) -> None:
        """Add the cuts below the blocks' cost at given decisions."""
        try:
            answer = self.parts.recourse(decisions, self.left_s)
            if answer.x is None:
                if answer.y is not None:
                    self.master.add(*self.parts.ray_cuts(answer.y))
                price = _MOVED * max(self.lipschitz_bound, 1e-6)
                answer = self.parts.recourse_nearby(decisions, price, self.left_s)
        except (SolverTroubleError, UnboundedError) as error:
            # a cut the fewer; no statement rests on it. The root had a bound: only rounding says there is none
            self._options.record.see(error)
            return
        if answer.x is not None and answer.y is not None:
            self.master.add(*self.parts.cost_cuts(answer.y, answer.x))

    def try_integers(self, x: Float[np.ndarray, " column"]) -> None:
        """Fix the integers of ``x``, solve the cone program, and update the incumbent."""
        rounded = np.round(x[self.form.integer])
        key = rounded.astype(np.int8).tobytes()
        if key in self._tried:
            return
        self._tried.add(key)
        fixed = np.full(self.form.n, np.nan)
        fixed[self.form.integer] = rounded
        # a first plan is worth a little more time
        time_limit_s = max(self.left_s, self._options.grace_s) if self.x is None else self.left_s
        try:
            answer = solve_conic(self.form, fixed, time_limit_s)
        except (SolverTroubleError, UnboundedError) as error:
            # nothing is known of this assignment: it stays open, and the bound stays valid
            self._options.record.see(error)
            return
        self.add_cuts(answer)
        if answer.x is None:
            # the certificate cuts the assignment off up to its accuracy, this does so surely
            self.master.forbid(self.parts.decisions(fixed))
        elif answer.objective < self.objective:
            self.x, self.objective = answer.x, answer.objective

    def try_decisions(self, point: Float[np.ndarray, " master"]) -> None:
        """Solve the recourse of the master's decisions, and add cuts."""
        self.master.add_tangents(point, tolerances.CONE)
        if self.parts.n_block:
            self.add_block_cuts(self.parts.fix(point))


def solve_outer_approximation(
    form: ConicForm,
    options: SolveOptions,
    warm_starts: Sequence[Float[np.ndarray, " column"]] = (),
    recourse: Bool[np.ndarray, " column"] | None = None,
) -> Answer:
    """Minimise to the requested gap; ``warm_starts`` suggest integers.

    Raises
    ------
    InfeasibleError, UnboundedError, SolverTroubleError
    """
    began = time.perf_counter()
    root = solve_conic(form, time_limit_s=options.time_limit_s, persistent=True)
    if root.x is None:
        raise InfeasibleError(f"no point satisfies the constraints, even without integers ({root.ended})")
    parts = decompose(form, np.zeros(form.n, dtype=bool) if recourse is None else recourse)
    search = _Search(parts, options, began + options.time_limit_s)
    search.add_cuts(root)
    for start in warm_starts:
        search.try_integers(start)
    bound, ended, idle = root.bound, Termination.UNKNOWN, 0
    while not ended:
        known = np.isfinite(search.objective)
        tolerance = options.tolerance(search.objective if known else bound)
        if search.objective - bound <= tolerance:
            ended = Termination.GAP_REACHED
        elif search.left_s <= 0:
            ended = Termination.TIME_LIMIT
        elif idle >= _ROUNDS_WITHOUT_GAIN:
            ended = Termination.ACCURACY_EXHAUSTED
        else:
            before = (bound, search.objective)
            target_gap = max(0.5 * tolerance, 0.1 * (search.objective - bound) if known else 0.0)
            begin = None if search.x is None else search.parts.decisions(search.x)
            try:
                answer = search.master.solve(begin, target_gap, search.left_s)
            except SolverTroubleError:
                if search.x is None:
                    raise
                ended = Termination.NUMERICAL_TROUBLE
                continue
            if answer.infeasible:
                if search.x is None:
                    raise InfeasibleError("no assignment of the integers satisfies the constraints")
                # a plan exists, so only rounding can have said this: nothing more is to be had
                ended = Termination.ACCURACY_EXHAUSTED
                continue
            options.record.cut = options.record.cut or answer.cut
            bound = max(bound, min(answer.bound, search.objective))
            if answer.point is not None:
                search.try_integers(_integers_of(search.parts, answer.point))
                search.try_decisions(answer.point)
            idle = idle + 1 if (bound, search.objective) == before else 0
    if ended is Termination.TIME_LIMIT or options.record.cut:
        ended, options.record.cut = Termination.TIME_LIMIT, True
    if search.x is None:
        reason = ended.value.replace("_", " ")
        raise SolverTroubleError(
            f"no plan was found ({reason} after {options.time_limit_s} s at most); allow more time",
            out_of_time=options.record.cut,
        )
    return Answer(search.x, search.objective, min(bound, search.objective), ended, time.perf_counter() - began)


def _integers_of(parts: Decomposition, point: Float[np.ndarray, " master"]) -> Float[np.ndarray, " column"]:
    return np.nan_to_num(parts.fix(point))
