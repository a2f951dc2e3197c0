from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cases.device_steps import STATIONS, Done, Setpoint, step_truck
from gridferry.controllers.contract import Storage
from gridferry.controllers.devices import NOWHERE, Clip, Now, Travel
from gridferry.controllers.devices.couplings import travel_under
from gridferry.controllers.devices.trucks.config import Labour, Mileage
from gridferry.controllers.devices.trucks.device import Phase, Truck, TruckCost, TruckState
from gridferry.networks.roads.travel import DistanceMatrix, Rounding

STORAGE = Storage(4.0, 2.0, 2.0, 1.0, 1.0, 0.0, 0.0, 1.0, 0.5, None, float("inf"), 0.0)
COST = TruckCost(0.4, 10.0, Mileage.LEG, Labour.TRAVEL, 8.0)
TRUCK = Truck("T", STORAGE, (0, 1, 2), 0, 3, COST, STATIONS)
# 10-minute steps; 0 to 1 takes 25 min of driving and 10 of installation
TRAVEL = Travel(
    steps=((0, 4, 2), (4, 0, 1), (2, 1, 0)),
    minutes=((10.0, 35.0, 20.0), (35.0, 10.0, 10.0), (20.0, 10.0, 10.0)),
    km=((0.0, 30.0, 8.0), (30.0, 0.0, 5.0), (8.0, 5.0, 0.0)),
    install_min=10.0,
)
STEP = Now(step_h=1 / 6, trips=TRAVEL)


def drive(
    truck: Truck, state: TruckState, setpoints: list[Setpoint], conditions: Now = STEP
) -> tuple[list[TruckState], list[Done]]:
    states, outcomes = [state], []
    for setpoint in setpoints:
        state, done = step_truck(truck, state, setpoint, conditions)
        states.append(state)
        outcomes.append(done)
    return states, outcomes


def test_a_truck_that_departs_at_t_is_parked_and_works_again_at_t_plus_tau() -> None:
    states, done = drive(TRUCK, TRUCK.initial_state(STEP), [Setpoint(0.6, 0.0, 1)] * 5)
    assert [one.transit_steps for one in states] == [0, 3, 2, 1, 0, 0]
    assert [one.p_mw for one in done] == [0.0, 0.0, 0.0, 0.0, 0.6]
    assert [one.bus for one in done] == [NOWHERE, NOWHERE, NOWHERE, NOWHERE, 1]
    assert [one.departed for one in done] == [True, False, False, False, False]
    assert [one.station for one in states] == [0, 1, 1, 1, 1, 1]
    assert states[4].energy_mwh == 2.0
    assert states[5].energy_mwh == pytest.approx(1.9)


def test_installation_is_the_last_part_of_the_trip() -> None:
    # driving until minute 25: the step from minute 30 is installation, the one from 20 is not
    _, done = drive(TRUCK, TRUCK.initial_state(STEP), [Setpoint(position=1)] * 5)
    driving, installing = Phase.IN_TRANSIT, Phase.INSTALLING
    assert [one.phase for one in done] == [driving, driving, driving, installing, Phase.PARKED]


def test_power_requested_on_the_road_is_shortfall_also_when_the_plan_thinks_the_truck_has_arrived() -> None:
    # the plan counted on 2 steps, the roads take 4
    requested = [Setpoint(0.0, 0.0, 1)] * 2 + [Setpoint(1.2, 0.3, 1)] * 3
    _, done = drive(TRUCK, TRUCK.initial_state(STEP), requested)
    assert [one.shortfall_mwh for one in done] == pytest.approx([0.0, 0.0, 0.2, 0.2, 0.0])
    assert [one.clips for one in done] == [(), (), (Clip.IN_TRANSIT,), (Clip.IN_TRANSIT,), ()]
    assert [one.q_mvar for one in done] == [0.0, 0.0, 0.0, 0.0, 0.3]


def test_a_truck_on_the_road_keeps_its_destination_and_says_so() -> None:
    states, done = drive(TRUCK, TRUCK.initial_state(STEP), [Setpoint(position=one) for one in (2, 1, 1)])
    assert done[1].clips == (Clip.EN_ROUTE,)
    assert [one.station for one in states] == [0, 2, 2, 1]
    assert done[2].departed
    assert states[3].trips_today == 2


def test_a_truck_stays_and_works_when_the_days_trips_are_used_up() -> None:
    lazy = replace(TRUCK, trips_max_per_day=1)
    states, done = drive(lazy, lazy.initial_state(STEP), [Setpoint(0.6, 0.0, 2)] * 2 + [Setpoint(0.6, 0.0, 0)])
    assert done[2].clips == (Clip.TRIPS,)
    assert (done[2].station, done[2].p_mw, done[2].phase) == ("S2", 0.6, Phase.PARKED)
    assert states[3].trips_today == 1


def test_a_truck_goes_only_to_its_own_stations() -> None:
    bound = replace(TRUCK, stations=(0, 2))
    for elsewhere in (1, -1, 7):
        _, (done,) = drive(bound, bound.initial_state(STEP), [Setpoint(position=elsewhere)])
        assert (done.clips, done.station, done.departed) == ((Clip.NOT_A_STATION,), "S0", False)


