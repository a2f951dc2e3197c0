"""Places and power of stations: in the simulation, in plans; an enumeration of all routes by linear programs."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from cases.carrying import carrying
from cases.dispatch import Case, dispatch
from cases.enumerated_routes import least_cost, plugged_in, routes
from cases.joint_trade import controller, joint
from cases.parts import last_steps, seen_as, with_devices
from gridferry.controllers.conformance.sample_plants import at_start, read_only
from gridferry.controllers.contract import Plan
from gridferry.controllers.devices import Clip, Now, Request, step_all
from gridferry.controllers.mess_exact import MessExact
from gridferry.controllers.mess_two_stage import MessTwoStage
from gridferry.controllers.model.within_limits import plan_within_limits
from gridferry.controllers.plans.first_step import observed, requests_of_row, surroundings
from gridferry.controllers.routes.two_time_scales import on_routes
from gridferry.controllers.rules import Rules
from gridferry.controllers.schedule.ac_evaluation import Schedules, evaluate, evaluate_plan


def stations_with(case: Case, places: int | None = 1, p_max_mw: float = float("inf")) -> Case:
    """The case with so many places, and so much power, at every station."""
    plant, _, forecast = case
    plant = with_devices(
        plant, stations=tuple(replace(one, places=places, p_max_mw=p_max_mw) for one in plant.stations)
    )
    return plant, at_start(plant), forecast


def two_trucks(prices: Sequence[float], trucks: int = 2, **given: Any) -> Case:
    """Trucks of 1 MWh at A, where there is sun, and a load at B, whose energy costs what is given in each hour."""
    plant, observation, forecast = carrying(len(prices), trip=8.0, trucks=trucks, **given)
    return plant, observation, read_only(replace(forecast, buy_price=np.array(prices)))


# ---------------------------------------------------------------------------------------------------------- enumeration


def enumerated(
    prices: Sequence[float], starts: Sequence[int], energies: Sequence[float], before: Sequence[int], places: int
) -> float:
    """The least cost of all routes, waiting at full stations included."""
    best = np.inf
    each = [routes(len(prices), start, 2) for start in starts]
    for chosen in itertools.product(*each):
        stands, trips = zip(*chosen, strict=True)
        plugged = plugged_in(stands, before, places)
        best = min(best, 8.0 * sum(trips) + least_cost(prices, stands, plugged, energies))
    return best


@pytest.mark.parametrize("seed", range(3))
def test_plans_cost_what_the_best_of_all_routes_with_their_queues_cost(seed: int) -> None:
    rng = np.random.default_rng(seed)
    prices = rng.uniform(20.0, 150.0, 5).round(1).tolist()
    starts, energies = rng.integers(0, 2, 2).tolist(), rng.uniform(0.0, 1.0, 2).round(2).tolist()
    before = rng.integers(0, 3, 2).tolist()
    plant, observation, forecast = stations_with(two_trucks(prices))
    seen = seen_as(plant, observation, station=starts, energy_mwh=energies, parked_steps=before)
    case = plant, read_only(seen), forecast
    least = enumerated(prices, starts, energies, before, 1)
    exact = controller(MessExact, plant).plan(*case[1:])
    assert exact.solver.objective == pytest.approx(least, abs=0.1)
    assert exact.solver.bound <= least + 0.1
    assert done_as_planned(case, exact)
    assert joint(case, scenario="deterministic", gap_of_saving=0.0, gap_abs=1e-3).solver.objective == pytest.approx(
        least, abs=0.1
    )
    staged = controller(MessTwoStage, plant, iterations=5).plan(*case[1:])
    assert staged.solver.bound - 0.1 <= least <= staged.solver.objective + 0.1
    assert done_as_planned(case, staged)


def done_as_planned(case: Case, plan: Plan) -> bool:
    """Whether devices do a plan with nothing clipped but the solver's noise."""
    plant, observation, forecast = case
    states: Sequence[Any] = observation.states
    for row, (nows, around) in enumerate(surroundings(plant, observation.step, forecast, plan.steps)):
        values = (one[row].tolist() for one in (plan.p_mw, plan.q_mvar, plan.position))
        done = step_all(plant.devices, plant.couplings, states, requests_of_row(plant, states, *values), nows, around)
        states = [state for state, _ in done]
        if any(port.clips for _, outcome in done for port in outcome.ports):
            return False
    return True


