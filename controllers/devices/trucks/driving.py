"""Routes of a truck over a horizon, and what driving takes: energy of its battery, fuel, labour."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cvxpy as cp
import numpy as np
import scipy.sparse as sp
from jaxtyping import Float

from gridferry.controllers import tolerances
from gridferry.controllers.devices.planning.block import Ahead, SoftLimit
from gridferry.controllers.devices.planning.routing import (
    Arcs,
    Route,
    TimeSpaceNetwork,
    by_day,
    follow,
    leaves,
    travel_arcs,
    trips_left,
)
from gridferry.controllers.devices.trucks.config import Labour, Mileage
from gridferry.controllers.devices.trucks.device import Truck, TruckCost


def truck_network(truck: Truck, ahead: Ahead) -> TimeSpaceNetwork:
    """Return the time-space network of a truck, from its measured state."""
    if ahead.trips is None:
        raise ValueError(f"{truck.name}: a plant with trucks needs roads")
    state = ahead.state
    here = int(state.station)
    # a trip outside the shift is one that does not end
    clock_h = ahead.clock_h[: ahead.horizon, None, None]
    steps = np.where(truck.on_shift(ahead.trips.steps, clock_h, ahead.step_h), ahead.trips.steps, ahead.horizon)
    stations = truck.stations if here in truck.stations else (*truck.stations, here)
    return TimeSpaceNetwork(
        stations=stations,
        start=stations.index(here),
        arrives=int(state.transit_steps),
        day=ahead.day,
        trips_left=trips_left(truck.trips_max_per_day, ahead.day, int(state.trips_today)),
        arcs=travel_arcs(steps, stations),
    )


def depot_due(truck: Truck, ahead: Ahead, taken: Route) -> dict[str, SoftLimit]:
    """Have the truck at its depot when it is due: it stands there, or leaves from there just then."""
    due, network = truck.duty.due_at(ahead.clock_h), taken.network
    if not due or truck.duty.depot not in network.stations:
        return {}
    place = network.stations.index(truck.duty.depot)
    there = cp.hstack([taken.parked[:, place] + leaves(taken, place), taken.parked[-1, place]])
    at = np.array(due, dtype=np.int64)
    if ahead.zero_transit_time and ahead.trips is not None and len(network.stations) > 1:
        # who is there in time has begun the trip by then, and stands at its end meanwhile
        others = [one for one in network.stations if one != truck.duty.depot]
        least = int(ahead.trips.steps[:, others, truck.duty.depot].min())
        at = np.maximum(at - least, np.minimum(at, max(network.arrives, 1)))
    return {"depot": SoftLimit(slack=there[at] - 1.0, step=at - 1, unit="", words="is not at its depot")}


def without_unpaid(truck: Truck, network: TimeSpaceNetwork, ahead: Ahead) -> TimeSpaceNetwork:
    """Return a network without the trips of a fixed route that the battery cannot pay, however much it charges.

    The truck stays then, and departs later if it can.
    """
    storage, state = truck.storage, ahead.state
    if ahead.fixed is None or not truck.duty.drive_mwh_per_km:
        return network
    charge_mwh = ahead.step_h * storage.eta_charge * storage.p_max_mw * ahead.series["availability"]
    most_mwh, least_mwh = (one * storage.energy_mwh for one in (storage.soc_max, storage.soc_min))
    drive_mwh = drive_mwh_of(truck, network, ahead)
    while True:
        parked, departs = follow(network, ahead.fixed[:, 0])
        made = {int(network.arcs.departure[arc]): int(arc) for arc in np.flatnonzero(departs)}
        energy, unpaid = float(state.energy_mwh), None
        for step in range(ahead.horizon):
            if step in made:
                energy -= drive_mwh[made[step]]
                if energy < least_mwh - tolerances.ENERGY_MWH:
                    unpaid = made[step]
                    break
            energy = max(energy, min(energy + charge_mwh[step] * parked[step].any(), most_mwh))
        if unpaid is None:
            return network
        keep = np.arange(len(drive_mwh)) != unpaid
        network = replace(network, arcs=Arcs(**{name: one[keep] for name, one in vars(network.arcs).items()}))
        drive_mwh = drive_mwh[keep]


def at_departure(network: TimeSpaceNetwork, of_trip: Float[np.ndarray, " arc"]) -> sp.csr_array:
    """Matrix that sums something of trips by step of departure (horizon, arc)."""
    arcs, each = network.arcs, np.arange(len(network.arcs))
    return sp.csr_array((of_trip, (arcs.departure, each)), shape=(network.horizon, len(arcs)))


def drive_mwh_of(truck: Truck, network: TimeSpaceNetwork, ahead: Ahead) -> Float[np.ndarray, " arc"]:
    """Energy that each trip takes from the battery (arc,) [MWh]."""
    assert ahead.trips is not None
    arcs, pick = network.arcs, np.array(network.stations, dtype=np.int64)
    return np.asarray(truck.drive_mwh(ahead.trips.km[arcs.departure, pick[arcs.origin], pick[arcs.target]]))


def charged(truck: Truck, network: TimeSpaceNetwork, ahead: Ahead) -> np.ndarray:
    """Kilometres that each trip is charged for (arc,) [km]."""
    assert ahead.trips is not None
    arcs, pick = network.arcs, np.array(network.stations, dtype=np.int64)
    km = charged_km(truck.cost, ahead.trips.km, truck.stations)
    return np.asarray(km[arcs.departure, pick[arcs.origin], pick[arcs.target]])


def charged_km(
    cost: TruckCost, km: Float[np.ndarray, "departure station station"], stations: Sequence[int]
) -> Float[np.ndarray, "departure station station"]:
    """Kilometres that each trip is charged for: its own leg, or the longest leg between the truck's stations [km]."""
    if cost.mileage is Mileage.LEG:
        return np.asarray(km)
    own = np.array(stations, dtype=np.int64)
    longest = km[:, own[:, None], own].max(axis=(1, 2), keepdims=True)
    off_diagonal = ~np.eye(km.shape[1], dtype=bool)
    return np.where(off_diagonal[None], longest, 0.0)


