"""Samples and plans of the published two-stage method."""

from __future__ import annotations

import numpy as np

from cases.parts import forecast_of, of_kind, plant_of
from gridferry.controllers.conformance.sample_plants import (
    Sample,
    at_start,
    look_ahead,
    read_only,
)
from gridferry.controllers.contract import (
    Forecast,
    Observation,
    Plan,
    Plant,
    Station,
    Storage,
)
from gridferry.controllers.devices.generators.device import Generator
from gridferry.controllers.devices.trucks.config import Labour, Mileage
from gridferry.controllers.devices.trucks.device import Truck, TruckCost
from gridferry.controllers.mess_two_stage import MessTwoStage, MessTwoStageSettings
from gridferry.networks.feeder import plain_feeder
from gridferry.networks.roads.travel import DistanceMatrix

QUICK = 20


def surplus_here_load_there(trip_steps: int = 2, steps: int = 16) -> Sample:
    """PV that cannot be sold in one network, load at a dear price in another, one truck: moving pays.

    1 MW of PV in the first eight half-hours, 1 MW of load in the rest; no losses to speak of, no efficiencies.
    """
    feeders = tuple(
        plain_feeder(
            name,
            base_mva=1.0,
            base_kv=20.0,
            bus_names=("1", "2"),
            p_load_mw=np.zeros(2),
            q_load_mvar=np.zeros(2),
            from_bus=np.array([0]),
            to_bus=np.array([1]),
            r_ohm=np.array([0.01]),
            x_ohm=np.array([0.01]),
        )
        for name in ("sunny", "hungry")
    )
    storage = Storage(2.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0, float("inf"), 0.0)
    plant = plant_of(
        feeders=feeders,
        stations=(Station("A", 0, 1), Station("B", 1, 3)),
        trucks=(Truck("T", storage, (0, 1), 0, 4, TruckCost(0.1, 2.0, Mileage.LEG, Labour.TRAVEL, 8.0)),),
        batteries=(),
        links=(),
        generators=(Generator("pv", "pv", 0, 1, 0.0),),
        roads=DistanceMatrix(("A", "B"), np.array([[0.0, 20.0], [20.0, 0.0]]), 40.0 / trip_steps, 0.0),
        step_s=1800,
        steps=steps,
        horizon_steps=steps,
        first_step_of_day=0,
        export_price_ratio=0.0,
        currency="USD",
    )
    early = np.arange(steps) < 8
    load = np.zeros((steps, 4))
    load[:, 3] = 1.0 * ~early
    day = forecast_of(
        plant,
        load_p_mw=load,
        load_q_mvar=np.zeros((steps, 4)),
        generation_mw=1.0 * early[:, None],
        buy_price=np.full(steps, 100.0),
        sell_price=np.full(steps, 100.0),
        congestion=np.zeros(steps),
    )
    return Sample("surplus here, load there", plant, read_only(day))


def two_stage(plant: Plant, **options) -> MessTwoStage:
    return MessTwoStage(plant, MessTwoStageSettings(**{"iterations": QUICK, "time_limit_s": 3600.0} | options))


def day_ahead(sample: Sample, **options) -> tuple[Observation, Forecast, Plan]:
    seen, ahead = at_start(sample.plant), look_ahead(sample, 0, sample.plant.horizon_steps)
    return seen, ahead, two_stage(sample.plant, **options).plan(seen, ahead)


def transits(sample: Sample, plan: Plan) -> np.ndarray:
    """Steps of the plan in which a truck is on the road, from its destinations and the roads alone."""
    plant = sample.plant
    tau = plant.roads.transit_steps(sample.day.congestion, plant.step_s)
    moving = np.zeros(plan.position.shape, dtype=bool)
    for index, truck in enumerate(of_kind(plant, "trucks")):
        here = truck.initial_station
        for step, target in enumerate(plan.position[:, index]):
            if target != here:
                assert not moving[step, index], "departs while on the road"
                moving[step : step + tau[step, here, target], index] = True
                here = target
    return moving
