"""Errors of solvers, with advice."""

from __future__ import annotations

from gridferry.controllers.contract import ControllerError


class NoPlanError(ControllerError):
    """There is no plan; its subclasses say what is known about that."""


class InfeasibleError(NoPlanError):
    """No point satisfies the constraints: proved, as those of the relaxation exclude each other."""


class NoPlanFoundError(NoPlanError):
    """The search on the exact equations found no plan; that there is none is not proved."""


class UnboundedError(ControllerError):
    """The cost has no lower bound: a limit is missing from the model."""


class SolverTroubleError(NoPlanError):
    """The solver stopped without a plan: numerical trouble, or the time limit. That says nothing about plans."""
