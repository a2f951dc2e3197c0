"""What is predicted of a step against what the record says of it, under forecasts that come true."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gridferry.sim import Run, load_run, run
from gridferry.sim.case.loading import load_config

FORESIGHT = "forecast.foresight=true"
NOON = ["time.start=2017-07-01T10:00:00", "time.steps=8", 'trucks.T1.station="PV"']
"""Around noon the truck at the PV drives off; export earns less than import costs."""
SOLVED = ["controller.gap=1e-2", "controller.time_limit_s=3600.0"]
FOLLOWS = ["controller.replan_every=4", 'controller.in_between="follow"']

RUNS = {
    "idle": ("three_bus", "idle", 4, ["time.start=2017-07-01T12:00:00", "time.steps=4"]),
    "rules": ("late_trucks", "rules", 8, NOON),
    "exact": ("late_trucks", "mess_exact", 3, [*NOON, *SOLVED, "controller.replan_every=4"]),
    "exact, followed": ("late_trucks", "mess_exact", 4, [*NOON, *SOLVED, *FOLLOWS]),
    "two stages": ("late_trucks", "mess_two_stage", 3, [*NOON, *SOLVED, "controller.iterations=20"]),
    "links": ("mvdc_2dn", "mvdc_drcc", 2, []),
    "links, none used": ("mvdc_2dn", "mvdc_drcc", 1, ['controller.scenario="none"']),
    "joint": ("joint_2dn", "joint", 2, ["time.start=2024-08-16T12:00:00+02:00", "controller.time_limit_s=3600.0"]),
}


@pytest.fixture(scope="module", params=RUNS)
def done(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    config, controller, steps, overrides = RUNS[request.param]
    out = tmp_path_factory.mktemp("predicted") / "run"
    return run(config, controller=controller, steps=steps, overrides=[FORESIGHT, *overrides], out=out)


def recorded_cost(done: Run) -> pd.Series:
    """Grid energy at its price, export at its share of it, and what devices and generators cost, by step."""
    config = load_config(done.directory / "config.toml").config
    step, network, device = (done.table(name) for name in ("step", "network", "device"))
    exchange = network["import_mw"]
    paid = exchange.clip(lower=0.0) - config.prices.export_ratio * (-exchange).clip(lower=0.0)
    cost = step["buy_price"].to_numpy() * paid.groupby(network["step"]).sum() * config.time.step_s / 3600.0
    of_devices = device[["truck_cost", "wear_cost"]].fillna(0.0).sum(axis=1).groupby(device["step"]).sum()
    return cost.add(of_devices, fill_value=0.0) + step["res_cost"].to_numpy()


def test_the_planned_cost_of_a_step_is_what_it_costs_in_the_record(done: Run) -> None:
    planned = done.table("step")["plan_cost"].to_numpy()
    np.testing.assert_allclose(planned, recorded_cost(done).to_numpy(), rtol=1e-8, atol=1e-6)


def test_every_cost_term_of_a_step_is_predicted_as_it_comes_to(done: Run) -> None:
    cost = done.table("cost")
    np.testing.assert_allclose(cost["plan_cost"], cost["cost"], rtol=1e-8, atol=1e-6)
    of_kinds = {term: 0.0 for one in done.summary["kinds"].values() for term in one["cost"]}
    for table, one in done.summary["kinds"].items():
        for term in one["cost"]:
            of_kinds[term] += done.table(table)[term].sum()
    sums = cost.groupby("term")["cost"].sum()
    assert set(sums.index) == {"energy", *of_kinds}
    for term, amount in of_kinds.items():
        np.testing.assert_allclose(sums[term], amount, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(cost.groupby("step")["cost"].sum(), recorded_cost(done), rtol=1e-9, atol=1e-9)


def test_what_is_predicted_of_grid_and_stores_is_what_is_recorded(done: Run) -> None:
    bus, line, network, device = (done.table(name) for name in ("bus", "line", "network", "device"))
    for table, planned, measured in [
        (bus, "v_plan_pu", "v_pu"),
        (line, "p_plan_mw", "p_mw"),
        (network, "import_plan_mw", "import_mw"),
        (network, "losses_plan_mw", "losses_mw"),
        (device[device["energy_mwh"].notna()], "energy_plan_mwh", "energy_mwh"),
    ]:
        np.testing.assert_allclose(table[planned], table[measured], rtol=0, atol=1e-6, err_msg=planned)


def test_a_replayed_plan_is_predicted_as_it_costs(tmp_path: Path) -> None:
    config, controller, steps, overrides = RUNS["rules"]
    made = run(config, controller=controller, steps=steps, overrides=[FORESIGHT, *overrides], out=tmp_path / "made")
    plan = f"controller.file='{made.directory / 'plan.csv'}'"
    done = run(
        config, controller="replay", steps=steps, overrides=[FORESIGHT, *overrides, plan], out=tmp_path / "replayed"
    )
    cost = recorded_cost(load_run(done.directory)).to_numpy()
    np.testing.assert_allclose(done.table("step")["plan_cost"], cost, rtol=1e-8, atol=1e-6)
    np.testing.assert_allclose(cost, recorded_cost(made), rtol=1e-12)
