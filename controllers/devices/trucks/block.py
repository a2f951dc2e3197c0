"""Optimisation block of a truck: route, power at the stations, cost of driving."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial, reduce

import cvxpy as cp
import numpy as np
import scipy.sparse as sp
from jaxtyping import Float

from gridferry.controllers import tolerances
from gridferry.controllers.devices.planning.block import Ahead, AtStation, Block, Planned, SoftLimit
from gridferry.controllers.devices.planning.routing import (
    Arcs,
    Route,
    TimeSpaceNetwork,
    by_day,
    follow,
    leaves,
    route,
    travel_arcs,
    trips_left,
    with_zero_transit_time,
)
from gridferry.controllers.devices.stores.block import StoragePower, storage_power, store_of
from gridferry.controllers.devices.stores.storage import Storage
from gridferry.controllers.devices.trucks.config import Labour, Mileage
from gridferry.controllers.devices.trucks.device import Truck, TruckCost


def truck_block(truck: Truck, ahead: Ahead) -> Block:
    """Return the block of a truck."""
    network = truck_network(truck, ahead)
    moves = network
    if ahead.zero_transit_time:
        moves = replace(network, arcs=with_zero_transit_time(network.arcs))
    if ahead.fixed is not None:
        network = moves = without_unpaid(truck, network, ahead)
    taken = route(moves, None if ahead.fixed is None else ahead.fixed[:, 0])
    available = ahead.series["availability"]
    at = [
        storage_power(truck.storage, ahead.horizon, taken.parked[:, place], available)
        for place in range(len(network.stations))
    ]
    total = reduce(_sum, at)
    drive_mwh = _drive_mwh(truck, network, ahead)
    store = store_of(truck.storage, ahead, total, at_departure(network, drive_mwh) @ taken.departs)
    least_mwh = truck.storage.soc_min * truck.storage.energy_mwh * ahead.series["usable_energy_share"]
    departs = at_departure(network, np.ones(len(network.arcs))) @ taken.departs
    shares = [(total.charge + total.discharge) / truck.storage.p_max_mw]
    shares += [sign * total.q / truck.storage.s_max_mva for sign in (1.0, -1.0)]
    driving = driving_cost(
        truck.cost,
        network,
        _charged(truck, network, ahead),
        taken.departs,
        shares,
        rate=truck.cost.rate(ahead.clock_h[: ahead.horizon]),
        step_h=ahead.step_h,
        used_today=bool(ahead.state.used_today),
    )
    constraints = {
        "route": taken.constraints,
        "power": [one for power in at for one in power.constraints],
        "labour": driving.constraints,
        "driving_energy": [store.stored.energy[1:] >= cp.multiply(least_mwh, departs)] if drive_mwh.any() else [],
        **store.constraints,
    }
    if ahead.fixed is None and len(at) > 1 and np.all(ahead.series["usable_energy_share"] == 1.0):
        start = float(ahead.state.energy_mwh)
        constraints["energy_by_station"] = energy_by_station(
            truck.storage, ahead.step_h, start, taken, at, drive_mwh=drive_mwh
        )

    def plan() -> Planned:
        present = np.round(taken.parked.value)
        p_mw = sum(power.p.value * present[:, place] for place, power in enumerate(at))
        q_mvar = sum(power.q.value * present[:, place] for place, power in enumerate(at))
        return Planned(
            p_mw=p_mw[:, None],
            q_mvar=q_mvar[:, None],
            position=taken.stations[:, None],
            costs={"wear": store.wear_of(p_mw, q_mvar), "fuel": driving.fuel.value, "labour": driving.labour.value},
        )

    buses = [truck.all_stations[station].bus for station in network.stations]
    return Block(
        p={(0, bus): sum(power.p for power, there in zip(at, buses, strict=True) if there == bus) for bus in buses},
        q={(0, bus): sum(power.q for power, there in zip(at, buses, strict=True) if there == bus) for bus in buses},
        constraints=constraints,
        costs={"wear": store.wear, "fuel": driving.fuel, "labour": driving.labour},
        binaries=(*taken.binaries, *driving.used, *store.least.binaries),
        permits=driving.used,
        # a day on which a truck is used a little is a day of use
        likely=(*((used, partial(_in_use, used)) for used in driving.used), *store.least.likely),
        routes=(taken,),
        soft=store.soft | depot_due(truck, ahead, taken),
        exclusive=store.exclusive,
        losses=store.losses,
        stations={
            station: AtStation(
                parked=taken.parked[:, place],
                leaves=leaves(taken, place),
                throughput=power.charge + power.discharge,
                q=power.q,
                p_max_mw=truck.storage.p_max_mw,
                s_max_mva=truck.storage.s_max_mva,
                arrives=network.arrives if place == network.start else None,
                parked_steps=int(ahead.state.parked_steps),
                zero_transit_time=ahead.zero_transit_time,
            )
            for place, (station, power) in enumerate(zip(network.stations, at, strict=True))
        },
        plan=plan,
    )


def _in_use(used: cp.Variable) -> np.ndarray:
    return np.asarray(used.value > tolerances.USED, dtype=float)


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
    drive_mwh = _drive_mwh(truck, network, ahead)
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


def _drive_mwh(truck: Truck, network: TimeSpaceNetwork, ahead: Ahead) -> Float[np.ndarray, " arc"]:
    """Energy that each trip takes from the battery (arc,) [MWh]."""
    assert ahead.trips is not None
    arcs, pick = network.arcs, np.array(network.stations, dtype=np.int64)
    return np.asarray(truck.drive_mwh(ahead.trips.km[arcs.departure, pick[arcs.origin], pick[arcs.target]]))


def _charged(truck: Truck, network: TimeSpaceNetwork, ahead: Ahead) -> np.ndarray:
    """Kilometres that each trip is charged for (arc,) [km]."""
    assert ahead.trips is not None
    arcs, pick = network.arcs, np.array(network.stations, dtype=np.int64)
    km = charged_km(truck.cost, ahead.trips.km, truck.stations)
    return np.asarray(km[arcs.departure, pick[arcs.origin], pick[arcs.target]])


def _sum(one: StoragePower, other: StoragePower) -> StoragePower:
    """Add the power of a truck at two of its stations."""
    return StoragePower(one.charge + other.charge, one.discharge + other.discharge, one.q + other.q, [])


# ---------------------------------------------------------------------------------------------------- energy by station


def energy_by_station(
    store: Storage,
    step_h: float,
    energy_start_mwh: float,
    route: Route,
    at: Sequence[StoragePower],
    *,
    drive_mwh: Float[np.ndarray, " arc"] | None = None,
) -> list[cp.Constraint]:
    """Split a truck's stored energy by station, and limit the power at every station by the energy there.

    For integral routes these constraints are redundant. In the relaxation, fractions of a truck with one common store
    could charge at one station and discharge at another without a trip. With energy by station, energy moves only by
    trips. At the start of step t, with the trips that leave and arrive then,

        e_s(t) = κ e_s(t-1) + Δ gain_s(t-1) + Σ_into κ^(τ-1) (κ c_a - e_a y_a) - Σ_out c_a
        e_min z_s(t) ≤ e_s(t), κ e_s(t) + Δ gain_s(t) ≤ e_max z_s(t)
        e_min y_a ≤ κ c_a - e_a y_a, c_a ≤ e_max y_a

    which makes the relaxation much tighter (the formulation is ours).

    Parameters
    ----------
    energy_start_mwh : energy at the start of the horizon [MWh]
    at : its power at each of its stations, in the order of the route's places
    drive_mwh : e_a, taken by each trip; nothing when not given [MWh]
    """
    start, arrives = route.network.start, route.network.arrives
    horizon, places = route.parked.shape
    arcs, nodes = route.network.arcs, horizon * places
    keeps = store.kept(step_h)
    low = min(store.soc_min * store.energy_mwh, energy_start_mwh * keeps**horizon)
    high = max(store.soc_max * store.energy_mwh, energy_start_mwh)
    here = cp.Variable((horizon, places))
    gains = []
    constraints: list[cp.Constraint] = [here >= low * route.parked, here <= high * route.parked]
    for power in at:
        gain = store.eta_charge * power.charge - power.discharge / store.eta_discharge
        if store.loss_coefficient > 0:
            loss = cp.Variable(horizon)
            constraints.append(cp.SOC(loss, store.loss_coefficient * cp.vstack([power.p, power.q]), axis=0))
            gain = gain - loss
        gains.append(gain)
    after = keeps * here + step_h * cp.vstack(gains).T
    constraints += [after >= low * route.parked, after <= high * route.parked]
    before = sp.diags_array(np.ones(max(nodes - places, 0)), offsets=-places, shape=(nodes, nodes))
    source = np.zeros(nodes)
    if arrives < horizon:
        source[arrives * places + start] = energy_start_mwh * keeps**arrives
    balance = cp.vec(here, order="C") - sp.csr_array(before) @ cp.vec(after, order="C")
    if len(arcs):
        carried = cp.Variable(len(arcs))
        each, shape = np.arange(len(arcs)), (nodes, len(arcs))
        out = sp.csr_array((np.ones(len(arcs)), (arcs.departure * places + arcs.origin, each)), shape=shape)
        into = sp.csr_array((np.ones(len(arcs)), (arcs.arrival * places + arcs.target, each)), shape=shape)
        driven = cp.multiply(np.zeros(len(arcs)) if drive_mwh is None else drive_mwh, route.departs)
        left, rest = keeps * carried - driven, keeps ** np.maximum(arcs.arrival - arcs.departure - 1, 0)
        balance = balance + out @ carried - into @ cp.multiply(rest, left)
        constraints += [left >= low * route.departs, carried <= high * route.departs]
    return [balance == source, *constraints]


# -------------------------------------------------------------------------------------------------------------- driving


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