def test_who_waits_at_the_start_is_planned_to_charge_when_the_first_has_left() -> None:
    """By hand: T1 has waited longer than T0: it charges first, and T0 when it has left; both sell 1 MWh."""
    plant, _, forecast = two_trucks([10.0, 10.0, 10.0, 100.0, 100.0])
    plant = with_devices(plant, stations=(replace(plant.stations[0], places=1), plant.stations[1]))
    observation = at_start(plant)
    seen = read_only(seen_as(plant, observation, parked_steps=[1, 2]))
    case = plant, seen, forecast
    plan = controller(MessExact, plant).plan(seen, forecast)
    assert done_as_planned(case, plan)
    assert plan.p_mw[0, :2].tolist() == pytest.approx([0.0, -1.0])
    assert plan.position[1, :2].tolist() == [0, 1]
    assert plan.solver.objective == pytest.approx(2.0 * 230.0 - 2.0 * 100.0 + 2 * 8.0, abs=0.1)


def test_of_three_at_a_station_of_two_places_the_last_waits_in_plans() -> None:
    prices = [30.0, 40.0, 120.0, 90.0]
    plant, observation, forecast = stations_with(two_trucks(prices, trucks=3), 2)
    least = enumerated(prices, [0, 0, 0], [0.0, 0.0, 0.0], [0, 0, 0], 2)
    plan = controller(MessExact, plant).plan(observation, forecast)
    assert plan.solver.objective == pytest.approx(least, abs=0.1)
    assert done_as_planned((plant, observation, forecast), plan)


def test_the_power_of_a_station_is_shared_in_plans() -> None:
    prices = [10.0, 10.0, 100.0, 100.0]
    plant, observation, forecast = stations_with(two_trucks(prices), None, 0.75)
    case = plant, observation, forecast
    least = min(
        8.0 * sum(trips for _, trips in pair)
        + least_cost(
            prices, [one for one, _ in pair], [[at is not None for at in one] for one, _ in pair], [0, 0], 0.75
        )
        for pair in itertools.product(routes(4, 0, 2), repeat=2)
    )
    plan = controller(MessExact, plant).plan(observation, forecast)
    assert plan.solver.objective == pytest.approx(least, abs=0.1)
    assert done_as_planned(case, plan)
    staged = controller(MessTwoStage, plant, iterations=20).plan(observation, forecast)
    assert staged.solver.bound - 0.1 <= least <= staged.solver.objective + 0.1
    assert done_as_planned(case, staged)


def test_fixed_routes_to_a_full_station_are_planned_with_the_wait_that_follows() -> None:
    plant, observation, forecast = stations_with(two_trucks([10.0, 10.0, 100.0, 100.0]))
    targets = np.tile([1, 1], (4, 1))
    kept = on_routes(dispatch((plant, observation, forecast)), targets)
    solved = plan_within_limits([kept], kept, relax=True)
    assert not solved.violated
    stands = [[None, 1, 1, 1]] * 2
    least = 16.0 + least_cost([10.0, 10.0, 100.0, 100.0], stands, plugged_in(stands, [0, 0], 1), [0.0, 0.0])
    assert solved.outcome.objective == pytest.approx(least, abs=0.1)


# ----------------------------------------------------------------------------------------------------------- simulation


def test_who_came_first_stays_and_who_finds_a_station_full_waits_for_its_turn() -> None:
    """T2 stands at B from the start; T1 comes an hour later, T0 another one."""
    plant, observation, forecast = stations_with(two_trucks([10.0] * 6, trucks=3))
    states: Sequence[Any] = seen_as(plant, observation, station=[0, 0, 1], energy_mwh=[1.0, 1.0, 1.0]).states
    leaves = {0: [0, 1, 1, 1, 1, 1], 1: [1, 1, 1, 1, 0, 0], 2: [1, 1, 0, 0, 0, 0]}
    phases = []
    for hour, (nows, around) in enumerate(surroundings(plant, 0, forecast, 6)):
        asked = requests_of_row(
            plant, states, [0.1, 0.1, 0.1, 0.0], [0.0] * 4, [leaves[truck][hour] for truck in range(3)]
        )
        done = step_all(plant.devices, plant.couplings, states, asked, nows, around)
        states = [state for state, _ in done]
        phases.append([outcome.row["phase"] for _, outcome in done[:3]])
        for (_, outcome), phase in zip(done, phases[-1], strict=False):
            assert outcome.ports[0].p_mw == (0.1 if phase == "parked" else 0.0)
            assert (Clip.NOT_PLUGGED in outcome.ports[0].clips) == (phase == "waiting")
    assert phases == [
        ["parked", "in_transit", "parked"],
        ["in_transit", "waiting", "parked"],
        ["waiting", "parked", "in_transit"],
        ["waiting", "parked", "parked"],
        ["parked", "in_transit", "parked"],
        ["parked", "waiting", "parked"],
    ]


