"""Loads that give way: shed at the value of lost load, or shifted within a day."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.optimize import linprog

from cases.joint_trade import Case
from cases.parts_of_line import PLANNERS, at_the_end, done_by, planned
from gridferry.controllers.contract import Controller, NoteKind, hold
from gridferry.controllers.devices import Clip, Now, Request, step_all
from gridferry.controllers.devices.flexible_loads.config import FlexibleLoadConfig
from gridferry.controllers.devices.flexible_loads.device import FlexibleLoad, FlexibleLoadState
from gridferry.controllers.devices.sheddable_loads.config import SheddableLoadConfig
from gridferry.controllers.devices.sheddable_loads.device import SheddableLoad
from gridferry.controllers.mvdc_drcc import MvdcDrcc
from gridferry.controllers.rules import Rules
from gridferry.controllers.uncertainty.error_map import Grouping, error_map
from gridferry.sim.study.monte_carlo import reliability

PLACE: dict[str, Any] = {"network": "chain", "bus": "2", "p_mw": "a.profile"}
PRICE = [30.0, 80.0, 60.0, 90.0, 20.0, 70.0, 50.0, 40.0]
DEMAND = [0.5, 0.9, 0.7, 1.0, 0.6, 0.8, 0.4, 0.3]


def sheddable(name: str = "N1", **keys: Any) -> SheddableLoad:
    given = {"name": name, "share": 0.5, "value_of_lost_load_per_mwh": 75.0, **PLACE, **keys}
    return SheddableLoad(name, 1, SheddableLoadConfig.model_validate(given))


def flexible(**keys: Any) -> FlexibleLoad:
    given = {"name": "F1", "shiftable_mwh_per_day": 0.8, "p_min_mw": 0.2, "p_max_mw": 1.1, **PLACE, **keys}
    return FlexibleLoad("F1", 1, FlexibleLoadConfig.model_validate(given))


def day(*loads: Any, price: Sequence[float] = PRICE, demand: Sequence[float] = DEMAND, **of: Any) -> Case:
    return at_the_end(loads, price, series={load.name: {"p_mw": demand} for load in loads}, **of)


# ------------------------------------------------------------------------------------------------------------- shedding


@pytest.mark.parametrize("kind", PLANNERS)
def test_a_load_is_shed_where_energy_is_dearer_than_its_value(kind: type[Controller]) -> None:
    """A half of the demand at prices of 80 and 90; the rest is bought."""
    case = day(sheddable())
    plan, found = planned(case, kind)
    shed = np.where(np.array(PRICE) > 75.0, 0.5 * np.array(DEMAND), 0.0)
    assert plan.p_mw[:, 1] == pytest.approx(shed, abs=1e-4)
    assert found.cost.sum() == pytest.approx(np.dot(PRICE, DEMAND - shed) + 75.0 * shed.sum(), abs=1e-2)
    assert found.costs["lost_load"].sum() == pytest.approx(75.0 * shed.sum(), abs=1e-2)
    assert plan.prediction is not None
    assert plan.prediction.cost.sum() == pytest.approx(found.cost.sum(), abs=1e-3)
    assert not any(port.clips for (outcome,) in done_by(case, plan) for port in outcome.ports)


def test_of_loads_with_the_same_value_those_of_less_priority_are_shed_first() -> None:
    """A line of 12.66 kV that carries 60 A, 1.3157 MVA, under 2 × 0.8 MW: 0.284 MW of the one with less weight go."""
    case = day(sheddable("N1", priority=2.0), sheddable("N2"), price=[50.0], demand=[0.8], ka=0.06)
    plan, found = planned(case, MvdcDrcc)
    assert found.flow.loading.max() <= 1.0 + 1e-5
    by_name = {
        name: plan.p_mw[0, case[0].columns(device)][1]
        for name, device in zip(("N1", "N2"), case[0].devices, strict=True)
    }
    assert by_name["N1"] == pytest.approx(0.0, abs=1e-4)
    assert by_name["N2"] == pytest.approx(1.6 - np.sqrt(3.0) * 12.66 * 0.06, abs=1e-3)


def test_shedding_keeps_a_voltage_that_no_plan_could_keep_without() -> None:
    """2 MW at cos φ = 0.9 through 4 + j4 ohm; by hand, |V|² from V² - V₀² + 2 (rP + xQ) + z² S² / V² = 0."""
    load = sheddable(share=0.8, value_of_lost_load_per_mwh=1000.0, cos_phi=0.9)
    plant, observation, forecast = day(load, price=[50.0], demand=[2.0], r_x_ohm=(4.0, 4.0))
    feeder = replace(plant.feeders[0], v_min_pu=np.array([0.9, 0.95]))
    plan, found = planned((replace(plant, feeders=(feeder,)), observation, forecast), MvdcDrcc)
    kv, tan = 12.66, np.tan(np.arccos(0.9))
    v_sq, z_sq = (0.95 * kv) ** 2, 32.0
    # z² (1 + tan²) P² + 2 (r + x tan) v² P + v⁴ - v₀² v² = 0
    served = max(np.roots([z_sq * (1 + tan**2), 2 * (4 + 4 * tan) * v_sq, v_sq**2 - kv**2 * v_sq]).real)
    assert plan.p_mw[0, 1] == pytest.approx(2.0 - served, abs=1e-4)
    assert found.flow.v_pu[0, 0, 1] == pytest.approx(0.95, abs=1e-5)


def test_a_step_sheds_no_more_than_the_share_with_its_reactive_power() -> None:
    load = sheddable(cos_phi=0.8)
    request = Request((0.0, 0.9), (0.0, 0.0))
    ((_, outcome),) = step_all([load], [], [load.initial_state(Now(0.5))], [request], [Now(0.5, series={"p_mw": 1.2})])
    demand, shed = outcome.ports
    assert (demand.p_mw, demand.q_mvar) == pytest.approx((-1.2, -0.9))
    assert (shed.p_mw, shed.q_mvar) == pytest.approx((0.6, 0.45))
    assert shed.clips == (Clip.RATING,)
    assert shed.shortfall_mwh == pytest.approx(0.15)
    assert outcome.source_mwh == pytest.approx(-0.3)
    assert outcome.money == pytest.approx({"lost_load": 22.5})


# ------------------------------------------------------------------------------------------------------------- shifting


def least_cost(load: FlexibleLoad, hours: Sequence[int]) -> float:
    """Least cost of a load whose demand is lowered and raised in some hours, by its own linear program."""
    n, config = len(PRICE), load.config
    allowed = np.isin(np.arange(n), hours)
    lower = np.where(allowed, np.array(DEMAND) - config.p_min_mw, 0.0)
    upper = np.where(allowed, config.p_max_mw - np.array(DEMAND), 0.0)
    found = linprog(
        [-one for one in PRICE] + PRICE,
        A_ub=[[1.0] * n + [0.0] * n],
        b_ub=[config.shiftable_mwh_per_day],
        A_eq=[[1.0] * n + [-1.0] * n],
        b_eq=[0.0],
        bounds=[(0.0, one) for one in (*lower, *upper)],
    )
    return float(np.dot(PRICE, DEMAND) + found.fun)


@pytest.mark.parametrize("kind", PLANNERS)
def test_a_load_is_shifted_to_cheap_hours_of_its_day(kind: type[Controller]) -> None:
    load = flexible()
    case = day(load)
    plan, found = planned(case, kind)
    assert found.cost.sum() == pytest.approx(least_cost(load, range(8)), abs=1e-2)
    assert plan.p_mw[:, 1].sum() == pytest.approx(0.0, abs=1e-4)
    assert np.maximum(plan.p_mw[:, 1], 0.0).sum() == pytest.approx(0.8, abs=1e-4)
    assert not any(port.clips for (outcome,) in done_by(case, plan) for port in outcome.ports)


def test_a_load_is_shifted_within_its_window_alone() -> None:
    """The run begins at midnight; hours 2 to 5 are within, whatever the price of hour 0 and of hour 6."""
    load = flexible(window=["02:00", "06:00"])
    plan, found = planned(day(load), MvdcDrcc)
    assert not plan.p_mw[[0, 1, 6, 7], 1].any()
    assert found.cost.sum() == pytest.approx(least_cost(load, range(2, 6)), abs=1e-2)


def test_what_is_owed_is_drawn_by_the_end_of_the_day() -> None:
    """0.3 MWh are owed at the start, which the cheapest hours make up for beside what is shifted."""
    plant, observation, forecast = day(flexible())
    owing = replace(observation, states=(FlexibleLoadState(energy_mwh=-0.3, lowered_mwh=0.3),))
    plan, _ = planned((plant, owing, forecast), MvdcDrcc)
    assert plan.p_mw[:, 1].sum() == pytest.approx(-0.3, abs=1e-4)
    assert np.maximum(plan.p_mw[:, 1], 0.0).sum() <= 0.5 + 1e-4


def test_what_cannot_be_drawn_any_more_is_a_violation_with_its_size() -> None:
    """1 MWh is owed and one hour is left, in which 0.8 MWh may be raised and 0.6 MW more drawn."""
    plant, observation, forecast = day(flexible(), price=[50.0], demand=[0.5])
    owing = replace(observation, states=(FlexibleLoadState(energy_mwh=-1.0),))
    plan, _ = planned((plant, owing, forecast), MvdcDrcc, on_infeasible="relax")
    note = plan.solver.note(NoteKind.VIOLATED_ENERGY)
    assert note is not None
    assert note.value == pytest.approx(0.4, abs=1e-4)


@pytest.mark.parametrize(
    ("keys", "state", "clock_h", "requested", "done", "clip"),
    [
        ({}, FlexibleLoadState(), 0.0, 0.2, 0.2, None),
        ({}, FlexibleLoadState(), 0.0, 0.9, 0.3, Clip.RATING),
        ({}, FlexibleLoadState(), 0.0, -0.9, -0.6, Clip.RATING),
        ({}, FlexibleLoadState(lowered_mwh=0.7), 0.0, 0.3, 0.1, Clip.DAILY_ENERGY),
        ({"window": ["22:00", "06:00"]}, FlexibleLoadState(), 23.0, 0.2, 0.2, None),
        ({"window": ["22:00", "06:00"]}, FlexibleLoadState(), 5.0, 0.2, 0.2, None),
        ({"window": ["22:00", "06:00"]}, FlexibleLoadState(), 6.0, 0.2, 0.0, Clip.WINDOW),
        ({"window": ["22:30", "06:00"]}, FlexibleLoadState(), 22.0, 0.2, 0.0, Clip.WINDOW),
    ],
)
def test_a_step_shifts_within_power_energy_and_window(
    keys: dict[str, Any], state: FlexibleLoadState, clock_h: float, requested: float, done: float, clip: Clip | None
) -> None:
    """0.5 MW of demand, of which 0.2 MW are always drawn and 1.1 MW at most."""
    now = Now(1.0, series={"p_mw": 0.5}, clock_h=clock_h)
    ((after, outcome),) = step_all([flexible(**keys)], [], [state], [Request((0.0, requested), (0.0, 0.0))], [now])
    port = outcome.ports[1]
    assert port.p_mw == pytest.approx(done)
    assert port.clips == (() if clip is None else (clip,))
    assert after.energy_mwh == pytest.approx(state.energy_mwh - done)
    assert outcome.source_mwh == pytest.approx(-0.5)


def test_a_new_day_has_its_energy_anew_and_owes_what_the_last_one_did() -> None:
    now = Now(1.0, ends_day=True, series={"p_mw": 0.5})
    ((after, _),) = step_all([flexible()], [], [FlexibleLoadState()], [Request((0.0, 0.2), (0.0, 0.0))], [now])
    assert after == FlexibleLoadState(energy_mwh=-0.2)


# --------------------------------------------------------------------------------------------------------- surroundings


def test_demand_counts_as_load_for_rules_and_errs_as_the_loads_of_its_network() -> None:
    plant, observation, forecast = day(sheddable(cos_phi=0.8))
    assert forecast.net_load_mw(plant)[:, 1] == pytest.approx(DEMAND)
    sources = error_map(plant)
    assert sources.sources == ("load:1",)
    p_mw, q_mvar = sources.injections(forecast)
    assert p_mw[:, 1, 0] == pytest.approx([-one for one in DEMAND])
    assert q_mvar[:, 1, 0] == pytest.approx([-0.75 * one for one in DEMAND])
    resting = Rules(plant, Rules.Settings()).plan(observation, forecast)
    assert not resting.p_mw.any()


@pytest.mark.parametrize("generation", list(Grouping))
def test_under_sampled_errors_demand_is_as_a_load_of_its_size(generation: Grouping) -> None:
    """A day with demand as a device and one with it as a load: the same losses, voltages and costs."""
    errors = np.random.default_rng(1).normal(0.0, 0.2, (40, len(DEMAND), 1))
    line = {"r_x_ohm": (6.0, 6.0)}
    found = []
    for case in (day(sheddable(cos_phi=1.0), **line), at_the_end([], PRICE, DEMAND, **line)):
        plant, observation, forecast = case
        feeder = replace(plant.feeders[0], v_min_pu=np.array([0.9, 0.96]))
        plant = replace(plant, feeders=(feeder,))
        sources = error_map(plant, generation=generation)
        assert sources.sources == ("load:1",)
        resting = hold(plant, observation, forecast.steps)
        found.append(reliability(plant, resting, observation, forecast, sources, [errors], threads=-1))
    one, other = found
    assert 0.0 < one.step < 1.0
    assert (one.step, one.joint.value) == (other.step, other.joint.value)
    assert one.losses_mwh == pytest.approx(other.losses_mwh)


@pytest.mark.parametrize(
    ("make", "keys", "words"),
    [
        (sheddable, {"share": 1.2}, "less than or equal to 1"),
        (sheddable, {"priority": 0.0}, "greater than 0"),
        (sheddable, {"value_of_lost_load": 3.0}, "value_of_lost_load"),
        (flexible, {"p_min_mw": 2.0}, "must not be above p_max_mw = 1.1"),
        (flexible, {"window": ["06:00", "06:00"]}, "begins when it ends"),
        (flexible, {"window": ["6:00", "22:00"]}, "pattern"),
        (flexible, {"shiftable_mwh": 3.0}, "shiftable_mwh"),
    ],
)
def test_a_config_that_makes_no_sense_is_refused(make: Any, keys: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        make(**keys)
