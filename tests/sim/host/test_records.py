"""What the record and the summary say of dispatches, gaps and plans against AC, through the whole loop."""

from __future__ import annotations

from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest

from gridferry.networks.faults import InputError
from gridferry.sim.loop.runner import Run, run
from gridferry.sim.results.display import figure_rows
from gridferry.sim.results.report import write_report
from gridferry.sim.results.run_directory import load_run, write_json

PLUGIN = '''
from dataclasses import replace

import numpy as np

from gridferry.controllers.contract import Controller, SolverOutcome, hold


class Charger(Controller):
    """Charges 2.4 MW at the last bus; gives way in odd steps only, by all that was too much."""

    accepts_ac_feedback = True

    def plan(self, observation, forecast):
        step = observation.step
        plan = hold(self.plant, observation)
        there = observation.position[0] == 2 and observation.transit_steps[0] == 0
        p = plan.p_mw.copy()
        if there:
            p[0, 0] = -2.4 if observation.ac_feedback is None or step % 2 == 0 else 0.0
        solver = SolverOutcome(
            objective=100.0 + step, bound=98.0, gap=0.01, cone_gap=1e-9 * step, seconds=0.01, reference=110.0
        )
        return replace(plan, p_mw=p, position=np.full((1, 1), 2), solver=solver)
'''
LIMITS = ["networks.dn1.v_min_pu=0.995", "controller.ac_corrections=2"]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("charger")
    (folder / "charger.py").write_text(PLUGIN)
    return run(
        "three_bus", controller=f"{folder / 'charger.py'}:Charger", overrides=LIMITS, steps=12, out=folder / "run"
    )


def test_limits_that_remain_broken_on_a_perfect_forecast_are_the_violations_of_the_grid(done: Run) -> None:
    step = done.table("step").set_index("step")
    broken = {one.step: one.excess for one in sorted(done.violations(), key=lambda one: one.excess)}
    assert len(broken) >= 2
    remaining = step.loc[step["ac_excess_pu"] > 0, "ac_excess_pu"]
    assert sorted(remaining.index) == sorted(broken)
    np.testing.assert_allclose(remaining.sort_index(), [broken[at] for at in sorted(broken)], atol=1e-8)
    assert all(at % 2 == 0 for at in broken)
    assert set(step.loc[list(broken), "ac_corrections"]) == {2}
    dispatch = done.summary["dispatch"]
    assert dispatch["corrected_steps"] == (step["ac_corrections"] > 0).sum() > len(broken)
    assert dispatch["corrections"] == step["ac_corrections"].sum()
    assert dispatch["remaining_steps"] == len(broken)
    assert dispatch["remaining_max_pu"] == step["ac_excess_pu"].max()
    assert (dispatch["remaining_max_percent"], dispatch["unchecked_steps"]) == (0.0, 0)


def test_the_error_of_the_plans_voltages_is_recorded_step_by_step(done: Run) -> None:
    step, bus = done.table("step"), done.table("bus")
    error = (bus["v_plan_pu"] - bus["v_pu"]).abs().groupby(bus["step"])
    np.testing.assert_array_equal(step["v_plan_ac_max_pu"], error.max())
    np.testing.assert_allclose(step["v_plan_ac_rms_pu"], error.apply(lambda one: np.sqrt(np.mean(one**2))), rtol=1e-9)
    spread = done.summary["plan_vs_ac"]["v_abs_pu"]
    assert spread["max"] == done.summary["plan_vs_ac"]["v_max_abs_pu"]
    assert spread["p95"] == pytest.approx(np.quantile(error.max(), 0.95), rel=1e-9)
    cone = done.summary["plan_vs_ac"]["cone_gap"]
    assert cone == pytest.approx({"p50": 5.5e-9, "p95": 1.045e-8, "p99": 1.089e-8, "max": 1.1e-8}, rel=1e-9)