def test_the_power_that_a_station_has_left_goes_to_who_came_first() -> None:
    plant, observation, _ = stations_with(two_trucks([10.0, 10.0]), None, 1.2)
    states = seen_as(plant, observation, parked_steps=[1, 2], energy_mwh=[0.5, 0.5]).states
    requests = [Request((-0.4,), (0.0,), (0,)), Request((0.9,), (0.0,), (0,)), Request((0.0,), (0.0,))]
    done = step_all(plant.devices, plant.couplings, states, requests, [Now(1.0 / 4)] * 3)
    first, second = done[1][1].ports[0], done[0][1].ports[0]
    assert (first.p_mw, first.clips) == (0.9, ())
    assert (second.p_mw, second.clips) == (pytest.approx(-0.3), (Clip.STATION,))
    assert second.shortfall_mwh == pytest.approx(0.025)


@pytest.mark.parametrize(("places", "p_max_mw"), [(1, np.inf), (2, 1.1), (None, 0.7)])
def test_many_schedules_share_stations_as_each_alone_does(places: int | None, p_max_mw: float) -> None:
    plant, observation, forecast = stations_with(two_trucks([30.0] * 6, trucks=3, soc_initial=0.5), places, p_max_mw)
    rng = np.random.default_rng(4)
    p = rng.choice([-0.4, 0.0, 0.0, 0.3], (12, 6, plant.n_port))
    many = Schedules(p_mw=p, q_mvar=0.2 * p, position=np.repeat(rng.integers(0, 2, (12, 3, 3)), 2, axis=1))
    together = evaluate(plant, many, observation, forecast)
    for k in range(12):
        plan = Plan(many.p_mw[k, :, :], many.q_mvar[k], many.position[k])
        states: Sequence[Any] = observation.states
        for row, (nows, around) in enumerate(surroundings(plant, 0, forecast, 6)):
            values = (one[row].tolist() for one in (plan.p_mw, plan.q_mvar, plan.position))
            asked = requests_of_row(plant, states, *values)
            states = [one for one, _ in step_all(plant.devices, plant.couplings, states, asked, nows, around)]
            stored = [one.energy_mwh for one in states[:3]]
            np.testing.assert_allclose(together.energy_mwh[k, row + 1], stored, rtol=0, atol=1e-12)
        np.testing.assert_allclose(evaluate_plan(plant, plan, observation, forecast).cost[0], together.cost[k])


def test_rules_send_no_truck_to_a_full_station_and_ask_nothing_of_one_that_waits() -> None:
    plant, observation, forecast = stations_with(two_trucks([10.0, 10.0, 50.0, 100.0, 100.0, 60.0], trucks=3))
    rules = Rules(plant, Rules.Settings(charge_quantile=0.3, discharge_quantile=0.6, power_share=1.0, min_stay_h=0.0))
    states: Sequence[Any] = observation.states
    previous: Plan | None = None
    waited = sold = 0.0
    for hour, (nows, around) in enumerate(surroundings(plant, 0, forecast, 6)):
        seen = replace(observation, step=hour, previous_plan=previous, **observed(plant, states))
        previous = rules.plan(seen, last_steps(forecast, hour))
        values = (one[0].tolist() for one in (previous.p_mw, previous.q_mvar, previous.position))
        done = step_all(plant.devices, plant.couplings, states, requests_of_row(plant, states, *values), nows, around)
        states = [state for state, _ in done]
        assert not any(port.clips for _, outcome in done for port in outcome.ports)
        waited += sum(outcome.row["phase"] == "waiting" for _, outcome in done[:3])
        sold += sum(max(outcome.ports[0].p_mw, 0.0) for _, outcome in done[:3])
    assert waited > 0
    assert sold > 0
