"""The demand charge: by hand, against a linear program, over billing periods and a resumed run."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linprog

from cases.battery_day import battery_day, chain
from gridferry.controllers.contract import Controller
from gridferry.controllers.devices.demand_charge import DemandCharge
from gridferry.controllers.joint import Joint, JointSettings
from gridferry.controllers.mess_exact import MessExact, MessExactSettings
from gridferry.controllers.mvdc_drcc import MvdcDrcc, MvdcDrccSettings
from gridferry.controllers.schedule.ac_evaluation import evaluate_plan, evaluate_rest
from gridferry.networks.faults import InputError
from gridferry.sim import run
from gridferry.sim.case.case import build_case
from gridferry.sim.case.loading import load_config
from gridferry.sim.results.run_directory import open_results

LOAD = [0.4, 0.9, 1.6, 1.2, 2.0, 0.7, 1.1, 0.3]


@given(
    st.lists(st.floats(-3.0, 3.0), min_size=1, max_size=12),
    st.sets(st.integers(1, 12)),
    st.floats(0.0, 2.0),
    st.integers(0, 5),
)
def test_the_charges_of_steps_sum_up_to_the_price_of_the_highest_import_of_each_period(
    imported: list[float], begins: set[int], before: float, first: int
) -> None:
    charge = DemandCharge(7.0, tuple(sorted(begins)), (before,))
    drawn = np.array(imported)[:, None]
    expected, reached = 0.0, before
    for step, one in enumerate(imported, start=first):
        reached = 0.0 if step in begins and step > first else reached
        expected += 7.0 * max(one - reached, 0.0)
        reached = max(reached, one)
    cost = charge.cost(first, np.array([before]), drawn)
    assert cost.sum() == pytest.approx(expected)
    assert (cost >= 0.0).all()
    batch = charge.cost(first, np.array([before]), np.stack([drawn, drawn]))
    np.testing.assert_array_equal(batch, np.stack([cost, cost]))


def least_cost(charge_usd_per_mw: float, price: list[float], before_mw: float, second: int) -> float:
    """Least cost of energy and demand on a line without losses, two billing periods, by a linear program."""
    n, eta = len(LOAD), 0.9
    # charge, discharge, highest import of both periods
    cost = np.concatenate([price, -np.array(price), [charge_usd_per_mw, charge_usd_per_mw]])
    to_store = np.tril(np.ones((n, n)))
    stored = np.hstack([eta * to_store, -to_store / eta, np.zeros((n, 2))])
    at = np.zeros((n, 2))
    at[:second, 0], at[second:, 1] = 1.0, 1.0
    imports = np.hstack([np.eye(n), -np.eye(n), -at])
    rows = np.vstack([stored, -stored, imports])
    limits = np.concatenate([np.full(n, 1.0), np.where(np.arange(n) == n - 1, 0.0, 1.0), -np.array(LOAD)])
    bounds = [(0.0, 1.0)] * (2 * n) + [(before_mw, None), (0.0, None)]
    found = linprog(cost, A_ub=rows, b_ub=limits, bounds=bounds)
    return float(found.fun + np.dot(price, LOAD) - charge_usd_per_mw * before_mw)


@pytest.mark.parametrize(
    "controller",
    [
        lambda plant: MessExact(plant, MessExactSettings()),
        lambda plant: MvdcDrcc(plant, MvdcDrccSettings(scenario="deterministic")),
        lambda plant: Joint(plant, JointSettings()),
    ],
    ids=["mess_exact", "mvdc_drcc", "joint"],
)
def test_plans_cost_what_a_linear_program_finds_with_what_was_reached_before(controller: object) -> None:
    price = [50.0, 50.0, 52.0, 50.0, 60.0, 50.0, 50.0, 49.0]
    plant, observation, forecast = battery_day(chain((1e-6, 1e-6), base_mva=1.0), LOAD, price)
    plant = replace(plant, demand_charge=DemandCharge(30.0, (5,), (0.5,)))
    made: Controller = controller(plant)  # type: ignore[operator]
    plan = made.plan(replace(observation, peak_import_mw=np.array([0.8])), forecast)
    found = evaluate_plan(plant, plan, replace(observation, peak_import_mw=np.array([0.8])), forecast)
    assert found.cost.sum() == pytest.approx(least_cost(30.0, price, 0.8, 5), rel=1e-5)
    assert plan.solver.objective == pytest.approx(found.cost.sum(), rel=1e-5)
    assert plan.solver.bound <= found.cost.sum() + 1e-6
    rest = evaluate_rest(plant, observation, forecast)
    # what is not measured is that before the run
    assert rest.costs["demand"].sum() == pytest.approx(30.0 * (2.0 - 0.5 + 1.1), rel=1e-5)


CONFIG = """
name = "shaving"
[time]
start = 2024-03-30T20:00:00
timezone = "Europe/Berlin"
step_s = 3600
steps = 60
horizon_steps = 6
[[networks]]
name = "dn1"
feeder = "three_bus"
peak_import_mw = 0.25
[[loads]]
network = "dn1"
bus = "3"
p_mw = 0.5
[prices]
buy = 50.0
demand_charge_per_mw = 100.0
demand_period = "{period}"
[[batteries]]
name = "B"
network = "dn1"
bus = "3"
energy_mwh = 1.0
p_max_mw = 0.5
[controller]
use = "mvdc_drcc"
scenario = "deterministic"
"""


def written(folder: Path, period: str = "day") -> Path:
    path = folder / "shaving.toml"
    path.write_text(CONFIG.format(period=period))
    return path


@pytest.mark.parametrize(("period", "steps"), [("day", (4, 27, 51)), ("month", (27,))])
def test_billing_periods_begin_at_local_midnight_also_where_clocks_change(
    tmp_path: Path, period: str, steps: tuple[int, ...]
) -> None:
    charge = build_case(load_config(written(tmp_path, period))).plant.demand_charge
    assert charge is not None
    assert (charge.first_steps, charge.peak_before_mw) == (steps, (0.25,))


def test_a_run_pays_the_highest_import_of_each_day_as_planned_and_goes_on_with_it_when_resumed(tmp_path: Path) -> None:
    settings = ["time.steps=8"]
    whole = run(written(tmp_path), overrides=settings, out=tmp_path / "whole")
    run(written(tmp_path), overrides=settings, out=tmp_path / "halves", steps=3)
    halves = run(written(tmp_path), overrides=settings, out=tmp_path / "halves", resume=True)
    assert whole.summary["cost"] == halves.summary["cost"]
    with open_results(tmp_path / "whole") as results:
        days = results.execute("SELECT max(import_mw) FROM network GROUP BY step >= 4 ORDER BY step >= 4").fetchall()
        terms = results.execute("SELECT cost, plan_cost FROM cost WHERE term = 'demand'").fetchall()
    (first,), (second,) = days
    paid = 100.0 * (max(first - 0.25, 0.0) + second)
    assert sum(cost for cost, _ in terms) == pytest.approx(paid)
    assert json.loads((tmp_path / "whole" / "summary.json").read_text())["cost"]["terms"]["demand"] == pytest.approx(
        paid
    )
    for cost, planned in terms:
        assert cost == pytest.approx(planned, abs=1e-6)


def test_a_period_that_is_none_is_refused_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="demand_period"):
        load_config(written(tmp_path, "week"))
