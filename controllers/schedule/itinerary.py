"""Itinerary of a truck with given stations: its trips at forecast travel times."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int


@dataclass(frozen=True, eq=False)
class Itinerary:
    """Itinerary of a truck over the horizon.

    Attributes
    ----------
    station : where it is parked or driving to (horizon,)
    parked : whether it is parked and connected (horizon,)
    """

    station: Int[np.ndarray, " horizon"]
    parked: Bool[np.ndarray, " horizon"]


def drive(
    targets: Int[np.ndarray, " horizon"],
    transit: Int[np.ndarray, "horizon station station"],
    stations: tuple[int, ...],
    start: int,
    arrives: int,
    day: Int[np.ndarray, " horizon"],
    trips_left: Int[np.ndarray, " day"],
) -> Itinerary:
    """Simulate the drive to given stations, as soon as roads, daily trips and the horizon allow.

    A truck on the road drives on first; a trip that would not end within the horizon is not begun.

    Parameters
    ----------
    targets : station to be at or driving to
    transit : steps of every trip by departure, `Roads.transit_steps`
    stations : those it may be sent to
    start, arrives : the station where it is parked from step ``arrives`` on
    day, trips_left : number of the day of each step, and trips it may still begin on each day
    """
    horizon = len(targets)
    station, parked = np.empty(horizon, dtype=np.int64), np.zeros(horizon, dtype=bool)
    left, allowed = trips_left.tolist(), set(stations)
    here, free_at = start, arrives
    for step, target in enumerate(targets.tolist()):
        if step >= free_at and target != here and target in allowed and left[day[step]] > 0:
            arrival = step + int(transit[step, here, target])
            if arrival < horizon:
                left[day[step]] -= 1
                here, free_at = target, arrival
        parked[step] = step >= free_at
        station[step] = here
    return Itinerary(station, parked)


def moved_trips(
    station: Int[np.ndarray, " horizon"], start: int, shift: Int[np.ndarray, " trip"]
) -> Int[np.ndarray, " horizon"]:
    """Shift the trips of an itinerary in time; a trip overtaken by the next one is left out.

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
