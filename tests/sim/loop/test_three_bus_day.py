"""The published three-bus day in closed loop: figures of the case, and the promises of a run."""

import numpy as np
import pytest

from gridferry.sim.loop.runner import run


@pytest.mark.parametrize(
    ("config", "profit"), [("three_bus", 529.245), ("three_bus_as_published", 524.660)], ids=["physical", "published"]
)
def test_day_without_storage_has_the_figures_of_the_exact_ac_power_flow(tmp_path, config, profit):
    summary = run(config, controller="idle", out=tmp_path / "run").summary
    assert summary["cost"]["profit"] == pytest.approx(profit, rel=2e-6)
    assert summary["grid"]["losses_mwh"] == pytest.approx(0.112972, abs=5e-7)
    assert summary["grid"]["import_mwh"] == pytest.approx(37.6175, abs=5e-5)
    assert summary["grid"]["v_min_pu"] == pytest.approx(0.993019, abs=5e-7)
    assert summary["grid"]["v_max_pu"] == pytest.approx(1.000715, abs=5e-7)
    assert summary["grid"]["violations"] == summary["grid"]["diverged_steps"] == 0
    assert summary["steps"] == 144
    assert summary["balance_error_rel_max"] < 1e-6


def test_rules_move_the_truck_and_break_no_limit(tmp_path):
    done = run("three_bus", controller="rules", out=tmp_path / "run")
    fleet, truck = done.summary["fleet"], done.table("device")
    assert fleet["trips"] >= 1
    assert (truck["phase"] == "in_transit").any()
    assert truck["trips_today"].max() <= 3
    assert truck["cycles_today"].max() <= 1 + 1e-9
    assert truck["soc"].between(0.2 - 1e-9, 0.8 + 1e-9).all()
    assert np.hypot(truck["p_mw"], truck["q_mvar"]).max() <= 3.25 + 1e-9
    driving = truck["phase"] != "parked"
    assert (truck.loc[driving, "p_mw"] == 0).all()
    assert fleet["soc_end"] >= 0.5 - 1e-9
    assert fleet["shortfall_mwh"] == pytest.approx(0, abs=1e-9)
    assert done.summary["balance_error_rel_max"] < 1e-6


def test_costs_add_up_from_the_tables(tmp_path):
    """Every figure of the cost block again, by hand from the tables."""
    done = run("three_bus_as_published", controller="rules", out=tmp_path / "run")
    bus, network, step = done.table("bus"), done.table("network"), done.table("step")
    device, cost = done.table("device"), done.summary["cost"]
    hours = 1 / 6
    demand = bus.groupby("step")["p_load_mw"].sum().to_numpy()
    imported = network["import_mw"].to_numpy()
    price = step["buy_price"].to_numpy()
    generated = bus.groupby("step")["p_gen_mw"].sum().to_numpy()
    charged = -device["p_mw"].clip(upper=0).sum() * hours
    legs = device["departed"].sum()
    assert cost["income"] == pytest.approx((demand * step["sell_price"]).sum() * hours)
    assert cost["grid"] == pytest.approx((price * np.where(imported > 0, imported, 0.5 * imported)).sum() * hours)
    assert cost["res"] == pytest.approx(128 * generated.sum() * hours)
    assert cost["ess"] == pytest.approx(15 * charged)
    assert cost["truck"] == pytest.approx(0.4 * 19.92 * legs + 10 * 8)
    assert cost["profit"] == pytest.approx(cost["income"] - cost["grid"] - cost["mess"] - cost["res"])
    assert cost["controllable_cost"] == pytest.approx(
        cost["procurement_cost"] - (price * (demand - generated)).sum() * hours
    )


def test_a_perfect_forecast_makes_the_prediction_of_a_rule_exact(tmp_path):
    versus = run("three_bus", controller="rules", out=tmp_path / "run").summary["plan_vs_ac"]
    assert versus["v_max_abs_pu"] < 1e-8
    assert versus["losses_rel_error"] < 1e-6


def test_a_wrong_forecast_shows_in_plan_against_ac(tmp_path):
    errors = ["forecast.kind=errors", "forecast.errors.load.relative_std=0.1"]
    wrong = run("three_bus", overrides=errors, out=tmp_path / "run").summary
    assert wrong["plan_vs_ac"]["v_max_abs_pu"] > 1e-5
    assert wrong["balance_error_rel_max"] < 1e-6


def test_engines_give_the_same_day(tmp_path):
    by_pandapower = run("three_bus", out=tmp_path / "one")
    by_pgm = run("three_bus", overrides=['grid.ac_engine="power-grid-model"'], out=tmp_path / "two")
    apart = (by_pandapower.table("bus")["v_pu"] - by_pgm.table("bus")["v_pu"]).abs().max()
    assert apart < 1e-6
    assert by_pandapower.summary["cost"]["profit"] == pytest.approx(by_pgm.summary["cost"]["profit"], abs=1e-4)
