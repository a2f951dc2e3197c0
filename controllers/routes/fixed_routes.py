"""Fixed routes: their binaries in a model, positions padded to the horizon, trips that will be under way."""

from __future__ import annotations

import cvxpy as cp
import numpy as np
from jaxtyping import Int

from gridferry.controllers.model.dispatch_model import DispatchModel


def route_values(model: DispatchModel, wanted: Int[np.ndarray, "horizon position"]) -> dict[cp.Variable, np.ndarray]:
    """Return the binaries of the routes that follow wanted positions as the roads allow."""
    values: dict[cp.Variable, np.ndarray] = {}
    for column, route in model.routes:
        values |= route.values(wanted[:, column])
    return values


def transit_after(model: DispatchModel) -> Int[np.ndarray, " position"]:
    """Return after how many steps each position will be reached at the start of the next step, by a solved model."""
    left = np.maximum(model.observation.transit_steps - 1, 0)
    for column, route in model.routes:
        arcs = route.network.arcs
        leaves = np.flatnonzero((route.departs.value > 0.5) & (arcs.departure == 0))
        if len(leaves):
            left[column] = int(arcs.arrival[leaves[0]]) - 1
    return left


def padded(wanted: Int[np.ndarray, "row position"], horizon: int) -> Int[np.ndarray, "horizon position"]:
    """Cut wanted positions to the horizon, or stay at the last ones."""
    rows = np.minimum(np.arange(horizon), len(wanted) - 1)
    return wanted[rows]
