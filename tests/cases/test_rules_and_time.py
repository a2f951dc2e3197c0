"""The rules are not worse than doing nothing, however short the forecast; a time limit is kept, and told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from cases.parts import forecast_of, of_kind, seen_as, with_devices
from gridferry.controllers.conformance.dry_run import dry_run
from gridferry.controllers.conformance.sample_plants import Sample, at_start, look_ahead, three_bus, two_feeders
from gridferry.controllers.contract import (
    AcFeedback,
    Controller,
    ControllerError,
    Forecast,
    Observation,
    Plan,
    Storage,
    Termination,
    hold,
)
from gridferry.controllers.joint import Joint
from gridferry.controllers.mess_exact import MessExact
from gridferry.controllers.mess_two_stage import MessTwoStage
from gridferry.controllers.model.ahead import Outlook
from gridferry.controllers.model.networks import limits_of
from gridferry.controllers.model.objective import ModelOptions, stores_and_sources
from gridferry.controllers.model.solution import Dispatch, solve_dispatch
from gridferry.controllers.mvdc_drcc import MvdcDrcc
from gridferry.controllers.routes.two_time_scales import deciding_routes
from gridferry.controllers.rules import Rules
from gridferry.controllers.schedule.swarm import SwarmOptions, swarm
from gridferry.controllers.solve import SolveOptions, SolverTroubleError
from gridferry.controllers.uncertainty.error_settings import ErrorSettings
from gridferry.sim.case.case import build_case
from gridferry.sim.case.loading import load_config
from gridferry.sim.commands.check import check_command
from gridferry.sim.config.schema import OnFailure
from gridferry.sim.host.host import ControllerHost
from gridferry.sim.loop.runner import run

SIX_HOURS = """
extends = "three_bus"
name = "six_hours"
[time]
start = 2024-07-01T00:00:00
step_s = 3600
steps = 6
horizon_steps = 2
[profiles.day]
file = "six_hours.csv"
time = "hour"
[trucks.T1]
energy_mwh = 2.0
p_max_mw = 1.0
s_max_mva = 1.0
eta_charge = 0.9
eta_discharge = 0.9
soc_min = 0.0
soc_max = 1.0
cost_per_mwh_charged = 0.0
[controller]
use = "rules"
"""
PRICES = (20.0, 10.0, 30.0, 80.0, 100.0, 60.0)


def six_hours(folder: Path) -> Path:
    """Six hours in which a truck sees two: it may buy at 10 and sell at 100, but does not know."""
    columns = (
        "hour,p_load_bus2_mw,q_load_bus2_mvar,p_load_bus3_mw,q_load_bus3_mvar,p_pv_mw,p_wind_mw,"
        "buy_price_usd_per_mwh,sell_price_usd_per_mwh,traffic_delay_min"
    )
    rows = [f"{hour},1,0,0,0,0,0,{price},0,0" for hour, price in enumerate(PRICES)]
    (folder / "six_hours.csv").write_text("\n".join([columns, *rows]) + "\n", encoding="utf-8")
    path = folder / "six_hours.toml"
    path.write_text(SIX_HOURS, encoding="utf-8")
    return path


def test_where_the_rules_see_two_of_six_hours_they_do_not_lose_to_doing_nothing(tmp_path: Path) -> None:
    config = six_hours(tmp_path)
    cost = {use: run(config, controller=use, out=tmp_path / use).summary["cost"]["grid"] for use in ("rules", "idle")}
    assert cost["rules"] <= cost["idle"]


def test_check_says_that_the_rules_need_the_day(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = six_hours(tmp_path)
    assert check_command(str(config), 60.0, False) == 0
    said = capsys.readouterr().out
    assert 'time.horizon_steps = 2: "rules" needs a forecast of 6 steps' in said
    assert "raise it, or leave it out" in said
    config.write_text(SIX_HOURS.replace("horizon_steps = 2\n", ""), encoding="utf-8")
    assert check_command(str(config), 60.0, False) == 0
    assert "horizon_steps" not in capsys.readouterr().out


def test_a_plan_says_why_nothing_is_traded(tmp_path: Path) -> None:
    case = build_case(load_config(six_hours(tmp_path)))
    first, *_, last = dry_run(Sample("", case.plant, case.forecaster.at(0)), Rules(case.plant, Rules.Settings()), 2)
    assert first.plan.solver.words == "the forecast ends before the day does: nothing is traded"
    assert last.plan.solver.words == first.plan.solver.words


@st.composite
def stores(draw: st.DrawFn) -> Storage:
    """A store that ends a day as it began it, so that nothing is earned by leaving it empty."""
    low, high = draw(st.floats(0.0, 0.3)), draw(st.floats(0.6, 1.0))
    p_max, initial = draw(st.floats(0.3, 3.0)), draw(st.floats(low, high))
    eta = draw(st.sampled_from([0.75, 0.9, 1.0]))
    return Storage(
        energy_mwh=draw(st.floats(0.5, 8.0)),
        p_max_mw=p_max,
        s_max_mva=p_max,
        eta_charge=eta,
        eta_discharge=eta,
        loss_coefficient=draw(st.sampled_from([0.0, 0.02])),
        soc_min=low,
        soc_max=high,
        soc_initial=initial,
        soc_end_min=initial,
        cycles_max_per_day=draw(st.sampled_from([float("inf"), 1.0])),
        cost_per_mwh_charged=draw(st.sampled_from([0.0, 10.0])),
    )


@settings(max_examples=60, deadline=None)
@given(
    store=stores(),
    prices=hnp.arrays(np.float64, st.integers(3, 48), elements=st.floats(0.0, 150.0)),
    horizon=st.integers(1, 48),
    first_hour=st.integers(0, 23),
)
def test_trading_by_the_rules_never_costs_more_than_resting(
    store: Storage, prices: np.ndarray, horizon: int, first_hour: int
) -> None:
    """Money at the meter of a store that does not drive, by hand from the powers requested."""
    base, steps = three_bus(), len(prices)
    trucks = (replace(of_kind(base.plant, "trucks")[0], storage=store, trips_max_per_day=0),)
    plant = with_devices(
        replace(
            base.plant,
            step_s=3600,
            steps=steps,
            horizon_steps=min(horizon, steps),
            first_step_of_day=first_hour,
        ),
        trucks=trucks,
    )
    day = forecast_of(
        plant,
        load_p_mw=np.zeros((steps, 3)),
        load_q_mvar=np.zeros((steps, 3)),
        generation_mw=np.zeros((steps, 2)),
        buy_price=prices,
        sell_price=np.zeros(steps),
        congestion=np.zeros(steps),
    )
    moments = dry_run(Sample("", plant, day), Rules(plant, Rules.Settings()), steps)
    p_mw = np.array([moment.plan.p_mw[0, 0] for moment in moments])
    cost = -p_mw @ prices + np.maximum(-p_mw, 0.0).sum() * store.cost_per_mwh_charged
    assert cost <= 1e-6


# --------------------------------------------------------------------------------------------------------- time limits


def hourly(kind: str) -> tuple[Sample, type[Controller]]:
    """A day in hours, and a controller with an optimiser that can plan it."""
    cls = {"mess_exact": MessExact, "mess_two_stage": MessTwoStage, "mvdc_drcc": MvdcDrcc, "joint": Joint}[kind]
    return (three_bus(3600) if kind.startswith("mess") else two_feeders(3600)), cls


def planned(kind: str, time_limit_s: float) -> Plan:
    sample, cls = hourly(kind)
    forecast = look_ahead(sample, 0, 6)
    errors = {"errors": ErrorSettings(load_std=0.02)} if kind in ("mvdc_drcc", "joint") else {}
    settings = cls.Settings(time_limit_s=time_limit_s, **errors)
    return cls(sample.plant, settings).plan(at_start(sample.plant), forecast)


@pytest.mark.parametrize("kind", ["mess_exact", "mess_two_stage", "mvdc_drcc", "joint"])
def test_without_any_time_there_is_no_plan_and_the_error_says_why(kind: str) -> None:
    with pytest.raises(ControllerError) as refused:
        planned(kind, 1e-6)
    assert refused.value.out_of_time


@pytest.mark.parametrize("kind", ["mess_exact", "mess_two_stage", "mvdc_drcc", "joint"])
def test_a_plan_that_no_limit_cut_short_is_the_plan_without_a_limit(kind: str) -> None:
    """Whatever the limit meets on this machine: it says so, or nothing depends on it."""
    whole = planned(kind, 3600.0)
    assert whole.solver.termination is not Termination.TIME_LIMIT
    for time_limit_s in (0.1, 0.3, 1.0, 3.0):
        try:
            plan = planned(kind, time_limit_s)
        except ControllerError as error:
            assert error.out_of_time
            continue
        if plan.solver.termination is not Termination.TIME_LIMIT:
            np.testing.assert_array_equal(plan.p_mw, whole.p_mw)
            np.testing.assert_array_equal(plan.position, whole.position)


def test_a_swarm_without_time_keeps_its_best_start_and_says_that_it_was_cut() -> None:
    starts = np.array([[0.9, 0.9], [0.4, 0.5], [0.1, 0.0]])
    low, high = np.zeros(2), np.ones(2)

    def distance(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return ((x - 0.5) ** 2).sum(axis=1), np.zeros(len(x))

    options = SwarmOptions(iterations=50, deadline=0.0)
    np.testing.assert_array_equal(swarm(distance, low, high, starts, options), [0.4, 0.5])
    assert options.record.cut
    options = SwarmOptions(iterations=50)
    swarm(distance, low, high, starts, options)
    assert not options.record.cut


def test_a_search_of_routes_that_the_limit_cuts_says_so_even_where_the_gap_is_reached() -> None:
    """With every gap allowed the first route is good enough; what was cut before might have been another one."""
    outlook = Outlook(three_bus(3600).plant, at_start(three_bus(3600).plant), look_ahead(three_bus(3600), 0, 6))
    solver = SolveOptions(gap=1e9)
    dispatch = Dispatch(
        outlook=outlook,
        limits=limits_of(outlook.plant, outlook.horizon),
        options=ModelOptions(plans=stores_and_sources),
        solver=solver,
    )
    dispatch = deciding_routes(dispatch, [np.array([[0]])])
    assert solve_dispatch(dispatch).outcome.termination is Termination.GAP_REACHED
    solver.record.see(SolverTroubleError("a relaxation was cut short", out_of_time=True))
    assert solve_dispatch(dispatch).outcome.termination is Termination.TIME_LIMIT


def test_corrections_have_the_time_that_is_left() -> None:
    sample = two_feeders(3600)
    forecast = look_ahead(sample, 0, 4)
    controller = Joint(sample.plant, Joint.Settings(time_limit_s=5.0, errors=ErrorSettings(load_std=0.02)))
    none = np.zeros(sample.plant.n_bus)
    feedback = AcFeedback(none, none, np.zeros(sample.plant.n_branch), spent_s=5.0)
    with pytest.raises(ControllerError, match="the time of 5 s for a plan is used up") as refused:
        controller.plan(replace(at_start(sample.plant), ac_feedback=feedback), forecast)
    assert refused.value.out_of_time


def test_all_attempts_at_a_plan_share_the_record_of_what_was_cut() -> None:
    solver = SolveOptions()
    assert replace(solver, gap=1.0).record is solver.record
    assert SolveOptions().record is not solver.record


class Cut(Controller):
    """Charges too much, and has no time left for a correction."""

    accepts_ac_feedback = True

    def plan(self, observation: Observation, forecast: Forecast) -> Plan:
        if observation.ac_feedback is not None:
            assert observation.ac_feedback.spent_s > 0.0
            raise ControllerError("too late", out_of_time=True)
        return replace(hold(self.plant, observation), p_mw=np.full((1, self.plant.n_port), -3.0))


def test_a_plan_whose_correction_was_out_of_time_ends_with_the_time_limit() -> None:
    sample = three_bus(3600)
    feeder = sample.plant.feeders[0]
    plant = replace(sample.plant, feeders=(feeder.with_limits(0.9999, 1.1),))
    host = ControllerHost(plant, Cut(plant, Cut.Settings()), OnFailure.IDLE, ac_corrections=1)
    away = seen_as(plant, at_start(plant), station=[2])
    done = host.decide(away, look_ahead(sample, 19, 1))
    assert done.corrections == 1
    assert "too late" in done.failure
    assert done.plan.solver.termination is Termination.TIME_LIMIT
