"""A battery on a truck, at one of several stations or between them [A, eqs. 2, 22-24, 28].

A parked truck whose position is to be another of its stations departs at once, if the day's trips allow, and is parked
there again ``τ`` steps later, τ being what the roads really take at its departure, whatever the plan expected. On the
road it gives no power and keeps its destination.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from gridferry.controllers import tolerances
from gridferry.controllers.devices.clips import NEGLIGIBLE_MW, Clip
from gridferry.controllers.devices.config_parts import hours
from gridferry.controllers.devices.device import NOTHING, Device
from gridferry.controllers.devices.ports import Column, Port, Position, Series
from gridferry.controllers.devices.site import Site
from gridferry.controllers.devices.station import Station
from gridferry.controllers.devices.steps import (
    NOWHERE,
    Injection,
    Now,
    Outcome,
    Outcomes,
    Request,
    Requests,
    Travel,
)
from gridferry.controllers.devices.stores.depth import filled_by, use_segments
from gridferry.controllers.devices.stores.step import (
    StoreStep,
    idle_store,
    initial_store,
    step_store,
    store_row,
    window,
)
from gridferry.controllers.devices.stores.storage import STORE_COLUMNS, STORE_COSTS, STORE_SERIES, Storage, StoreState
from gridferry.controllers.devices.trucks.config import Labour, Mileage, TruckConfig
from gridferry.controllers.devices.trucks.cost import TruckCost, pay_of_shift
from gridferry.controllers.devices.trucks.duty import FREE, Duty
from gridferry.controllers.devices.trucks.many import simulate_truck

__all__ = ["Phase", "Truck", "TruckCost", "TruckState"]


class Phase(StrEnum):
    """Phase of a truck at the start of a step."""

    PARKED = "parked"
    WAITING = "waiting"
    """for a place at its station"""
    IN_TRANSIT = "in_transit"
    INSTALLING = "installing"


@dataclass(frozen=True, slots=True, kw_only=True)
class TruckState(StoreState):
    """State of a truck at the start of a step; the fields of its battery come first.

    Attributes
    ----------
    station : where it is parked, or where it is driving to
    transit_steps : steps until it is parked and connected, 0 when it is
    driving_steps : steps until the installation begins, of these
    trips_today : trips begun since local midnight
    used_today : whether it drove or worked since local midnight
    departed_from : station that it leaves in this step, -1 where it does not; between `Truck.move` and `Truck.step`
    parked_steps : steps for which it has stood at its station
    """

    station: int
    transit_steps: int = 0
    driving_steps: int = 0
    trips_today: int = 0
    used_today: bool = False
    departed_from: int = -1
    parked_steps: int = 0


@dataclass(frozen=True)
class Truck(Device[TruckState]):
    """A battery on a truck (MESS); its position is an index into all stations of the plant.

    Attributes
    ----------
    stations : those it may use
    all_stations : the stations of the plant, as `Plant.devices` knows them
    duty : what driving takes, when it may drive, where it is due
    """

    table: ClassVar[str] = "trucks"
    version: ClassVar[int] = 2
    block: ClassVar[str] = "gridferry.controllers.devices.trucks.block:truck_block"
    port_kind: ClassVar[str] = "truck"
    Config: ClassVar[type[TruckConfig]] = TruckConfig
    State: ClassVar[type[TruckState]] = TruckState
    stores: ClassVar[bool] = True
    series: ClassVar[Mapping[str, Series]] = STORE_SERIES
    columns: ClassVar[Mapping[str, Column]] = {
        **STORE_COLUMNS,
        "phase": Column(unit="", meaning="what it was doing at the start of the step", of=str),
        "station": Column(unit="", meaning="where it was connected", of=str),
        "destination": Column(unit="", meaning="where it is parked or driving to after the step", of=str),
        "departed": Column(unit="", meaning="whether it began a trip", of=bool, total="sum"),
        "transit_steps": Column(unit="", meaning="steps until it is parked, after the step", of=int),
        "trips_today": Column(
            unit="", meaning="trips of the local day that the step belongs to, this step included", of=int
        ),
        "km": Column(unit="km", meaning="kilometres of the trip begun", total="sum"),
        "truck_cost": Column(unit="", meaning="fuel and labour", money=True),
    }
    costs: ClassVar[Mapping[str, str]] = {
        **STORE_COSTS,
        "fuel": "fuel for the trip begun",
        "labour": "labour on the road, or of a day on which the truck is used",
    }

    name: str
    storage: Storage
    stations: tuple[int, ...]
    initial_station: int
    trips_max_per_day: int
    cost: TruckCost
    all_stations: tuple[Station, ...] = field(default=(), compare=False, repr=False)
    duty: Duty = FREE

    @classmethod
    def build(cls, config: TruckConfig, site: Site) -> Truck:
        """Build a truck from its entry of ``[[trucks]]``."""
        known = [one.name for one in site.all_stations()]
        if config.stations and config.station in known and config.station not in config.stations:
            site.fault("station", f"is not among the stations it may use ({', '.join(config.stations)})")
        if (
            config.depot is not None
            and config.stations
            and config.depot in known
            and config.depot not in config.stations
        ):
            site.fault("depot", f"is not among the stations it may use ({', '.join(config.stations)})")
        shift = None if config.shift is None else (hours(config.shift[0]), hours(config.shift[1]))
        duty = Duty(
            drive_mwh_per_km=config.drive_mwh_per_km,
            shift=shift,
            depot=None if config.depot is None else site.station(config.depot, "depot"),
            return_by=0.0 if config.return_by is None else hours(config.return_by),
            transit_steps_initial=config.transit_steps_initial,
        )
        rate = config.labour_per_h
        by_hour = tuple(rate) if isinstance(rate, list) else (rate,) * 24
        return cls(
            name=config.name,
            storage=config.storage(),
            stations=site.stations(config.stations),
            initial_station=site.station(config.station),
            trips_max_per_day=config.trips_max_per_day,
            cost=TruckCost(
                config.fuel_per_km,
                by_hour[0],
                config.mileage,
                config.labour,
                config.flat_hours,
                by_hour if isinstance(rate, list) else (),
                0.0 if shift is None else pay_of_shift(by_hour, shift[0], duty.shift_h),
            ),
            all_stations=site.all_stations(),
            duty=duty,
        )

    def with_stations(self, stations: Sequence[Station]) -> Truck:
        """Return a truck that knows the stations of its plant."""
        return replace(self, all_stations=tuple(stations))

    @cached_property
    def ports(self) -> tuple[Port, ...]:
        """The port, at the buses of the stations."""
        return (self.storage.port(self.name, tuple(self.all_stations[one].bus for one in self.stations)),)

    @cached_property
    def positions(self) -> tuple[Position, ...]:
        """The position: the station where the truck is parked or driving to."""
        labels = tuple(one.name for one in self.all_stations)
        return (Position(name=self.name, labels=labels, allowed=self.stations, with_routes=True),)

    def initial_state(self, now: Now) -> TruckState:
        """State parked at the initial station, at the initial state of charge of the usable energy."""
        store = initial_store(self.storage, now)
        return TruckState(
            store.energy_mwh,
            usable_energy_share=store.usable_energy_share,
            station=self.initial_station,
            transit_steps=self.duty.transit_steps_initial,
            driving_steps=self.duty.transit_steps_initial,
        )

    def stored_mwh(self, state: TruckState) -> float:
        """Stored energy of the battery [MWh]."""
        return state.energy_mwh

    def at(self, state: TruckState) -> tuple[int, ...]:
        """Station where the truck is parked or driving to."""
        return (state.station,)

    def transit_steps(self, state: TruckState) -> tuple[int, ...]:
        """Steps until the truck is parked there."""
        return (state.transit_steps,)

    def move(self, state: TruckState, request: Request, now: Now) -> TruckState:
        """Depart if requested and possible.

        Raises
        ------
        ValueError
            for a trip that may begin without `Now.trips`, or that takes less than a step.
        """
        to = request.position[0]
        if to == state.station or self._refusal(state, to, now) is not None:
            return state
        travel = self._travel(now)
        steps = travel.steps[state.station][to]
        if steps < 1:
            raise ValueError(f"a trip from station {state.station} to {to} takes {steps} steps; at least 1")
        driving_min = travel.minutes[state.station][to] - travel.install_min
        # as in the rounding of trips: the last bit of a quotient is no step
        driving = math.ceil(driving_min / (60.0 * now.step_h) - 1e-9) if travel.install_min > 0 else steps
        return replace(
            state,
            station=to,
            transit_steps=steps,
            driving_steps=min(driving, steps),
            trips_today=state.trips_today + 1,
            departed_from=state.station,
        )

    def step(self, state: TruckState, request: Request, now: Now) -> tuple[TruckState, Outcome]:
        """Drive, install, or charge and discharge within all limits."""
        p_mw, q_mvar = request.p_mw[0], request.q_mvar[0]
        moving = state.transit_steps > 0
        connected = not moving and now.plugged
        if connected:
            store, done = self._work(state, p_mw, q_mvar, now)
        else:
            why = Clip.IN_TRANSIT if moving else Clip.NOT_PLUGGED
            store, done = idle_store(self.storage, state, p_mw, q_mvar, now, why)
        if state.departed_from >= 0 and self.duty.drive_mwh_per_km > 0:
            before = store.energy_mwh
            store, wear = self._driven(store, self._travel(now).km[state.departed_from][state.station])
            lost = done.loss_mwh + before - store.energy_mwh
            done = replace(done, loss_mwh=lost, wear_cost=done.wear_cost + wear)
        works = moving or math.hypot(done.p_mw, done.q_mvar) > NEGLIGIBLE_MW
        after = TruckState(
            store.energy_mwh,
            store.cycles_today,
            store.usable_energy_share,
            store.p_mw,
            store.depth_mwh,
            station=state.station,
            transit_steps=max(state.transit_steps - 1, 0),
            driving_steps=max(state.driving_steps - 1, 0),
            trips_today=0 if now.ends_day else state.trips_today,
            used_today=not now.ends_day and (state.used_today or works),
            parked_steps=0 if moving else state.parked_steps + 1,
        )
        refused = self._refusal(state, request.position[0], now)
        port = Injection(
            self.all_stations[state.station].bus if connected else NOWHERE,
            done.p_mw,
            done.q_mvar,
            done.shortfall_mwh,
            done.loss_mwh,
            done.clips if refused is None else (refused, *done.clips),
        )
        km, fuel = self.fuel(state.departed_from, state.station, now)
        labour = self._labour(state, moving, works, now)
        money = {"wear": done.wear_cost, "fuel": fuel, "labour": labour}
        row = store_row(self.storage, state, after, done, now)
        names = self.positions[0].labels
        row["phase"] = _phase(state, now).value
        row["station"] = names[state.station] if connected else None
        row["destination"] = names[state.station]
        row["departed"] = state.departed_from >= 0
        row["transit_steps"] = after.transit_steps
        row["trips_today"] = state.trips_today
        row["km"] = km
        row["truck_cost"] = fuel + labour
        return after, Outcome((port,), money=money, row=row)

    def simulate_many(
        self, state: TruckState, requests: Requests, nows: Sequence[Now], series: Mapping[str, np.ndarray] = NOTHING
    ) -> Outcomes:
        """Simulate many schedules."""
        return simulate_truck(self, state, requests, nows, series)

    def _work(self, state: TruckState, p_mw: float, q_mvar: float, now: Now) -> tuple[StoreState, StoreStep]:
        """Charge or discharge within the limits of the battery and of the power that the station has left."""
        granted, storage = math.copysign(min(abs(p_mw), now.p_max_mw), p_mw), self.storage
        if now.p_max_mw < storage.p_max_mw:
            # a ramp does not lead beyond it, either
            storage = replace(storage, p_max_mw=now.p_max_mw)
        store, done = step_store(storage, state, granted, q_mvar, now)
        if granted == p_mw:
            return store, done
        clips = (Clip.STATION, *done.clips) if abs(p_mw - granted) > NEGLIGIBLE_MW else done.clips
        return store, replace(done, shortfall_mwh=now.step_h * abs(p_mw - done.p_mw), clips=clips)

    def fuel(self, departed_from: int, to: int, now: Now) -> tuple[float, float]:
        """Kilometres of a trip that begins in this step, and their cost [km, currency]."""
        if departed_from < 0:
            return 0.0, 0.0
        km = self._travel(now).km
        own = km[departed_from][to]
        charged = own
        if self.cost.mileage is Mileage.LONGEST_LEG:
            charged = max(km[i][j] for i in self.stations for j in self.stations)
        return own, self.cost.fuel_per_km * charged

    def on_shift(self, steps: Any, clock_h: Any, step_h: float) -> Any:
        """Whether trips of so many steps that begin at local times are within the shift, of numbers or arrays."""
        return self.duty.on_shift(clock_h, step_h * steps)

    def places_due(self, clock_h: np.ndarray) -> list[tuple[int, int]]:
        """Return when the truck is due at its depot; see `gridferry.controllers.devices.traits.places_due`."""
        depot = self.duty.depot
        return [] if depot is None else [(at, depot) for at in self.duty.due_at(clock_h)]

    def drive_mwh(self, km: Any) -> Any:
        """Energy that trips take from the battery, of a number or an array [MWh]."""
        return self.duty.drive_mwh_per_km * km

    def _driven(self, store: StoreState, km: float) -> tuple[StoreState, float]:
        """Return the battery after a trip, and its wear; what lacks of that by a solver's tolerance is not taken."""
        low, _ = window(self.storage, store.usable_energy_share)
        left = max(store.energy_mwh - self.drive_mwh(km), min(low, store.energy_mwh))
        depth, wear = use_segments(self.storage, filled_by(self.storage, store), left - store.energy_mwh)
        return replace(store, energy_mwh=left, depth_mwh=depth), wear

    def _can_pay(self, state: TruckState, km: float, now: Now) -> bool:
        """Whether the battery has the energy of a trip above its lowest state of charge."""
        store, _ = idle_store(self.storage, state, 0.0, 0.0, now, Clip.IN_TRANSIT)
        low, _ = window(self.storage, store.usable_energy_share)
        return store.energy_mwh - self.drive_mwh(km) >= low - tolerances.ENERGY_MWH

    def _refusal(self, state: TruckState, to: int, now: Now) -> Clip | None:
        """Reason why the truck does not depart as requested; ``None`` if it does, or is there or on the way."""
        if to == state.station:
            return None
        if state.transit_steps > 0:
            return Clip.EN_ROUTE
        if to not in self.stations:
            return Clip.NOT_A_STATION
        if state.trips_today >= self.trips_max_per_day:
            return Clip.TRIPS
        duty = self.duty
        if duty.shift is not None:
            steps = self._travel(now).steps[state.station][to]
            if not self.on_shift(steps, now.clock_h, now.step_h):
                return Clip.SHIFT
        if duty.drive_mwh_per_km > 0 and not self._can_pay(state, self._travel(now).km[state.station][to], now):
            return Clip.DRIVING_ENERGY
        return None

    def _travel(self, now: Now) -> Travel:
        if now.trips is None:
            raise ValueError(f"{self.name}: a trip needs the travel times of the step")
        return now.trips

    def _labour(self, state: TruckState, moving: bool, works: bool, now: Now) -> float:
        """Labour cost of this step: its share of a trip, or the pay of a day at its first use [currency]."""
        if self.cost.labour is Labour.TRAVEL:
            return float(self.cost.rate(now.clock_h)) * now.step_h if moving else 0.0
        return self.cost.day_pay if works and not state.used_today else 0.0


def _phase(state: TruckState, now: Now) -> Phase:
    if state.transit_steps == 0:
        return Phase.PARKED if now.plugged else Phase.WAITING
    return Phase.IN_TRANSIT if state.driving_steps > 0 else Phase.INSTALLING
