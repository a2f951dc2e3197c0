"""Problem: a model compiled once, to be relaxed, solved, or solved with fixed variables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import cvxpy as cp
import numpy as np
from jaxtyping import Float

from gridferry.controllers.contract import SolverOutcome
from gridferry.controllers.solve.conic import solve_conic
from gridferry.controllers.solve.dispatch import solve_form
from gridferry.controllers.solve.errors import InfeasibleError, NoPlanFoundError
from gridferry.controllers.solve.exact.local_search import solve_exact
from gridferry.controllers.solve.exact.tangents import Flowing, Steps
from gridferry.controllers.solve.form import ConicForm, conic_form, read_back, write_in
from gridferry.controllers.solve.options import Answer, SolveOptions
from gridferry.controllers.solve.presolve import presolve

_SOFT_GAP = 1e-4
"""relative gap of violations"""
_BRANCHED = 400
"""most equations of cones that spatial branching is tried on"""

Values = dict[cp.Variable, np.ndarray]
"""Values of some variables."""


@dataclass(frozen=True, eq=False)
class Model:
    """Optimisation model: a cost to be minimised under constraints.

    Attributes
    ----------
    cost, constraints : the model; limits of variables are constraints, not attributes
    binaries : variables that must be 0 or 1, declared continuous
    recourse : continuous variables of many small independent problems, given the others (the flows of every
        step): outer approximation then decides without them. A hint; the answer does not depend on it.
    equal, products : constraints that hold with equality in the exact problem, of which this is the relaxation; the
        latter as `ConicForm.product`
    exact : cones of the exact problem alone, all equations
    choices : binaries that these make superfluous
    implied : constraints that the exact problem implies, and that make its relaxation tighter
    flow : values of recourse variables that the exact problem leaves to the values of the others; ``None`` where there
        are none
    slacks : variables that follow from all others, beside the recourse variables without such a value
    """

    cost: cp.Expression
    constraints: Sequence[cp.Constraint]
    binaries: Sequence[cp.Variable] = field(default=())
    recourse: Sequence[cp.Variable] = field(default=())
    equal: Sequence[cp.SOC] = field(default=())
    products: Sequence[cp.SOC] = field(default=())
    exact: Sequence[cp.SOC] = field(default=())
    choices: Sequence[cp.Variable] = field(default=())
    implied: Sequence[cp.Constraint] = field(default=())
    flow: Callable[[], Values | None] | None = None
    slacks: Sequence[cp.Variable] = field(default=())


@dataclass(frozen=True)
class Relaxed:
    """Result of a relaxation: its cost, and a proved lower bound of it."""

    objective: float
    bound: float


class Problem:
    """Compiled problem: a model and its matrices, whose construction often takes longer than a solve."""

    def __init__(self, model: Model):
        self._model = model
        self._form = conic_form(model.cost, model.constraints, model.binaries)
        self._variables = list({one for part in (model.cost, *model.constraints) for one in part.variables()})
        self._recourse = np.zeros(self._form.n, dtype=bool)
        self._point: Float[np.ndarray, " column"] | None = None
        for one in model.recourse:
            if one.id in self._form.columns:
                self._recourse[self._form.columns[one.id]] = True

    def solve(
        self, options: SolveOptions | None = None, warm_starts: Sequence[Values] = (), fixed: Values | None = None
    ) -> SolverOutcome:
        """Minimise, and set the values of the model's variables; see `solve`.

        Parameters
        ----------
        fixed : values of some variables; the bound is then for these
        """
        options = options or SolveOptions()
        form = self._form
        suggested = [write_in(form, start) for start in warm_starts]
        columns = write_in(form, fixed) if fixed else None
        answer = solve_form(form, options, suggested, self._recourse, columns)
        self.show(answer.x)
        return answer.outcome(options)

    def relax(self, fixed: Values | None = None, time_limit_s: float = np.inf) -> Relaxed:
        """Minimise with integrality left aside, and set the values of the model's variables.

        Raises
        ------
        InfeasibleError, UnboundedError, SolverTroubleError
        """
        small = presolve(self._form, write_in(self._form, fixed) if fixed else None)
        found = solve_conic(small.form, time_limit_s=time_limit_s, persistent=True)
        if found.x is None:
            raise InfeasibleError(f"no point satisfies the constraints, even without integers ({found.ended})")
        self.show(small.back(found.x))
        return Relaxed(found.objective, min(found.bound, found.objective))

    def solve_exact(
        self, time_limit_s: float = np.inf, similar: Problem | None = None, begin: Values | None = None
    ) -> SolverOutcome:
        """Minimise the exact problem locally from the values of the model's variables, and set them.

        Binaries keep their values, except those that the exact problem makes superfluous.

        Parameters
        ----------
        similar : a problem that differs in limits, objective or data alone, with a solution to begin at
        begin : flows to begin near, where there is no such problem

        Raises
        ------
        NoPlanFoundError
        """
        answer = self._locally(self._exact_point(), time_limit_s, similar, begin)
        self._show_exact(answer.x)
        return answer.outcome(SolveOptions())

    def branch_spatially(self, options: SolveOptions, known: bool) -> SolverOutcome | None:
        """Search the optimum of the exact problem, with a bound; ``None`` if it is too large, or there is no SCIP.

        Parameters
        ----------
        known : the values of the model's variables satisfy the exact problem

        Raises
        ------
        InfeasibleError, NoPlanFoundError
        """
        if self._exact_form.equal.sum() > _BRANCHED:
            return None
        try:
            from gridferry.controllers.solve.scip import branch_spatially  # most problems never need it
        except ImportError:
            return None  # there is no SCIP
        form = self._with_exact(self._model.constraints)
        incumbent = write_in(form, self.values) if known else None
        answer = branch_spatially(form, options, incumbent)
        if answer.x is incumbent:
            return answer.outcome(options)
        # SCIP's point keeps the equations to SCIP's tolerance
        read_back(form, self._variables, answer.x)
        try:
            found = self._locally(self._exact_point(), options.time_limit_s)
        except NoPlanFoundError:
            if incumbent is None:
                raise
            found = None
        if incumbent is not None and (found is None or found.objective > form.objective(incumbent)):
            read_back(form, self._variables, incumbent)
            answer = replace(answer, objective=form.objective(incumbent))
        elif found is not None:
            self._show_exact(found.x)
            answer = replace(answer, x=found.x, objective=found.objective)
        return replace(answer, bound=min(answer.bound, answer.objective)).outcome(options)

    @cached_property
    def _exact_form(self) -> ConicForm:
        """The exact problem."""
        implied = {one.id for one in self._model.implied}
        return self._with_exact([one for one in self._model.constraints if one.id not in implied])

    def _with_exact(self, constraints: Sequence[cp.Constraint]) -> ConicForm:
        model = self._model
        equal = [*model.equal, *model.exact]
        return conic_form(model.cost, [*constraints, *model.exact], model.binaries, equal, model.products)

    def _locally(
        self,
        start: Float[np.ndarray, " column"],
        time_limit_s: float,
        similar: Problem | None = None,
        begin: Values | None = None,
    ) -> Answer:
        form, free = self._exact_form, {one.id for one in self._model.choices}
        decided = [one for one in self._model.binaries if one.id not in free and one.size]
        fixed = write_in(form, {one: np.round(start[form.columns[one.id]]) for one in decided})
        near, soft = None if similar is None else self._near(similar, start, fixed), bool(self._model.slacks)
        # violations are minimised from flows that violate limits; others are begun near to go where tangents lead
        steps = Steps(gap=_SOFT_GAP) if soft else Steps(short=near is not None)
        if near is None and begin:
            near = write_in(form, begin)
        if near is None and soft:
            near = start
        flowing = self._flowing if self._model.flow else None
        return solve_exact(form, start, fixed, near, flowing, time_limit_s, steps=steps)

    def _near(
        self, similar: Problem, start: Float[np.ndarray, " column"], fixed: Float[np.ndarray, " column"]
    ) -> Float[np.ndarray, " column"] | None:
        """Point of a similar problem in this one's columns; ``None`` where it has other variables or other routes."""
        mine, theirs = self._lasting, similar._lasting
        if [one.shape for one in mine] != [one.shape for one in theirs]:
            return None
        values = {one: other.value for one, other in zip(mine, theirs, strict=True)}
        if any(one is None for one in values.values()):
            return None
        point = write_in(self._exact_form, values)
        same = np.isnan(fixed) | np.isnan(point) | (np.round(point) == fixed)
        return np.where(np.isnan(point), start, point) if same.all() else None

    @property
    def _lasting(self) -> list[cp.Variable]:
        """Variables that similar problems have, too, in the order of their creation."""
        own = {one.id for one in (*self._model.slacks, *self._model.choices)}
        return sorted((one for one in self._variables if one.id not in own), key=lambda one: int(one.id))

    def _flowing(self, x: Float[np.ndarray, " column"]) -> Flowing | None:
        """Give the recourse variables of a point the values that the exact problem leaves to the others."""
        self._show_exact(x)
        values = self._model.flow() if self._model.flow else None
        if values is None:
            return None
        form = self._exact_form
        moved = write_in(form, values)
        known = {one.id for one in values}
        follows = np.zeros(form.n, dtype=bool)
        for one in (*self._model.slacks, *self._model.recourse):
            if one.id in form.columns and one.id not in known:
                follows[form.columns[one.id]] = True
        flows = ~np.isnan(moved)
        return Flowing(np.where(flows, moved, x), flows, follows)

    def _exact_point(self) -> Float[np.ndarray, " column"]:
        """Values of the model's variables as a point of the exact problem."""
        return write_in(self._exact_form, self.values)

    @property
    def values(self) -> Values:
        """Values of the model's variables."""
        return {one: one.value for one in self._variables}

    @values.setter
    def values(self, given: Values) -> None:
        for one, value in given.items():
            one.save_value(value)

    def _show_exact(self, point: Float[np.ndarray, " column"]) -> None:
        read_back(self._exact_form, self._variables, point)

    @property
    def point(self) -> Float[np.ndarray, " column"]:
        """The point of the last solve."""
        if self._point is None:
            raise ValueError("nothing was solved yet")
        return self._point

    def show(self, point: Float[np.ndarray, " column"]) -> None:
        """Set the values of the model's variables from a `point`."""
        self._point = point
        read_back(self._form, self._variables, point)


def solve(model: Model, options: SolveOptions | None = None, warm_starts: Sequence[Values] = ()) -> SolverOutcome:
    """Minimise, and set the values of the model's variables.

    Parameters
    ----------
    warm_starts : values of binaries of plans that are likely good, the best first; they are tried before anything else

    Raises
    ------
    InfeasibleError
        where no point satisfies the constraints.
    UnboundedError
        where the cost has no lower bound.
    SolverTroubleError
        where the solver gave up, or no plan was found in time.
    """
    return Problem(model).solve(options, warm_starts)
