"""Where trucks are: a time-space network with transit times that depend on the departure.

A truck is parked at a station through step t, ``z_s(t) = 1``, or on the road. A departure in step t occupies the
steps ``t … t+τ-1`` and reaches its station at the start of step t+τ, where it parks or departs again. At every station
and step

    parked(t) + departures(t) = parked(t-1) + arrivals(t)

so that place and delay are exact in the plan [A, eqs. 2, 42-43; the network is ours].
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cvxpy as cp
import numpy as np
import scipy.sparse as sp
from jaxtyping import Float, Int

from gridferry.controllers.model.storage import by_day
from gridferry.networks.roads.travel import Trips


@dataclass(frozen=True, eq=False)
class Arcs:
    """Trips a truck could make within the horizon, one entry each.

    Attributes
    ----------
    departure, arrival : steps, ``arrival = departure + τ``
    origin, target : positions in the truck's list of stations
    km : distance [km]
    """

    departure: Int[np.ndarray, " arc"]
    arrival: Int[np.ndarray, " arc"]
    origin: Int[np.ndarray, " arc"]
    target: Int[np.ndarray, " arc"]
    km: Float[np.ndarray, " arc"]

    def __len__(self) -> int:
        return len(self.departure)


def travel_arcs(transit: Int[np.ndarray, "departure station station"], trips: Trips, stations: tuple[int, ...]) -> Arcs:
    """List the trips between a truck's stations that leave at least one step at the far end.

    A trip that ends with the horizon or later costs fuel and labour and earns nothing within it, so that staying parked
    is never dearer: leaving such trips out changes no optimum. (The next plan looks further and has them.)

    Parameters
    ----------
    transit : whole steps of every trip by departure, `Roads.transit_steps`
    """
    horizon, pick = len(transit), np.array(stations, dtype=np.int64)
    steps = transit[:, pick[:, None], pick[None, :]]
    departure, origin, target = np.nonzero(np.ones(steps.shape, dtype=bool) & ~np.eye(len(pick), dtype=bool)[None])
    arrival = departure + steps[departure, origin, target]
    keep = arrival < horizon
    km = trips.km[:, pick[:, None], pick[None, :]][departure, origin, target]
    return Arcs(departure[keep], arrival[keep], origin[keep], target[keep], km[keep])


def instant(arcs: Arcs) -> Arcs:
    """Return the same trips as moves that take no time: the step of departure is already worked at the far end."""
    return replace(arcs, arrival=arcs.departure)


@dataclass(frozen=True, eq=False)
class Route:
    """A truck's way through the horizon.

    Attributes
    ----------
    parked : 1 where it stands at a station (horizon, station of the truck)
    departs : 1 where it makes the trip (arc,)
    arcs : the trips
    constraints : flow balance and trip limit
    """

    parked: cp.Variable
    departs: cp.Variable
    arcs: Arcs
    constraints: list[cp.Constraint]

    @property
    def binaries(self) -> list[cp.Variable]:
        """What must be 0 or 1."""
        return [self.parked, self.departs]


def route(
    arcs: Arcs,
    n_station: int,
    horizon: int,
    start: int,
    arrives: int,
    day: Int[np.ndarray, " horizon"],
    trips_left: Int[np.ndarray, " day"],
) -> Route:
    """Let a truck start at a station, or arrive there while the horizon runs, and move along arcs.

    Parameters
    ----------
    start : the station where it stands or to which it drives (position in its list)
    arrives : step of its arrival, 0 where it stands; later than the horizon for one that stays on the road
    day : number of the day of each step, from 0
    trips_left : trips it may still begin on each day
    """
    parked = cp.Variable((horizon, n_station))
    departs = cp.Variable(len(arcs))
    nodes = horizon * n_station
    each = np.arange(len(arcs))
    shape = (nodes, len(arcs))
    out = sp.csr_array((np.ones(len(arcs)), (arcs.departure * n_station + arcs.origin, each)), shape=shape)
    into = sp.csr_array((np.ones(len(arcs)), (arcs.arrival * n_station + arcs.target, each)), shape=shape)
    before = sp.diags_array(np.ones(max(nodes - n_station, 0)), offsets=-n_station, shape=(nodes, nodes))
    source = np.zeros(nodes)
    if arrives < horizon:
        source[arrives * n_station + start] = 1.0
    stands = cp.vec(parked, order="C")
    constraints: list[cp.Constraint] = []
    balance = stands - sp.csr_array(before) @ stands
    if len(arcs):
        balance = balance + (out - into) @ departs
        constraints.append(by_day(day)[:, arcs.departure] @ departs <= trips_left)
    constraints.insert(0, balance == source)
    return Route(parked, departs, arcs, constraints)


def destinations(
    chosen: Float[np.ndarray, " arc"], arcs: Arcs, stations: tuple[int, ...], start: int, horizon: int
) -> Int[np.ndarray, " horizon"]:
    """Return the station a truck is parked at or driving to in each step, from the trips a solution makes."""
    target = np.full(horizon, stations[start], dtype=np.int64)
    made = np.flatnonzero(chosen > 0.5)
    for arc in made[np.argsort(arcs.arrival[made], kind="stable")]:
        target[arcs.departure[arc] :] = stations[int(arcs.target[arc])]
    return target


def follow(
    wanted: Int[np.ndarray, " horizon"],
    arcs: Arcs,
    stations: tuple[int, ...],
    start: int,
    arrives: int,
    day: Int[np.ndarray, " horizon"],
    trips_left: Int[np.ndarray, " day"],
) -> tuple[Float[np.ndarray, "horizon place"], Float[np.ndarray, " arc"]]:
    """Drive to the wanted stations as the roads allow: the binaries of that route.

    A trip the horizon, the day's limit or a station outside the truck's list does not allow is left out.
    """
    horizon = len(wanted)
    parked, departs = np.zeros((horizon, len(stations))), np.zeros(len(arcs))
    index = {
        (int(t), int(s), int(g)): arc
        for arc, (t, s, g) in enumerate(zip(arcs.departure, arcs.origin, arcs.target, strict=True))
    }
    place = {station: position for position, station in enumerate(stations)}
    left = trips_left.copy()
    here, free_at = start, arrives
    for step in range(horizon):
        if step < free_at:
            continue
        arc = index.get((step, here, place.get(int(wanted[step]), here)))
        if arc is not None and left[day[step]] > 0:
            departs[arc] = 1.0
            left[day[step]] -= 1
            here, free_at = int(arcs.target[arc]), int(arcs.arrival[arc])
        if step >= free_at:
            parked[step, here] = 1.0
    return parked, departs
