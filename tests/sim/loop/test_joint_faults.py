"""Controller `joint` in closed loop when solvers, forecasts or the controller itself fail."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cases.fault_run import STEPS, assert_safe, at_steps, notes, rows, run_case, worst, write_case
from gridferry.controllers.contract import NoteKind, Termination
from gridferry.sim.loop.runner import Run, run

PLUGIN = """
from gridferry.controllers.joint import Joint


class Hurried(Joint):
    '''Has no time in two steps.'''

    def plan(self, observation, forecast):
        limit = 1e-6 if observation.step in (1, 2) else 3600.0
        self.settings = self.settings.model_copy(update={"time_limit_s": limit})
        return super().plan(observation, forecast)


class Broken(Joint):
    def plan(self, observation, forecast):
        if observation.step in (0, 5, 6):
            raise RuntimeError(f"a wire is loose at {observation.step}")
        return super().plan(observation, forecast)
"""


def fallbacks(done: Run) -> dict[int, str]:
    """What replaced the controller's plan, by step."""
    step = done.table("step").set_index("step")
    return {int(at): str(what) for at, what in step["fallback"].items() if what}


def assert_followed(done: Run, before: int, steps: list[int]) -> None:
    """Steps without a plan of their own do what the plan before them had meant for them."""
    step = done.table("step").set_index("step")
    assert set(step.loc[steps, "fallback"]) == {"previous_plan"}
    assert set(step.loc[steps, "solver_termination"]) == {Termination.PREVIOUS_PLAN}
    # nothing was clipped, and energies are as that plan expected
    device = done.table("device")
    device = device[device["step"].between(before, max(steps)) & device["soc"].notna()]
    assert (device["clipped"] == "").all()
    np.testing.assert_allclose(device["energy_mwh"], device["energy_plan_mwh"], atol=1e-5)


# ------------------------------------------------------------------------------------------------------ time-outs


@pytest.mark.slow
def test_where_time_allows_no_plan_the_last_one_is_continued_until_there_is_time_again(tmp_path: Path) -> None:
    (tmp_path / "late.py").write_text(PLUGIN)
    done = run(
        "joint_2dn",
        overrides=[f"controller.use={tmp_path / 'late.py'}:Hurried", "controller.gap_of_saving=1.0"],
        steps=4,
        out=tmp_path / "run",
    )
    step = done.table("step")
    assert fallbacks(done) == {1: "previous_plan", 2: "previous_plan"}
    assert step.loc[[1, 2], "failure"].str.contains("SolverTroubleError: the time for a plan ").all()
    assert (step.loc[[0, 3], "saving"] > 0).all()
    assert done.summary["solver"]["failures"] == done.summary["solver"]["fallbacks"] == 2
    assert done.summary["balance_error_rel_max"] < 1e-7
    assert done.summary["fleet"]["shortfall_mwh"] < 1e-6
    assert done.summary["grid"]["violations"] == 0


# ---------------------------------------------------------------------------------------- no plan keeps all limits

SPIKE = [*[0.7] * 6, 12.0, *[0.8] * 9]


@pytest.fixture(scope="module")
def idle_in_spike(tmp_path_factory: pytest.TempPathFactory) -> Run:
    done = run(
        write_case(tmp_path_factory.mktemp("idle"), load_2=SPIKE),
        controller="idle",
        out=tmp_path_factory.mktemp("idle") / "run",
    )
    assert np.flatnonzero(worst(done, STEPS)[:, 0]).tolist() == [6]
    return done


@pytest.mark.long
def test_limits_that_no_plan_keeps_are_violated_by_less_than_idling_does(tmp_path: Path, idle_in_spike: Run) -> None:
    done = run_case(tmp_path, "time.horizon_steps=4", load_2=SPIKE)
    step = done.table("step")
    assert_safe(done, idle=idle_in_spike)
    missed = notes(done, NoteKind.VIOLATED_V_LOW)
    assert list(missed) == [3, 4, 5, 6]
    assert min(missed.values()) > 1e-4
    assert set(step.loc[list(missed), "solver_status"]) == {"feasible"}
    assert fallbacks(done) == {}
    # known before it happened, and lessened
    assert step.loc[6, "ac_excess_pu"] == pytest.approx(worst(done, STEPS)[6, 0], abs=1e-6)
    assert worst(done, STEPS)[6, 0] < worst(idle_in_spike, STEPS)[6, 0] - 2e-3
    assert done.summary["dispatch"]["remaining_steps"] == 1
    assert set(step.loc[7:, "solver_status"]) == {"optimal"}


def test_a_price_below_zero_leaves_the_cost_of_violated_limits_bounded(tmp_path: Path) -> None:
    """A cone program inside outer approximation is taken for unbounded here, by rounding."""

    def begins(*values: float) -> list[float]:
        return [*values, *[values[-1]] * (STEPS - len(values))]

    case = write_case(
        tmp_path,
        price=begins(119.88, 111.68, 13.09, 127.77, -19.46, 30.5),
        load_1=begins(0.73, 0.45, 0.28, 0.26, 0.86, 0.93),
        load_2=begins(0.9, 0.9, 0.9, 0.9, 5.69, 0.9),
        pv=begins(1.22, 1.16, 0.83, 1.52, 3.12, 3.58),
    )
    done = run(case, overrides=["time.horizon_steps=6"], steps=1, out=tmp_path / "run")
    assert fallbacks(done) == {}
    assert 0 in notes(done, NoteKind.VIOLATED_V_LOW)


