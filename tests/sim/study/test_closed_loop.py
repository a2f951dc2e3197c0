"""Closed-loop studies: what is refused, run, taken up again, paired and printed."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import pytest

from gridferry.networks.faults import InputError
from gridferry.sim import load_run, run
from gridferry.sim.study.closed_loop import run_loop_study
from gridferry.sim.study.closed_loop_config import load_loop_study
from gridferry.sim.study.closed_loop_figures import RunFigures, figures_of_row

CASE = """
extends = "three_bus"
name = "windy"
[controller]
own_process = false
[time]
steps = 4
[forecast]
kind = "errors"
errors_on = "realised"
errors.load = { relative_std = 0.1 }
"""

STUDY = """
kind = "closed_loop"
name = "small"
config = "windy.toml"
seeds = 2
seed = 5
reference = "rules"
rows = [
    { label = "idle", controller = "idle" },
    { label = "rules", controller = "rules" },
    { label = "strict limits", controller = "idle", set = { "networks.dn1.v_min_pu" = 0.9995 } },
]
"""

PLUGIN = """
import os
import signal
from pathlib import Path

from gridferry.controllers.contract import ControllerError
from gridferry.controllers.idle import Idle


class Mine(Idle):
    def plan(self, observation, forecast):
        if observation.step == 2 and Path("FAIL").exists():
            raise ControllerError("no plan today")
        if observation.step == 2 and Path("KILL").exists():
            os.kill(os.getpid(), signal.SIGKILL)
        return super().plan(observation, forecast)
