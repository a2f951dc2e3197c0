"""Storage, routing and cost blocks against figures worked out by hand."""

from __future__ import annotations

import cvxpy as cp
import numpy as np
import pytest

from gridferry.controllers.contract import Storage
from gridferry.controllers.devices.planning import routing
from gridferry.controllers.devices.stores import block as stores
from gridferry.controllers.devices.trucks.config import Labour, Mileage
from gridferry.controllers.devices.trucks.device import TruckCost
from gridferry.controllers.devices.trucks.driving import charged_km, driving_cost
from gridferry.controllers.model.networks import energy_cost
from gridferry.controllers.schedule.settlement import settled_mw
from gridferry.controllers.solve import InfeasibleError, Model, solve
from gridferry.networks.roads.travel import DistanceMatrix

STORE = Storage(2.0, 1.0, 1.25, 0.8, 0.5, 0.0, 0.1, 0.9, 0.5, 0.5, 1.0, 3.0)


def test_energy_follows_the_efficiencies() -> None:
    """1 MW in for an hour stores 0.8 MWh; getting 0.4 MW out for an hour takes 0.8 MWh."""
    power = stores.storage_power(STORE, 2)
    stored = stores.stored_energy(STORE, 1.0, 0.9, power)
    requested = [power.charge == np.array([1.0, 0.0]), power.discharge == np.array([0.0, 0.4]), power.q == 0]
    solve(Model(cp.sum(stored.energy), [*power.constraints, *stored.constraints, *requested]))
    np.testing.assert_allclose(stored.energy.value, [0.9, 1.7, 0.9], atol=1e-7)


def test_converter_loss_is_drawn_from_the_store() -> None:
    """0.6 MW and 0.8 Mvar are 1 MVA; 2 % of it is lost: 0.5 h takes (0.6 + 0.02) / 2 MWh."""
    store = Storage(2.0, 1.0, 1.25, 1.0, 1.0, 0.02, 0.0, 1.0, 0.5, None, float("inf"), 0.0)
    power = stores.storage_power(store, 1)
    stored = stores.stored_energy(store, 0.5, 1.0, power)
    requested = [power.charge == 0, power.discharge == 0.6, power.q == 0.8]
    solve(Model(-stored.energy[1], [*power.constraints, *stored.constraints, *requested]))
    assert stored.energy.value[1] == pytest.approx(1.0 - 0.31, abs=1e-7)


def test_converter_rating_bounds_active_and_reactive_power_together() -> None:
    power = stores.storage_power(STORE, 1)
    solve(Model(-(power.p[0] + power.q[0]), power.constraints))
    assert np.hypot(power.p.value[0], power.q.value[0]) == pytest.approx(1.25, abs=1e-6)
    solve(Model(-power.p[0], power.constraints))
    assert power.p.value[0] == pytest.approx(1.0, abs=1e-6)


def test_cycles_already_done_today_count_for_the_first_day_only() -> None:
    """0.4 of 1 cycle is done: 0.6 cycles of 2·2 MWh throughput are left today, 4 MWh tomorrow (discharging at 0.5)."""
    day = np.array([0, 0, 1, 1])
    power = stores.storage_power(STORE, 4)
    limit = stores.cycle_limit(STORE, 1.0, power, day, 0.4)
    assert len(limit) == 1
    solve(Model(-cp.sum(power.discharge) + 0.001 * cp.sum(power.charge), [*power.constraints, *limit]))
    through = power.discharge.value / 0.5
    assert through[:2].sum() == pytest.approx(0.6 * 4.0, abs=1e-5)
    assert through[2:].sum() == pytest.approx(4.0, abs=1e-5)


def test_a_store_measured_outside_its_window_may_stay_but_goes_no_further_out() -> None:
    power = stores.storage_power(STORE, 1)
    stored = stores.stored_energy(STORE, 1.0, 0.1, power)
    solve(Model(-power.p[0], [*power.constraints, *stored.constraints]))
    assert power.p.value[0] == pytest.approx(0.0, abs=1e-6)


KM = np.array([[0.0, 10.0, 30.0], [10.0, 0.0, 20.0], [30.0, 20.0, 0.0]])
ROADS = DistanceMatrix(("A", "B", "C"), KM, speed_km_h=20.0, install_min=0.0)


def arcs_over(horizon: int, congestion: np.ndarray, stations: tuple[int, ...] = (0, 1, 2)) -> routing.Arcs:
    return routing.travel_arcs(ROADS.transit_steps(ROADS.on_every_road(congestion), 1800), stations)


def network(arcs: routing.Arcs, horizon: int, *, arrives: int = 0, trips: int = 9) -> routing.TimeSpaceNetwork:
    """What a vehicle can do that begins at A, or arrives there."""
    return routing.TimeSpaceNetwork(
        stations=(0, 1, 2),
        start=0,
        arrives=arrives,
        day=np.zeros(horizon, dtype=np.int64),
        trips_left=np.array([trips]),
        arcs=arcs,
    )


def test_transit_takes_longer_for_departures_in_heavy_traffic() -> None:
    """10 km at 20 km/h are one step of half an hour; 60 min of delay make it three."""
    arcs = arcs_over(6, np.array([0.0, 60.0, 0.0, 0.0, 0.0, 0.0]), (0, 1))
    steps = {int(t): int(a - t) for t, a, o in zip(arcs.departure, arcs.arrival, arcs.origin, strict=True) if o == 0}
    assert steps == {0: 1, 1: 3, 2: 1, 3: 1, 4: 1}


def reach(arcs: routing.Arcs, *, arrives: int = 0, trips: int = 9, horizon: int = 6) -> tuple[routing.Route, float]:
    """Get to station C as early as can be."""
    way = routing.route(network(arcs, horizon, arrives=arrives, trips=trips))
    outcome = solve(Model(-cp.sum(way.parked[:, 2]) + 1e-3 * cp.sum(way.departs), way.constraints, way.binaries))
    return way, outcome.objective


