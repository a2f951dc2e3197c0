"""Planning on two time scales: power for fixed routes, or routes and power.

Each is proved against its own bound: of these routes, or of all routes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Int

from gridferry.controllers.model.dispatch_model import DispatchModel
from gridferry.controllers.model.solution import Dispatch
from gridferry.controllers.routes.diving import search_routes

Positions = Int[np.ndarray, "_ position"]
"""of all positions, for the first steps of a horizon or more"""


def on_routes(dispatch: Dispatch, targets: Positions) -> Dispatch:
    """Return the planning task with fixed routes to given positions, so that only power is decided."""
    return dispatch.on_positions(padded(targets, dispatch.outlook.horizon))


def deciding_routes(dispatch: Dispatch, likely: Sequence[Positions]) -> Dispatch:
    """Return the planning task with routes and power to be decided.

    Parameters
    ----------
    likely : positions of plans that are likely good, the best first
    """
    starts = [padded(one, dispatch.outlook.horizon) for one in likely]
    return replace(dispatch, search=search_routes, warm_starts=starts)


def padded(targets: Positions, horizon: int) -> Int[np.ndarray, "horizon position"]:
    """Cut positions to the horizon, or pad them with the last ones."""
    rows = np.minimum(np.arange(horizon), len(targets) - 1)
    return targets[rows]


def transit_after(model: DispatchModel) -> Int[np.ndarray, " position"]:
    """Return after how many steps each position will be reached at the start of the next step, by a solved model."""
    left = np.maximum(model.observation.transit_steps - 1, 0)
    for column, route in model.routes:
        arcs = route.network.arcs
        leaves = np.flatnonzero((route.departs.value > 0.5) & (arcs.departure == 0))
        if len(leaves):
            left[column] = int(arcs.arrival[leaves[0]]) - 1
    return left
