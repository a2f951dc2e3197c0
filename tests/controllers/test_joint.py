"""Trucks, links and batteries together: the optimum of all, the parts as special cases, routes kept and anew."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from carrying_case import carrying
from hypothesis import given, settings
from hypothesis import strategies as st

from controllers.blocks.chance import Margins
from controllers.blocks.margin_settings import MarginMaker, MarginSettings
from controllers.blocks.mess import mess_model
from controllers.blocks.mess_parts import MessOptions
from controllers.blocks.setpoint_flow import device_injections
from controllers.blocks.voltage_margins import operating_point
from controllers.conformance import assert_conforms
from controllers.contract import (
    Battery,
    Controller,
    Correction,
    Forecast,
    Link,
    Observation,
    Plan,
    Plant,
    Status,
    Storage,
    Terminal,
)
from controllers.joint import Joint
from controllers.mess_exact import MessExact
from controllers.mvdc_drcc import MvdcDrcc
from controllers.plan_json import plan_from_json, plan_to_json
from controllers.sample_plants import at_start, look_ahead, read_only, two_feeders
from controllers.settings import read_settings
from controllers.solve import InfeasibleError, Method, SolveOptions, solve
from networks.faults import InputError

Case = tuple[Plant, Observation, Forecast]

EXACT = {"scenario": "deterministic", "gap_of_saving": 0.0, "gap_abs": 1e-3, "time_limit_s": 60.0}
ERRORS = {"load_std": 0.08, "generation_std": 0.2}


def controller(cls: type[Controller], plant: Plant, **wish: Any) -> Controller:
    return cls(plant, read_settings(cls.Settings, wish, "test", "controller"))


def joint(case: Case, **wish: Any) -> Plan:
    plant, observation, forecast = case
    return controller(Joint, plant, **wish).plan(observation, forecast)


def trade(seed: int = 0, horizon: int = 6, export_ratio: float = 0.25, cheaper_by: float = 0.0) -> Case:
    """Sun in one network and load in the other, a truck, a battery, a link of 0.3 MVA; prices, sun and load drawn."""
    plant, _, forecast = carrying(
        horizon, trip=8.0, r_ohm=0.5, eta_charge=0.95, eta_discharge=0.95, soc_min=0.1, soc_max=0.9, soc_initial=0.5
    )
    rng = np.random.default_rng(seed)
    store = Storage(1.0, 0.5, 0.6, 0.95, 0.95, 0.02, 0.1, 0.9, 0.5, 0.5, float("inf"), 1.0)
    plant = replace(
        plant,
        batteries=(Battery("B", 1, 3, store),),
        links=(Link("L", (Terminal("L-1", 0, 1, 0.3, 0.02), Terminal("L-2", 1, 3, 0.3, 0.02)), 0),),
        export_price_ratio=export_ratio,
    )
    day = replace(
        forecast,
        load_p_mw=forecast.load_p_mw * rng.uniform(0.6, 1.0, (horizon, 1)),
        load_q_mvar=0.3 * forecast.load_p_mw,
        generation_mw=rng.uniform(0.8, 1.5, (horizon, 1)),
        buy_price=rng.uniform(30.0, 150.0, horizon) - cheaper_by,
    )
    return plant, at_start(plant), read_only(day)


def within(case: Case, v_min: float, v_max: float = 1.1) -> Case:
    """The case with other voltage limits."""
    plant, observation, forecast = case
    return replace(plant, feeders=tuple(one.with_limits(v_min, v_max) for one in plant.feeders)), observation, forecast


def following(case: Case, plan: Plan, **seen: Any) -> Case:
    """The next step, everything as planned but for what is given."""
    plant, observation, forecast = case
    after = {
        "step": observation.step + 1,
        "energy_mwh": plan.prediction.energy_mwh[1].copy(),
        "station": plan.destination[0].copy(),
        "transit_steps": np.array(plan.memory["joint"]["transit_steps"], dtype=np.int64),
        "trips_today": observation.trips_today + (plan.destination[0] != observation.station),
        "previous_plan": plan,
    }
    rest = replace(
        forecast,
        **{
            name: getattr(forecast, name)[1:]
            for name in ("load_p_mw", "load_q_mvar", "generation_mw", "buy_price", "sell_price", "congestion")
        },
    )
    return plant, read_only(replace(observation, **(after | seen))), rest


@pytest.mark.slow
def test_it_keeps_what_every_controller_promises() -> None:
    assert_conforms("joint", {"scenario": "deterministic", "gap_of_saving": 0.3, "time_limit_s": 60.0}, steps=2)


@pytest.mark.slow
def test_it_keeps_what_every_controller_promises_with_margins() -> None:
    assert_conforms("joint", {"gap_of_saving": 0.3, "time_limit_s": 60.0}, steps=3)


def test_without_devices_in_use_it_is_another_controller() -> None:
    with pytest.raises(InputError, match='scenario "none" uses no device; choose the controller idle'):
        controller(Joint, two_feeders().plant, scenario="none")


# ----------------------------------------------------------------------------------------------------------- optimality


def scip(case: Case) -> float:
    """The least cost of all that another solver finds."""
    built = mess_model(*case, MessOptions(links=True))
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
    assert set(plan.destination[:, 0]) == {0, 1}
    plant, observation, forecast = case
    stays = replace(observation, trips_today=np.array([2]))
    assert joint((plant, stays, forecast), **EXACT).solver.objective > plan.solver.objective + 1.0


@settings(max_examples=6)
@given(seed=st.integers(0, 10**6), asked=st.sampled_from([0.0, 0.1, 0.4]))
def test_together_is_never_dearer_than_either_part(seed: int, asked: float) -> None:
    plant, observation, forecast = case = trade(seed)
    plan = joint(case, **(EXACT | {"gap_of_saving": asked}))
    trucks = controller(MessExact, plant, gap=1e-6).plan(observation, forecast)
    links = controller(MvdcDrcc, plant, scenario="deterministic").plan(observation, forecast)
    gap = plan.solver.objective - plan.solver.bound
    assert gap <= max(1e-3, asked * (plan.solver.reference - plan.solver.objective)) + 1e-9
    for part in (trucks, links):
        assert plan.solver.bound <= part.solver.objective + 1e-3
        assert plan.solver.objective <= part.solver.objective + gap + 1e-3
    assert plan.solver.objective <= plan.solver.reference + 1e-3


def without_trucks(v_min: float) -> Case:
    """The dear evening of the sample plant with two feeders, its truck left out."""
    sample = two_feeders(step_s=3600)
    plant = replace(
        sample.plant,
        trucks=(),
        stations=(),
        roads=None,
        feeders=tuple(one.with_limits(v_min, 1.05) for one in sample.plant.feeders),
    )
    return plant, replace(at_start(plant), step=6), look_ahead(replace(sample, plant=plant), 6, 8)


@pytest.mark.parametrize("scenario", ["deterministic", "robust", "drcc"])
def test_without_trucks_it_is_mvdc_drcc(scenario: str) -> None:
    plant, observation, forecast = case = without_trucks(0.996)
    wish = {"scenario": scenario, "errors": ERRORS}
    part = controller(MvdcDrcc, plant, **wish).plan(observation, forecast)
    plan = joint(case, **wish)
    assert plan.solver.status is part.solver.status is Status.OPTIMAL
    assert plan.solver.objective == pytest.approx(part.solver.objective, rel=1e-4)
    np.testing.assert_allclose(plan.prediction.v_pu, part.prediction.v_pu, atol=5e-4)
    loose = joint(without_trucks(0.9), **wish)
    assert loose.solver.objective < plan.solver.objective - 1e-3


@settings(max_examples=5)
@given(seed=st.integers(0, 10**6))
def test_without_links_and_margins_it_is_mess_exact(seed: int) -> None:
    plant, observation, forecast = trade(seed)
    plant = replace(plant, links=())
    part = controller(MessExact, plant, gap=1e-6).plan(observation, forecast)
    plan = joint((plant, observation, forecast), **EXACT)
    assert plan.solver.objective == pytest.approx(part.solver.objective, abs=3e-3)


def test_planned_voltages_are_those_of_the_ac_power_flow() -> None:
    plant, _, forecast = case = trade(1)
    plan = joint(case, **EXACT)
    p, q = device_injections(plant, plan.p_mw, plan.q_mvar, plan.destination)
    v = operating_point(plant, p - forecast.net_load_mw(plant), q - forecast.load_q_mvar)
    np.testing.assert_allclose(plan.prediction.v_pu, np.abs(v), atol=1e-5)


@pytest.mark.parametrize("loss", [0.0, 0.02])
@pytest.mark.parametrize("export_ratio", [0.5, 1.0, 1.2])
def test_negative_prices_are_planned_for_and_what_is_wasted_is_told(export_ratio: float, loss: float) -> None:
    plant, observation, forecast = trade(3, horizon=5, export_ratio=export_ratio, cheaper_by=90.0)
    battery = plant.batteries[0]
    plant = replace(
        plant, batteries=(replace(battery, storage=replace(battery.storage, loss_coefficient=loss)),), links=()
    )
    case = plant, observation, forecast
    assert (forecast.buy_price < 0).any()
    assert (forecast.buy_price > 0).any()
    plan = joint(case, **EXACT)
    built = mess_model(plant, observation, forecast, MessOptions(links=True))
    other = solve(built.model, SolveOptions(gap=1e-6, gap_abs=1e-4))
    best = float(built.cost_per_step.value.sum())
    assert plan.solver.bound <= best + 1e-3
    # losses have a price where waste would pay, which a cost does not show
    assert plan.solver.objective >= other.bound - built.bound_correction - 1e-3
    told = "does not occur" in plan.solver.ended
    if loss == 0.0:
        assert not told
        assert "not a power flow" not in plan.solver.ended
    if told:
        assert plan.solver.status is Status.FEASIBLE
        return
    for index, store in enumerate(plant.storages):
        p, q = plan.p_mw[:, index], plan.q_mvar[:, index]
        gain = np.where(p < 0, -store.eta_charge * p, -p / store.eta_discharge)
        energy = observation.energy_mwh[index] + np.cumsum(gain - store.loss_coefficient * np.hypot(p, q))
        assert energy.max() <= store.soc_max * store.energy_mwh + 1e-5
        assert energy.min() >= store.soc_min * store.energy_mwh - 1e-5


# --------------------------------------------------------------------------------------------------------------- routes


def decided_at(plan: Plan) -> int:
    return plan.memory["joint"]["decided_at"]


def test_routes_are_kept_between_decisions_and_power_is_planned_anew() -> None:
    case = trade(0)
    first = joint(case, **EXACT)
    assert decided_at(first) == 0
    drifted = following(case, first, energy_mwh=np.clip(first.prediction.energy_mwh[1] - 0.05, 0.1, None))
    kept = joint(drifted, **EXACT)
    np.testing.assert_array_equal(kept.destination, first.destination[1:])
    assert decided_at(kept) == 0
    assert "the bound is for the routes decided at step 0" in kept.solver.ended
    np.testing.assert_array_equal(kept.prediction.energy_mwh[0], drifted[1].energy_mwh)
    # as planned, nothing changes
    same = joint(following(case, first), **EXACT)
    assert same.solver.objective == pytest.approx(first.prediction.cost[1:].sum(), abs=5e-3)


def test_routes_are_decided_again_when_they_are_due() -> None:
    case = trade(0)
    plans = [joint(case, **EXACT, replan_routes=2)]
    for _ in range(3):
        case = following(case, plans[-1])
        plans.append(joint(case, **EXACT, replan_routes=2))
    assert [decided_at(plan) for plan in plans] == [0, 0, 2, 2]
    assert ["the bound is for" in plan.solver.ended for plan in plans] == [False, True, False, True]


def departing(case: Case) -> tuple[Case, Plan]:
    """The step in which the truck departs, walked to; and its plan."""
    for _ in range(5):
        plan = joint(case, **EXACT, replan_routes=100)
        if plan.destination[0, 0] != case[1].station[0]:
            return case, plan
        case = following(case, plan)
    raise AssertionError("the truck stays")


def test_a_late_truck_or_a_missed_arrival_brings_the_next_decision_forward() -> None:
    case, plan = departing(trade(0))
    step = case[1].step
    usual = following(case, plan)
    assert decided_at(joint(usual, **EXACT, replan_routes=100)) < step + 1
    late = following(case, plan, transit_steps=usual[1].transit_steps + 1)
    again = joint(late, **EXACT, replan_routes=100)
    assert decided_at(again) == step + 1
    assert not again.p_mw[: late[1].transit_steps[0], 0].any()
    missed = following(case, plan, station=case[1].station, transit_steps=np.array([0]))
    assert decided_at(joint(missed, **EXACT, replan_routes=100)) == step + 1
    # earlier than expected is no reason
    early = following(case, plan, transit_steps=np.array([0]))
    assert decided_at(joint(early, **EXACT, replan_routes=100)) < step + 1


def test_what_it_remembers_is_json_and_all_that_it_remembers() -> None:
    case = trade(2)
    serving = controller(Joint, case[0], **EXACT)
    first = serving.plan(*case[1:])
    text = json.dumps(plan_to_json(first), allow_nan=False)
    back = plan_from_json(json.loads(text))
    assert back.memory == first.memory
    nexts = []
    for one, previous in ((serving, first), (controller(Joint, case[0], **EXACT), back)):
        _, observation, forecast = following(case, previous)
        nexts.append(one.plan(observation, forecast))
    for name in ("p_mw", "q_mvar", "destination"):
        np.testing.assert_array_equal(getattr(nexts[0], name), getattr(nexts[1], name))
    assert nexts[0].memory == nexts[1].memory
    # and what it planned in between changes nothing
    again = serving.plan(*case[1:])
    np.testing.assert_array_equal(again.p_mw, first.p_mw)
    np.testing.assert_array_equal(again.destination, first.destination)


# ---------------------------------------------------------------------------------------------------------- corrections


def corrected(case: Case, plan: Plan, low: float = 0.0, high: float = 0.0, rating: float = 0.0) -> Case:
    """The case asked again: so much more at load buses, so much of the branches left free."""
    plant, observation, forecast = case
    away = np.array([0.0, 1.0, 0.0, 1.0])
    asks = Correction(low * away, high * away, np.full(plant.n_branch, rating), plan)
    return plant, replace(observation, correction=asks), forecast


def test_a_correction_tightens_the_first_step_and_keeps_the_routes() -> None:
    case = trade(0)
    plan = joint(case, **EXACT)
    lowest = float(plan.prediction.v_pu[0, 3])
    low = lowest + 5e-4 - 0.9
    mended = joint(corrected(case, plan, low=low), **EXACT)
    np.testing.assert_array_equal(mended.destination, plan.destination)
    assert decided_at(mended) == 0
    assert mended.prediction.v_pu[0, 3] >= 0.9 + low - 1e-6
    # only there: later steps may be as low as they were
    assert mended.prediction.v_pu[1:, 3].min() <= plan.prediction.v_pu[1:, 3].min() + 1e-4 < 0.9 + low
    assert mended.solver.objective >= plan.solver.objective - 1e-3
    highest = float(plan.prediction.v_pu[0, 1])
    other = joint(corrected(case, plan, high=1.1 - highest + 5e-4), **EXACT)
    assert other.prediction.v_pu[0, 1] <= highest - 5e-4 + 1e-6


def test_a_correction_leaves_as_much_of_a_rating_free_as_it_asks() -> None:
    plant, observation, forecast = trade(0)
    limit = np.array([0.025])
    rated = replace(plant, feeders=tuple(replace(one, i_max_pu=100.0 * limit) for one in plant.feeders))
    case = rated, observation, forecast
    plan = joint(case, **EXACT)

    def current(one: Plan) -> np.ndarray:
        flow = np.hypot(one.prediction.p_branch_mw, one.prediction.q_branch_mvar)
        return flow / one.prediction.v_pu[:, [0, 2]]

    rating = 1.0 - 0.95 * current(plan)[0].max() / 2.5
    mended = joint(corrected(case, plan, rating=rating), **EXACT)
    assert current(mended)[0].max() <= (1.0 - rating) * 2.5 * (1 + 1e-4)
    np.testing.assert_array_equal(mended.destination, plan.destination)


# -------------------------------------------------------------------------------------------- availability and capacity


def equipped(case: Case, **given: np.ndarray) -> Case:
    plant, observation, forecast = case
    return plant, observation, read_only(replace(forecast, **given))


def test_what_is_out_of_service_gets_no_setpoint() -> None:
    """Devices: the truck, the battery, the two ends of the link."""
    there = np.ones((6, 4))
    there[1:3, 1] = 0.0
    there[2:4, 2:] = 0.0
    there[4, :] = 0.5
    there[0, 3] = 0.5
    case = equipped(trade(0), availability=there)
    plan = joint(case, **EXACT)
    for p_or_q in (plan.p_mw, plan.q_mvar):
        assert not p_or_q[1:3, 1].any()
        assert not p_or_q[2:4, 2:].any()
    rated = case[0].device_s_max_mva * there
    assert (np.hypot(plan.p_mw, plan.q_mvar) <= rated + 1e-5).all()
    assert plan.solver.objective >= joint(trade(0), **EXACT).solver.objective - 1e-3


def test_one_end_of_a_link_out_of_service_leaves_reactive_power_to_the_other() -> None:
    there = np.ones((6, 4))
    there[:, 2] = 0.0
    plan = joint(equipped(trade(0), availability=there), **EXACT)
    assert not plan.p_mw[:, 2].any()
    assert not plan.q_mvar[:, 2].any()
    # with the other end out nothing covers more than its own losses
    assert (plan.p_mw[:, 3] <= 1e-6).all()
    assert (plan.p_mw[:, 3] >= -0.02 * 0.3 - 1e-6).all()


@pytest.mark.parametrize("device", [0, 1])
def test_half_the_capacity_is_half_the_window(device: int) -> None:
    """Half of what is held is lost with half of the strings, at the start of step 3."""
    holds = np.ones((6, 2))
    holds[3:, device] = 0.5
    case = equipped(trade(0), capacity=holds)
    plan = joint(case, **EXACT)
    store, p, q = case[0].storages[device], plan.p_mw[:, device], plan.q_mvar[:, device]
    gain = np.where(p < 0, -store.eta_charge * p, -p / store.eta_discharge) - store.loss_coefficient * np.hypot(p, q)
    energy = case[1].energy_mwh[device]
    for step in range(6):
        energy = energy * (0.5 if step == 3 else 1.0) + gain[step]
        assert 0.1 * holds[step, device] - 1e-5 <= energy / store.energy_mwh <= 0.9 * holds[step, device] + 1e-5
    if store.soc_end_min is not None:
        assert energy >= 0.5 * store.soc_end_min * store.energy_mwh - 1e-5


def test_strings_lost_before_the_first_step_lose_nothing_again() -> None:
    """The share was 0.5 in the last step already; what is measured is what is left."""
    holds = np.full((6, 2), [1.0, 0.5])
    plant, observation, forecast = equipped(trade(0), capacity=holds)
    seen = replace(observation, energy_mwh=np.array([0.5, 0.3]), capacity=np.array([1.0, 0.5]))
    plan = joint((plant, seen, forecast), **EXACT)
    np.testing.assert_array_equal(plan.prediction.energy_mwh[0], [0.5, 0.3])
    assert plan.prediction.energy_mwh[1:, 1].max() <= 0.45 + 1e-5
    assert plan.prediction.energy_mwh[1:, 1].min() >= 0.05 - 1e-5
    assert plan.prediction.energy_mwh[-1, 1] >= 0.25 - 1e-5


# --------------------------------------------------------------------------------------------------- limits and margins


def test_margins_keep_what_they_ask_for_and_cost_something() -> None:
    case = within(trade(0), 0.99)
    tight = joint(case, **(EXACT | {"scenario": "drcc"}), errors=ERRORS)
    free = joint(case, **EXACT)
    assert tight.solver.objective >= free.solver.objective - 1e-3
    assert tight.prediction.v_pu[:, 3].min() >= 0.99 + 1e-5
    robust = joint(case, **(EXACT | {"scenario": "robust"}), errors=ERRORS)
    assert robust.solver.objective >= tight.solver.objective - 1e-2


def test_limits_that_no_plan_keeps_are_missed_by_least_or_refused() -> None:
    case = within(trade(0), 0.9995)
    plan = joint(case, **EXACT)
    assert plan.solver.status is Status.FEASIBLE
    assert "no plan keeps every limit" in plan.solver.ended
    assert plan.prediction.v_pu[:, 3].min() < 0.9995
    with pytest.raises(InfeasibleError):
        joint(case, **EXACT, on_infeasible="raise")


def margins(case: Case, **wish: Any) -> Margins:
    plant, observation, forecast = case
    maker = MarginMaker(plant, MarginSettings(errors=ERRORS, **wish))
    nothing = np.zeros((forecast.steps, plant.n_bus))
    return maker.margins(forecast, maker.ambiguity(observation.step, forecast), nothing, nothing)


@pytest.mark.parametrize("secant", [False, True])
@pytest.mark.parametrize("scenario", ["robust", "drcc"])
@pytest.mark.parametrize("support", ["box", "unbounded"])
def test_what_was_just_measured_shrinks_near_margins_and_enlarges_none(
    scenario: str, support: str, secant: bool
) -> None:
    wish = {"scenario": scenario, "support": support, "secant": secant}
    case = trade(0, horizon=12)
    full = margins(case, **wish)
    before = full
    for ageing_h in (0.01, 1.0, 4.0, 24.0):
        aged = margins(case, **wish, ageing_h=ageing_h)
        for one, other, whole in ((aged.lower, before.lower, full.lower), (aged.upper, before.upper, full.upper)):
            # the longer errors last, the more a measurement says
            assert (one <= other + 1e-12).all()
            assert (one <= whole + 1e-12).all()
            assert (one >= 0).all()
        before = aged
    slow = margins(case, **wish, ageing_h=4.0)
    assert slow.lower[0, 3] < 0.8 * full.lower[0, 3]
    # twelve hours are three correlation times
    assert slow.lower[-1, 3] == pytest.approx(full.lower[-1, 3], rel=5e-3)
    np.testing.assert_allclose(margins(case, **wish, ageing_h=0.01).lower, full.lower, rtol=1e-9)


def test_near_margins_shrink_as_the_errors_process_says() -> None:
    """Unbounded without a ball: margins are in proportion to the errors, √(1 - exp(-2 τ / T)) for T = 4 h."""
    wish = {"scenario": "drcc", "support": "unbounded", "radius": 0.0, "secant": False}
    case = trade(0, horizon=8)
    share = margins(case, **wish, ageing_h=4.0).lower[:, 3] / margins(case, **wish).lower[:, 3]
    np.testing.assert_allclose(share, np.sqrt(1 - np.exp(-np.arange(1, 9) / 2)), rtol=1e-9)
