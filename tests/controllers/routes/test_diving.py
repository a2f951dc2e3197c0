"""Ways read out of relaxations, and the search built on them: real ways, the best of all ways, bounds that hold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cases.carrying import IDLE, PRICE, carrying
from cases.dispatch import EXACT, Case, dispatch, dispatch_model, one_store
from cases.parts import seen_as, with_series
from cases.random_fleet import instance
from gridferry.controllers.contract import SolverOutcome, Termination
from gridferry.controllers.devices.planning import routing
from gridferry.controllers.model import plan as read
from gridferry.controllers.model.dispatch_model import DispatchModel
from gridferry.controllers.model.solution import Dispatch, solve_fixed
from gridferry.controllers.routes import diving
from gridferry.controllers.routes.diving import _ON_THE_ROAD, _TRIP, likeliest_route, route_values, search_routes
from gridferry.controllers.solve import InfeasibleError, Method, Problem, SolveOptions, solve

# ----------------------------------------------------------------------------------------------------------------- ways


def network(seed: int, horizon: int, places: int) -> routing.TimeSpaceNetwork:
    """A drawn network: transit times, first place and step, days, trips left."""
    rng = np.random.default_rng(seed)
    steps = np.array(list(np.ndindex(horizon, places, places)))
    arrival = steps[:, 0] + rng.integers(1, 4, len(steps))
    keep = (steps[:, 1] != steps[:, 2]) & (arrival < horizon)
    (departure, origin, target), arrival = steps[keep].T, arrival[keep]
    arcs = routing.Arcs(departure, arrival, origin, target)
    day = (np.arange(horizon) + int(rng.integers(0, horizon))) // horizon
    left = rng.integers(0, 4, int(day[-1]) + 1)
    start, arrives = int(rng.integers(0, places)), int(rng.integers(0, horizon + 2)) if rng.random() < 0.5 else 0
    return routing.TimeSpaceNetwork(
        stations=tuple(range(places)), start=start, arrives=arrives, day=day, trips_left=left, arcs=arcs
    )


def suggest(way: routing.Route, parked: np.ndarray, departs: np.ndarray) -> None:
    """Let a relaxation seem to have ended so."""
    way.parked.value = parked
    way.departs.value = departs


def assert_way(way: routing.Route, parked: np.ndarray, departs: np.ndarray) -> None:
    """Whole, and within the constraints that every plan keeps: flow balance, arrival, trips per day."""
    assert set(np.unique(parked)) | set(np.unique(departs)) <= {0.0, 1.0}
    suggest(way, parked, departs)
    assert all(np.abs(one.violation()).max(initial=0.0) < 1e-9 for one in way.constraints)


@settings(max_examples=60)
@given(seed=st.integers(0, 10**6), horizon=st.integers(1, 12), places=st.integers(1, 4))
def test_any_fractions_give_a_way_that_a_truck_can_take(seed: int, horizon: int, places: int) -> None:
    way = routing.route(network(seed, horizon, places))
    rng = np.random.default_rng(seed + 1)
    suggest(way, rng.uniform(-1e-9, 1.0, way.parked.shape), rng.uniform(-1e-9, 1.0, way.departs.shape))
    assert_way(way, *likeliest_route(way))


@settings(max_examples=60)
@given(seed=st.integers(0, 10**6), horizon=st.integers(1, 12), places=st.integers(1, 4))
def test_an_integral_route_is_recovered_unchanged(seed: int, horizon: int, places: int) -> None:
    way = routing.route(network(seed, horizon, places))
    wanted = np.repeat(np.random.default_rng(seed + 1).integers(0, places, horizon), 2)[:horizon]
    parked, departs = routing.follow(way.network, wanted)
    assert_way(way, parked, departs)
    found = likeliest_route(way)
    np.testing.assert_array_equal(found[0], parked)
    np.testing.assert_array_equal(found[1], departs)


def every_way(
    way: routing.TimeSpaceNetwork, here: int, step: int, left: Sequence[int]
) -> Iterator[tuple[list[tuple[int, int]], list[int]]]:
    """All that a truck could do from a place and step on: where it is parked, and the trips it makes."""
    if step >= way.horizon:
        yield [], []
        return
    for places, trips in every_way(way, here, step + 1, left):
        yield [(step, here), *places], trips
    for arc in np.flatnonzero((way.arcs.departure == step) & (way.arcs.origin == here)):
        spent = list(left)
        spent[way.day[step]] -= 1
        if spent[way.day[step]] < 0:
            continue
        for places, trips in every_way(way, int(way.arcs.target[arc]), int(way.arcs.arrival[arc]), spent):
            yield places, [int(arc), *trips]


@settings(max_examples=40)
@given(seed=st.integers(0, 10**6), horizon=st.integers(1, 6), places=st.integers(1, 3))
def test_no_way_agrees_more_with_the_fractions(seed: int, horizon: int, places: int) -> None:
    drawn = network(seed, horizon, places)
    way = routing.route(drawn)
    rng = np.random.default_rng(seed + 1)
    stay, go = rng.uniform(0.0, 1.0, way.parked.shape), rng.uniform(0.0, 1.0, way.departs.shape)
    suggest(way, stay, go)
    parked, departs = likeliest_route(way)
    go = _ON_THE_ROAD * go - _TRIP
    most = max(
        sum(stay[at] for at in places_taken) + sum(go[arc] for arc in trips)
        for places_taken, trips in every_way(drawn, drawn.start, drawn.arrives, drawn.trips_left.tolist())
    )
    assert (parked * stay).sum() + (departs * go).sum() == pytest.approx(most, abs=1e-9)


# --------------------------------------------------------------------------------------------------------------- search


def searched(one: Dispatch, *starts: np.ndarray) -> tuple[SolverOutcome, DispatchModel]:
    built = one.build()
    return search_routes(built, replace(one, warm_starts=starts)), built


def true_optimum(case: Case, method: Method = Method.SCIP) -> float:
    """With one store per truck, by another solver."""
    built = one_store(dispatch_model(case))
    return solve(built.model, SolveOptions(method=method, gap=1e-6, gap_abs=1e-4)).objective


@settings(max_examples=6)
@given(seed=st.integers(0, 10**6), trucks=st.integers(1, 2), share=st.sampled_from([0.0, 0.05]))
def test_bound_and_plan_enclose_the_optimum_that_scip_finds(seed: int, trucks: int, share: float) -> None:
    case = instance(seed, trucks, horizon=6)
    requested = replace(EXACT, gap=share)
    try:
        best = true_optimum(case)
    except InfeasibleError:
        with pytest.raises(InfeasibleError):
            searched(dispatch(case, requested))
        return
    outcome, built = searched(dispatch(case, requested))
    assert outcome.bound <= best + 1e-3
    assert outcome.objective >= best - 1e-3
    assert outcome.objective - outcome.bound <= requested.tolerance(outcome.objective)
    assert outcome.termination is Termination.GAP_REACHED
    # the variables are those of the plan
    assert float(built.model.cost.value) == pytest.approx(outcome.objective, abs=1e-6)
    for _, way in built.routes:
        assert_way(way, np.round(way.parked.value), np.round(way.departs.value))


@settings(max_examples=5)
@given(seed=st.integers(0, 10**6), ratio=st.sampled_from([0.6, 1.3]))
def test_bound_and_plan_enclose_the_optimum_where_prices_are_negative(seed: int, ratio: float) -> None:
    """Binaries of import and export, and of charging and discharging, beside those of routes."""
    plant, observation, forecast = instance(seed, trucks=1, horizon=5, export_ratio=ratio)
    case = plant, observation, replace(forecast, buy_price=forecast.buy_price - 100.0)
    try:
        best = true_optimum(case, Method.OUTER_APPROXIMATION)
    except InfeasibleError:
        with pytest.raises(InfeasibleError):
            searched(dispatch(case))
        return
    outcome, _ = searched(dispatch(case))
    # what the price of losses adds is part of either
    assert outcome.bound <= best + 1e-3
    assert outcome.objective >= best - 1e-3
    assert outcome.objective - outcome.bound <= EXACT.tolerance(outcome.objective) + 1e-6 * abs(best)


def test_the_trip_that_pays_is_found_without_a_hint_and_proved_by_the_relaxation() -> None:
    """Each of two trucks brings 1 MWh, worth 100, for 40."""
    case = carrying(horizon=3, trip=40.0, trucks=2)
    outcome, built = searched(dispatch(case, replace(EXACT, gap_abs=0.5)))
    assert outcome.objective == pytest.approx(3 * IDLE - 2 * (PRICE - 40.0), abs=0.1)
    assert outcome.bound == pytest.approx(outcome.objective, abs=0.5)
    assert read.positions(built).tolist() == [[0, 0], [1, 1], [1, 1]]


def test_a_hint_is_tried_and_never_made_worse() -> None:
    """Any plan will do, and to drive for nothing is one."""
    case = carrying(horizon=4, trip=5.0)
    built = dispatch_model(case)
    hint = np.array([[0], [1], [1], [1]])
    alone = Problem(built.model).solve(EXACT, fixed=route_values(built, hint))
    easy = dispatch(case, SolveOptions(gap=1.0, gap_abs=1e6))
    for tries in ([hint], [hint, hint]):
        assert searched(easy, *tries)[0].objective <= alone.objective + 1e-6


def test_a_hint_that_leads_nowhere_does_no_harm() -> None:
    """The truck owes energy that it can only get at A: sent to B it cannot give it back."""
    plant, observation, forecast = carrying(horizon=3, trip=1.0, soc_end_min=0.9)
    dark = with_series(plant, forecast, generation_mw=np.zeros((3, 1)))
    case = plant, seen_as(plant, observation, energy_mwh=np.array([0.0])), dark
    outcome, _ = searched(dispatch(case), np.array([[0], [0], [1]]))
    assert outcome.objective == pytest.approx(3 * IDLE + 0.9 * PRICE, abs=0.1)


def test_what_no_route_can_keep_is_infeasible() -> None:
    """One hour gives at most 1 MWh."""
    case = carrying(horizon=1, trip=1.0, energy_mwh=2.0, soc_end_min=0.9)
    with pytest.raises(InfeasibleError):
        searched(dispatch(case))


def test_a_plan_is_returned_with_its_gap_where_time_is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time is up when the power for the first routes is planned: nothing more is begun, and the plan says so."""
    case = carrying(horizon=6, trip=40.0)
    task = dispatch(case, replace(EXACT, gap_abs=1e-6))
    task = replace(task, warm_starts=[np.zeros((6, 1), dtype=np.int64)])
    built = one_store(task.build())

    def until_time_is_up(*planned: Any) -> SolverOutcome:
        outcome = solve_fixed(*planned)
        object.__setattr__(task, "deadline", 0.0)
        return outcome

    monkeypatch.setattr(diving, "solve_fixed", until_time_is_up)
    outcome = search_routes(built, task)
    assert outcome.bound <= true_optimum(case) + 1e-3
    assert outcome.objective == pytest.approx(6 * IDLE, abs=0.1)
    assert outcome.termination is Termination.TIME_LIMIT


def test_without_trucks_there_is_nothing_to_search() -> None:
    outcome, _ = searched(dispatch(carrying(horizon=2, trip=1.0, trucks=0)))
    assert outcome.objective == pytest.approx(2 * IDLE, abs=0.1)
    assert outcome.objective - outcome.bound <= 1e-3
