"""Injections of the ports of a plan at the buses."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from gridferry.controllers.contract import Forecast, Plant
from gridferry.controllers.devices import Act


def device_injections(
    plant: Plant,
    forecast: Forecast,
    p: Float[np.ndarray, "horizon port"],
    q: Float[np.ndarray, "horizon port"],
    position: Int[np.ndarray, "horizon position"] | None = None,
) -> tuple[Float[np.ndarray, "horizon bus"], Float[np.ndarray, "horizon bus"]]:
    """Injection at every bus by the ports that a plan sets, if they do what is requested [MW, Mvar].

    Of a generator with a profile that is what it is curtailed by, as `Forecast.net_load_mw` has what it can give.

    Parameters
    ----------
    position : what every position is set to; a port that moves between stations is where its position is, also on the
        way there, its power being zero then. Without it such ports are left out
    """
    p_bus, q_bus = np.zeros((len(p), plant.n_bus)), np.zeros((len(p), plant.n_bus))
    row = np.arange(len(p))
    available = {one.port: one.injected(forecast.of(one.device)) for one in plant.profiled}
    for column, port in enumerate(plant.ports):
        bus = np.full(len(p), port.buses[0])
        route = plant.route_of[column]
        if route is not None:
            if position is None:
                continue
            bus = plant.station_bus[position[:, route]]
        if column not in available and column in plant.planned:
            np.add.at(p_bus, (row, bus), p[:, column])
        elif port.act is Act.LIMIT:
            np.add.at(p_bus, (row, bus), np.minimum(p[:, column] - available[column], 0.0))
        np.add.at(q_bus, (row, bus), q[:, column])
    return p_bus, q_bus
