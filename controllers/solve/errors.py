"""How solving fails, as named errors with advice."""

from __future__ import annotations

from gridferry.controllers.contract import ControllerError


class InfeasibleError(ControllerError):
    """No point satisfies the constraints."""


class UnboundedError(ControllerError):
    """The cost has no lower bound: a limit is missing from the model."""


class SolverTroubleError(ControllerError):
    """The solver gave up: numerical trouble, or no plan was found in the time allowed."""
