"""Trucks, links and batteries together: the optimum of all, the parts as special cases, limits that give."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cases.dispatch import dispatch_model
from cases.joint_trade import ERRORS, EXACT, Case, controller, joint, nothing_due, trade, within
from cases.parts import of_kind, seen_as, storages, with_devices
from gridferry.controllers.conformance.sample_plants import at_start, two_feeders
from gridferry.controllers.conformance.suite import assert_conforms
from gridferry.controllers.contract import (
    NoteKind,
    Status,
)
from gridferry.controllers.joint import Joint
from gridferry.controllers.mess_exact import MessExact
from gridferry.controllers.model.objective import ModelOptions
from gridferry.controllers.mvdc_drcc import MvdcDrcc
from gridferry.controllers.plans.injections import device_injections
from gridferry.controllers.solve import InfeasibleError, Method, SolveOptions, solve
from gridferry.controllers.uncertainty.sensitivities import operating_point
from gridferry.networks.faults import InputError


@pytest.mark.slow
def test_it_keeps_what_every_controller_promises() -> None:
    assert_conforms("joint", {"scenario": "deterministic", "gap_of_saving": 0.3, "time_limit_s": 3600.0}, steps=2)


@pytest.mark.slow
def test_it_keeps_what_every_controller_promises_with_margins() -> None:
    assert_conforms("joint", {"gap_of_saving": 0.3, "time_limit_s": 3600.0}, steps=3)


def test_without_devices_in_use_it_is_another_controller() -> None:
    with pytest.raises(InputError, match='scenario "none" uses no device; choose the controller idle'):
        controller(Joint, two_feeders().plant, scenario="none")


def scip(case: Case) -> float:
    """The least cost of all that another solver finds."""
    built = dispatch_model(case, options=ModelOptions())
    return solve(built.model, SolveOptions(method=Method.SCIP, gap=1e-5, gap_abs=1e-3)).objective


@settings(max_examples=4)
@given(seed=st.integers(0, 10**6))
def test_the_plan_is_the_optimum_that_scip_finds(seed: int) -> None:
    case = trade(seed, horizon=5)
    best, plan = scip(case), joint(case, **EXACT)
    assert plan.solver.status is Status.OPTIMAL
    assert plan.solver.objective == pytest.approx(best, abs=1e-2)
    assert plan.solver.bound <= best + 1e-3
    assert plan.solver.objective == pytest.approx(plan.prediction.cost.sum(), abs=1e-6)


def test_a_truck_is_sent_where_its_energy_is_worth_most() -> None:
    """The case is one in which routes matter: without its trips it costs more."""
    case = trade(0)
    plan = joint(case, **EXACT)
    assert set(plan.position[:, 0]) == {0, 1}
    plant, observation, forecast = case
    stays = seen_as(plant, observation, trips_today=np.array([2]))
    assert joint((plant, stays, forecast), **EXACT).solver.objective > plan.solver.objective + 1.0


def test_savings_are_counted_from_a_horizon_in_which_trucks_on_the_road_drive_on() -> None:
    """Two steps to go, at 8 an hour."""
    plant, observation, forecast = trade(0)
    truck = of_kind(plant, "trucks")[0]
    paid = replace(truck, cost=replace(truck.cost, labour_per_h=8.0))
    plant = with_devices(plant, trucks=(paid, *of_kind(plant, "trucks")[1:]))
    driving = seen_as(plant, observation, transit_steps=np.array([2]))
    parked, on_the_road = (joint((plant, seen, forecast), **EXACT).solver for seen in (observation, driving))
    assert on_the_road.reference - parked.reference == pytest.approx(2 * plant.step_h * 8.0)


@settings(max_examples=6)
@given(seed=st.integers(0, 10**6), requested=st.sampled_from([0.0, 0.1, 0.4]))
def test_together_is_never_more_expensive_than_either_part(seed: int, requested: float) -> None:
    plant, observation, forecast = case = trade(seed)
    plan = joint(case, **(EXACT | {"gap_of_saving": requested}))
    trucks = controller(MessExact, plant, gap=1e-6).plan(observation, forecast)
    links = controller(MvdcDrcc, plant, scenario="deterministic").plan(observation, forecast)
    gap = plan.solver.objective - plan.solver.bound
    assert gap <= max(1e-3, requested * (plan.solver.reference - plan.solver.objective)) + 1e-9
    for part in (trucks, links):
        assert plan.solver.bound <= part.solver.objective + 1e-3
        assert plan.solver.objective <= part.solver.objective + gap + 1e-3
    assert plan.solver.objective <= plan.solver.reference + 1e-3


def test_planned_voltages_are_those_of_the_ac_power_flow() -> None:
    plant, _, forecast = case = trade(1)
    plan = joint(case, **EXACT)
    p, q = device_injections(plant, forecast, plan.p_mw, plan.q_mvar, plan.position)
    v = operating_point(plant, p - forecast.net_load_mw(plant), q - forecast.load_q_mvar)
    np.testing.assert_allclose(plan.prediction.v_pu, np.abs(v), atol=1e-5)


@pytest.mark.parametrize("loss", [0.0, 0.02])
@pytest.mark.parametrize("export_ratio", [0.5, 1.0, 1.2])
def test_negative_prices_are_planned_for_and_waste_is_reported(export_ratio: float, loss: float) -> None:
    plant, _, forecast = trade(3, horizon=5, export_ratio=export_ratio, cheaper_by=90.0)
    battery = of_kind(plant, "batteries")[0]
    plant = with_devices(
        plant, batteries=(replace(battery, storage=replace(battery.storage, loss_coefficient=loss)),), links=()
    )
    case = plant, observation, forecast = plant, at_start(plant), forecast
    assert (forecast.buy_price < 0).any()
    assert (forecast.buy_price > 0).any()
    plan = joint(case, **EXACT)
    built = dispatch_model(case, options=ModelOptions())
    other = solve(built.model, SolveOptions(gap=1e-6, gap_abs=1e-4))
    # the relaxation has no price of losses, and no plan that is a power flow is cheaper
    relaxed = other.bound - built.bound_correction
    assert relaxed - 1e-3 <= plan.solver.bound <= plan.solver.objective
    assert plan.solver.cone_gap < 1e-5
    for index, store in enumerate(storages(plant)):
        p, q = plan.p_mw[:, index], plan.q_mvar[:, index]
        gain = np.where(p < 0, -store.eta_charge * p, -p / store.eta_discharge)
        energy = observation.energy_mwh[index] + np.cumsum(gain - store.loss_coefficient * np.hypot(p, q))
        assert energy.max() <= store.soc_max * store.energy_mwh + 1e-5
        assert energy.min() >= store.soc_min * store.energy_mwh - 1e-5


def test_margins_keep_what_they_ask_for_and_cost_something() -> None:
    case = within(trade(0), 0.99)
    tight = joint(case, **(EXACT | {"scenario": "drcc"}), errors=ERRORS)
    free = joint(case, **EXACT)
    assert tight.solver.objective >= free.solver.objective - 1e-3
    assert tight.prediction.v_pu[:, 3].min() >= 0.99 + 1e-5
    robust = joint(case, **(EXACT | {"scenario": "robust"}), errors=ERRORS)
    assert robust.solver.objective >= tight.solver.objective - 1e-2


def test_limits_that_no_plan_keeps_are_violated_at_the_minimum_or_refused() -> None:
    case = within(nothing_due(trade(0)), 0.9995)
    plan = joint(case, **EXACT)
    assert plan.solver.status is Status.FEASIBLE
    assert [note.kind for note in plan.solver.violations] == [NoteKind.VIOLATED_V_LOW]
    assert plan.prediction.v_pu[:, 3].min() < 0.9995
    with pytest.raises(InfeasibleError):
        joint(case, **EXACT, on_infeasible="raise")
