"""Many schedules of a truck at once: trips by `Truck.move`, all else with arrays over samples and steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from gridferry.controllers.devices.clips import NEGLIGIBLE_MW
from gridferry.controllers.devices.steps import NOWHERE, Now, Outcomes, Request, Requests
from gridferry.controllers.devices.stores.many import days_of, simulate_store, with_rest_alone
from gridferry.controllers.devices.trucks.config import Labour

if TYPE_CHECKING:
    from gridferry.controllers.devices.trucks.device import Truck, TruckState


def simulate_truck(
    truck: Truck, state: TruckState, requests: Requests, nows: Sequence[Now], series: Mapping[str, np.ndarray]
) -> Outcomes:
    """Simulate many schedules; see `gridferry.controllers.devices.device.Device.simulate_many`."""
    station, transit, departed_from = _drive(truck, state, requests.position[:, :, 0], nows)
    moving = transit > 0
    idle = moving | ~np.array([now.plugged for now in nows])
    p, q = (np.where(idle, 0.0, one[:, :, 0]) for one in (requests.p_mw, requests.q_mvar))
    p_max_mw = np.array([now.p_max_mw for now in nows])
    p = np.clip(p, -p_max_mw, p_max_mw)
    km, fuel = np.zeros(p.shape), np.zeros(p.shape)
    for sample, step in np.argwhere(departed_from >= 0).tolist():
        at = sample, step
        km[at], fuel[at] = truck.fuel(int(departed_from[at]), int(station[at]), nows[step])
    done = simulate_store(truck.storage, state, p, q, nows, series, drawn_mwh=truck.drive_mwh(km))
    works = moving | (np.hypot(p, q) > NEGLIGIBLE_MW)
    bus = np.array([one.bus for one in truck.all_stations], dtype=np.int64)
    outcomes = Outcomes(
        bus=np.where(idle, NOWHERE, bus[station])[:, :, None],
        reached=np.where(transit > 1, -1, station)[:, :, None],
        p_mw=p[:, :, None],
        q_mvar=q[:, :, None],
        stored_mwh=done.energy_mwh,
        money={"wear": done.wear_cost, "fuel": fuel, "labour": _labour(truck, state, moving, works, nows)},
    )
    return with_rest_alone(truck, done.within, (state, requests, nows, series), outcomes)


def _drive(
    truck: Truck, state: TruckState, position: np.ndarray, nows: Sequence[Now]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Stations, steps until parked and stations departed from, after `Truck.move` in each step (sample, horizon).

    The energy of trips is taken to be there; whether it is, the energy of the battery says.
    """
    done = np.empty((3, *position.shape), dtype=np.int64)
    ends = [now.ends_day for now in nows]
    most_mwh = max(state.energy_mwh, truck.storage.energy_mwh)
    for sample, row in enumerate(position.tolist()):
        at, left, trips, begun = state.station, state.transit_steps, state.trips_today, state.departed_from
        stations, transit, departed = [], [], []
        for step, to in enumerate(row):
            if to != at:
                before = replace(
                    state, station=at, transit_steps=left, trips_today=trips, departed_from=begun, energy_mwh=most_mwh
                )
                moved = truck.move(before, Request(position=(to,)), nows[step])
                at, left, trips, begun = moved.station, moved.transit_steps, moved.trips_today, moved.departed_from
            stations.append(at)
            transit.append(left)
            departed.append(begun)
            left, begun = left - 1 if left else 0, -1
            trips = 0 if ends[step] else trips
        done[:, sample] = stations, transit, departed
    return done[0], done[1], done[2]


def _labour(truck: Truck, state: TruckState, moving: np.ndarray, works: np.ndarray, nows: Sequence[Now]) -> np.ndarray:
    """Labour cost of each step: its share of a trip, or the pay of a day at its first use (sample, horizon)."""
    cost = truck.cost
    if cost.labour is Labour.TRAVEL:
        return np.asarray(cost.rate(np.array([now.clock_h for now in nows])) * nows[0].step_h * moving)
    first = np.zeros_like(works)
    for day in days_of(nows):
        if day.start or not state.used_today:
            first[:, day] = works[:, day] & (np.add.accumulate(works[:, day], axis=1, dtype=np.int64) == 1)
    return np.asarray(cost.day_pay * first)
