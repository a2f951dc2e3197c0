"""Plan on two time scales: power for fixed routes, or routes and power; else with the minimum violation of limits.

Each is proved against its own bound: of the fixed routes, or of all routes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Int

from gridferry.controllers.model.solution import (
    Dispatch,
    Solved,
    minimise_violation,
    solve_dispatch,
    tightened,
    within_violation,
)
from gridferry.controllers.routes.diving import search_routes
from gridferry.controllers.routes.fixed_routes import padded
from gridferry.controllers.solve import InfeasibleError

Positions = Int[np.ndarray, "_ position"]
"""of all positions, for the first steps of a horizon or more"""


def plan_power(dispatch: Dispatch, wanted: Positions) -> Solved:
    """Plan the power for vehicles that follow the wanted positions as the roads allow.

    Raises
    ------
    InfeasibleError, UnboundedError, SolverTroubleError
    """
    fixed = dispatch.on_positions(padded(wanted, dispatch.outlook.horizon))
    return tightened(fixed, solve_dispatch(fixed))


def plan_routes(dispatch: Dispatch, warm_starts: Sequence[Positions]) -> Solved:
    """Plan routes and power.

    Parameters
    ----------
    warm_starts : positions that are likely good, the best first

    Raises
    ------
    InfeasibleError, UnboundedError, SolverTroubleError
    """
    starts = [padded(one, dispatch.outlook.horizon) for one in warm_starts]
    dispatch = replace(dispatch, warm_starts=starts)
    return tightened(dispatch, solve_dispatch(dispatch, search_routes))


def plan_with_least_violation(
    dispatch: Dispatch, wanted: Positions, attempt: Callable[[Dispatch], Solved], trouble: Exception
) -> Solved:
    """Plan where no plan keeps all limits: violate them as little as the wanted positions make possible.

    Parameters
    ----------
    wanted : positions that vehicles follow when the minimum violation is looked for
    attempt : plans as far as limits may be violated
    trouble : why limits have to give

    Raises
    ------
    InfeasibleError
        where there is no plan even so.
    UnboundedError, SolverTroubleError
    """
    fixed = dispatch.on_positions(padded(wanted, dispatch.outlook.horizon))
    try:
        least, _ = minimise_violation(fixed)
    except InfeasibleError as hopeless:
        raise InfeasibleError(f"no plan, even where limits may be violated: {hopeless}") from trouble
    return within_violation(dispatch, least, attempt) or least
