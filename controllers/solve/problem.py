"""Problem: a model compiled once, to be relaxed, solved, or solved with fixed variables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import cvxpy as cp
import numpy as np
from jaxtyping import Float

from gridferry.controllers.contract import SolverOutcome
from gridferry.controllers.solve.conic import solve_conic
from gridferry.controllers.solve.dispatch import solve_form
from gridferry.controllers.solve.errors import InfeasibleError
from gridferry.controllers.solve.form import conic_form, read_back, write_in
from gridferry.controllers.solve.options import SolveOptions
from gridferry.controllers.solve.presolve import presolve

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
    """

    cost: cp.Expression
    constraints: Sequence[cp.Constraint]
    binaries: Sequence[cp.Variable] = field(default=())
    recourse: Sequence[cp.Variable] = field(default=())


@dataclass(frozen=True)
class Relaxed:
    """Result of a relaxation: its cost, and a proved lower bound of it."""

    objective: float
    bound: float


class Problem:
    """Compiled problem: a model and its matrices, whose construction often takes longer than a solve."""

    def __init__(self, model: Model):
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
        found = solve_conic(small.form, time_limit_s=time_limit_s)
        if found.x is None:
            raise InfeasibleError(f"no point satisfies the constraints, even without integers ({found.ended})")
        self.show(small.back(found.x))
        return Relaxed(found.objective, min(found.bound, found.objective))

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
