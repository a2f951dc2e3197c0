"""Two networks, one with more sun than load: energy is worth carrying from A to B, for one truck, by hand.

Every step is an hour. Export earns nothing, import costs 100 per MWh. Network one has 2 MW of sun at station A and no
load, network two 2 MW of load at station B and no sun, and lines next to nothing: an hour of doing nothing costs 200.
The truck holds 1 MWh, charges and discharges at 1 MW without loss, and drives from A to B, or back, within an hour.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from cases.parts import forecast_of, plant_of
from gridferry.controllers.conformance.sample_plants import at_start, read_only
from gridferry.controllers.contract import Forecast, Observation, Plant, Station, Storage
from gridferry.controllers.devices.generators.device import Generator
from gridferry.controllers.devices.trucks.config import Labour, Mileage
from gridferry.controllers.devices.trucks.device import Truck, TruckCost
from gridferry.networks.feeder import Feeder, plain_feeder
from gridferry.networks.roads.travel import DistanceMatrix

PRICE = 100.0
IDLE = 2.0 * PRICE
"""cost of an hour in which nothing is done"""


def _pair(name: str, load_mw: float, r_ohm: float) -> Feeder:
    return plain_feeder(
        name,
        base_mva=1.0,
        base_kv=10.0,
        bus_names=("1", "2"),
        p_load_mw=np.array([0.0, load_mw]),
        q_load_mvar=np.zeros(2),
        from_bus=np.array([0]),
        to_bus=np.array([1]),
        r_ohm=np.array([r_ohm]),
        x_ohm=np.array([r_ohm]),
        v_min_pu=0.9,
        v_max_pu=1.1,
    )


def carrying(
    horizon: int, trip: float, trucks: int = 1, r_ohm: float = 1e-3, **store: Any
) -> tuple[Plant, Observation, Forecast]:
    """The case with a price of every trip and, where given, other lines and figures of the trucks' stores."""
    given = Storage(1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 1.0, 0.0, None, float("inf"), 0.0)
    cost = TruckCost(trip / 10.0, 0.0, Mileage.LEG, Labour.TRAVEL, 8.0)
    plant = plant_of(
        feeders=(_pair("dn1", 0.0, r_ohm), _pair("dn2", 2.0, r_ohm)),
        stations=(Station("A", 0, 1), Station("B", 1, 3)),
        trucks=tuple(Truck(f"T{k}", replace(given, **store), (0, 1), 0, 2, cost) for k in range(trucks)),
        batteries=(),
        links=(),
        generators=(Generator("pv", "pv", 0, 1, 0.0),),
        roads=DistanceMatrix(("A", "B"), np.array([[0.0, 10.0], [10.0, 0.0]]), speed_km_h=20.0, install_min=0.0),
        step_s=3600,
        steps=horizon,
        horizon_steps=horizon,
        first_step_of_day=0,
        export_price_ratio=0.0,
        currency="USD",
    )
    forecast = forecast_of(
        plant,
        load_p_mw=np.tile([0.0, 0.0, 0.0, 2.0], (horizon, 1)),
        load_q_mvar=np.zeros((horizon, 4)),
        generation_mw=np.full((horizon, 1), 2.0),
        buy_price=np.full(horizon, PRICE),
        sell_price=np.full(horizon, PRICE),
        congestion=np.zeros(horizon),
    )
    return plant, at_start(plant), read_only(forecast)
