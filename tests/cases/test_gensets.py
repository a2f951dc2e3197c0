"""Gensets: power from fuel, at a least power or more, with starts that cost and a tank that runs empty."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from cases.joint_trade import Case
from cases.parts_of_line import PLANNERS, at_the_end, done_by, planned
from gridferry.controllers.contract import Controller
from gridferry.controllers.devices import Clip, Now, Request, step_all
from gridferry.controllers.devices.gensets.config import GensetConfig
from gridferry.controllers.devices.gensets.device import Genset, GensetState
from gridferry.controllers.mvdc_drcc import MvdcDrcc

PRICE = [40.0, 90.0, 70.0, 85.0, 20.0, 95.0]
ENTRY: dict[str, Any] = {
    "name": "G1",
    "network": "chain",
    "bus": "2",
    "p_max_mw": 1.0,
    "p_min_mw": 0.4,
    "efficiency": 0.4,
    "fuel_cost_per_mwh": 30.0,
    "start_cost": 8.0,
}


def genset(**keys: Any) -> Genset:
    return Genset("G1", 1, GensetConfig.model_validate({**ENTRY, **keys}))


def day(**keys: Any) -> Case:
    """75 per MWh from fuel, so that three hours pay, of which the first two are one hour apart."""
    return at_the_end([genset(**keys)], PRICE, [1.0] * len(PRICE))


def optimum(fuel_mwh: float = np.inf, start_cost: float = 8.0, runs_already: bool = False) -> float:
    """Least cost of all 64 ways to run; with little fuel, the dearest hours get what is left above the least power."""
    best = np.inf
    for on in product((0, 1), repeat=len(PRICE)):
        left = 0.4 * fuel_mwh - 0.4 * sum(on)
        if left < -1e-12:
            continue
        power = np.where(on, 0.4, 0.0)
        for hour in np.argsort(PRICE)[::-1]:
            if on[hour] and PRICE[hour] > 75.0:
                power[hour] += min(0.6, left)
                left -= power[hour] - 0.4
        starts = sum(now > before for before, now in zip((int(runs_already), *on), on, strict=False))
        best = min(best, float(np.array(PRICE) @ (1.0 - power) + 75.0 * power.sum() + start_cost * starts))
    return best


@pytest.mark.parametrize("kind", PLANNERS)
def test_every_optimiser_runs_a_genset_where_it_pays_with_its_starts(kind: type[Controller]) -> None:
    """The hour at 70 between two dear ones is run through at the least power, which is cheaper than a second start."""
    case = day(start_cost=4.0)
    plan, found = planned(case, kind)
    assert found.cost.sum() == pytest.approx(optimum(start_cost=4.0), abs=1e-2)
    assert plan.prediction is not None
    assert plan.prediction.cost.sum() == pytest.approx(found.cost.sum(), abs=1e-3)
    assert plan.p_mw[:, 0] == pytest.approx([0.0, 1.0, 0.4, 1.0, 0.0, 1.0], abs=1e-4)
    assert not any(outcome.ports[0].clips for (outcome,) in done_by(case, plan))


@pytest.mark.parametrize("fuel_mwh", [1.5, 3.0, 4.2, 8.0])
def test_a_tank_is_emptied_in_the_dearest_hours_and_the_gap_is_proved(fuel_mwh: float) -> None:
    case = day(fuel_mwh=fuel_mwh)
    plan, found = planned(case, MvdcDrcc)
    assert found.cost.sum() == pytest.approx(optimum(fuel_mwh), abs=2e-2)
    assert plan.solver.bound <= optimum(fuel_mwh) + 1e-3
    assert plan.solver.bound == pytest.approx(optimum(fuel_mwh), abs=5e-2)
    burned = sum(outcome.source_mwh for (outcome,) in done_by(case, plan))
    assert burned <= fuel_mwh + 1e-9


def test_a_genset_that_runs_already_needs_no_start() -> None:
    plant, observation, forecast = day(start_cost=500.0)
    running = replace(observation, states=(GensetState(runs=True),))
    _, found = planned((plant, running, forecast), MvdcDrcc)
    assert found.cost.sum() == pytest.approx(optimum(start_cost=500.0, runs_already=True), abs=1e-2)


def test_a_genset_that_runs_supports_the_voltage_with_reactive_power() -> None:
    """A line of 3 + j3 ohm at 12.66 kV under 3 MW: without the genset's Q the voltage is below its limit."""
    case = at_the_end([genset(s_max_mva=1.5, p_max_mw=0.5)], [10.0] * 2, [3.0] * 2, r_x_ohm=(3.0, 3.0))
    feeder = replace(case[0].feeders[0], v_min_pu=np.array([0.9, 0.952]))
    plan, found = planned((replace(case[0], feeders=(feeder,)), *case[1:]), MvdcDrcc)
    assert found.flow.v_pu[..., 1].min() >= 0.952 - 1e-5
    assert plan.p_mw[:, 0].min() >= 0.4 - 1e-6


@pytest.mark.parametrize(
    ("state", "p_mw", "q_mvar", "done", "clips"),
    [
        (GensetState(), 0.7, 0.2, (0.7, 0.2), ()),
        (GensetState(), 0.3, 0.0, (0.0, 0.0), (Clip.LEAST_POWER,)),
        (GensetState(), 0.4 - 1e-7, 0.0, (0.4 - 1e-7, 0.0), ()),
        (GensetState(), 0.0, 0.2, (0.0, 0.0), (Clip.NOT_RUNNING,)),
        (GensetState(), -1.0, 0.0, (0.0, 0.0), (Clip.RATING,)),
        (GensetState(), 2.0, 0.5, (1.0, 0.0), (Clip.RATING,)),
        (GensetState(fuel_mwh=2.0), 1.0, 0.0, (0.8, 0.0), (Clip.ENERGY_EMPTY,)),
        (GensetState(fuel_mwh=0.5), 1.0, 0.0, (0.0, 0.0), (Clip.ENERGY_EMPTY, Clip.LEAST_POWER)),
    ],
)
def test_a_step_does_what_limits_leave(
    state: GensetState, p_mw: float, q_mvar: float, done: tuple[float, float], clips: tuple[Clip, ...]
) -> None:
    """1 MWh of power burns 2.5 MWh of fuel; the start costs 8."""
    ((after, outcome),) = step_all([genset()], [], [state], [Request((p_mw,), (q_mvar,))], [Now(1.0)])
    port = outcome.ports[0]
    assert (port.p_mw, port.q_mvar) == pytest.approx(done)
    assert port.clips == clips
    assert outcome.money == pytest.approx({"genset_fuel": 75.0 * done[0], "genset_starts": 8.0 * (done[0] > 0)})
    assert outcome.source_mwh == pytest.approx(2.5 * done[0])
    assert after.runs == (done[0] > 0)
    if state.fuel_mwh is not None:
        assert after.fuel_mwh == pytest.approx(state.fuel_mwh - outcome.source_mwh)


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"p_min_mw": 1.5}, "above its rating of 1 MW"),
        ({"p_min_mw": 0.0}, "give p_min_mw, too"),
        ({"efficiency": 1.2}, "less than or equal to 1"),
        ({"efficency": 0.3}, "efficency"),
    ],
)
def test_a_config_that_makes_no_sense_is_refused(keys: dict[str, float], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        genset(**keys)
