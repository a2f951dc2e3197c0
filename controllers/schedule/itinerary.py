"""Where a truck that is told where to be really is: trips by the forecast roads, and what they cost."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from gridferry.controllers.contract import Labour, TruckCost

_USE_MW = 1e-6
"""a smaller power is no use of a truck [MW]"""


@dataclass(frozen=True, eq=False)
class Itinerary:
    """A truck's way through the horizon.

    Attributes
    ----------
    station : where it is parked or driving to (horizon,)
    parked : whether it is parked and connected (horizon,)
    departs : whether it begins a trip (horizon,)
    origin : the station it stands at, or drove off from (horizon,)
    """

    station: Int[np.ndarray, " horizon"]
    parked: Bool[np.ndarray, " horizon"]
    departs: Bool[np.ndarray, " horizon"]
    origin: Int[np.ndarray, " horizon"]


def drive(
    wanted: Int[np.ndarray, " horizon"],
    transit: Int[np.ndarray, "horizon station station"],
    stations: tuple[int, ...],
    start: int,
    arrives: int,
    day: Int[np.ndarray, " horizon"],
    trips_left: Int[np.ndarray, " day"],
) -> Itinerary:
    """Drive to the wanted stations as soon as the roads, the day's trips and the horizon allow.

    A truck on the road drives on first; a trip that would not end within the horizon is not begun.

    Parameters
    ----------
    wanted : station to be at or driving to
    transit : whole steps of every trip by departure, `Roads.transit_steps`
    stations : those it may be sent to
    start, arrives : the station where it is parked from step ``arrives`` on
    day, trips_left : number of the day of each step, and trips it may still begin on each day
    """
    horizon = len(wanted)
    station, origin = np.empty(horizon, dtype=np.int64), np.empty(horizon, dtype=np.int64)
    parked, departs = np.zeros(horizon, dtype=bool), np.zeros(horizon, dtype=bool)
    left, allowed = trips_left.tolist(), set(stations)
    here, came_from, free_at = start, start, arrives
    for step, target in enumerate(wanted.tolist()):
        if step >= free_at and target != here and target in allowed and left[day[step]] > 0:
            arrival = step + int(transit[step, here, target])
            if arrival < horizon:
                left[day[step]] -= 1
                here, came_from, free_at = target, here, arrival
                departs[step] = True
        parked[step] = step >= free_at
        if parked[step]:
            came_from = here
        station[step], origin[step] = here, came_from
    return Itinerary(station, parked, departs, origin)


def moved_trips(
    station: Int[np.ndarray, " horizon"], start: int, shift: Int[np.ndarray, " trip"]
) -> Int[np.ndarray, " horizon"]:
    """Shift the trips of a way through the horizon in time; a trip overtaken by the one after it is left out.

    Parameters
    ----------
    station : where the truck is parked or driving to in every step
    start : where it is before
    shift : steps by which each trip begins later, in the order of the trips
    """
    begins = trip_steps(station, start)
    moved = np.full(len(station), start, dtype=np.int64)
    for begin, by in zip(begins, shift, strict=True):
        moved[max(int(begin) + int(by), 0) :] = station[begin]
    return moved


def trip_steps(station: Int[np.ndarray, " horizon"], start: int) -> Int[np.ndarray, " trip"]:
    """Steps in which the station changes."""
    return np.flatnonzero(np.diff(station, prepend=start))


def trip_cost(
    cost: TruckCost,
    way: Itinerary,
    km: Float[np.ndarray, "horizon station station"],
    p_mw: Float[np.ndarray, " horizon"],
    q_mvar: Float[np.ndarray, " horizon"],
    day: Int[np.ndarray, " horizon"],
    step_h: float,
    used_today: bool,
) -> Float[np.ndarray, " horizon"]:
    """Fuel by distance, due at departure; labour by the steps in transit, or flat on days of use [A, eq. 28].

    Parameters
    ----------
    km : kilometres charged for every trip by departure, `gridferry.controllers.devices.trucks.driving.charged_km`
    p_mw, q_mvar : the truck's power; use, for flat labour
    used_today : flat labour of the first day has been paid
    """
    each = np.flatnonzero(way.departs)
    per_step = np.zeros(len(day))
    per_step[each] = cost.fuel_per_km * km[each, way.origin[each], way.station[each]]
    if cost.labour is Labour.TRAVEL:
        return per_step + cost.labour_per_h * step_h * ~way.parked
    works = np.flatnonzero(~way.parked | (np.hypot(p_mw, q_mvar) > _USE_MW))
    days, first = np.unique(day[works], return_index=True)
    due = works[first[1:] if used_today and len(days) and days[0] == 0 else first]
    per_step[due] += cost.labour_per_h * cost.flat_hours
    return per_step
