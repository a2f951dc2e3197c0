"""Solvers: cone programs and mixed-integer cone programs behind one call."""

from gridferry.controllers.solve.conflicts import conflicts
from gridferry.controllers.solve.dispatch import solve_form
from gridferry.controllers.solve.errors import (
    InfeasibleError,
    NoPlanError,
    NoPlanFoundError,
    SolverTroubleError,
    UnboundedError,
)
from gridferry.controllers.solve.options import Method, SolveOptions, TimeRecord
from gridferry.controllers.solve.problem import Model, Problem, Relaxed, Values, solve

__all__ = [
    "InfeasibleError",
    "Method",
    "Model",
    "NoPlanError",
    "NoPlanFoundError",
    "Problem",
    "Relaxed",
    "SolveOptions",
    "SolverTroubleError",
    "TimeRecord",
    "UnboundedError",
    "Values",
    "conflicts",
    "solve",
    "solve_form",
]
