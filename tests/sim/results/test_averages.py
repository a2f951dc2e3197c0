"""Means over runs."""

from __future__ import annotations

import json

import pytest

from gridferry.sim.cli import main
from gridferry.sim.loop.runner import run
from gridferry.sim.results.averages import grouped


def summary(config, controller, profit, trips):
    return {
        "config": config,
        "controller": controller,
        "currency": "USD",
        "seed": 3,
        "cost": {"profit": profit},
        "fleet": {"trips": trips},
    }


def test_runs_of_a_config_and_controller_are_averaged_and_others_kept_apart():
    one, other = grouped([summary("a", "x", 1.0, 2), summary("a", "y", 9.0, 0), summary("a", "x", 4.0, 3)])
    assert (one.controller, one.runs, other.runs) == ("x", 2, 1)
    assert one.mean == {"cost": {"profit": 2.5}, "fleet": {"trips": 2.5}}
    assert one.deviation["cost"]["profit"] == pytest.approx(4.5**0.5)
    assert other.deviation == {}


def test_compare_prints_means_as_a_table_and_as_json(tmp_path, capsys):
    for seed in (1, 2):
        errors = ["forecast.kind=errors", "forecast.errors.load.relative_std=0.1"]
        run("three_bus", overrides=errors, seed=seed, steps=6, out=tmp_path / str(seed))
    directories = [str(tmp_path / "1"), str(tmp_path / "2")]
    with pytest.raises(SystemExit) as left:
        main(["compare", *directories, "--mean"])
    assert left.value.code == 0
    assert "mean of 2" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["compare", *directories, "--mean", "--json"])
    (group,) = json.loads(capsys.readouterr().out)["groups"]
    errors = [json.loads((tmp_path / name / "summary.json").read_text())["plan_vs_ac"] for name in ("1", "2")]
    assert errors[0]["v_max_abs_pu"] != errors[1]["v_max_abs_pu"]
    assert group["mean"]["plan_vs_ac"]["v_max_abs_pu"] == pytest.approx(
        (errors[0]["v_max_abs_pu"] + errors[1]["v_max_abs_pu"]) / 2
    )
