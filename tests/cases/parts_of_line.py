"""Devices at the end of a line without impedance, planned by every optimiser."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from cases.battery_day import chain
from cases.joint_trade import Case
from cases.parts import forecast_of
from gridferry.controllers.conformance.sample_plants import at_start, read_only
from gridferry.controllers.contract import Controller, Plan, Plant
from gridferry.controllers.devices import Device, Now, Outcome, Request, step_all
from gridferry.controllers.joint import Joint
from gridferry.controllers.mess_exact import MessExact
from gridferry.controllers.mess_two_stage import MessTwoStage
from gridferry.controllers.mvdc_drcc import MvdcDrcc
from gridferry.controllers.schedule.ac_evaluation import Evaluation, evaluate_plan

PLANNERS: Sequence[type[Controller]] = (MvdcDrcc, Joint, MessExact, MessTwoStage)
_SETTINGS = {
    "scenario": "deterministic",
    "gap": 1e-7,
    "gap_abs": 1e-6,
    "gap_of_saving": 0.0,
    "replan_routes": 1,
    "particles": 4,
    "iterations": 3,
}


def at_the_end(
    devices: Sequence[Device[Any]], price: Sequence[float], load_mw: Sequence[float] = (), **of: Any
) -> Case:
    """The devices at the last bus of a line with next to no impedance, in steps of an hour.

    Parameters
    ----------
    load_mw : at the last bus; none when not given
    of : keywords of the line, and series by name of the device and key, as ``{"N1": {"p_mw": [...]}}``
    """
    hours = len(price)
    series = of.pop("series", {})
    feeder = chain(of.pop("r_x_ohm", (1e-5, 1e-5)), **of)
    plant = Plant((feeder,), (), tuple(devices), None, 3600, hours, hours, 0, 1.0, "USD")
    load = np.zeros((hours, 2))
    load[:, 1] = load_mw if len(load_mw) else 0.0
    day = forecast_of(
        plant,
        load_p_mw=load,
        load_q_mvar=np.zeros_like(load),
        buy_price=np.array(price, dtype=np.float64),
        sell_price=np.zeros(hours),
    )
    own = {key: dict(values) for key, values in day.series.items()}
    for device in devices:
        own[device.key] |= {
            key: np.array(values, dtype=np.float64) for key, values in series.get(device.name, {}).items()
        }
    object.__setattr__(day, "series", own)
    return plant, at_start(plant), read_only(day)


def planned(case: Case, kind: type[Controller], **given: Any) -> tuple[Plan, Evaluation]:
    """The plan of a controller without margins, to the last cent, and what AC and the devices make of it."""
    plant, observation, forecast = case
    fields = kind.Settings.model_fields
    settings = kind.Settings(**{key: value for key, value in (_SETTINGS | given).items() if key in fields})
    plan = kind(plant, settings).plan(observation, forecast)
    return plan, evaluate_plan(plant, plan, observation, forecast)


def done_by(case: Case, plan: Plan) -> list[list[Outcome]]:
    """What each device does of a plan, step by step."""
    plant, observation, forecast = case
    states, found = list(observation.states), []
    for step in range(plan.steps):
        requests, nows = [], []
        for device, own in zip(plant.devices, plant.port_columns, strict=True):
            requests.append(Request(tuple(plan.p_mw[step, own].tolist()), tuple(plan.q_mvar[step, own].tolist())))
            series = {key: float(values[step]) for key, values in forecast.of(device).items()}
            clock_h = float(plant.clock_h(step, 1)[0])
            nows.append(Now(plant.step_h, plant.steps_left_of_day(step) == 1, series, clock_h=clock_h))
        outcomes = step_all(plant.devices, [], states, requests, nows)
        states = [state for state, _ in outcomes]
        found.append([outcome for _, outcome in outcomes])
    return found
