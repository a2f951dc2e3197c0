"""Constraints that exclude each other, where a problem has no solution."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import cvxpy as cp
import numpy as np

from gridferry.controllers import tolerances
from gridferry.controllers.contract import ControllerError
from gridferry.controllers.solve.options import SolveOptions
from gridferry.controllers.solve.problem import Model, solve

_LAW = 1e3
"""a law gives so much less willingly than other constraints"""


@dataclass(frozen=True)
class Conflict:
    """A constraint that has to give.

    Attributes
    ----------
    name : of the constraint
    row : where it gives most, on the first of its axes
    rows : length of that axis, 0 of a single constraint
    by : how much it gives there, in its own unit
    """

    name: str
    row: int
    rows: int
    by: float


def conflicts(
    named: Mapping[str, Sequence[cp.Constraint]],
    binaries: Sequence[cp.Variable],
    laws: Collection[str],
    options: SolveOptions | None = None,
) -> list[Conflict]:
    """Find the constraints that have to give so that there is a solution, the worst first.

    Every constraint may be violated at a price; what the cheapest solution violates is in the way of the others.
    Integers are left aside. Empty where that finds nothing.

    Parameters
    ----------
    named : all constraints, by name
    laws : names of those that give last
    options : with a time limit
    """
    given = {name: [cp.Variable(_shape(one)) for one in part] for name, part in named.items()}
    elastic: list[cp.Constraint] = [bound for one in binaries for bound in (one >= 0, one <= 1)]
    total: cp.Expression = cp.Constant(0.0)
    for name, part in named.items():
        for one, by in zip(part, given[name], strict=True):
            elastic += [by >= 0, _widened(one, by)]
            total = total + (_LAW if name in laws else 1.0) * cp.sum(by)
    try:
        solve(Model(total, elastic), options)
    except ControllerError:
        return []
    found = [_worst(name, by.value) for name, part in given.items() for by in part if by.size]
    worst = {one.name: one for one in sorted(found, key=lambda one: one.by) if one.by > tolerances.CONFLICT}
    return sorted(worst.values(), key=lambda one: -one.by)


def _shape(constraint: cp.Constraint) -> tuple[int, ...]:
    """Shape of what a constraint can be violated by."""
    return constraint.args[0].shape if isinstance(constraint, cp.SOC) else constraint.expr.shape


def _widened(constraint: cp.Constraint, by: cp.Variable) -> cp.Constraint:
    """Return a constraint that may be violated by as much."""
    if isinstance(constraint, cp.SOC):
        return cp.SOC(constraint.args[0] + by, constraint.args[1], axis=constraint.axis)
    if isinstance(constraint, cp.constraints.Equality | cp.constraints.Zero):
        return cp.abs(constraint.expr) <= by
    return constraint.expr <= by


def _worst(name: str, by: np.ndarray) -> Conflict:
    row = int(np.unravel_index(np.argmax(by), by.shape)[0]) if by.ndim else 0
    return Conflict(name, row, len(by) if by.ndim else 0, float(by.max()))