def test_counts_begin_anew_at_midnight_and_the_outcome_keeps_those_of_the_day_that_ends() -> None:
    lazy = replace(TRUCK, trips_max_per_day=1)
    states, _ = drive(lazy, lazy.initial_state(STEP), [Setpoint(0.6, 0.0, 2)] * 3)
    worked = states[-1].cycles_today
    assert worked == pytest.approx(0.1 / 8)
    before, done = step_truck(lazy, states[-1], Setpoint(0.6, 0.0, 0), replace(STEP, ends_day=True))
    assert (done.trips_today, done.cycles_today) == (1, pytest.approx(0.2 / 8))
    assert (before.trips_today, before.cycles_today, before.used_today) == (0, 0.0, False)
    _, done = step_truck(lazy, before, Setpoint(0.0, 0.0, 0), STEP)
    assert (done.departed, done.trips_today) == (True, 1)


def test_a_trip_over_midnight_counts_for_the_day_it_began() -> None:
    state, _ = step_truck(TRUCK, TRUCK.initial_state(STEP), Setpoint(position=1), replace(STEP, ends_day=True))
    assert (state.trips_today, state.transit_steps) == (0, 3)


def test_each_trip_pays_its_own_kilometres_and_the_hours_on_the_road() -> None:
    _, done = drive(TRUCK, TRUCK.initial_state(STEP), [Setpoint(position=1)] * 4 + [Setpoint(position=2)] * 2)
    assert [one.km for one in done] == [30.0, 0.0, 0.0, 0.0, 5.0, 0.0]
    assert sum(one.fuel_cost for one in done) == pytest.approx(0.4 * 35.0)
    # 4 steps and 1 step of 10 minutes
    assert sum(one.labour_cost for one in done) == pytest.approx(10.0 * 5 / 6)


def test_the_longest_leg_is_that_between_the_trucks_own_stations() -> None:
    cost = replace(COST, mileage=Mileage.LONGEST_LEG)
    for stations, longest in (((0, 1, 2), 30.0), ((1, 2), 5.0)):
        truck = replace(TRUCK, stations=stations, initial_station=1, cost=cost)
        _, (done,) = drive(truck, truck.initial_state(STEP), [Setpoint(position=2)])
        assert (done.km, done.fuel_cost) == (5.0, pytest.approx(0.4 * longest))


def test_flat_labour_is_due_once_on_each_day_of_driving_or_power() -> None:
    truck = replace(TRUCK, cost=replace(COST, labour=Labour.FLAT_IF_USED))
    midnight = replace(STEP, ends_day=True)
    state = truck.initial_state(STEP)
    paid = []
    for setpoint, conditions in [
        (Setpoint(1e-9), STEP),
        (Setpoint(0.3), STEP),
        (Setpoint(0.3), midnight),
        (Setpoint(0.0), midnight),
        (Setpoint(position=1), midnight),
        (Setpoint(position=1), STEP),
        (Setpoint(position=1), STEP),
    ]:
        state, done = step_truck(truck, state, setpoint, conditions)
        paid.append(done.labour_cost)
    # used on the first day, not on the second, on the road on the third and the fourth
    assert paid == [0.0, 80.0, 0.0, 0.0, 80.0, 80.0, 0.0]


def test_a_split_drive_ends_where_the_unsplit_one_does() -> None:
    requested = [Setpoint(0.3, 0.1, one) for one in (0, 1, 1, 1, 2, 2, 2, 0, 0, 0)]
    whole, paid = drive(TRUCK, TRUCK.initial_state(STEP), requested)
    for cut in range(len(requested)):
        first, early = drive(TRUCK, TRUCK.initial_state(STEP), requested[:cut])
        second, late = drive(TRUCK, first[-1], requested[cut:])
        assert second[-1] == whole[-1]
        assert early + late == paid


def test_travel_uses_the_congestion_of_the_moment() -> None:
    roads = DistanceMatrix(("A", "B"), np.array([[0.0, 10.0], [10.0, 0.0]]), 60.0, 5.0, Rounding.UP)
    free, jammed = travel_under(roads, ((0.0, 0.0),), 600, 0), travel_under(roads, ((6.0, 6.0),), 600, 0)
    assert (free.steps, free.minutes[0][1]) == (((0, 2), (2, 0)), pytest.approx(15.0))
    assert (jammed.steps[0][1], jammed.minutes[0][1], jammed.km[0][1]) == (3, pytest.approx(21.0), 10.0)
    assert free.install_min == 5.0


def test_setpoints_that_are_no_numbers_and_trips_without_roads_are_errors() -> None:
    with pytest.raises(ValueError, match="not finite"):
        step_truck(TRUCK, TRUCK.initial_state(STEP), Setpoint(float("nan"), 0.0, 1), STEP)
    with pytest.raises(ValueError, match="travel times"):
        step_truck(TRUCK, TRUCK.initial_state(STEP), Setpoint(position=1), Now(step_h=1 / 6))
