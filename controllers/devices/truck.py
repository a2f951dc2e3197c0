"""A truck's step: a battery that can be at one of several stations, or between them [A, eqs. 2, 22-24, 28].

A parked truck whose destination is another of its stations departs at once, if the day's trips allow, and is parked
there again ``τ`` steps later, τ being what the roads really take at its departure, whatever the plan expected. On the
road it gives no power and keeps its destination.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import StrEnum

from gridferry.controllers.devices.storage import Storage, StoreState, initial_store, rest, step_store
from gridferry.controllers.devices.transition import (
    NEGLIGIBLE_MW,
    Clip,
    Outcome,
    Phase,
    Setpoint,
    StepConditions,
    Travel,
    refuse_nonfinite,
)


class Mileage(StrEnum):
    """Kilometres that a trip is charged for."""

    LEG = "leg"
    LONGEST_LEG = "longest_leg"


class Labour(StrEnum):
    """Hours that labour is charged for."""

    TRAVEL = "travel"
    FLAT_IF_USED = "flat_if_used"


@dataclass(frozen=True)
class TruckCost:
    """What driving costs [A, eq. 28].

    Attributes
    ----------
    fuel_per_km : fuel rate [currency/km]
    labour_per_h : labour rate [currency/h]
    mileage : charge each trip's own leg, or the longest leg for every trip (as published)
    labour : charge the hours in transit (steps of transit, installation included), or ``flat_hours`` on every day on
        which the truck drives or its battery is used (as published)
    flat_hours : hours charged under ``flat_if_used`` [h/day]
    """

    fuel_per_km: float
    labour_per_h: float
    mileage: Mileage
    labour: Labour
    flat_hours: float


@dataclass(frozen=True)
class Station:
    """A bus where trucks can connect; ``bus`` counts along the axis of all buses."""

    name: str
    network: int
    bus: int


@dataclass(frozen=True)
class Truck:
    """A battery on a truck (MESS); ``stations`` are the indices of the stations it may use."""

    name: str
    storage: Storage
    stations: tuple[int, ...]
    initial_station: int
    trips_max_per_day: int
    cost: TruckCost


@dataclass(frozen=True, slots=True)
class TruckState:
    """A truck at the start of a step.

    Attributes
    ----------
    store : its battery
    station : where it is parked, or where it is driving to
    transit_steps : steps until it is parked and connected, 0 when it is
    driving_steps : steps until the installation begins, of these
    trips_today : trips begun since local midnight
    used_today : whether it drove or worked since local midnight
    """

    store: StoreState
    station: int
    transit_steps: int = 0
    driving_steps: int = 0
    trips_today: int = 0
    used_today: bool = False


def initial_truck(truck: Truck, capacity: float = 1.0) -> TruckState:
    """Return the state in which a run begins; ``capacity`` is the share of its rated energy that its battery holds."""
    return TruckState(initial_store(truck.storage, capacity), truck.initial_station)


def step_truck(
    truck: Truck, state: TruckState, setpoint: Setpoint, conditions: StepConditions
) -> tuple[TruckState, Outcome]:
    """Drive, install or work, as far as the roads, the day's trips and the battery allow.

    Raises
    ------
    ValueError
        for a setpoint that is not finite, or a trip without `StepConditions.travel`.
    """
    refuse_nonfinite(truck.name, setpoint)
    refused = _refusal(truck, state, setpoint)
    departs = refused is None and state.transit_steps == 0 and setpoint.destination not in (None, state.station)
    km = charged_km = 0.0
    if departs:
        assert setpoint.destination is not None
        travel = _travel(truck, conditions)
        km = travel.km[state.station][setpoint.destination]
        charged_km = km if truck.cost.mileage is Mileage.LEG else _longest_leg(truck, travel)
        state = _depart(state, travel, setpoint.destination, conditions.step_h)
    moving = state.transit_steps > 0
    if moving:
        store, done = rest(truck.storage, state.store, setpoint, conditions, Clip.IN_TRANSIT)
        phase = Phase.IN_TRANSIT if state.driving_steps > 0 else Phase.INSTALLING
    else:
        store, done = step_store(truck.name, truck.storage, state.store, setpoint, conditions)
        phase = Phase.PARKED
    works = moving or math.hypot(done.p_mw, done.q_mvar) > NEGLIGIBLE_MW
    outcome = replace(
        done,
        clips=done.clips if refused is None else (refused, *done.clips),
        phase=phase,
        station=-1 if moving else state.station,
        departed=departs,
        trips_today=state.trips_today,
        km=km,
        charged_km=charged_km,
        fuel_cost=truck.cost.fuel_per_km * charged_km,
        labour_cost=_labour_cost(truck, state, moving, works, conditions.step_h),
    )
    after = TruckState(
        store=store,
        station=state.station,
        transit_steps=max(state.transit_steps - 1, 0),
        driving_steps=max(state.driving_steps - 1, 0),
        trips_today=0 if conditions.ends_day else state.trips_today,
        used_today=not conditions.ends_day and (state.used_today or works),
    )
    return after, outcome


def _refusal(truck: Truck, state: TruckState, setpoint: Setpoint) -> Clip | None:
    """Why the truck does not go where it is asked to; ``None`` where it does or stays anyway."""
    if setpoint.destination in (None, state.station):
        return None
    if state.transit_steps > 0:
        return Clip.EN_ROUTE
    if setpoint.destination not in truck.stations:
        return Clip.NOT_A_STATION
    if state.trips_today >= truck.trips_max_per_day:
        return Clip.TRIPS
    return None


def _travel(truck: Truck, conditions: StepConditions) -> Travel:
    if conditions.travel is None:
        raise ValueError(f"{truck.name}: a trip needs the travel times of the step")
    return conditions.travel


def _depart(state: TruckState, travel: Travel, destination: int, step_h: float) -> TruckState:
    steps = travel.steps[state.station][destination]
    if steps < 1:
        raise ValueError(f"a trip from station {state.station} to {destination} takes {steps} steps; at least 1")
    driving_min = travel.minutes[state.station][destination] - travel.install_min
    # as in the rounding of trips: the last bit of a quotient is no step
    driving = math.ceil(driving_min / (60.0 * step_h) - 1e-9) if travel.install_min > 0 else steps
    return TruckState(
        store=state.store,
        station=destination,
        transit_steps=steps,
        driving_steps=min(driving, steps),
        trips_today=state.trips_today + 1,
        used_today=state.used_today,
    )


def _longest_leg(truck: Truck, travel: Travel) -> float:
    return max(travel.km[i][j] for i in truck.stations for j in truck.stations)


def _labour_cost(truck: Truck, state: TruckState, moving: bool, works: bool, step_h: float) -> float:
    """Labour due in this step: its share of a trip, or the flat hours in the first step of use in a day [currency]."""
    if truck.cost.labour is Labour.TRAVEL:
        return truck.cost.labour_per_h * step_h if moving else 0.0
    return truck.cost.labour_per_h * truck.cost.flat_hours if works and not state.used_today else 0.0