def test_gaps_are_given_in_money_and_as_shares_of_what_plans_save(done: Run) -> None:
    step = done.table("step")
    number = step["step"].to_numpy()
    np.testing.assert_allclose(step["gap_abs"], 2.0 + number)
    np.testing.assert_allclose(step["saving"], 10.0 - number)
    shares = (2.0 + number[:10]) / (10.0 - number[:10])
    np.testing.assert_allclose(step["gap_of_saving"][:10], shares)
    assert step["gap_of_saving"][10:].isna().all()
    solver = done.summary["solver"]
    assert (solver["gap_abs_max"], solver["gap_abs_mean"], solver["saving_first"]) == (13.0, 7.5, 10.0)
    assert solver["gap_abs_max_of_first_saving"] == pytest.approx(1.3)
    assert solver["gap_of_saving_max"] == pytest.approx(shares.max())
    assert solver["gap_of_saving_p95"] == pytest.approx(np.quantile(shares, 0.95))
    assert solver["gap_of_saving_mean"] == pytest.approx(shares.mean())
    assert 0.0 < solver["decision_seconds_mean"] <= solver["decision_seconds_p95"] <= solver["decision_seconds_max"]


def test_steps_without_a_forecast_are_recorded_with_nothing_predicted(tmp_path: Path) -> None:
    outage = pd.DataFrame({"hour": np.arange(24.0), "out": [1.0, 1.0, *[0.0] * 22]})
    outage.to_csv(tmp_path / "outage.csv", index=False)
    (tmp_path / "case.toml").write_text(
        'extends = "three_bus"\n[profiles.outage]\nfile = "outage.csv"\ntime = "hour"\n'
        '[forecast]\noutage = "outage.out"\n[controller]\nuse = "rules"\n'
    )
    found = run(tmp_path / "case.toml", steps=15, out=tmp_path / "run")
    step, bus = found.table("step"), found.table("bus")
    missing = step["fallback"] != ""
    assert step.loc[missing, "step"].tolist() == list(range(12))
    assert step.loc[missing, "failure"].str.contains("the forecast is not finite: load_p_mw, load_q_mvar").all()
    assert (
        step.loc[missing, ["v_plan_ac_max_pu", "ac_excess_pu", "ac_excess_percent", "plan_cost"]].isna().all(axis=None)
    )
    assert step.loc[~missing, ["v_plan_ac_max_pu", "ac_excess_pu"]].notna().all(axis=None)
    assert bus["v_pu"].notna().all()
    assert (bus["v_plan_pu"].isna() == bus["step"].lt(12)).all()
    assert found.summary["dispatch"]["unchecked_steps"] == 12
    assert found.summary["solver"]["fallbacks"] == 12


def test_a_run_recorded_without_todays_columns_is_shown_but_not_resumed(tmp_path: Path) -> None:
    new = run("three_bus", steps=3, out=tmp_path / "new")
    old = run("three_bus", steps=3, out=tmp_path / "run")
    with duckdb.connect(str(old.directory / "results.duckdb")) as connection:
        for column in ("gap_abs", "ac_excess_pu"):
            connection.execute(f'ALTER TABLE "step" DROP COLUMN {column}')
    figures = {key: value for key, value in old.summary.items() if key != "dispatch"}
    write_json(old.directory / "summary.json", figures)
    assert load_run(old.directory).table("step")["step"].tolist() == [0, 1, 2]
    rows = {label: shown for _, label, shown in figure_rows([figures, new.summary])}
    assert rows["corrected steps"] == ["–", "0"]
    assert write_report(old.directory).stat().st_size > 0
    with pytest.raises(
        InputError, match=r"recorded by another version, or is damaged \(table step: ac_excess_pu, gap_abs\)"
    ):
        run("three_bus", out=tmp_path / "run", resume=True)


def test_a_negative_number_of_corrections_is_refused() -> None:
    with pytest.raises(InputError, match=r"controller\.ac_corrections"):
        run("three_bus", overrides=["controller.ac_corrections=-1"])