@dataclass(frozen=True, eq=False)
class DrivingCost:
    """Cost of a truck's fuel and driver.

    Attributes
    ----------
    fuel, labour : (horizon,) [currency]
    constraints : of the days on which flat labour is due
    used : binaries of these days, none where labour is paid by the hour
    """

    fuel: cp.Expression
    labour: cp.Expression
    constraints: list[cp.Constraint]
    used: tuple[cp.Variable, ...] = ()


def driving_cost(
    cost: TruckCost,
    network: TimeSpaceNetwork,
    km: Float[np.ndarray, " arc"],
    departs: cp.Expression,
    power_shares: Sequence[cp.Expression],
    *,
    step_h: float,
    used_today: bool,
    rate: float | Float[np.ndarray, " horizon"] | None = None,
) -> DrivingCost:
    """Fuel by distance, due at departure; labour by the steps in transit, or flat on days of use [A, eq. 28].

    Parameters
    ----------
    network : trips with their true delays; the labour of a truck on the road is due whatever is decided
    km : kilometres that each trip is charged for
    departs : which trips are made (arc,)
    power_shares : active power and reactive power of either sign in shares of the ratings (horizon,); use, for flat
        labour
    used_today : flat labour of the first day is already due, and so no longer decides anything
    rate : labour rate of each step; that of ``cost`` when not given [currency/h]
    """
    arcs, day, arrives, horizon = network.arcs, network.day, network.arrives, network.horizon
    fuel = at_departure(network, cost.fuel_per_km * km) @ departs
    if cost.labour is Labour.TRAVEL:
        step = np.arange(horizon)[:, None]
        on_road = (step >= arcs.departure) & (step < arcs.arrival)
        pay = step_h * np.broadcast_to(cost.labour_per_h if rate is None else rate, horizon)
        return DrivingCost(fuel, (pay[:, None] * on_road) @ departs + pay * (np.arange(horizon) < arrives), [])
    # the due is dated on the first step of the day within the horizon
    used = cp.Variable(int(day[-1]) + 1)
    due = np.full(int(day[-1]) + 1, cost.day_pay)
    due[0] = 0.0 if used_today else due[0]
    first = np.zeros((horizon, len(due)))
    first[np.searchsorted(day, np.arange(len(due))), np.arange(len(due))] = 1.0
    constraints: list[cp.Constraint] = [share <= by_day(day).T @ used for share in power_shares]
    if arrives > 0:
        constraints.append(used[: day[min(arrives, horizon) - 1] + 1] >= 1)
    if len(arcs):
        constraints.append(departs <= by_day(day).T[arcs.departure] @ used)
        constraints.append(departs <= by_day(day).T[arcs.arrival - 1] @ used)
    return DrivingCost(fuel, first @ cp.multiply(due, used), constraints, (used,))