def test_a_controller_set_to_fail_there_is_replaced_until_limits_can_be_kept(
    tmp_path: Path, idle_in_spike: Run
) -> None:
    done = run_case(tmp_path, "time.horizon_steps=4", "controller.on_infeasible=raise", load_2=SPIKE)
    step = done.table("step")
    assert_safe(done, idle=idle_in_spike)
    # the plan of step 2 ends where the spike begins
    assert fallbacks(done) == {3: "previous_plan", 4: "previous_plan", 5: "previous_plan", 6: "idle"}
    assert_followed(done, 2, [3, 4, 5])
    assert step.loc[3:6, "failure"].str.contains("InfeasibleError").all()
    assert step.loc[6, "failure"].endswith("nothing is left of a previous plan")
    assert set(step.loc[7:, "solver_status"]) == {"optimal"}
    assert (rows(done, "mvdc-2", "p_mw")[7:] > 0.1).any()


# -------------------------------------------------------------------------- no forecast, and controllers that raise


def test_through_steps_without_a_forecast_the_last_plan_is_continued(tmp_path: Path) -> None:
    done = run_case(tmp_path, silence=at_steps(0.0, {5: 1.0, 6: 1.0, 7: 1.0, 8: 1.0}))
    step = done.table("step")
    assert_safe(done)
    assert fallbacks(done) == dict.fromkeys(range(5, 9), "previous_plan")
    assert_followed(done, 4, [5, 6, 7, 8])
    assert step.loc[5:8, "failure"].str.contains("the forecast is not finite: load_p_mw").all()
    assert step.loc[5:8, ["ac_excess_pu", "objective"]].isna().all(axis=None)
    # what the last plan predicted still holds
    assert step.loc[5:8, "plan_cost"].notna().all()
    assert step["v_plan_ac_max_pu"].max() < 1e-5
    assert done.summary["dispatch"]["unchecked_steps"] == 4
    assert step.loc[9:, "ac_excess_pu"].eq(0).all()
    # routes decided at step 4 are due for a decision when the forecast is back
    assert 9 not in notes(done, NoteKind.BOUND_FOR_ROUTES)
    assert done.summary["fleet"]["shortfall_mwh"] < 1e-6


def test_a_run_that_begins_without_a_forecast_begins_idle(tmp_path: Path) -> None:
    done = run_case(tmp_path, silence=at_steps(0.0, {0: 1.0, 1: 1.0}))
    assert_safe(done)
    assert fallbacks(done) == {0: "idle", 1: "idle"}
    device = done.table("device")
    assert not device.loc[device["step"] < 2, ["p_mw", "q_mvar"]].to_numpy().any()
    assert done.table("step").loc[2:, "solver_status"].isin(["optimal", "feasible"]).all()


def test_an_exception_in_the_controller_costs_the_plan_of_its_step_only(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text(PLUGIN)
    done = run_case(tmp_path, f"controller.use={tmp_path / 'broken.py'}:Broken")
    step = done.table("step")
    assert_safe(done)
    assert fallbacks(done) == {0: "idle", 5: "previous_plan", 6: "previous_plan"}
    assert_followed(done, 4, [5, 6])
    for at in (0, 5, 6):
        assert f"the controller raised RuntimeError: a wire is loose at {at}" in step.loc[at, "failure"]
    own = step.drop(index=[0, 5, 6])
    assert (own["gap_abs"] >= 0).all()
    assert done.summary["solver"]["calls"] == len(own)


# --------------------------------------------------------------------------------------- plans AC does not bear out


@pytest.mark.slow
def test_a_loading_limit_below_the_rating_is_kept_by_plans_without_corrections(tmp_path: Path) -> None:
    case = write_case(tmp_path)
    plain = run(case, steps=8, out=tmp_path / "plain")
    loaded = plain.table("line").groupby("step")["loading_percent"].max()
    limit = round(float(loaded.max()) - 0.5, 2)
    keep = f"networks.dn2.loading_max_percent={limit}"
    # margins would take more than there is room for
    limited = run(case, overrides=[keep, "controller.scenario=deterministic"], steps=8, out=tmp_path / "limited")
    assert_safe(limited, 8)
    assert limited.summary["grid"]["violations"] == limited.summary["dispatch"]["remaining_steps"] == 0
    # no more is given up than has to be
    line = limited.table("line").groupby("step")["loading_percent"].max()
    assert line.max() == pytest.approx(limit, abs=5e-3)


@pytest.mark.slow
def test_a_run_resumed_among_fallbacks_equals_the_full_run(tmp_path: Path) -> None:
    case = write_case(tmp_path, silence=at_steps(0.0, dict.fromkeys(range(6, 10), 1.0)))
    whole = run(case, out=tmp_path / "whole")
    run(case, steps=8, out=tmp_path / "halves")
    halves = run(case, out=tmp_path / "halves", resume=True)
    pd.testing.assert_frame_equal(whole.table("device"), halves.table("device"))
    assert fallbacks(whole) == fallbacks(halves)
