"""Hold trucks to given stations, so that only power is left to decide."""

from __future__ import annotations

import cvxpy as cp
import numpy as np
from jaxtyping import Int

from controllers.blocks import routing
from controllers.blocks.mess import MessModel, trips_left
from controllers.contract import Observation, Plant


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
            stations.index(int(observation.station[k])),
            int(observation.transit_steps[k]),
            built.day,
            trips_left(plant.trucks[k], built.day, int(observation.trips_today[k])),
        )
        values |= {way.parked: parked, way.departs: departs}
    return values


def on_route(
    plant: Plant, built: MessModel, observation: Observation, wanted: Int[np.ndarray, "horizon truck"]
) -> list[cp.Constraint]:
    """Fix the binaries of a model with delays to the way that follows the wanted stations as the roads allow."""
    return [variable == value for variable, value in route_values(plant, built, observation, wanted).items()]
