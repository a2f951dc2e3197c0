"""Feeders on which no plan keeps every limit, and what plans violate in AC, by plain numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from cases.joint_trade import Case, controller
from cases.parts import forecast_of, plant_of
from gridferry.controllers.conformance.sample_plants import at_start, read_only
from gridferry.controllers.contract import Controller, Plan, Storage, hold
from gridferry.controllers.devices.batteries.device import Battery
from gridferry.controllers.devices.generators.device import Generator
from gridferry.controllers.joint import Joint
from gridferry.controllers.mess_exact import MessExact
from gridferry.controllers.mess_two_stage import MessTwoStage
from gridferry.controllers.mvdc_drcc import MvdcDrcc
from gridferry.controllers.schedule.ac_evaluation import Evaluation, evaluate_plan
from gridferry.networks.feeder import plain_feeder

OPTIMISERS = {
    Joint: {"scenario": "deterministic", "on_infeasible": "relax"},
    MessExact: {"on_infeasible": "relax"},
    MvdcDrcc: {"scenario": "deterministic", "on_infeasible": "relax"},
    MessTwoStage: {"particles": 3, "iterations": 2},
}
"""every optimiser, without margins, violating limits as little as it can"""


def one_line(
    load_mw: list[float],
    pv_mw: list[float],
    *,
    r_ohm: float = 1.0,
    x_ohm: float = 1.0,
    i_max_ka: float = np.inf,
    v_limits: tuple[float, float] = (0.9, 1.1),
    price: list[float] | None = None,
    **store: Any,
) -> Case:
    """A line of 12.66 kV with a load, PV and a battery at its end, in steps of an hour; export at the full price."""
    horizon = len(load_mw)
    feeder = plain_feeder(
        "line",
        base_mva=1.0,
        base_kv=12.66,
        bus_names=("1", "2"),
        p_load_mw=np.zeros(2),
        q_load_mvar=np.zeros(2),
        from_bus=np.array([0]),
        to_bus=np.array([1]),
        r_ohm=np.array([r_ohm]),
        x_ohm=np.array([x_ohm]),
        i_max_ka=np.array([i_max_ka]),
        v_min_pu=v_limits[0],
        v_max_pu=v_limits[1],
    )
    given = {
        "energy_mwh": 2.0,
        "p_max_mw": 1.0,
        "eta_charge": 0.9,
        "eta_discharge": 0.9,
        "loss_coefficient": 0.0,
        "soc_min": 0.0,
        "soc_max": 1.0,
        "soc_initial": 0.5,
        "soc_end_min": None,
        "cycles_max_per_day": float("inf"),
        "cost_per_mwh_charged": 0.0,
    } | store
    given.setdefault("s_max_mva", given["p_max_mw"])
    plant = plant_of(
        feeders=(feeder,),
        stations=(),
        batteries=(Battery("b", 0, 1, Storage(**given)),),
        generators=(Generator("pv", "pv", 0, 1, 0.0),),
        roads=None,
        step_s=3600,
        steps=horizon,
        horizon_steps=horizon,
        first_step_of_day=0,
        export_price_ratio=1.0,
        currency="USD",
    )
    forecast = forecast_of(
        plant,
        load_p_mw=np.stack([np.zeros(horizon), np.array(load_mw)], axis=1),
        load_q_mvar=np.zeros((horizon, 2)),
        generation_mw=np.array(pv_mw)[:, None],
        buy_price=np.full(horizon, 50.0) if price is None else np.array(price),
        sell_price=np.full(horizon, 50.0),
    )
    return plant, at_start(plant), read_only(forecast)


def relaxed(case: Case, optimiser: type[Controller], **options: Any) -> tuple[Plan, Evaluation]:
    """Plan and evaluate in AC."""
    plant, observation, forecast = case
    plan = controller(optimiser, plant, **(OPTIMISERS[optimiser] | options)).plan(observation, forecast)
    return plan, evaluate_plan(plant, plan, observation, forecast)


def at_rest(case: Case) -> Evaluation:
    """Doing nothing, in AC."""
    plant, observation, forecast = case
    return evaluate_plan(plant, hold(plant, observation, forecast.steps), observation, forecast)


def by_hand(case: Case, found: Evaluation) -> tuple[float, float, float]:
    """Largest violation, sum of all and cost of an evaluated plan, with loops, for stores at the end of the day."""
    plant, _, forecast = case
    every: list[float] = []
    for t in range(forecast.steps):
        for feeder, buses, branches in zip(plant.feeders, plant.bus_slices, plant.branch_slices, strict=True):
            for bus in range(feeder.n_bus):
                v, low, high = found.flow.v_pu[0, t, buses][bus], feeder.v_min_pu[bus], feeder.v_max_pu[bus]
                every += [max(low - v, v - high, 0.0) / (high - low)] if bus != feeder.slack else []
            every += [max(share - 1.0, 0.0) for share in found.flow.loading[0, t, branches]]
    for column, device in enumerate(plant.stores):
        store = device.storage
        if store.soc_end_min is not None:
            every.append(max(store.soc_end_min - found.energy_mwh[0, -1, column] / store.energy_mwh, 0.0))
    return max(every), sum(every), float(found.cost.sum())
