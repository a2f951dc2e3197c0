"""Routing of vehicles: a time-space network whose transit times depend on the departure.

A vehicle is parked at a station through step t, ``z_s(t) = 1``, or on the road. A departure in step t occupies the
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


@dataclass(frozen=True, eq=False)
class Arcs:
    """Possible trips of a vehicle within the horizon, one entry each.

    Attributes
    ----------
    departure, arrival : steps, ``arrival = departure + τ``
    origin, target : places in the vehicle's list of stations
    """

    departure: Int[np.ndarray, " arc"]
    arrival: Int[np.ndarray, " arc"]
    origin: Int[np.ndarray, " arc"]
    target: Int[np.ndarray, " arc"]

    def __len__(self) -> int:
        return len(self.departure)


def travel_arcs(transit: Int[np.ndarray, "departure station station"], stations: tuple[int, ...]) -> Arcs:
    """List the trips between a vehicle's stations that end at least one step before the horizon.

    A trip that ends with the horizon or later costs fuel and labour and earns nothing within it, so that staying parked
    is never more expensive: leaving such trips out changes no optimum. (The next plan looks further and has them.)

    Parameters
    ----------
    transit : steps of every trip by departure, `Roads.transit_steps`
    """
    horizon, pick = len(transit), np.array(stations, dtype=np.int64)
    steps = transit[:, pick[:, None], pick[None, :]]
    departure, origin, target = np.nonzero(np.ones(steps.shape, dtype=bool) & ~np.eye(len(pick), dtype=bool)[None])
    arrival = departure + steps[departure, origin, target]
    keep = arrival < horizon
    return Arcs(departure[keep], arrival[keep], origin[keep], target[keep])


def with_zero_transit_time(arcs: Arcs) -> Arcs:
    """Return the same trips with zero transit time: the vehicle is at the far end from the step of departure."""
    return replace(arcs, arrival=arcs.departure)


def by_day(day: Int[np.ndarray, " step"]) -> Float[np.ndarray, "day step"]:
    """Matrix that sums steps into days."""
    return (day[None, :] == np.arange(day.max(initial=0) + 1)[:, None]).astype(float)


def trips_left(max_per_day: int, day: Int[np.ndarray, " horizon"], trips_today: int) -> Int[np.ndarray, " day"]:
    """Remaining trips of each day of the horizon."""
    left = np.full(int(day[-1]) + 1, max_per_day, dtype=np.int64)
    left[0] = max(max_per_day - trips_today, 0)
    return left


@dataclass(frozen=True, kw_only=True, eq=False)
class TimeSpaceNetwork:
    """Time-space network: what a vehicle can do within the horizon.

    Attributes
    ----------
    stations : those it may use and the one where it begins, numbered as those of the plant; arcs count places in it
    start : place where it stands or to which it drives
    arrives : step of its arrival, 0 where it stands; later than the horizon for one that stays on the road
    day : number of the day of each step, from 0
    trips_left : trips it may still begin on each day
    arcs : trips it could make
    """

    stations: tuple[int, ...]
    start: int
    arrives: int
    day: Int[np.ndarray, " horizon"]
    trips_left: Int[np.ndarray, " day"]
    arcs: Arcs

    @property
    def horizon(self) -> int:
        """Number of steps."""
        return len(self.day)


@dataclass(frozen=True, eq=False)
class Route:
    """Route of a vehicle through the horizon: variables and constraints.

    Attributes
    ----------
    network : what it can do
    parked : 1 where it stands at a station (horizon, place)
    departs : 1 where it makes the trip (arc,)
    constraints : flow balance and trip limit; none of a fixed route, which is constant
    """

    network: TimeSpaceNetwork
    parked: cp.Expression
    departs: cp.Expression
    constraints: list[cp.Constraint]

    @property
    def binaries(self) -> tuple[cp.Variable, ...]:
        """Variables that must be 0 or 1."""
        return tuple(one for one in (self.parked, self.departs) if isinstance(one, cp.Variable))

    def values(self, targets: Int[np.ndarray, " horizon"]) -> dict[cp.Variable, np.ndarray]:
        """Return the binaries of the route to given stations; none for a fixed route."""
        return dict(zip(self.binaries, follow(self.network, targets), strict=False))

    @property
    def stations(self) -> Int[np.ndarray, " horizon"]:
        """Station where the vehicle is parked, or is driving to, in each step of a solution."""
        network = self.network
        target = np.full(network.horizon, network.stations[network.start], dtype=np.int64)
        arcs, made = network.arcs, np.flatnonzero(self.departs.value > 0.5)
        for arc in made[np.argsort(arcs.arrival[made], kind="stable")]:
            target[arcs.departure[arc] :] = network.stations[int(arcs.target[arc])]
        return target


def route(network: TimeSpaceNetwork, fixed: Int[np.ndarray, " horizon"] | None = None) -> Route:
    """Build the route of a vehicle that starts at a station, or arrives there, and moves along arcs.

    Parameters
    ----------
    fixed : fixed stations, reached as `follow` does; to be decided if not given
    """
    if fixed is not None:
        parked, departs = follow(network, fixed)
        return Route(network, cp.Constant(parked), cp.Constant(departs), [])
    arcs, horizon, places = network.arcs, network.horizon, len(network.stations)
    stands, trips = cp.Variable((horizon, places)), cp.Variable(len(arcs))
    nodes = horizon * places
    each = np.arange(len(arcs))
    shape = (nodes, len(arcs))
    out = sp.csr_array((np.ones(len(arcs)), (arcs.departure * places + arcs.origin, each)), shape=shape)
    into = sp.csr_array((np.ones(len(arcs)), (arcs.arrival * places + arcs.target, each)), shape=shape)
    before = sp.diags_array(np.ones(max(nodes - places, 0)), offsets=-places, shape=(nodes, nodes))
    source = np.zeros(nodes)
    if network.arrives < horizon:
        source[network.arrives * places + network.start] = 1.0
    flat = cp.vec(stands, order="C")
    balance = flat - sp.csr_array(before) @ flat
    if not len(arcs):
        return Route(network, stands, trips, [balance == source])
    balance = balance + (out - into) @ trips
    limit = by_day(network.day)[:, arcs.departure] @ trips <= network.trips_left
    return Route(network, stands, trips, [balance == source, limit])


def leaves(taken: Route, place: int) -> cp.Expression:
    """Return where a vehicle leaves a place, 1 in the step of departure (horizon,)."""
    arcs, horizon = taken.network.arcs, taken.network.horizon
    own = np.flatnonzero(arcs.origin == place)
    pick = sp.csr_array((np.ones(len(own)), (arcs.departure[own], own)), shape=(horizon, len(arcs)))
    return pick @ taken.departs if len(own) else cp.Constant(np.zeros(horizon))


def follow(
    network: TimeSpaceNetwork, targets: Int[np.ndarray, " horizon"]
) -> tuple[Float[np.ndarray, "horizon place"], Float[np.ndarray, " arc"]]:
    """Simulate the drive to given stations: where the vehicle is parked, and its trips.

    A trip the horizon, the day's limit or a station outside the vehicle's list does not allow is left out.
    """
    arcs, stations, day = network.arcs, network.stations, network.day
    horizon = len(targets)
    parked, departs = np.zeros((horizon, len(stations))), np.zeros(len(arcs))
    index = {
        (int(t), int(s), int(g)): arc
        for arc, (t, s, g) in enumerate(zip(arcs.departure, arcs.origin, arcs.target, strict=True))
    }
    place = {station: position for position, station in enumerate(stations)}
    left = network.trips_left.copy()
    here, free_at = network.start, network.arrives
    for step in range(horizon):
        if step < free_at:
            continue
        arc = index.get((step, here, place.get(int(targets[step]), here)))
        if arc is not None and left[day[step]] > 0:
            departs[arc] = 1.0
            left[day[step]] -= 1
            here, free_at = int(arcs.target[arc]), int(arcs.arrival[arc])
        if step >= free_at:
            parked[step, here] = 1.0
    return parked, departs
