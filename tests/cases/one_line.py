"""A line with a battery at its end, and controllers that plan for it what they are told to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from cases.parts import forecast_of, seen_as
from gridferry.controllers.conformance.sample_plants import at_start, read_only
from gridferry.controllers.contract import (
    Controller,
    Forecast,
    Observation,
    Plan,
    Plant,
    Storage,
)
from gridferry.controllers.devices.batteries.device import Battery
from gridferry.controllers.devices.links.device import Link, Terminal
from gridferry.networks.feeder import plain_feeder
from gridferry.sim.config.schema import OnFailure
from gridferry.sim.host.host import ControllerHost, Dispatch

R = 0.01  # of the only branch [pu]
LOAD = 1.0  # [MW] = [pu]
V_MIN = 0.985


def voltage(p_mw: float) -> float:
    """Far end of a line of resistance R that feeds a power: the larger root of v² - v + R P = 0."""
    return 0.5 * (1.0 + np.sqrt(1.0 - 4.0 * R * p_mw))


def line(v_min_pu: float = V_MIN, v_max_pu: float = 1.1, i_max_pu: float = np.inf) -> Plant:
    """A line without reactance; at its end 1 MW of load, a battery of 3 MW and one end of a link."""
    feeder = plain_feeder(
        "line",
        base_mva=1.0,
        base_kv=10.0,
        bus_names=["1", "2"],
        p_load_mw=np.array([0.0, LOAD]),
        q_load_mvar=np.zeros(2),
        from_bus=np.array([0]),
        to_bus=np.array([1]),
        r_ohm=np.array([100.0 * R]),
        x_ohm=np.zeros(1),
        i_max_ka=np.array([i_max_pu / (np.sqrt(3.0) * 10.0)]),
        v_min_pu=v_min_pu,
        v_max_pu=v_max_pu,
    )
    store = Storage(10.0, 3.0, 3.0, 1.0, 1.0, 0.0, 0.1, 0.9, 0.5, None, np.inf, 0.0)
    link = Link("L", (Terminal("L-1", 0, 0, 1.0, 0.02), Terminal("L-2", 0, 1, 1.0, 0.02)), 0)
    return Plant((feeder,), (), (Battery("B", 0, 1, store), link), None, 3600, 24, 4, 0, 1.0, "USD")


def flat(plant: Plant, **given: np.ndarray) -> Forecast:
    rows = plant.horizon_steps
    plain = {
        "load_p_mw": np.tile([0.0, LOAD], (rows, 1)),
        "load_q_mvar": np.zeros((rows, 2)),
        "buy_price": np.full(rows, 50.0),
        "sell_price": np.full(rows, 80.0),
    }
    return read_only(forecast_of(plant, **{**plain, **given}))


def powers(plant: Plant, *battery_mw: float) -> Plan:
    """A plan of the battery's powers, row by row."""
    p = np.zeros((len(battery_mw), plant.n_port))
    p[:, 0] = battery_mw
    return Plan(p, np.zeros_like(p), np.zeros((len(p), 0), dtype=np.int64))


class Stubborn(Controller):
    """Charges 2 MW; 1.5 MW when told of a little too much, 2.5 MW when told of more."""

    accepts_ac_feedback = True

    def plan(self, observation: Observation, forecast: Forecast) -> Plan:
        if observation.ac_feedback is None:
            return powers(self.plant, -2.0)
        return powers(self.plant, -1.5 if observation.ac_feedback.v_low_pu[1] < 0.02 else -2.5)


class Deaf(Stubborn):
    accepts_ac_feedback = False


def decide(
    kind: type[Controller],
    plant: Plant,
    forecast: Forecast | None = None,
    *,
    allowed: int = 0,
    settings: Mapping[str, Any] | None = None,
    on_failure: OnFailure = OnFailure.PREVIOUS_PLAN,
    **observed: Any,
) -> Dispatch:
    controller = kind(plant, kind.Settings(**(settings or {})))
    host = ControllerHost(plant, controller, on_failure, ac_corrections=allowed)
    return host.decide(seen_as(plant, at_start(plant), **observed), forecast or flat(plant))