"""

MINE = """
    { label = "idle", controller = "idle" },
    { label = "mine", controller = "mine.py:Mine", set = { "record.flush_steps" = 1, "controller.on_failure"="stop" } },
]
"""


def write(folder: Path, study: str = STUDY, case: str = CASE) -> Path:
    (folder / "windy.toml").write_text(case)
    file = folder / "small.toml"
    file.write_text(study)
    return file


def with_plugin(folder: Path) -> Path:
    (folder / "mine.py").write_text(PLUGIN)
    head = STUDY.partition("rows = [")[0].replace('reference = "rules"\n', "")
    return write(folder, head + "rows = [" + MINE)


def figures(cost: float | None, steps: int = 10, broken: int = 0) -> RunFigures:
    return RunFigures(steps, cost, cost, broken, broken, 0, 1, 2.0, 0.5)


# -------------------------------------------------------------------------------------------------------------- figures


def test_rows_are_paired_seed_by_seed():
    """By hand: savings 10, 14 (mean 12, deviation √8); the failed third seed pairs with nothing."""
    first = [figures(110.0), figures(134.0), figures(500.0)]
    row = [figures(100.0), figures(120.0, broken=5), None]
    reference = [figures(101.0), figures(115.0), figures(1.0)]
    found = figures_of_row(row, first, reference)
    assert (found.runs, found.failures) == (2, 1)
    assert (found.cost, found.saving) == (110.0, 12.0)
    assert found.saving_share == pytest.approx(12.0 / 122.0)
    assert found.saving_deviation == pytest.approx(8.0**0.5)
    assert (found.excess, found.reference_better, found.pairs) == (2.0, 1, 2)
    assert found.excess_deviation == pytest.approx(18.0**0.5)
    assert (found.joint_reliability, found.step_reliability) == (0.5, 0.75)
    assert (found.violations, found.fallbacks) == (5, 2)
    assert (found.decision_seconds_mean, found.decision_seconds_max) == (0.2, 0.5)


def test_equal_costs_make_no_row_better_and_unknown_ones_have_no_mean():
    same = figures_of_row([figures(1e6)], [figures(1e6)], [figures(1e6 - 1e-6)])
    assert (same.reference_better, same.pairs, same.saving_deviation) == (0, 1, None)
    unknown = figures_of_row([figures(None), figures(3.0)], [figures(1.0), figures(4.0)], None)
    assert (unknown.cost, unknown.saving, unknown.pairs) == (None, 1.0, None)
    nothing = figures_of_row([None], [figures(1.0)], None)
    assert (nothing.runs, nothing.cost, nothing.step_reliability) == (0, None, None)


# ----------------------------------------------------------------------------------------------------------------- runs


def test_every_cell_is_a_closed_loop_run_and_one_object_gathers_them(gridferry, tmp_path):
    code, out, err = gridferry("study", write(tmp_path), "--json")
    assert (code, err) == (0, "")
    result = json.loads(out)
    assert result == json.loads(Path("runs/small/study.json").read_text())
    assert (result["seeds"], result["steps"], result["currency"]) == ([5, 6], 4, "USD")
    idle, rules, strict = result["rows"]
    for row, controller in ((idle, "idle"), (rules, "rules"), (strict, "idle")):
        assert row["controller"] == controller
        for one, seed in zip(row["runs"], (5, 6), strict=True):
            cost = load_run(one["directory"]).summary["cost"]
            assert (one["seed"], one["reused"]) == (seed, False)
            assert one["cost"] == pytest.approx(cost["income"] - cost["profit"])
        mean = sum(one["cost"] for one in row["runs"]) / 2
        assert row["figures"]["cost"] == pytest.approx(mean)
    alone = run("windy.toml", controller="rules", seed=6, out="alone").summary
    assert alone["grid"] == load_run(rules["runs"][1]["directory"]).summary["grid"]
    assert len({one["cost"] for one in idle["runs"]}) == 2
    assert rules["figures"]["saving"] == pytest.approx(idle["figures"]["cost"] - rules["figures"]["cost"])
    assert "reference_better" not in rules["figures"]
    assert idle["figures"]["pairs"] == 2
    # what is seen in the tables: steps in which a bus is below the strict limit
    tables = [load_run(one["directory"]).table("bus") for one in strict["runs"]]
    low = [one[one["v_pu"] < 0.9995 - 1e-6]["step"].nunique() for one in tables]
    assert sum(low) > 0
    assert strict["figures"]["step_reliability"] == pytest.approx(1 - sum(low) / 8)
    assert strict["figures"]["joint_reliability"] == low.count(0) / 2
    assert idle["figures"]["joint_reliability"] == 1.0


def test_complete_runs_are_taken_as_they_are_until_something_they_are_made_from_changes(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    file = with_plugin(tmp_path)
    (tmp_path / "small.toml").write_text(file.read_text().replace("seeds = 2", "seeds = 1"))
    first = run_loop_study(file)
    assert [one.reused for row in first.rows for one in row.runs] == [False, False]
    again = run_loop_study(file)
    assert [one.reused for row in again.rows for one in row.runs] == [True, True]
    assert [row.figures for row in again.rows] == [row.figures for row in first.rows]
    # a comment of the config is nothing, the plug-in's code is something
    (tmp_path / "windy.toml").write_text("# a comment" + CASE)
    (tmp_path / "mine.py").write_text(PLUGIN + "\nANYTHING = 1\n")
    edited = run_loop_study(file)
    assert [one.reused for row in edited.rows for one in row.runs] == [True, False]
    (tmp_path / "windy.toml").write_text(CASE.replace("0.1", "0.2"))
    assert not any(one.reused for row in run_loop_study(file).rows for one in row.runs)
    assert not any(one.reused for row in run_loop_study(file, anew=True).rows for one in row.runs)
    with duckdb.connect("runs/small/idle/5/results.duckdb") as earlier:
        earlier.execute("ALTER TABLE step DROP COLUMN fallback")
    assert [one.reused for row in run_loop_study(file).rows for one in row.runs] == [False, True]


def test_runs_become_longer_when_more_steps_are_requested_and_shorter_ones_are_made_anew(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    file = write(tmp_path)
    costs = {}
    for steps in (2, 4, 3):
        file.write_text(STUDY.replace("seeds = 2", f"seeds = 1\nsteps = {steps}"))
        result = run_loop_study(file)
        runs = [one for row in result.rows for one in row.runs]
        assert not any(one.reused for one in runs)
        assert {one.figures.steps for one in runs} == {steps}
        costs[steps] = [one.figures.cost for one in runs]
    assert costs[2] < costs[3] < costs[4]
    assert load_run("runs/small/idle/5").manifest["resumed_at_step"] is None


def test_failed_run_is_named_with_its_reason_and_the_others_are_kept(gridferry, tmp_path):
    file = with_plugin(tmp_path)
    Path("FAIL").touch()
    code, out, _ = gridferry("study", file, "--json")
    assert code == 3
    idle, mine = json.loads(out)["rows"]
    assert (idle["figures"]["runs"], mine["figures"]["runs"], mine["figures"]["failures"]) == (2, 0, 2)
    assert all("no plan today" in one["failure"] for one in mine["runs"])
    code, out, _ = gridferry("study", file)
    assert code == 3
    assert "mine, seed 6: " in out
    assert "no plan today" in out
    Path("FAIL").unlink()
    code, out, _ = gridferry("study", file)
    assert code == 0
    assert "2 of 4 runs from before" in out
    assert load_run("runs/small/mine/5").manifest["resumed_at_step"] == 2
    assert all(figure in out for figure in ("controllable", "saving", "reliable", "fallbacks", "longest"))


@pytest.mark.slow
def test_killed_worker_fails_its_runs_only_and_the_study_goes_on_where_it_stopped(gridferry, tmp_path):
    file = with_plugin(tmp_path)
    Path("KILL").touch()
    code, out, _ = gridferry("study", file, "--workers", 2, "--json")
    assert code == 3
    failures = [one["failure"] for row in json.loads(out)["rows"] for one in row["runs"] if "failure" in one]
    assert failures
    assert all("killed" in one for one in failures)
    Path("KILL").unlink()
    code, out, _ = gridferry("study", file, "--workers", 2, "--json")
    assert code == 0
    rows = json.loads(out)["rows"]
    assert 2 in [load_run(one["directory"]).manifest["resumed_at_step"] for one in rows[1]["runs"]]
    # an idle plug-in costs what idle does
    assert [one["cost"] for one in rows[1]["runs"]] == [one["cost"] for one in rows[0]["runs"]]


# --------------------------------------------------------------------------------------------------------------- faults


def test_all_faults_of_a_study_are_named_with_their_place_before_anything_runs(gridferry, tmp_path):
    rows = """
