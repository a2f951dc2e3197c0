"""mosaik simulator of the devices: trucks, batteries, link terminals, and the stations where trucks connect.

Setpoints come in at ``Truck``, ``Battery`` and ``Terminal``; power goes out to the grid at ``Station``, ``Battery`` and
``Terminal``: trucks move, so what is wired to a bus is the station, and a truck's power appears where it is parked.
``Fleet-0`` takes the congestion of the roads and, where they are connected, the lists ``availability`` (share of its
rating that each truck, battery and terminal has) and ``capacity`` (share of its rated energy that each truck and
battery can hold); without them all is whole. It gives the state of all devices and what each did in the step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import mosaik_api_v3

from gridferry.controllers.contract import Plant
from gridferry.controllers.devices import (
    Outcome,
    Setpoint,
    StepConditions,
    StoreState,
    TruckState,
    initial_store,
    initial_truck,
    step_link,
    step_store,
    step_truck,
    travel_under,
)
from gridferry.sim.adapters.case_params import Allowed, case_of_params
from gridferry.sim.adapters.serve import serve_case
from gridferry.sim.case.case import Case

_SETPOINT = ["P_set[MW]", "Q_set[MVar]", "destination"]
_POWER = ["P[MW]", "Q[MVar]"]
_AROUND = ["congestion", "availability", "capacity"]

META: dict[str, Any] = {
    "api_version": "3.0",
    "type": "time-based",
    "models": {
        "Fleet": {"public": True, "params": [], "attrs": [*_AROUND, "state", "outcomes"]},
        "Truck": {"public": False, "params": [], "attrs": [*_SETPOINT, *_POWER, "E[MWh]", "station"]},
        "Battery": {"public": False, "params": [], "attrs": [*_SETPOINT, *_POWER, "E[MWh]"]},
        "Terminal": {"public": False, "params": [], "attrs": [*_SETPOINT, *_POWER]},
        "Station": {"public": False, "params": [], "attrs": _POWER},
    },
}


def in_order(values: dict[str, Any]) -> list[Any]:
    """Put lists that came from several entities one after the other, in the order of the entities' numbers."""
    if len(values) == 1:
        return list(next(iter(values.values())))
    ordered = sorted(values, key=lambda source: int(source.rpartition("-")[2]))
    return [one for source in ordered for one in values[source]]


def initial_state(plant: Plant, capacity: Sequence[float] | None = None) -> dict[str, list[Any]]:
    """Return the state of all devices at the start of a run, as JSON-able lists.

    Parameters
    ----------
    capacity : share of its rated energy that each store can hold in the first step; all of it when not given
    """
    shares = [1.0] * len(plant.storages) if capacity is None else list(capacity)
    count = len(plant.trucks)
    trucks = [initial_truck(truck, share) for truck, share in zip(plant.trucks, shares[:count], strict=True)]
    batteries = zip(plant.batteries, shares[count:], strict=True)
    return _state(trucks, [initial_store(battery.storage, share) for battery, share in batteries])


def _state(trucks: list[TruckState], batteries: list[StoreState]) -> dict[str, list[Any]]:
    stores = [truck.store for truck in trucks] + batteries
    return {
        "energy_mwh": [store.energy_mwh for store in stores],
        "cycles_today": [store.cycles_today for store in stores],
        "capacity": [store.capacity for store in stores],
        "station": [truck.station for truck in trucks],
        "transit_steps": [truck.transit_steps for truck in trucks],
        "driving_steps": [truck.driving_steps for truck in trucks],
        "trips_today": [truck.trips_today for truck in trucks],
        "used_today": [int(truck.used_today) for truck in trucks],
    }


