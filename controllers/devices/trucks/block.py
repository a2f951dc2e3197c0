"""Optimisation block of a truck: power at the stations along its route, energy by station."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial, reduce

import cvxpy as cp
import numpy as np
import scipy.sparse as sp
from jaxtyping import Float

from gridferry.controllers import tolerances
from gridferry.controllers.devices.planning.block import Ahead, AtStation, Block, Planned
from gridferry.controllers.devices.planning.routing import (
    Route,
    leaves,
    route,
    with_zero_transit_time,
)
from gridferry.controllers.devices.stores.block import StoragePower, storage_power, store_of
from gridferry.controllers.devices.stores.storage import Storage
from gridferry.controllers.devices.trucks.device import Truck
from gridferry.controllers.devices.trucks.driving import (
    at_departure,
    charged,
    depot_due,
    drive_mwh_of,
    driving_cost,
    truck_network,
    without_unpaid,
)


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
    drive_mwh = drive_mwh_of(truck, network, ahead)
    store = store_of(truck.storage, ahead, total, at_departure(network, drive_mwh) @ taken.departs)
    least_mwh = truck.storage.soc_min * truck.storage.energy_mwh * ahead.series["usable_energy_share"]
    departs = at_departure(network, np.ones(len(network.arcs))) @ taken.departs
    shares = [(total.charge + total.discharge) / truck.storage.p_max_mw]
    shares += [sign * total.q / truck.storage.s_max_mva for sign in (1.0, -1.0)]
    driving = driving_cost(
        truck.cost,
        network,
        charged(truck, network, ahead),
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
