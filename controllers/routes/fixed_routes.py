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


def transit_after(model: DispatchModel) -> Int[np.ndarray, " route"]:
    """Return how long each vehicle will still be on the road at the start of the next step, by a solved model."""
    left = [max(route.network.arrives - 1, 0) for _, route in model.routes]
    for number, (_, route) in enumerate(model.routes):
        arcs = route.network.arcs
        leaves = np.flatnonzero((route.departs.value > 0.5) & (arcs.departure == 0))
        if len(leaves):
            left[number] = int(arcs.arrival[leaves[0]]) - 1
    return np.array(left, dtype=np.int64)


def padded(wanted: Int[np.ndarray, "row position"], horizon: int) -> Int[np.ndarray, "horizon position"]:
    """Cut wanted positions to the horizon, or stay at the last ones."""
    rows = np.minimum(np.arange(horizon), len(wanted) - 1)
    return wanted[rows]
