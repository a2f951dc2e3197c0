"""Regret: a run against the one whose controller is told what will really happen."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gridferry.sim import load_run
from gridferry.sim.loop.runner import RunFailedError, run

NOON = [
    "time.start=2017-07-01T10:00:00",
    "time.steps=6",
    "controller.gap=1e-2",
    "controller.time_limit_s=3600.0",
    'trucks.T1.station="PV"',
    "forecast.errors.price.relative_std=0.3",
]
"""Six half-hours around noon, the truck at the PV, prices forecast wrongly."""

FAILS_KNOWING = """
from gridferry.controllers.contract import ControllerError
from gridferry.controllers.idle import Idle


class Knows(Idle):
    def plan(self, observation, forecast):
        # only a forecast without errors knows the price exactly
        if observation.step == 2 and float(forecast.buy_price[0]) == {price!r}:
            raise ControllerError("told too much")
        return super().plan(observation, forecast)
"""


@pytest.fixture(scope="module")
def noon(tmp_path_factory):
    return run("late_trucks", overrides=NOON, out=tmp_path_factory.mktemp("noon") / "run", regret=True)


def test_wrong_price_forecasts_cost_what_foresight_saves(noon):
    knowing = load_run(noon.directory / "foresight")
    regret = noon.summary["regret"]
    # profit is income less every cost
    paid = [one["income"] - one["profit"] for one in (noon.summary["cost"], knowing.summary["cost"])]
    assert regret["run_cost"] == pytest.approx(paid[0], rel=1e-12)
    assert regret["foresight_cost"] == pytest.approx(paid[1], rel=1e-12)
    assert regret["cost"] == regret["run_cost"] - regret["foresight_cost"]
    assert regret["share"] == regret["cost"] / abs(regret["foresight_cost"])
    assert regret["cost"] > 5.0
    # both bring the truck back to the energy it started with: none is borrowed
    assert regret["energy_end_mwh"] == pytest.approx(0.0, abs=1e-6)


def test_both_runs_happen_in_the_same_reality(noon):
    knowing = load_run(noon.directory / "foresight")
    assert knowing.summary["seed"] == noon.summary["seed"]
    assert knowing.summary["cost"]["income"] == noon.summary["cost"]["income"]
    columns = ["p_load_mw", "q_load_mvar", "p_gen_mw"]
    assert knowing.table("bus")[columns].equals(noon.table("bus")[columns])
    assert knowing.table("step")["buy_price"].equals(noon.table("step")["buy_price"])


def test_summary_on_disk_has_the_regret_and_resuming_reuses_the_run_with_foresight(noon):
    seconds = load_run(noon.directory / "foresight").table("step")["solver_seconds"]
    again = run("late_trucks", overrides=NOON, out=noon.directory, resume=True, regret=True)
    assert again.summary["regret"] == load_run(noon.directory).summary["regret"] == noon.summary["regret"]
    assert load_run(noon.directory / "foresight").table("step")["solver_seconds"].equals(seconds)


@pytest.mark.parametrize(("controller", "steps"), [("rules", 40), ("idle", 3)])
def test_perfect_forecasts_leave_nothing_to_regret(gridferry, controller, steps):
    options = ("three_bus", "--controller", controller, "--steps", steps, "--out", "run", "--regret")
    code, out, err = gridferry("run", *options, "--json")
    assert (code, err) == (0, "")
    regret = json.loads(out)["regret"]
    assert (regret["cost"], regret["share"], regret["energy_end_mwh"]) == (0.0, 0.0, 0.0)
    assert regret["run_cost"] > 0.0
    _, table, _ = gridferry("compare", "run")
    assert "regret, share of cost with foresight" in table


def test_failing_run_with_foresight_exits_3_and_keeps_the_results_of_the_other(gridferry, tmp_path):
    errs = ("--set", "forecast.kind=errors", "--set", "forecast.errors.price.relative_std=0.1")
    gridferry("run", "three_bus", "--controller", "idle", "--steps", 3, "--out", "priced")
    price = float(load_run("priced").table("step")["buy_price"][2])
    (tmp_path / "knows.py").write_text(FAILS_KNOWING.format(price=price))
    options = ("three_bus", "--controller", "knows.py:Knows", "--set", "controller.on_failure=stop", *errs)
    code, out, err = gridferry("run", *options, "--steps", 3, "--regret", "--out", "run", "--json")
    assert code == 3
    assert "told too much" in err
    summary = json.loads(out)
    assert (summary["status"], summary["steps"]) == ("completed", 3)
    assert "told too much" in summary["regret"]["failure"]
    assert summary["regret"]["run_cost"] > 0.0
    assert "cost" not in summary["regret"]
    assert load_run("run/foresight").summary["steps"] == 2
    code, out, _ = gridferry("run", *options, "--steps", 3, "--regret", "--out", "run", "--resume")
    assert code == 3
    assert "no regret" in out


def test_interrupted_run_with_foresight_is_found_and_gone_on_with(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    seen: list[int] = []

    def stop_in_the_second_run(live):
        seen.append(live.step)
        if len(seen) == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as caught:
        run("three_bus", steps=3, regret=True, progress=stop_in_the_second_run)
    (directory,) = Path("runs").iterdir()
    assert caught.value.directory == directory
    assert load_run(directory).summary["status"] == "completed"
    assert "failure" in load_run(directory).summary["regret"]
    done = run("three_bus", steps=3, resume=True, regret=True)
    assert done.directory == directory
    assert done.summary["regret"]["cost"] == 0.0


def test_failing_run_is_not_run_again_with_foresight(tmp_path):
    (tmp_path / "knows.py").write_text(FAILS_KNOWING.replace("float(forecast.buy_price[0]) == {price!r}", "True"))
    with pytest.raises(RunFailedError):
        run(
            "three_bus",
            controller=f"{tmp_path}/knows.py:Knows",
            overrides=['controller.on_failure="stop"'],
            out=tmp_path / "run",
            regret=True,
        )
    assert not (tmp_path / "run" / "foresight").exists()
