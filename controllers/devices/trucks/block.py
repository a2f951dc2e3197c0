"""Optimisation block of a truck: route, power at the stations, cost of driving."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial, reduce

import cvxpy as cp
import numpy as np
import scipy.sparse as sp
from jaxtyping import Float

from gridferry.controllers import tolerances
from gridferry.controllers.devices.planning.block import Ahead, AtStation, Block, Planned
from gridferry.controllers.devices.planning.routing import (
    Route,
    TimeSpaceNetwork,
    by_day,
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
        moves = TimeSpaceNetwork(**{**vars(network), "arcs": with_zero_transit_time(network.arcs)})
    taken = route(moves, None if ahead.fixed is None else ahead.fixed[:, 0])
    available = ahead.series["availability"]
    at = [
        storage_power(truck.storage, ahead.horizon, taken.parked[:, place], available)
        for place in range(len(network.stations))
    ]
    total = reduce(_sum, at)
    store = store_of(truck.storage, ahead, total)
    shares = [(total.charge + total.discharge) / truck.storage.p_max_mw]
    shares += [sign * total.q / truck.storage.s_max_mva for sign in (1.0, -1.0)]
    driving = driving_cost(
        truck.cost,
        network,
        _charged(truck, network, ahead),
        taken.departs,
        shares,
        step_h=ahead.step_h,
        used_today=bool(ahead.state.used_today),
    )
    constraints = {
        "route": taken.constraints,
        "power": [one for power in at for one in power.constraints],
        "labour": driving.constraints,
        **store.constraints,
    }
    if ahead.fixed is None and len(at) > 1 and np.all(ahead.series["usable_energy_share"] == 1.0):
        start = float(ahead.state.energy_mwh)
        constraints["energy_by_station"] = energy_by_station(truck.storage, ahead.step_h, start, taken, at)

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
        soft=store.soft,
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
    stations = truck.stations if here in truck.stations else (*truck.stations, here)
    return TimeSpaceNetwork(
        stations=stations,
        start=stations.index(here),
        arrives=int(state.transit_steps),
        day=ahead.day,
        trips_left=trips_left(truck.trips_max_per_day, ahead.day, int(state.trips_today)),
        arcs=travel_arcs(ahead.trips.steps, stations),
    )


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
    store: Storage, step_h: float, energy_start_mwh: float, route: Route, at: Sequence[StoragePower]
) -> list[cp.Constraint]:
    """Split a truck's stored energy by station, and limit the power at every station by the energy there.

    For integral routes these constraints are redundant. In the relaxation, fractions of a truck with one common store
    could charge at one station and discharge at another without a trip. With energy by station, energy moves only by
    trips. At the start of step t, with the trips that leave and arrive then,

        e_s(t) = κ e_s(t-1) + Δ gain_s(t-1) + Σ_into κ^τ c_a - Σ_out c_a
        e_min z_s(t) ≤ e_s(t), κ e_s(t) + Δ gain_s(t) ≤ e_max z_s(t)          e_min y_a ≤ c_a ≤ e_max y_a

    which makes the relaxation much tighter (the formulation is ours).

    Parameters
    ----------
    energy_start_mwh : energy at the start of the horizon [MWh]
    at : its power at each of its stations, in the order of the route's places
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
        into = sp.csr_array(
            (keeps ** (arcs.arrival - arcs.departure), (arcs.arrival * places + arcs.target, each)), shape=shape
        )
        balance = balance + (out - into) @ carried
        constraints += [carried >= low * route.departs, carried <= high * route.departs]
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
    """
    arcs, day, arrives, horizon = network.arcs, network.day, network.arrives, network.horizon
    rates = np.zeros((horizon, len(arcs)))
    rates[arcs.departure, np.arange(len(arcs))] = cost.fuel_per_km * km
    fuel = rates @ departs
    if cost.labour is Labour.TRAVEL:
        step = np.arange(horizon)[:, None]
        on_road = (step >= arcs.departure) & (step < arcs.arrival)
        rate = cost.labour_per_h * step_h
        return DrivingCost(fuel, (rate * on_road) @ departs + rate * (np.arange(horizon) < arrives), [])
    # the due is dated on the first step of the day within the horizon
    used = cp.Variable(int(day[-1]) + 1)
    due = np.full(int(day[-1]) + 1, cost.labour_per_h * cost.flat_hours)
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
