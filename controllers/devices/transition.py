"""What an agent is given in a step and what it answers. Plain floats: a device step must cost microseconds."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from gridferry.networks.roads.travel import Roads

NEGLIGIBLE_MW = 1e-6
"""A watt. Solvers meet limits to less than this: a smaller difference is part of the shortfall, but no clip, and a
smaller power does not count as use of a truck."""


class Clip(StrEnum):
    """Why an agent did not do what it was asked."""

    RATING = "rating"
    """beyond the largest power or the converter's rating"""
    ENERGY_FULL = "energy_full"
    ENERGY_EMPTY = "energy_empty"
    CYCLES = "cycles"
    """the day's cycles are used up"""
    IN_TRANSIT = "in_transit"
    """asked for power while driving or installing"""
    EN_ROUTE = "en_route"
    """asked to change the destination on the road"""
    TRIPS = "trips"
    """the day's trips are used up"""
    NOT_A_STATION = "not_a_station"
    """the destination is none of the truck's stations"""
    BALANCE = "balance"
    """the terminal that balances the link cannot carry it"""
    OUT_OF_SERVICE = "out_of_service"


class Phase(StrEnum):
    """What a device is doing at the start of a step."""

    PARKED = "parked"
    IN_TRANSIT = "in_transit"
    INSTALLING = "installing"
    FIXED = "fixed"
    """a device that has no wheels"""


@dataclass(frozen=True, slots=True)
class Setpoint:
    """What a device is asked for.

    Attributes
    ----------
    p_mw, q_mvar : injection [MW, Mvar]
    destination : station a truck is to be parked at or driving to; ``None``: where it is or is heading
    """

    p_mw: float = 0.0
    q_mvar: float = 0.0
    destination: int | None = None


@dataclass(frozen=True, slots=True)
class Travel:
    """Trips between all stations for departures in this step, ``[from][to]``.

    Attributes
    ----------
    steps : actual steps in transit, at least one between two stations
    minutes : travel time with congestion and installation [min]
    km : distance driven [km]
    install_min : installation, the last part of every trip [min]
    """

    steps: tuple[tuple[int, ...], ...]
    minutes: tuple[tuple[float, ...], ...]
    km: tuple[tuple[float, ...], ...]
    install_min: float = 0.0


def travel_under(roads: Roads, congestion: float, step_s: int) -> Travel:
    """Return the trips that begin under a state of the roads, in the unit of `Roads.congestion_unit`."""
    now = np.array([congestion], dtype=np.float64)
    trips = roads.trips(now)
    return Travel(
        steps=tuple(tuple(row) for row in roads.transit_steps(now, step_s)[0].tolist()),
        minutes=tuple(tuple(row) for row in trips.minutes[0].tolist()),
        km=tuple(tuple(row) for row in trips.km[0].tolist()),
        install_min=roads.install_min,
    )


@dataclass(frozen=True, slots=True)
class StepConditions:
    """What surrounds a device during a step.

    Attributes
    ----------
    step_h : step length Δ [h]
    ends_day : the step is the last of a local day; the state after it begins a new day's counts of trips and cycles
    availability : share of its rating that a device has: 0 out of service, 1 whole; a truck whose battery is out of
        service still drives
    capacity : share of its rated energy that a store can hold, above 0
    travel : trips between the stations, for trucks
    """

    step_h: float
    ends_day: bool = False
    availability: float = 1.0
    capacity: float = 1.0
    travel: Travel | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a device did in a step. ``E(t+1) - E(t) = charged - discharged - loss`` for every store.

    Attributes
    ----------
    p_mw, q_mvar : injection [MW, Mvar]
    shortfall_mwh : ``Δ |P asked - P done|`` [MWh]
    charged_mwh, discharged_mwh : energy drawn from and given to the grid, for stores [MWh]
    loss_mwh : lost in conversion, negative for a published efficiency above 1, and with strings that dropped out [MWh]
    clips : why it differs from what was asked, by more than a watt
    energy_mwh : energy at the end of the step, for stores [MWh]
    cycles_today, trips_today : counts of the local day that the step belongs to, this step included
    wear_cost : cost of the energy charged [currency]
    phase : what it was doing at the start of the step
    station : station where a truck's power appears, -1 on the road and for other devices
    departed : whether a truck began a trip in this step
    km : kilometres of the trip begun [km]
    charged_km : kilometres it is charged for [km]
    fuel_cost, labour_cost : cost of driving [currency]
    """

    p_mw: float
    q_mvar: float
    shortfall_mwh: float
    charged_mwh: float = 0.0
    discharged_mwh: float = 0.0
    loss_mwh: float = 0.0
    clips: tuple[Clip, ...] = ()
    energy_mwh: float = math.nan
    cycles_today: float = 0.0
    wear_cost: float = 0.0
    phase: Phase = Phase.FIXED
    station: int = -1
    departed: bool = False
    trips_today: int = 0
    km: float = 0.0
    charged_km: float = 0.0
    fuel_cost: float = 0.0
    labour_cost: float = 0.0

    @property
    def truck_cost(self) -> float:
        """Fuel and labour [currency]."""
        return self.fuel_cost + self.labour_cost


def refuse_nonfinite(name: str, setpoint: Setpoint) -> None:
    """Raise ``ValueError`` for a setpoint that is no number; the host never dispatches one."""
    if not (math.isfinite(setpoint.p_mw) and math.isfinite(setpoint.q_mvar)):
        raise ValueError(f"{name}: setpoint P = {setpoint.p_mw} MW, Q = {setpoint.q_mvar} Mvar is not finite")


def reactive_within(s_max_mva: float, p_mw: float, q_mvar: float) -> float:
    """Reduce Q to what the rating leaves beside P, its sign kept: ``P² + Q² ≤ S²`` [Mvar]."""
    room = math.sqrt(max((s_max_mva - p_mw) * (s_max_mva + p_mw), 0.0))
    return math.copysign(min(abs(q_mvar), room), q_mvar)