def test_a_truck_is_at_one_place_or_on_the_road() -> None:
    way, _ = reach(arcs_over(6, np.zeros(6)))
    parked = np.round(way.parked.value)
    assert parked.sum(axis=1).tolist() == [0, 0, 0, 1, 1, 1]
    assert parked[:, 2].sum() == 3
    assert way.stations.tolist() == [2] * 6


def test_a_truck_on_the_road_can_act_only_after_its_arrival() -> None:
    way, cost = reach(arcs_over(8, np.zeros(8)), arrives=2, horizon=8)
    assert np.round(way.parked.value)[:5].sum() == 0
    assert cost == pytest.approx(-3 + 1e-3)


def test_a_truck_that_arrives_after_the_horizon_is_nowhere() -> None:
    way, cost = reach(arcs_over(4, np.zeros(4)), arrives=4, horizon=4)
    assert np.abs(way.parked.value).max() < 1e-9
    assert cost == pytest.approx(0.0)


def test_trips_begun_today_are_missing_from_the_days_trips() -> None:
    way, cost = reach(arcs_over(6, np.zeros(6)), trips=0)
    assert np.round(way.parked.value)[:, 0].sum() == 6
    assert cost == pytest.approx(0.0)


def test_driving_to_given_stations_is_a_feasible_route() -> None:
    arcs = arcs_over(8, np.array([0.0, 0, 60, 60, 0, 0, 0, 0]))
    wanted = np.array([0, 0, 1, 1, 1, 1, 0, 0])
    way, fixed = (routing.route(network(arcs, 8, trips=2), one) for one in (None, wanted))
    parked, departs = fixed.parked.value, fixed.departs.value
    solve(Model(cp.sum(way.departs), [*way.constraints, way.parked == parked, way.departs == departs], way.binaries))
    assert parked[:, 0].tolist() == [1, 1, 0, 0, 0, 0, 0, 1]
    assert parked[:, 1].tolist() == [0, 0, 0, 0, 0, 1, 0, 0]


@pytest.mark.parametrize(
    "price, ratio", [(50.0, 1.0), (50.0, 0.5), (50.0, 1.5), (-50.0, 0.5), (-50.0, 1.5), (0.0, 0.5)]
)
def test_energy_cost_is_the_tariff_whatever_its_curvature(price: float, ratio: float) -> None:
    exchange = np.array([2.0, -1.0, 0.0])
    cost = energy_cost(cp.Constant(exchange), np.full(3, price), ratio, 0.5, np.full(3, 10.0))
    outcome = solve(Model(cp.sum(cost.per_step), cost.constraints, cost.binaries)) if cost.constraints else None
    expected = 0.5 * price * settled_mw(exchange, ratio).sum()
    assert expected == pytest.approx(0.5 * price * (2.0 - ratio))
    assert (outcome.objective if outcome else cost.per_step.value.sum()) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("mileage, km", [(Mileage.LEG, 10.0), (Mileage.LONGEST_LEG, 30.0)])
def test_a_trip_costs_its_fuel_and_the_hours_on_the_road(mileage: Mileage, km: float) -> None:
    """A to B with 60 min of delay: 1.5 h at 8, and 10 km (or the longest leg, 30 km) at 0.4."""
    rule = TruckCost(0.4, 8.0, mileage, Labour.TRAVEL, 0.0)
    trips = ROADS.trips(ROADS.on_every_road(np.full(5, 60.0)))
    charged = charged_km(rule, trips.km, (0, 1, 2))
    assert charged[0, 0, 1] == km
    trip = network(routing.Arcs(np.array([1]), np.array([4]), np.array([0]), np.array([1])), 5)
    made = cp.Constant([1.0])
    driving = driving_cost(rule, trip, charged[1:2, 0, 1], made, (), step_h=0.5, used_today=False)
    np.testing.assert_allclose(driving.fuel.value, [0.0, 0.4 * km, 0.0, 0.0, 0.0])
    np.testing.assert_allclose(driving.labour.value, [0.0, 4.0, 4.0, 4.0, 0.0])


@pytest.mark.parametrize(
    "share, drives, used_today, due", [(0, 0, False, 0), (0.2, 0, False, 80), (0, 1, False, 80), (1, 1, True, 0)]
)
def test_flat_labour_is_due_once_on_a_day_of_use(share: float, drives: float, used_today: bool, due: float) -> None:
    rule = TruckCost(0.0, 10.0, Mileage.LEG, Labour.FLAT_IF_USED, 8.0)
    trip = network(routing.Arcs(np.array([1]), np.array([2]), np.array([0]), np.array([1])), 4)
    made = cp.Constant([drives])
    power = cp.Constant(np.array([0.0, 0.0, share, share]))
    driving = driving_cost(rule, trip, np.array([10.0]), made, (power,), step_h=1.0, used_today=used_today)
    outcome = solve(Model(cp.sum(driving.fuel + driving.labour), driving.constraints, driving.used))
    assert outcome.objective == pytest.approx(due, abs=1e-6)


def test_only_the_longest_leg_is_charged_between_different_stations() -> None:
    rule = TruckCost(1.0, 0.0, Mileage.LONGEST_LEG, Labour.TRAVEL, 0.0)
    charged = charged_km(rule, KM[None], (0, 1, 2))
    assert np.diag(charged[0]).tolist() == [0.0, 0.0, 0.0]


def test_limits_that_contradict_each_other_are_infeasible() -> None:
    x = cp.Variable(2)
    with pytest.raises(InfeasibleError):
        solve(Model(cp.sum(x), [x >= 1, x <= 0]))
