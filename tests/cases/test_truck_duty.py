"""Duty of trucks: energy of driving, shifts, depots, trips under way at the start, labour by hour."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from cases.carrying import carrying
from cases.dispatch import Case, dispatch
from cases.enumerated_routes import least_cost, routes
from cases.joint_trade import controller, joint
from cases.parts import last_steps, of_kind, with_devices
from gridferry.controllers.conformance.device_suite import check_device
from gridferry.controllers.conformance.sample_plants import at_start, read_only, two_feeders
from gridferry.controllers.contract import Observation, Plan
from gridferry.controllers.devices import Clip, Now, Outcome, Request, step_all
from gridferry.controllers.devices.couplings import travel_under
from gridferry.controllers.devices.trucks.config import Labour
from gridferry.controllers.devices.trucks.cost import TruckCost, pay_of_shift
from gridferry.controllers.devices.trucks.device import Truck
from gridferry.controllers.devices.trucks.duty import Duty
from gridferry.controllers.mess_exact import MessExact
from gridferry.controllers.mess_two_stage import MessTwoStage
from gridferry.controllers.model.within_limits import plan_within_limits
from gridferry.controllers.plans.first_step import observed, requests_of_row, surroundings
from gridferry.controllers.routes.trips_now import TripsNow
from gridferry.controllers.routes.two_time_scales import on_routes
from gridferry.controllers.rules import Rules
from gridferry.controllers.schedule.ac_evaluation import Schedules, evaluate

EXACT = {"scenario": "deterministic", "gap_of_saving": 0.0, "gap_abs": 1e-3}


def on_duty(prices: Sequence[float], duty: Duty, cost: TruckCost | None = None, **store: Any) -> Case:
    """One truck between sun at A and load at B, an hour and 10 km apart, from midnight on."""
    plant, _, forecast = carrying(len(prices), trip=8.0, **store)
    (truck,) = of_kind(plant, "trucks")
    plant = with_devices(plant, trucks=(replace(truck, duty=duty, cost=cost or truck.cost),))
    return plant, at_start(plant), read_only(replace(forecast, buy_price=np.array(prices)))


def played(case: Case, plan: Plan) -> list[list[Outcome]]:
    """What devices do of a plan."""
    plant, observation, forecast = case
    states: Sequence[Any] = observation.states
    found = []
    for row, (nows, around) in enumerate(surroundings(plant, observation.step, forecast, plan.steps)):
        values = (one[row].tolist() for one in (plan.p_mw, plan.q_mvar, plan.position))
        done = step_all(plant.devices, plant.couplings, states, requests_of_row(plant, states, *values), nows, around)
        states = [state for state, _ in done]
        found.append([outcome for _, outcome in done])
    return found


def clips(case: Case, plan: Plan) -> set[str]:
    """Why devices do not do a plan."""
    return {clip for row in played(case, plan) for outcome in row for port in outcome.ports for clip in port.clips}


# --------------------------------------------------------------------------------------------------- energy of driving


@pytest.mark.parametrize(("seed", "drive"), [(0, 0.01), (1, 0.03), (2, 0.06)])
def test_plans_with_the_energy_of_driving_cost_what_the_best_of_all_routes_costs(seed: int, drive: float) -> None:
    """A trip of 10 km takes 0.1, 0.3 or 0.6 of the 1 MWh that the battery holds."""
    rng = np.random.default_rng(seed)
    prices, start = rng.uniform(20.0, 250.0, 6).round(1).tolist(), float(rng.uniform(0.0, 0.5))
    case = on_duty(prices, Duty(drive_mwh_per_km=drive), soc_initial=start)
    least = min(
        8.0 * trips + least_cost(prices, [stands], [[at is not None for at in stands]], [start], drive_mwh=10 * drive)
        for stands, trips in routes(6, 0, 2)
    )
    exact = controller(MessExact, case[0]).plan(*case[1:])
    assert exact.solver.objective == pytest.approx(least, abs=0.1)
    assert clips(case, exact) == set()
    assert joint(case, **EXACT).solver.objective == pytest.approx(least, abs=0.1)
    staged = controller(MessTwoStage, case[0], iterations=10).plan(*case[1:])
    assert staged.solver.bound - 0.1 <= least <= staged.solver.objective + 0.1
    assert clips(case, staged) == set()


def truck_step(
    truck: Truck, state: Any, case: Case, to: int, clock_h: float = 12.0, p_mw: float = 0.0
) -> tuple[Any, Outcome]:
    """One step of an hour with a trip, if any."""
    roads = case[0].roads
    assert roads is not None
    trips = travel_under(roads, ((0.0, 0.0),), 3600, 0)
    now = Now(1.0, trips=trips, clock_h=clock_h)
    ((after, outcome),) = step_all([truck], [], [state], [Request((p_mw,), (0.0,), (to,))], [now])
    return after, outcome


def test_a_trip_takes_its_energy_when_it_begins_and_one_that_cannot_be_paid_is_refused() -> None:
    case = on_duty([10.0] * 4, Duty(drive_mwh_per_km=0.03), soc_min=0.1, soc_initial=0.5)
    truck, state = case[0].devices[0], case[1].states[0]
    assert isinstance(truck, Truck)
    after, outcome = truck_step(truck, state, case, 1)
    assert after.energy_mwh == pytest.approx(0.2)
    assert outcome.loss_mwh == pytest.approx(0.3)
    again, refused = truck_step(truck, after, case, 0, p_mw=0.05)
    assert refused.ports[0].clips == (Clip.DRIVING_ENERGY,)
    assert (again.station, refused.ports[0].p_mw) == (1, 0.05)
    # what a solver's tolerance leaves out is not missing
    paid, outcome = truck_step(truck, replace(state, energy_mwh=0.4 - 5e-7), case, 1)
    assert (paid.station, paid.energy_mwh) == (1, 0.1)
    assert outcome.loss_mwh == pytest.approx(0.3 - 5e-7)


def test_fixed_routes_leave_out_a_trip_that_no_charging_could_pay() -> None:
    """0.1 MWh charged an hour: 0.6 MWh for the trip are there in the seventh hour."""
    case = on_duty([50.0] * 10, Duty(drive_mwh_per_km=0.06), p_max_mw=0.1, s_max_mva=0.1)
    kept = on_routes(dispatch(case), np.ones((10, 1), dtype=np.int64))
    solved = plan_within_limits([kept], kept, relax=True)
    assert not solved.violated
    assert solved.model.routes[0][1].stations.tolist() == [0] * 6 + [1] * 4


def test_many_schedules_of_a_truck_on_duty_are_done_as_each_alone() -> None:
    case = on_duty([30.0] * 24, Duty(drive_mwh_per_km=0.02, shift=(6.0, 20.0)), soc_min=0.1, soc_initial=0.4)
    plant, observation, forecast = case
    rng = np.random.default_rng(3)
    p = rng.choice([-0.2, 0.0, 0.15], (20, 24, plant.n_port))
    many = Schedules(p_mw=p, q_mvar=0.0 * p, position=np.repeat(rng.integers(0, 2, (20, 8, 1)), 3, axis=1))
    together = evaluate(plant, many, observation, forecast)
    for k in range(20):
        done = played(case, Plan(many.p_mw[k], many.q_mvar[k], many.position[k]))
        stored = [row[0].row["energy_mwh"] for row in done]
        np.testing.assert_allclose(together.energy_mwh[k, 1:, 0], stored, rtol=0, atol=1e-12)
        labour = [row[0].money["fuel"] for row in done]
        np.testing.assert_allclose(together.costs["fuel"][k], labour)


def test_trucks_on_duty_keep_every_promise_of_devices() -> None:
    plant = two_feeders().plant
    (truck, *_) = of_kind(plant, "trucks")
    duty = Duty(drive_mwh_per_km=0.01, shift=(6.0, 22.0), depot=truck.initial_station, return_by=20.0)
    by_hour = replace(truck.cost, by_hour=tuple(float(hour) for hour in range(24)))
    extras = {"wear_by_depth": ((0.3, 5.0), (1.0, 20.0)), "self_discharge_per_day": 0.05, "ramp_mw_per_h": 1.0}
    for store in (truck.storage, replace(truck.storage, **extras)):
        findings = check_device(Truck, [replace(truck, storage=store, duty=duty, cost=by_hour)])
        assert [str(one) for one in findings if not one.passed] == []


def test_driving_wears_by_depth_and_costs_the_same_in_plan_and_devices() -> None:
    """By hand: segments of 0.4 MWh at 10 and 0.6 at 20 per MWh; driving takes 0.3 of the first, which is bought again
    at 50 before 1 MWh is sold at 100.
    """
    depth = {"wear_by_depth": ((0.4, 10.0), (1.0, 20.0)), "self_discharge_per_day": 0.5}
    case = on_duty([10.0, 50.0, 50.0, 100.0], Duty(drive_mwh_per_km=0.03), soc_initial=1.0, **depth)
    plan = controller(MessExact, case[0]).plan(*case[1:])
    assert plan.prediction is not None
    assert plan.position[-1, 0] == 1
    done = played(case, plan)
    wear = [row[0].money["wear"] for row in done]
    np.testing.assert_allclose(plan.prediction.costs["wear"], wear, atol=1e-6)
    assert plan.solver.objective == pytest.approx(float(plan.prediction.cost.sum()), abs=1e-2)
    plain = on_duty(
        [10.0, 50.0, 50.0, 100.0], Duty(drive_mwh_per_km=0.03), soc_initial=1.0, wear_by_depth=depth["wear_by_depth"]
    )
    plan = controller(MessExact, plain[0]).plan(*plain[1:])
    assert sum(row[0].money["wear"] for row in played(plain, plan)) == pytest.approx(3.0 + 4.0 + 12.0, abs=1e-3)


# ------------------------------------------------------------------------------------------------------------- shifts


def test_trips_begin_and_end_within_the_shift_in_plans_and_devices() -> None:
    """Energy is worth most from 02:00 on; the shift begins at 03:00, so that the truck is there at 04:00."""
    prices = [10.0, 10.0, 200.0, 150.0, 120.0, 110.0]
    case = on_duty(prices, Duty(shift=(3.0, 5.0)))
    plan = controller(MessExact, case[0]).plan(*case[1:])
    assert plan.position[:, 0].tolist() == [0, 0, 0, 1, 1, 1]
    assert clips(case, plan) == set()
    assert plan.solver.objective == pytest.approx(2.0 * sum(prices) - 120.0 + 8.0, abs=0.1)
    early = replace(plan, position=np.array([[0], [1], [1], [1], [1], [1]]))
    assert clips(case, early) >= {Clip.SHIFT}
    staged = controller(MessTwoStage, case[0], iterations=20).plan(*case[1:])
    assert clips(case, staged) == set()
    late = on_duty(prices, Duty(shift=(3.0, 3.5)))
    stays = controller(MessExact, case[0]).plan(*late[1:])
    assert stays.position.max() == 1
    stays = controller(MessExact, late[0]).plan(*late[1:])
    assert stays.position.max() == 0


@pytest.mark.parametrize(
    ("shift", "clock_h", "duration_h", "within"),
    [
        ((6.0, 22.0), 6.0, 16.0, True),
        ((6.0, 22.0), 5.75, 1.0, False),
        ((6.0, 22.0), 21.75, 0.25, True),
        ((6.0, 22.0), 21.75, 0.5, False),
        ((22.0, 6.0), 23.0, 3.0, True),
        ((22.0, 6.0), 5.0, 1.0, True),
        ((22.0, 6.0), 5.0, 1.25, False),
        ((22.0, 6.0), 12.0, 0.25, False),
        ((0.0, 24.0), 23.0, 1.0, True),
        ((0.0, 24.0), 23.0, 1.25, False),
    ],
)
def test_a_trip_ends_within_the_shift_that_it_begins_in(
    shift: tuple[float, float], clock_h: float, duration_h: float, within: bool
) -> None:
    assert bool(Duty(shift=shift).on_shift(clock_h, duration_h)) is within


# ------------------------------------------------------------------------------------------------------------- depots


def test_a_truck_is_at_its_depot_when_it_is_due() -> None:
    """Without a depot it would sell at B in the last hours; it is due at A at 04:00, and has time to go back."""
    prices = [10.0, 10.0, 100.0, 10.0, 10.0, 150.0]
    free = on_duty(prices, Duty())
    assert controller(MessExact, free[0]).plan(*free[1:]).position[4, 0] == 1
    case = on_duty(prices, Duty(depot=0, return_by=4.0))
    for plan in (controller(MessExact, case[0]).plan(*case[1:]), joint(case, **EXACT)):
        done = played(case, plan)
        assert done[3][0].row["destination"] == "A"
        assert plan.position[4, 0] == 0 or done[4][0].row["departed"]
        least = min(
            8.0 * trips + least_cost(prices, [stands], [[at is not None for at in stands]], [0.0])
            for stands, trips in routes(6, 0, 2)
            if stands[4] == 0 or (stands[4] is None and stands[3] == 0)
        )
        assert plan.solver.objective == pytest.approx(least, abs=0.1)
    staged = controller(MessTwoStage, case[0], iterations=10).plan(*case[1:])
    assert staged.solver.bound - 0.1 <= least
    assert played(case, staged)[3][0].row["destination"] == "A"
    assert played(case, staged)[3][0].row["transit_steps"] == 0


def test_a_truck_that_cannot_be_at_its_depot_in_time_is_a_violation_that_is_named() -> None:
    case = on_duty([10.0, 10.0, 100.0], Duty(depot=1, return_by=1.0, transit_steps_initial=0, shift=(1.0, 5.0)))
    plan = controller(MessExact, case[0]).plan(*case[1:])
    assert any("depot" in note.place for note in plan.solver.notes)


def test_steps_at_which_a_depot_is_due() -> None:
    clock = np.arange(0.0, 48.25, 0.25) % 24.0
    assert Duty(depot=0, return_by=20.0).due_at(clock) == [80, 176]
    assert Duty(depot=0, return_by=24.0).due_at(clock) == [96, 192]
    assert Duty(depot=0, return_by=20.1).due_at(clock) == [80, 176]
    assert Duty(depot=0, return_by=0.0).due_at(clock[:96]) == []


# --------------------------------------------------------------------------------------------- on the road at the start


def test_a_truck_that_is_on_the_road_at_the_start_arrives_as_it_says() -> None:
    """It reaches B in two hours, with 1 MWh to sell."""
    prices = [100.0, 90.0, 80.0, 60.0]
    plant, _, forecast = on_duty(prices, Duty(transit_steps_initial=2), soc_initial=1.0)
    (truck,) = of_kind(plant, "trucks")
    plant = with_devices(plant, trucks=(replace(truck, initial_station=1),))
    case = plant, at_start(plant), forecast
    seen: Observation = case[1]
    assert (seen.transit_steps[0], seen.position[0]) == (2, 1)
    plan = controller(MessExact, plant).plan(*case[1:])
    assert plan.p_mw[:, 0].tolist() == pytest.approx([0.0, 0.0, 1.0, 0.0], abs=1e-4)
    assert [row[0].row["phase"] for row in played(case, plan)] == ["in_transit", "in_transit", "parked", "parked"]


# ------------------------------------------------------------------------------------------------------------- labour


def test_labour_by_the_hour_of_the_day_is_the_same_in_plan_and_devices() -> None:
    """The trip at night would cost 100 of labour, that in the next hour 5: it waits."""
    prices = [10.0, 10.0, 60.0, 50.0]
    rates = (100.0, 5.0, 100.0, *[100.0] * 21)
    plant, _, _ = carrying(1, trip=0.0)
    cost = replace(of_kind(plant, "trucks")[0].cost, by_hour=rates, labour_per_h=100.0)
    case = on_duty(prices, Duty(), cost, soc_initial=1.0)
    plan = controller(MessExact, case[0]).plan(*case[1:])
    assert plan.position[:, 0].tolist() == [0, 1, 1, 1]
    assert sum(row[0].money["labour"] for row in played(case, plan)) == pytest.approx(5.0)
    assert plan.prediction is not None
    assert plan.prediction.costs["labour"].tolist() == pytest.approx([0.0, 5.0, 0.0, 0.0])
    assert plan.solver.objective == pytest.approx(2.0 * sum(prices) - 60.0 + 5.0, abs=0.1)


def test_hours_of_the_shift_are_paid_on_days_of_use() -> None:
    rates = tuple(10.0 if 6 <= hour < 22 else 30.0 for hour in range(24))
    assert pay_of_shift(rates, 5.5, 17.0) == pytest.approx(0.5 * 30.0 + 16 * 10.0 + 0.5 * 30.0)
    assert pay_of_shift(rates, 22.0, 8.0) == pytest.approx(240.0)
    plant, _, _ = carrying(1, trip=0.0)
    cost = replace(of_kind(plant, "trucks")[0].cost, labour=Labour.SHIFT_IF_USED, shift_pay=40.0)
    for price, pays in ((30.0, False), (100.0, True)):
        prices = [10.0, 10.0, price, 10.0]
        case = on_duty(prices, Duty(shift=(0.0, 24.0)), cost, soc_initial=1.0)
        plan = controller(MessExact, case[0]).plan(*case[1:])
        assert sum(row[0].money["labour"] for row in played(case, plan)) == pytest.approx(40.0 if pays else 0.0)
        assert bool(plan.position.max()) is pays


# -------------------------------------------------------------------------------------------------------------- rules


def test_rules_leave_for_the_depot_while_the_shift_lasts() -> None:
    """Due at 10:00, and no trip ends after 06:00: the last one begins at 05:00."""
    case = on_duty([10.0] * 12, Duty(shift=(0.0, 6.0), depot=0, return_by=10.0))
    plant, observation, forecast = case
    away = replace(observation.states[0], station=1)
    truck = plant.devices[0]
    trips = [TripsNow(plant, hour, last_steps(forecast, hour)) for hour in range(8)]
    assert [one.due_now(truck, away) for one in trips] == [None] * 5 + [0] * 3
    assert [one.may_begin(truck, away, 0, 0.0) for one in trips] == [True] * 6 + [False] * 2
    home = replace(observation.states[0], station=0)
    # there and back: at 03:00 it arrives at 04:00, and leaves again at 05:00
    assert [one.may_begin(truck, home, 1, 0.0) for one in trips] == [True] * 4 + [False] * 4


def test_rules_drive_within_shift_and_energy_and_are_home_when_due() -> None:
    prices = [10.0, 10.0, 10.0, 40.0, 40.0, 100.0, 100.0, 100.0, 100.0, 40.0, 40.0, 40.0]
    duty = Duty(drive_mwh_per_km=0.02, shift=(1.0, 11.0), depot=0, return_by=10.0)
    plant, observation, forecast = on_duty(prices, duty, soc_min=0.1, soc_initial=0.4, p_max_mw=0.5)
    rules = Rules(plant, Rules.Settings(charge_quantile=0.2, power_share=1.0, min_stay_h=0.0))
    states: Sequence[Any] = observation.states
    previous: Plan | None = None
    done: list[list[Outcome]] = []
    for hour, (nows, around) in enumerate(surroundings(plant, 0, forecast, 12)):
        seen = replace(observation, step=hour, previous_plan=previous, **observed(plant, states))
        previous = rules.plan(seen, last_steps(forecast, hour))
        values = (one[0].tolist() for one in (previous.p_mw, previous.q_mvar, previous.position))
        asked = requests_of_row(plant, states, *values)
        outcomes = step_all(plant.devices, plant.couplings, states, asked, nows, around)
        states = [state for state, _ in outcomes]
        done.append([outcome for _, outcome in outcomes])
    assert not any(port.clips for row in done for outcome in row for port in outcome.ports)
    assert sum(row[0].row["departed"] for row in done) == 2
    assert (done[9][0].row["destination"], done[9][0].row["transit_steps"]) == ("A", 0)
    assert sum(max(row[0].ports[0].p_mw, 0.0) for row in done) > 0.2
