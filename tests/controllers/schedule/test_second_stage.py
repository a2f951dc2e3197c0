"""Repair and fitness of schedules: against the simulated truck and battery, the cone program, and by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cases.device_steps import STATIONS, Setpoint, step_store, step_truck
from cases.dispatch import dispatch_model
from gridferry.controllers.conformance.sample_plants import at_start, look_ahead, three_bus, two_feeders
from gridferry.controllers.contract import Storage
from gridferry.controllers.devices import NOWHERE, Now, Travel
from gridferry.controllers.devices.stores import storage as battery
from gridferry.controllers.devices.trucks.config import Labour, Mileage
from gridferry.controllers.devices.trucks.device import Truck, TruckCost
from gridferry.controllers.model import plan as reading
from gridferry.controllers.schedule import itinerary
from gridferry.controllers.schedule.ac_evaluation import evaluate, evaluate_rest
from gridferry.controllers.schedule.particle_encoding import ScheduledPeriods, periods
from gridferry.controllers.schedule.repair import ScheduleRepair
from gridferry.controllers.schedule.storage_limits import StoreAhead, keep_limits
from gridferry.controllers.schedule.swarm import SwarmOptions, swarm
from gridferry.controllers.solve import SolveOptions, solve

STEP_H = 0.5


def drawn_store(rng: np.random.Generator) -> Storage:
    return Storage(
        energy_mwh=float(rng.uniform(0.5, 4.0)),
        p_max_mw=float(rng.uniform(0.3, 2.0)),
        s_max_mva=float(rng.uniform(0.3, 2.5)),
        eta_charge=float(rng.uniform(0.7, 1.0)),
        eta_discharge=float(rng.uniform(0.7, 1.0)),
        loss_coefficient=float(rng.choice([0.0, 0.02])),
        soc_min=0.1,
        soc_max=0.9,
        soc_initial=0.5,
        soc_end_min=0.5,
        cycles_max_per_day=float(rng.choice([0.3, 1.0, np.inf])),
        cost_per_mwh_charged=1.0,
        cycles_at_grid=bool(rng.integers(2)),
    )


@given(st.integers(0, 10_000))
def test_a_battery_does_exactly_what_is_left_within_its_limits(seed: int) -> None:
    """The simulated battery clips nothing of it and ends every step where it was said to."""
    rng = np.random.default_rng(seed)
    store, horizon = drawn_store(rng), 20
    day = (np.arange(horizon) + 12) // 24 + np.zeros(horizon, dtype=np.int64)
    start, cycles = float(rng.uniform(0.1, 0.9)) * store.energy_mwh, float(rng.uniform(0.0, 0.3))
    due = {12: 0.5 * store.energy_mwh, horizon: 0.6 * store.energy_mwh}
    p, q = rng.normal(0.0, 1.5, (2, 3, horizon))
    present = rng.random((3, horizon)) < 0.8
    kept = keep_limits(StoreAhead(store, start, cycles, due), p, q, np.where(present, np.inf, 0.0), day, STEP_H)
    for row in range(3):
        state = battery.StoreState(start, cycles)
        for step in range(horizon):
            requested = Setpoint(float(kept.p_mw[row, step]), float(kept.q_mvar[row, step]))
            ends = step + 1 < horizon and day[step + 1] != day[step]
            state, done = step_store(store, state, requested, Now(STEP_H, bool(ends)))
            assert done.clips == ()
            assert state.energy_mwh == pytest.approx(kept.energy_mwh[row, step + 1], abs=1e-9)
        assert (kept.p_mw[row, ~present[row]] == 0).all()
        assert (kept.q_mvar[row, ~present[row]] == 0).all()
    again = keep_limits(
        StoreAhead(store, start, cycles, due), kept.p_mw, kept.q_mvar, np.where(present, np.inf, 0.0), day, STEP_H
    )
    np.testing.assert_allclose(again.p_mw, kept.p_mw, atol=1e-9)


@given(st.integers(0, 10_000))
def test_energy_due_falls_short_only_where_it_would_by_charging_all_day(seed: int) -> None:
    """By hand: start + what the connected steps, or the cycles left, let in at most."""
    rng = np.random.default_rng(seed)
    store, horizon = replace(drawn_store(rng), loss_coefficient=0.0), 10
    start, cycles = float(rng.uniform(0.1, 0.5)) * store.energy_mwh, float(rng.uniform(0.0, 0.4))
    due = float(rng.uniform(0.3, 0.9)) * store.energy_mwh
    present = rng.random((4, horizon)) < 0.4
    kept = keep_limits(
        StoreAhead(store, start, cycles, {horizon: due}),
        rng.normal(0.0, 1.5, (4, horizon)),
        np.zeros((4, horizon)),
        np.where(present, np.inf, 0.0),
        np.zeros(horizon, dtype=np.int64),
        STEP_H,
    )
    by_power = present.sum(axis=1) * STEP_H * store.eta_charge * min(store.p_max_mw, store.s_max_mva)
    by_cycles = max(store.cycles_max_per_day - cycles, 0.0) * 2 * store.energy_mwh
    by_cycles *= store.eta_charge if store.cycles_at_grid else 1.0
    reachable = start + np.minimum(by_power, by_cycles)
    short = np.maximum(due - kept.energy_mwh[:, -1], 0.0)
    np.testing.assert_allclose(short, np.maximum(due - reachable, 0.0), atol=1e-9)


@given(st.integers(0, 10_000))
def test_a_truck_drives_as_the_simulated_one_does(seed: int) -> None:
    rng = np.random.default_rng(seed)
    horizon, labour = 16, rng.choice(list(Labour))
    transit = rng.integers(1, 4, (horizon, 3, 3))
    km = rng.uniform(1.0, 9.0, (horizon, 3, 3))
    cost = TruckCost(0.4, 10.0, Mileage.LEG, Labour(labour), 8.0)
    store = Storage(1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 1.0, 0.5, None, float("inf"), 0.0)
    truck = Truck("T", store, (0, 2), 0, 3, cost, STATIONS)
    wanted = np.repeat(rng.integers(0, 3, 8), 2)
    day = np.repeat(np.arange(2), 8)
    way = itinerary.drive(wanted, transit, truck.stations, 0, 0, day, np.array([3, 3]))
    power = np.where(way.parked & (rng.random(horizon) < 0.2), 1e-2, 0.0)
    state = truck.initial_state(Now(STEP_H))
    # the simulated truck knows no horizon: it would begin a last trip that ends beyond it
    for step in range(horizon):
        travel = Travel(*(tuple(map(tuple, one[step].tolist())) for one in (transit, 60.0 * STEP_H * transit, km)))
        requested = Setpoint(float(power[step]), 0.0, int(way.station[step]))
        state, done = step_truck(truck, state, requested, Now(STEP_H, ends_day=step == 7, trips=travel))
        assert (done.bus != NOWHERE) == way.parked[step]
        assert state.station == way.station[step]
        assert done.clips == ()


def test_a_trip_is_left_out_when_the_next_overtakes_it() -> None:
    station = np.array([0, 1, 1, 2, 2, 2])
    np.testing.assert_array_equal(itinerary.moved_trips(station, 0, np.array([0, 0])), station)
    np.testing.assert_array_equal(itinerary.moved_trips(station, 0, np.array([1, 1])), [0, 0, 1, 1, 2, 2])
    np.testing.assert_array_equal(itinerary.moved_trips(station, 0, np.array([2, -1])), [0, 0, 2, 2, 2, 2])
    np.testing.assert_array_equal(itinerary.moved_trips(station, 0, np.array([-4, 0])), [1, 1, 1, 2, 2, 2])


def test_idle_steps_belong_to_the_period_around_or_near_them() -> None:
    p = np.array([0.0, 0.0, -1.0, 0.0, 0.0, 0.0, -2.0, 0.0, 0.0, 3.0, 0.0, 0.0, 0.0])
    np.testing.assert_array_equal(periods(p, 0), [0, 0, -1, -1, -1, -1, -1, 0, 0, 1, 0, 0, 0])
    np.testing.assert_array_equal(periods(p, 1), [0, -1, -1, -1, -1, -1, -1, -1, 1, 1, 1, 0, 0])
    np.testing.assert_array_equal(periods(np.zeros(4), 2), np.zeros(4))


def test_the_point_of_a_schedule_is_that_schedule() -> None:
    station = np.array([[0], [0], [1], [1], [1]])
    p, q = np.array([[-1.0], [0.0], [0.5], [0.7], [0.0]]), np.array([[0.1], [0.2], [0.3], [0.4], [0.5]])
    first = ScheduledPeriods(((0, 0),), station, np.array([0]), p, q, np.array([2.0]), shift_max=1)
    wanted, p_same, q_same = first.schedules(first.point()[None])
    np.testing.assert_array_equal(wanted[0], station)
    np.testing.assert_array_equal(p_same[0], p)
    np.testing.assert_array_equal(q_same[0], q)
    later, _, q_later = first.schedules(first.point((np.array([1]),))[None])
    np.testing.assert_array_equal(later[0, :, 0], [0, 0, 0, 1, 1])
    np.testing.assert_array_equal(q_later[0, :, 0], [0.1, 0.2, 0.0, 0.4, 0.5])


@pytest.mark.parametrize("sample", [three_bus(step_s=3600), two_feeders(step_s=3600)], ids=["one", "two feeders"])
def test_the_evaluation_agrees_with_the_cone_program(sample) -> None:
    """The same schedule, once as the optimum of the model with delays, once repaired and evaluated by AC."""
    plant, seen, ahead = sample.plant, at_start(sample.plant), look_ahead(sample, 0, sample.plant.horizon_steps)
    built = dispatch_model((plant, seen, ahead))
    solve(built.model, SolveOptions(gap=1e-4))
    p, q = reading.setpoints(built)
    repair = ScheduleRepair(plant, seen, ahead, "store")
    done = repair.repair(reading.positions(built)[None], p[None], q[None])
    cost, violation = repair.fitness(done)
    found = evaluate(plant, done, seen, ahead)
    predicted = found.prediction()
    np.testing.assert_allclose(done.p_mw[0][:, plant.planned], p[:, plant.planned], atol=1e-5)
    assert violation[0] == 0
    assert cost[0] == pytest.approx(reading.cost_of_plan(built).sum(), rel=1e-5)
    assert predicted.cost.sum() == pytest.approx(cost[0], rel=1e-7)
    assert found.flow.cone_gap < 1e-9
    networks = list(built.networks.values())
    v_sq = np.concatenate([one.flow.v_sq.value for one in networks], axis=1)
    np.testing.assert_allclose(predicted.v_pu, np.sqrt(v_sq), atol=1e-5)
    for k, one in enumerate(networks):
        np.testing.assert_allclose(predicted.import_mw[:, k], one.import_mw.value, atol=1e-4)
        np.testing.assert_allclose(predicted.losses_mw[:, k], one.losses_mw.value, atol=1e-4)
    stores = [device for device in plant.devices if device.stores]
    for k, device in enumerate(stores):
        if device.storage.soc_end_min is None:
            continue
        least = device.storage.soc_end_min * device.storage.energy_mwh
        left = built.soft[f"{device.key}: energy_due"].slack.value
        np.testing.assert_allclose(predicted.energy_mwh[-1, k], least + left[-1], atol=1e-4)


def test_fitness_sees_violations_and_flows_that_do_not_exist() -> None:
    sample = three_bus(step_s=3600)
    plant, seen, ahead = sample.plant, at_start(sample.plant), look_ahead(sample, 0, 24)
    rest = (np.zeros((1, 24, 1), dtype=np.int64), np.zeros((1, 24, 3)), np.zeros((1, 24, 3)))
    lowest = evaluate_rest(plant, seen, ahead).flow.v_pu[0].min(axis=1)
    limit = float(np.sort(lowest)[2]) - 1e-5
    feeder = replace(plant.feeders[0], v_min_pu=np.full(3, limit))
    strict = ScheduleRepair(replace(plant, feeders=(feeder,)), seen, ahead, "store")
    resting = strict.repair(*rest)
    assert strict.fitness(resting)[1][0] > 0
    largest = strict.limits.violation(strict.evaluate(resting)).relative.largest[0]
    assert largest == pytest.approx((limit - lowest.min()) / (1.05 - limit), abs=1e-9)
    tight = replace(plant.feeders[0], i_max_pu=np.full(2, 1e-3))
    rated = ScheduleRepair(replace(plant, feeders=(tight,)), seen, ahead, "store")
    assert rated.fitness(rated.repair(*rest))[1] > 1
    heavy = ScheduleRepair(plant, seen, replace(ahead, load_p_mw=ahead.load_p_mw * 1e4), "store")
    cost, violation = heavy.fitness(heavy.repair(*rest))
    assert np.isinf(cost[0])
    assert violation[0] > 1e3


def test_the_swarm_puts_limits_before_cost_and_is_never_worse_than_its_starts() -> None:
    """Least (x - 1)² + (y - 1)² with x + y ≤ 1: at (0.5, 0.5)."""
    seen: list[np.ndarray] = []

    def fitness(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        seen.append(x.copy())
        return ((x - 1) ** 2).sum(axis=1), np.maximum(x.sum(axis=1) - 1, 0.0)

    low, high = np.full(2, -3.0), np.full(2, 3.0)
    starts = np.random.default_rng(4).uniform(-3, 3, (10, 2))
    best = swarm(fitness, low, high, starts, SwarmOptions(iterations=150, seed=1))
    np.testing.assert_allclose(best, 0.5, atol=1e-2)
    assert len(seen) == 151
    np.testing.assert_array_equal(seen[0], starts)
    assert all(((x >= low) & (x <= high)).all() for x in seen)
    np.testing.assert_array_equal(swarm(fitness, low, high, starts, SwarmOptions(iterations=150, seed=1)), best)
    perfect = np.concatenate([starts[:-1], [[0.5, 0.5]]])
    np.testing.assert_array_equal(swarm(fitness, low, high, perfect, SwarmOptions(iterations=3)), [0.5, 0.5])