class FleetSimulator(mosaik_api_v3.Simulator):
    """Moves all devices by one step."""

    def __init__(self, allowed: Allowed | None = None) -> None:
        super().__init__(META)
        self._allowed = allowed
        self._case: Case
        self._first_step = 0
        self._trucks: list[TruckState] = []
        self._batteries: list[StoreState] = []
        self._outcomes: list[Outcome] = []
        self._energy_before: list[float] = []
        self._availability: list[float] = []

    def init(self, sid: str, time_resolution: float = 1.0, **params: Any) -> Any:
        """Take the case, and the ``state`` that the devices start in."""
        self._case = case_of_params(params, self._allowed)
        self._first_step = int(params.get("first_step", 0))
        state = params.get("state") or initial_state(self._case.plant)
        stores = [
            StoreState(*store)
            for store in zip(state["energy_mwh"], state["cycles_today"], state["capacity"], strict=True)
        ]
        count = len(self._case.plant.trucks)
        self._trucks = [
            TruckState(
                store,
                station=state["station"][i],
                transit_steps=state["transit_steps"][i],
                driving_steps=state["driving_steps"][i],
                trips_today=state["trips_today"][i],
                used_today=bool(state["used_today"][i]),
            )
            for i, store in enumerate(stores[:count])
        ]
        self._batteries = stores[count:]
        return self.meta

    def create(self, num: int, model: str, **params: Any) -> list[Any]:
        """Create the one ``Fleet`` with all devices and stations."""
        if model != "Fleet" or num != 1:
            raise ValueError("create exactly one Fleet")
        plant = self._case.plant
        names = {
            "Truck": [truck.name for truck in plant.trucks],
            "Battery": [battery.name for battery in plant.batteries],
            "Terminal": [terminal.name for terminal in plant.terminals],
            "Station": [station.name for station in plant.stations],
        }
        children = [
            {"eid": f"{kind}-{i}", "type": kind, "rel": [], "extra_info": {"name": name}}
            for kind, listed in names.items()
            for i, name in enumerate(listed)
        ]
        return [{"eid": "Fleet-0", "type": "Fleet", "rel": [], "children": children}]

    def step(self, time: int, inputs: dict[str, Any], max_advance: int) -> int:
        """Let every device do what it is asked, as far as it can."""
        plant = self._case.plant
        step = self._first_step + time // plant.step_s
        travel = None
        if plant.roads is not None:
            (congestion,) = inputs["Fleet-0"]["congestion"].values()
            travel = travel_under(plant.roads, congestion, plant.step_s)
        ends_day = plant.step_of_day(step) == plant.steps_per_day - 1
        around = StepConditions(step_h=plant.step_h, ends_day=ends_day, travel=travel)
        available = _shares(inputs, "availability", plant.n_device)
        holds = _shares(inputs, "capacity", len(plant.storages))
        if min(holds, default=1.0) <= 0:
            raise ValueError(f"a store that holds nothing has no state of charge: capacity = {holds}")
        self._availability = available
        conditions = [
            replace(around, availability=share, capacity=held)
            for share, held in zip(available[: len(holds)], holds, strict=True)
        ]
        self._energy_before = [store.energy_mwh for store in self._stores()]
        outcomes: list[Outcome] = []
        for i, truck in enumerate(plant.trucks):
            asked = _setpoint(inputs, f"Truck-{i}")
            self._trucks[i], outcome = step_truck(truck, self._trucks[i], asked, conditions[i])
            outcomes.append(outcome)
        for i, battery in enumerate(plant.batteries):
            asked = _setpoint(inputs, f"Battery-{i}")
            self._batteries[i], outcome = step_store(
                battery.name, battery.storage, self._batteries[i], asked, conditions[len(plant.trucks) + i]
            )
            outcomes.append(outcome)
        first = 0
        for link in plant.links:
            numbers = range(first, first + len(link.terminals))
            # a link is as available as the least available of its terminals
            share = min(available[len(holds) + i] for i in numbers)
            asked_of_link = [_setpoint(inputs, f"Terminal-{i}") for i in numbers]
            outcomes += step_link(link, asked_of_link, replace(around, availability=share))
            first += len(link.terminals)
        self._outcomes = outcomes
        return time + plant.step_s

    def _stores(self) -> list[StoreState]:
        return [truck.store for truck in self._trucks] + self._batteries

    def get_data(self, outputs: dict[str, list[str]]) -> dict[str, Any]:
        """Return powers, states and outcomes of the step."""
        return {eid: {attr: self._value(eid, attr) for attr in attrs} for eid, attrs in outputs.items()}

    def _value(self, eid: str, attr: str) -> Any:
        if attr == "state":
            return _state(self._trucks, self._batteries)
        if attr == "outcomes":
            return self._rows()
        kind, _, number = eid.partition("-")
        index = int(number)
        trucks = len(self._trucks)
        if kind == "Station":
            at = [one for one in self._outcomes[:trucks] if one.station == index]
            return sum(one.p_mw if attr == "P[MW]" else one.q_mvar for one in at)
        first = {"Truck": 0, "Battery": trucks, "Terminal": trucks + len(self._batteries)}[kind]
        outcome = self._outcomes[first + index]
        return {
            "P[MW]": outcome.p_mw,
            "Q[MVar]": outcome.q_mvar,
            "E[MWh]": outcome.energy_mwh,
            "station": outcome.station,
        }[attr]

    def _rows(self) -> list[dict[str, Any]]:
        """What each device did, as the record has it."""
        plant = self._case.plant
        stores = len(plant.storages)
        trucks = len(plant.trucks)
        rows: list[dict[str, Any]] = []
        for i, outcome in enumerate(self._outcomes):
            row: dict[str, Any] = {
                "kind": "truck" if i < trucks else "battery" if i < stores else "terminal",
                "p_mw": outcome.p_mw,
                "q_mvar": outcome.q_mvar,
                "loss_mwh": outcome.loss_mwh,
                "shortfall_mwh": outcome.shortfall_mwh,
                "availability": self._availability[i],
                "phase": outcome.phase.value,
                "clipped": ",".join(outcome.clips),
                "departed": outcome.departed,
                "station": None,
                "destination": None,
            }
            if i < stores:
                row |= {
                    "energy_start_mwh": self._energy_before[i],
                    "energy_mwh": outcome.energy_mwh,
                    "soc": outcome.energy_mwh / plant.storages[i].energy_mwh,
                    "capacity": self._stores()[i].capacity,
                    "charged_mwh": outcome.charged_mwh,
                    "discharged_mwh": outcome.discharged_mwh,
                    "cycles_today": outcome.cycles_today,
                    "wear_cost": outcome.wear_cost,
                }
            if i < trucks:
                state = self._trucks[i]
                row |= {
                    "station": plant.stations[outcome.station].name if outcome.station >= 0 else None,
                    "destination": plant.stations[state.station].name,
                    "transit_steps": state.transit_steps,
                    "trips_today": outcome.trips_today,
                    "km": outcome.km,
                    "truck_cost": outcome.truck_cost,
                }
            rows.append(row)
        return rows


def _shares(inputs: dict[str, Any], attr: str, count: int) -> list[float]:
    """Shares of all devices or stores; ones where nothing is connected."""
    given = list(inputs.get("Fleet-0", {}).get(attr, {}).values())
    if not given:
        return [1.0] * count
    (shares,) = given
    if len(shares) != count or not all(0 <= one <= 1 for one in shares):
        raise ValueError(f"{attr} must be {count} shares between 0 and 1, not {shares}")
    return [float(one) for one in shares]


def _setpoint(inputs: dict[str, Any], eid: str) -> Setpoint:
    mine = inputs.get(eid, {})
    p_mw = sum(mine.get("P_set[MW]", {}).values())
    q_mvar = sum(mine.get("Q_set[MVar]", {}).values())
    sent = [int(one) for one in mine.get("destination", {}).values() if one is not None and one >= 0]
    return Setpoint(float(p_mw), float(q_mvar), sent[0] if sent else None)


if __name__ == "__main__":
    serve_case(FleetSimulator, "truck, battery and link simulator")
