"""Errors of solvers, with advice."""

from __future__ import annotations

from gridferry.controllers.contract import ControllerError


class InfeasibleError(ControllerError):
    """No point satisfies the constraints."""


class UnboundedError(ControllerError):
    """The cost has no lower bound: a limit is missing from the model."""


class SolverTroubleError(ControllerError):
    """The solver stopped without a plan: numerical trouble, or the time limit."""
