"""A truck over the horizon: its route, its power at the stations, and what driving costs."""

from __future__ import annotations

from functools import partial, reduce

import cvxpy as cp
import numpy as np

from gridferry.controllers.devices.planning import tolerances
from gridferry.controllers.devices.planning.block import Ahead, Block, Planned
from gridferry.controllers.devices.planning.routing import TimeSpaceNetwork, instant, route, travel_arcs, trips_left
from gridferry.controllers.devices.stores.block import StoragePower, storage_power, store_of
from gridferry.controllers.devices.trucks.device import Truck
from gridferry.controllers.devices.trucks.driving import charged_km, driving_cost
from gridferry.controllers.devices.trucks.energy_by_station import energy_by_station


def truck_block(truck: Truck, ahead: Ahead) -> Block:
    """Return a truck over the horizon."""
    network = truck_network(truck, ahead)
    moves = network
    if ahead.zero_transit_time:
        moves = TimeSpaceNetwork(**{**vars(network), "arcs": instant(network.arcs)})
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
    tightened = ahead.energy_by_station and ahead.fixed is None and len(at) > 1
    if tightened and np.all(ahead.series["capacity"] == 1.0):
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
            costs={"wear": store.wear_of(p_mw), "fuel": driving.fuel.value, "labour": driving.labour.value},
        )

    buses = [truck.all_stations[station].bus for station in network.stations]
    return Block(
        p={(0, bus): sum(power.p for power, there in zip(at, buses, strict=True) if there == bus) for bus in buses},
        q={(0, bus): sum(power.q for power, there in zip(at, buses, strict=True) if there == bus) for bus in buses},
        constraints=constraints,
        costs={"wear": store.wear, "fuel": driving.fuel, "labour": driving.labour},
        binaries=(*taken.binaries, *driving.used),
        permits=driving.used,
        # a day on which a truck is used a little is a day of use
        likely=tuple((used, partial(_in_use, used)) for used in driving.used),
        routes=(taken,),
        soft=store.soft,
        exclusive=store.exclusive,
        losses=store.losses,
        plan=plan,
    )


def _in_use(used: cp.Variable) -> np.ndarray:
    return np.asarray(used.value > tolerances.USED, dtype=float)


def truck_network(truck: Truck, ahead: Ahead) -> TimeSpaceNetwork:
    """Return what a truck can do within the horizon, from its measured state."""
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