rows = [
    { label = "a b", controller = "idle" },
    { label = "A-b", controller = "nobody" },
    { label = "c", set = { "seed" = 3, "trucks.T9.soc_min" = 0.1 } },
]
"""
    head = STUDY.partition("rows = [")[0].replace('"rules"', '"rulez"').replace("seeds = 2", "steps = 9")
    file = write(tmp_path, head + rows)
    code, _, err = gridferry("study", file)
    assert code == 2
    for key in ("rows[1].label", "rows[1].controller", "rows[2].set: seed", "rows[2].set: trucks.T9", "steps = 9"):
        assert key in err
    assert 'reference = "rulez"' in err
    assert not Path("runs").exists()


def test_unknown_kind_and_keys_of_the_other_kind_are_refused(gridferry, tmp_path):
    code, _, err = gridferry("study", write(tmp_path, STUDY.replace("closed_loop", "closed")))
    assert code == 2
    assert 'kind = "closed": no such kind of study; there is day_ahead, closed_loop' in err
    code, _, err = gridferry("study", write(tmp_path, STUDY.replace('kind = "closed_loop"', "")))
    assert code == 2
    assert "tables" in err
    with pytest.raises(InputError, match="windies"):
        load_loop_study(write(tmp_path, STUDY.replace("windy", "windies")))
