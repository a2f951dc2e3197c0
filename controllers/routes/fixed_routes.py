"""Hold trucks to given stations, so that only power is left to decide."""

from __future__ import annotations

import cvxpy as cp
import numpy as np
from jaxtyping import Int

from gridferry.controllers.contract import Observation, Plant
from gridferry.controllers.model import routing
from gridferry.controllers.model.storage_dispatch import MessModel, trips_left


def way_begins(built: MessModel, observation: Observation, truck: int) -> tuple[int, int]:
    """Place, in the truck's list, and step at which its way through the horizon begins."""
    return built.stations[truck].index(int(observation.position[truck])), int(observation.transit_steps[truck])


def route_values(
    plant: Plant, built: MessModel, observation: Observation, wanted: Int[np.ndarray, "horizon truck"]
) -> dict[cp.Variable, np.ndarray]:
    """Return the binaries of the way that follows the wanted stations as the roads allow, in a model with delays."""
    values: dict[cp.Variable, np.ndarray] = {}
    for k, (way, stations) in enumerate(zip(built.routes, built.stations, strict=True)):
        parked, departs = routing.follow(
            wanted[:, k],
            way.arcs,
            stations,
            *way_begins(built, observation, k),
            built.day,
            trips_left(plant.trucks[k], built.day, int(observation.states[k].trips_today)),
        )
        values |= {way.parked: parked, way.departs: departs}
    return values


def transit_after(built: MessModel, observation: Observation) -> Int[np.ndarray, " truck"]:
    """Return how long each truck will still be on the road at the start of the next step, by a solved model."""
    left = np.maximum(observation.transit_steps - 1, 0)
    for truck, way in enumerate(built.routes):
        leaves = np.flatnonzero((way.departs.value > 0.5) & (way.arcs.departure == 0))
        if len(leaves):
            left[truck] = int(way.arcs.arrival[leaves[0]]) - 1
    return left


def on_route(
    plant: Plant, built: MessModel, observation: Observation, wanted: Int[np.ndarray, "horizon truck"]
) -> list[cp.Constraint]:
    """Fix the binaries of a model with delays to the way that follows the wanted stations as the roads allow."""
    return [variable == value for variable, value in route_values(plant, built, observation, wanted).items()]


def stretched(wanted: Int[np.ndarray, "row truck"], horizon: int) -> Int[np.ndarray, "horizon truck"]:
    """Cut wanted stations to the horizon, or stay at the last ones."""
    rows = np.minimum(np.arange(horizon), len(wanted) - 1)
    return wanted[rows]
