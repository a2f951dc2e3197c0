"""Random small fleets: two solvers, brute force over routes, and feasible schedules all say the same."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cases.dispatch import dispatch_model
from cases.parts import of_kind, storages, with_devices
from cases.random_fleet import instance
from gridferry.controllers.contract import Forecast, Observation, Plant, Storage
from gridferry.controllers.model import plan as read
from gridferry.controllers.model.dispatch_model import DispatchModel
from gridferry.controllers.solve import InfeasibleError, Method, SolveOptions, solve

GAP = 1e-5


def solved(
    case: tuple[Plant, Observation, Forecast], method: Method = Method.OUTER_APPROXIMATION, hint: bool = True
) -> tuple[DispatchModel, float, float]:
    """The model, its optimal cost and its bound."""
    built = dispatch_model(case)
    model = built.model if hint else replace(built.model, recourse=())
    outcome = solve(model, SolveOptions(method=method, gap=GAP, gap_abs=1e-5))
    assert outcome.bound <= outcome.objective
    # SCIP's bound is for cones violated within its tolerance, the cost for cones that hold
    gap = GAP if method is Method.OUTER_APPROXIMATION else 20 * GAP
    assert outcome.objective - outcome.bound <= max(1e-5, gap * abs(outcome.objective)) * 1.001
    return built, outcome.objective, outcome.bound


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10**6), trucks=st.integers(1, 2))
@pytest.mark.slow
def test_scip_and_outer_approximation_agree_within_their_gaps(seed: int, trucks: int) -> None:
    case = instance(seed, trucks, horizon=8)
    costs = []
    for method, hint in ((Method.OUTER_APPROXIMATION, True), (Method.OUTER_APPROXIMATION, False), (Method.SCIP, True)):
        try:
            costs.append(solved(case, method, hint)[1:])
        except InfeasibleError:
            costs.append((np.inf, np.inf))
    best = min(cost for cost, _ in costs)
    for cost, bound in costs:
        if np.isinf(best):
            assert np.isinf(cost)
        else:
            assert bound <= best + 1e-4
            assert cost <= best + 2 * GAP * abs(best) + 1e-3


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10**6))
@pytest.mark.slow
def test_no_route_found_by_brute_force_is_cheaper(seed: int) -> None:
    """Every sequence of wanted stations is driven as the roads allow and its power optimised with the route fixed."""
    plant, observation, forecast = case = instance(seed, trucks=1, horizon=5)
    if len(plant.stations) == 3:
        truck = replace(of_kind(plant, "trucks")[0], stations=(0, of_kind(plant, "trucks")[0].initial_station or 1))
        case = (plant := with_devices(plant, trucks=(truck,)), observation, forecast)
    try:
        _, cost, _ = solved(case)
    except InfeasibleError:
        cost = np.inf
    cheapest, tried = np.inf, set()
    built = dispatch_model(case)
    ((_, way),) = built.routes
    for wanted in itertools.product(way.network.stations, repeat=5):
        values = way.values(np.array(wanted, dtype=np.int64))
        trips = values[way.departs].tobytes()
        if trips in tried:
            continue
        tried.add(trips)
        held = [variable == value for variable, value in values.items()]
        model = replace(built.model, constraints=[*built.model.constraints, *held])
        try:
            cheapest = min(cheapest, solve(model, SolveOptions(gap=1e-7)).objective)
        except InfeasibleError:
            continue
    assert cost == pytest.approx(cheapest, rel=3 * GAP, abs=1e-3)


def gain_mw(store: Storage, p: np.ndarray, q: np.ndarray) -> np.ndarray:
    charge, discharge = np.maximum(-p, 0), np.maximum(p, 0)
    return store.eta_charge * charge - discharge / store.eta_discharge - store.loss_coefficient * np.hypot(p, q)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), trucks=st.integers(1, 2))
def test_the_solution_keeps_every_law_written_out_again(seed: int, trucks: int) -> None:
    plant, observation, forecast = case = instance(seed, trucks, horizon=6)
    try:
        built, cost, _ = solved(case)
    except InfeasibleError:
        return
    tau = plant.roads.transit_steps(forecast.congestion, plant.step_s)
    target = read.positions(built)
    p, q = read.setpoints(built)
    days = plant.days_from(observation.step, 6)
    energy = np.stack(
        [
            observation.energy_mwh[k] + np.append(0.0, np.cumsum(plant.step_h * gain_mw(store, p[:, k], q[:, k])))
            for k, store in enumerate(storages(plant))
        ],
        axis=1,
    )
    for k, truck in enumerate(of_kind(plant, "trucks")):
        here, free_at, begun = truck.initial_station, 0, {}
        for t in range(6):
            if t >= free_at and target[t, k] != here:
                begun[days[t]] = begun.get(days[t], 0) + 1
                free_at = t + tau[t, here, target[t, k]]
                here = target[t, k]
            if t < free_at:
                assert p[t, k] == 0.0
                assert q[t, k] == 0.0
        assert all(count <= truck.trips_max_per_day for count in begun.values())
        charge, discharge = np.maximum(-p[:, k], 0), np.maximum(p[:, k], 0)
        store = truck.storage
        counted = store.eta_charge * charge + discharge / store.eta_discharge
        cycled = (charge + discharge if store.cycles_at_grid else counted) / (2 * store.energy_mwh)
        for day in range(days[-1] + 1):
            assert cycled[days == day].sum() <= truck.storage.cycles_max_per_day + 1e-6
    for index, store in enumerate(storages(plant)):
        assert np.hypot(p[:, index], q[:, index]).max() <= store.s_max_mva
        assert np.abs(p[:, index]).max() <= store.p_max_mw
        assert energy[1:, index].min() >= store.soc_min * store.energy_mwh - 1e-5
        assert energy[1:, index].max() <= store.soc_max * store.energy_mwh + 1e-5
        ends = [*(np.flatnonzero(np.diff(days)) + 1), 6]
        assert energy[ends, index].min() >= store.soc_end_min * store.energy_mwh - 1e-5
    assert read.cone_gap(built) < 1e-6
    assert read.cost_of_plan(built).sum() == pytest.approx(cost, rel=1e-5, abs=1e-3)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), wanted=st.lists(st.integers(0, 1), min_size=6, max_size=6))
def test_the_bound_is_below_the_cost_of_any_route(seed: int, wanted: list[int]) -> None:
    case = instance(seed, trucks=1, horizon=6)
    built = dispatch_model(case)
    ((_, way),) = built.routes
    held = [variable == value for variable, value in way.values(np.array(wanted, dtype=np.int64)).items()]
    try:
        any_cost = solve(replace(built.model, constraints=[*built.model.constraints, *held])).objective
    except InfeasibleError:
        return
    _, _, bound = solved(case)
    assert bound <= any_cost + 1e-5


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), ratio=st.sampled_from([0.5, 1.0, 1.3]), negative=st.booleans())
def test_buying_and_selling_or_charging_and_discharging_at_once_never_pays(
    seed: int, ratio: float, negative: bool
) -> None:
    plant, observation, forecast = instance(seed, trucks=1, horizon=6, export_ratio=ratio)
    price = forecast.buy_price - (100.0 if negative else 0.0)
    case = (plant, observation, replace(forecast, buy_price=price))
    try:
        built, _, _ = solved(case)
    except InfeasibleError:
        return
    g = np.stack([one.import_mw.value for one in built.networks.values()], axis=1)
    paid = np.where(g > 0, g, ratio * g).sum(axis=1) * price
    np.testing.assert_allclose(built.costs["energy"].value, paid, atol=1e-4)
    slope = np.minimum(price, ratio * price)
    assert len(built.exclusive) == sum(device.stores for device in plant.devices)
    for one in built.exclusive.values():
        both = np.minimum(one.first.value, one.second.value)
        assert np.max(both[slope < 0], initial=0.0) < 1e-5
