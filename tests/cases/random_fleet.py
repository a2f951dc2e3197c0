"""A feeder with a small fleet, everything drawn."""

from __future__ import annotations

import numpy as np

from cases.parts import forecast_of, plant_of
from gridferry.controllers.conformance.sample_plants import at_start
from gridferry.controllers.contract import Forecast, Observation, Plant, Station, Storage
from gridferry.controllers.devices.batteries.device import Battery
from gridferry.controllers.devices.generators.device import Generator
from gridferry.controllers.devices.trucks.config import Labour, Mileage
from gridferry.controllers.devices.trucks.device import Truck, TruckCost
from gridferry.networks.feeder import plain_feeder
from gridferry.networks.roads.travel import DistanceMatrix


def instance(seed: int, trucks: int, horizon: int, export_ratio: float = 0.8) -> tuple[Plant, Observation, Forecast]:
    """A feeder of 2 to 6 buses, 2 or 3 stations, PV, a battery now and then, everything drawn."""
    rng = np.random.default_rng(seed)
    n_bus, n_station = int(rng.integers(2, 7)), int(rng.integers(2, 4))
    load = np.concatenate([[0.0], rng.uniform(0.1, 0.6, n_bus - 1)])
    feeder = plain_feeder(
        "random",
        base_mva=1.0,
        base_kv=10.0,
        bus_names=[str(i) for i in range(n_bus)],
        p_load_mw=load,
        q_load_mvar=0.3 * load,
        from_bus=np.array([int(rng.integers(0, i)) for i in range(1, n_bus)]),
        to_bus=np.arange(1, n_bus),
        r_ohm=rng.uniform(0.2, 1.0, n_bus - 1),
        x_ohm=rng.uniform(0.2, 1.0, n_bus - 1),
        v_min_pu=0.85,
        v_max_pu=1.15,
    )
    km = rng.uniform(3.0, 30.0, (n_station, n_station))
    np.fill_diagonal(km, 0.0)
    roads = DistanceMatrix(tuple(f"S{i}" for i in range(n_station)), km, 30.0, 5.0)

    def store() -> Storage:
        return Storage(
            energy_mwh=float(rng.uniform(0.5, 2.0)),
            p_max_mw=float(rng.uniform(0.2, 0.6)),
            s_max_mva=0.7,
            eta_charge=float(rng.uniform(0.8, 1.0)),
            eta_discharge=float(rng.uniform(0.8, 1.0)),
            loss_coefficient=float(rng.choice([0.0, 0.02])),
            soc_min=0.1,
            soc_max=0.9,
            soc_initial=0.5,
            soc_end_min=0.5,
            cycles_max_per_day=float(rng.choice([1.0, np.inf])),
            cost_per_mwh_charged=float(rng.uniform(0.0, 10.0)),
            cycles_at_grid=seed % 2 == 1,
        )

    labour = Labour.FLAT_IF_USED if rng.random() < 0.3 else Labour.TRAVEL
    plant = plant_of(
        feeders=(feeder,),
        stations=tuple(Station(f"S{i}", 0, int(rng.integers(0, n_bus))) for i in range(n_station)),
        trucks=tuple(
            Truck(
                f"T{k}",
                store(),
                tuple(range(n_station)),
                int(rng.integers(0, n_station)),
                int(rng.integers(0, 3)),
                TruckCost(float(rng.uniform(0, 1)), 5.0, Mileage.LEG, labour, 2.0),
            )
            for k in range(trucks)
        ),
        batteries=(Battery("B", 0, n_bus - 1, store()),) if rng.random() < 0.3 else (),
        links=(),
        generators=(Generator("pv", "pv", 0, n_bus - 1, 10.0),),
        roads=roads,
        step_s=3600,
        steps=horizon,
        horizon_steps=horizon,
        first_step_of_day=int(rng.integers(0, 24)),
        export_price_ratio=export_ratio,
        currency="USD",
    )
    shape = rng.uniform(0.4, 1.2, horizon)
    forecast = forecast_of(
        plant,
        load_p_mw=shape[:, None] * feeder.p_load_mw,
        load_q_mvar=shape[:, None] * feeder.q_load_mvar,
        generation_mw=rng.uniform(0.0, 1.2, (horizon, 1)),
        buy_price=rng.uniform(10.0, 200.0, horizon),
        sell_price=np.full(horizon, 100.0),
        congestion=rng.uniform(0.0, 60.0, horizon),
    )
    return plant, at_start(plant), forecast
