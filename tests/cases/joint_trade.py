"""A case for the joint controller: two networks, a truck, a battery, a link; asked again, or in other conditions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from cases.carrying import carrying
from cases.parts import last_steps, seen_as, with_devices, with_series
from gridferry.controllers.conformance.sample_plants import at_start, read_only
from gridferry.controllers.contract import AcFeedback, Controller, Forecast, Observation, Plan, Plant, Storage
from gridferry.controllers.devices.batteries.device import Battery
from gridferry.controllers.devices.links.device import Link, Terminal
from gridferry.controllers.joint import Joint
from gridferry.controllers.settings import read_settings

Case = tuple[Plant, Observation, Forecast]

EXACT = {"scenario": "deterministic", "gap_of_saving": 0.0, "gap_abs": 1e-3}
ERRORS = {"load_std": 0.08, "generation_std": 0.2}


def controller(cls: type[Controller], plant: Plant, **options: Any) -> Controller:
    """Build a controller that has time enough on the busiest machine."""
    return cls(plant, read_settings(cls.Settings, {"time_limit_s": 3600.0} | options, "test", "controller"))


def joint(case: Case, **options: Any) -> Plan:
    plant, observation, forecast = case
    return controller(Joint, plant, **options).plan(observation, forecast)


def trade(seed: int = 0, horizon: int = 6, export_ratio: float = 0.25, cheaper_by: float = 0.0) -> Case:
    """Sun in one network and load in the other, a truck, a battery, a link of 0.3 MVA; prices, sun and load drawn."""
    plant, _, forecast = carrying(
        horizon, trip=8.0, r_ohm=0.5, eta_charge=0.95, eta_discharge=0.95, soc_min=0.1, soc_max=0.9, soc_initial=0.5
    )
    rng = np.random.default_rng(seed)
    store = Storage(1.0, 0.5, 0.6, 0.95, 0.95, 0.02, 0.1, 0.9, 0.5, 0.5, float("inf"), 1.0)
    plant = with_devices(
        plant,
        batteries=(Battery("B", 1, 3, store),),
        links=(Link("L", (Terminal("L-1", 0, 1, 0.3, 0.02), Terminal("L-2", 1, 3, 0.3, 0.02)), 0),),
        export_price_ratio=export_ratio,
    )
    day = with_series(
        plant,
        forecast,
        load_p_mw=forecast.load_p_mw * rng.uniform(0.6, 1.0, (horizon, 1)),
        load_q_mvar=0.3 * forecast.load_p_mw,
        generation_mw=rng.uniform(0.8, 1.5, (horizon, 1)),
        buy_price=rng.uniform(30.0, 150.0, horizon) - cheaper_by,
    )
    return plant, at_start(plant), read_only(day)


def within(case: Case, v_min: float, v_max: float = 1.1) -> Case:
    """The case with other voltage limits."""
    plant, observation, forecast = case
    return replace(plant, feeders=tuple(one.with_limits(v_min, v_max) for one in plant.feeders)), observation, forecast


def nothing_due(case: Case) -> Case:
    """The case with stores that may end empty, so that no energy gives way to a voltage."""
    plant, _, forecast = case
    free = [replace(one, storage=replace(one.storage, soc_end_min=None)) for one in plant.stores]
    trucks, batteries = ([one for one in free if one.table == table] for table in ("trucks", "batteries"))
    plant = with_devices(plant, trucks=tuple(trucks), batteries=tuple(batteries))
    return plant, at_start(plant), forecast


def following(case: Case, plan: Plan, **seen: Any) -> Case:
    """The next step, everything as planned but for what is given."""
    plant, observation, forecast = case
    movers = [state for state in observation.states if hasattr(state, "trips_today")]
    after = {
        "step": observation.step + 1,
        "energy_mwh": plan.prediction.energy_mwh[1].copy(),
        "station": plan.position[0].copy(),
        "transit_steps": np.array(plan.memory["joint"]["transit_steps"], dtype=np.int64),
        "trips_today": [one.trips_today for one in movers] + (plan.position[0] != observation.position),
        "previous_plan": plan,
    }
    return plant, read_only(seen_as(plant, observation, **(after | seen))), last_steps(forecast, 1)


def corrected(case: Case, plan: Plan, low: float = 0.0, high: float = 0.0, rating: float = 0.0) -> Case:
    """The case asked again: so much more at load buses, so much of the branches left free."""
    plant, observation, forecast = case
    away = np.array([0.0, 1.0, 0.0, 1.0])
    asks = AcFeedback(low * away, high * away, np.full(plant.n_branch, rating), plan)
    return plant, replace(observation, ac_feedback=asks), forecast


def equipped(case: Case, **given: np.ndarray) -> Case:
    """The case with other series in the forecast."""
    plant, observation, forecast = case
    return plant, observation, read_only(with_series(plant, forecast, **given))
