"""The contract between a controller and the closed loop: what it is given, what it returns, how it fails.

Axes are ``(sample, horizon, entity)``. Buses, branches and stations of all networks share one axis each, network after
network (`Plant.bus_slices`). Devices stand in one order everywhere: trucks, batteries, link terminals.
Injection into the grid is positive. Arrays arrive read-only.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float, Int
from pydantic import BaseModel, ConfigDict

from networks.feeder import Feeder
from networks.roads import Roads


class ControllerError(Exception):
    """A controller could not make a plan; the host applies the config's ``on_failure``."""


# --------------------------------------------------------------------------------------------------------------- plant


@dataclass(frozen=True)
class Storage:
    """What limits a battery, on a truck or not [A, eqs. 37-41; B, §2.2].

    ``E(t+1) = E(t) + Δ (η_ch P_ch - P_dh/η_dh - A √(P² + Q²))``, with ``P = P_dh - P_ch`` the injection.

    Attributes
    ----------
    energy_mwh : rated energy [MWh]
    p_max_mw : largest charging and discharging power, at the grid's side [MW]
    s_max_mva : converter rating, ``P² + Q² ≤ S²`` [MVA]
    eta_charge, eta_discharge : efficiencies η_ch, η_dh
    loss_coefficient : converter loss A [MW per MVA], drawn from the store
    soc_min, soc_max : window of the state of charge
    soc_initial : state of charge at the start of the run
    soc_end_min : least state of charge at the end of every day; ``None`` where it is free
    cycles_max_per_day : limit of ``Σ Δ/(2E) (η_ch P_ch + P_dh/η_dh)`` a day, inf where free
    cost_per_mwh_charged : cost of wear, per MWh drawn from the grid [currency/MWh]
    """

    energy_mwh: float
    p_max_mw: float
    s_max_mva: float
    eta_charge: float
    eta_discharge: float
    loss_coefficient: float
    soc_min: float
    soc_max: float
    soc_initial: float
    soc_end_min: float | None
    cycles_max_per_day: float
    cost_per_mwh_charged: float


class Mileage(StrEnum):
    """Kilometres that a trip is charged for."""

    LEG = "leg"
    LONGEST_LEG = "longest_leg"


class Labour(StrEnum):
    """Hours that labour is charged for."""

    TRAVEL = "travel"
    FLAT_IF_USED = "flat_if_used"


@dataclass(frozen=True)
class TruckCost:
    """What driving costs [A, eq. 28].

    Attributes
    ----------
    fuel_per_km : fuel rate [currency/km]
    labour_per_h : labour rate [currency/h]
    mileage : charge each trip's own leg, or the longest leg for every trip (as published)
    labour : charge the hours in transit (steps of transit, installation included), or ``flat_hours`` on every day on
        which the truck drives or its battery is used (as published)
    flat_hours : hours charged under ``flat_if_used`` [h/day]
    """

    fuel_per_km: float
    labour_per_h: float
    mileage: Mileage
    labour: Labour
    flat_hours: float


@dataclass(frozen=True)
class Station:
    """A bus where trucks can connect; ``bus`` counts along the axis of all buses."""

    name: str
    network: int
    bus: int


@dataclass(frozen=True)
class Truck:
    """A battery on a truck (MESS); ``stations`` are the indices of the stations it may use."""

    name: str
    storage: Storage
    stations: tuple[int, ...]
    initial_station: int
    trips_max_per_day: int
    cost: TruckCost


@dataclass(frozen=True)
class Battery:
    """A stationary battery (BESS); ``bus`` counts along the axis of all buses."""

    name: str
    network: int
    bus: int
    storage: Storage


@dataclass(frozen=True)
class Terminal:
    """One converter of an MVDC link: ``P² + Q² ≤ S²``, loss ``A √(P² + Q²)`` [B, §2.1]."""

    name: str
    network: int
    bus: int
    s_max_mva: float
    loss_coefficient: float


@dataclass(frozen=True)
class Link:
    """An MVDC link: ``Σ (P_k + loss_k) = 0`` over its terminals; ``balancing`` is the one that holds the DC voltage."""

    name: str
    terminals: tuple[Terminal, ...]
    balancing: int


@dataclass(frozen=True)
class Generator:
    """A source with a profile (PV, wind, other); ``feed_in_tariff`` is paid for what it produces [currency/MWh]."""

    name: str
    kind: str
    network: int
    bus: int
    feed_in_tariff: float


@dataclass(frozen=True, eq=False)
class Plant:
    """Everything that does not change during a run.

    Attributes
    ----------
    feeders : one per network
    stations, trucks, batteries, links, generators : the devices
    roads : travel between stations, in their order; ``None`` without trucks
    step_s : step length [s]
    steps : steps of the whole run
    horizon_steps : most steps a forecast looks ahead
    first_step_of_day : steps from local midnight to the start of the run
    export_price_ratio : export is paid at this share of the buying price
    currency : the unit of money
    """

    feeders: tuple[Feeder, ...]
    stations: tuple[Station, ...]
    trucks: tuple[Truck, ...]
    batteries: tuple[Battery, ...]
    links: tuple[Link, ...]
    generators: tuple[Generator, ...]
    roads: Roads | None
    step_s: int
    steps: int
    horizon_steps: int
    first_step_of_day: int
    export_price_ratio: float
    currency: str

    @property
    def step_h(self) -> float:
        """Step length Δ [h]."""
        return self.step_s / 3600.0

    @property
    def steps_per_day(self) -> int:
        """Steps of a day."""
        return 86400 // self.step_s

    def step_of_day(self, step: int) -> int:
        """Steps from local midnight to the start of ``step``."""
        return (self.first_step_of_day + step) % self.steps_per_day

    @cached_property
    def bus_slices(self) -> tuple[slice, ...]:
        """Where each network lies on the bus axis."""
        ends = np.cumsum([0] + [feeder.n_bus for feeder in self.feeders])
        return tuple(slice(int(a), int(b)) for a, b in pairwise(ends))

    @cached_property
    def branch_slices(self) -> tuple[slice, ...]:
        """Where each network lies on the branch axis."""
        ends = np.cumsum([0] + [feeder.n_branch for feeder in self.feeders])
        return tuple(slice(int(a), int(b)) for a, b in pairwise(ends))

    @property
    def n_bus(self) -> int:
        """Buses of all networks."""
        return self.bus_slices[-1].stop

    @property
    def n_branch(self) -> int:
        """Branches of all networks."""
        return self.branch_slices[-1].stop

    @cached_property
    def terminals(self) -> tuple[Terminal, ...]:
        """Terminals of all links, link after link."""
        return tuple(terminal for link in self.links for terminal in link.terminals)

    @cached_property
    def storages(self) -> tuple[Storage, ...]:
        """Stores of the storage axis: trucks, then batteries."""
        return tuple(truck.storage for truck in self.trucks) + tuple(battery.storage for battery in self.batteries)

    @cached_property
    def device_names(self) -> tuple[str, ...]:
        """Names along the device axis: trucks, batteries, terminals."""
        stores = [truck.name for truck in self.trucks] + [battery.name for battery in self.batteries]
        return (*stores, *(terminal.name for terminal in self.terminals))

    @property
    def n_device(self) -> int:
        """Length of the device axis."""
        return len(self.device_names)

    @cached_property
    def device_p_max_mw(self) -> Float[np.ndarray, " device"]:
        """Largest active power of each device, either way [MW]."""
        return np.array([s.p_max_mw for s in self.storages] + [t.s_max_mva for t in self.terminals])

    @cached_property
    def device_s_max_mva(self) -> Float[np.ndarray, " device"]:
        """Apparent-power rating of each device [MVA]."""
        return np.array([s.s_max_mva for s in self.storages] + [t.s_max_mva for t in self.terminals])

    @cached_property
    def generator_bus(self) -> Int[np.ndarray, " generator"]:
        """Bus of each generator."""
        return np.array([g.bus for g in self.generators], dtype=np.int64)

    @cached_property
    def station_bus(self) -> Int[np.ndarray, " station"]:
        """Bus of each station."""
        return np.array([s.bus for s in self.stations], dtype=np.int64)


# ------------------------------------------------------------------------------------------- what a controller is given


@dataclass(frozen=True, eq=False)
class Forecast:
    """What may be known of the coming steps; row 0 is the step that acts now.

    Attributes
    ----------
    load_p_mw, load_q_mvar : loads of each bus, non-negative where they consume [MW, Mvar]
    generation_mw : output of each generator [MW]
    buy_price, sell_price : price of grid energy, and what customers pay [currency/MWh]
    congestion : state of the roads, in the unit of `Roads.congestion_unit`
    error_samples : drawn forecast errors ``(sample, horizon, source)``, where the case has them
    error_support : lower and upper end ``(2, horizon, source)`` of the errors, where the case has them
    """

    load_p_mw: Float[np.ndarray, "horizon bus"]
    load_q_mvar: Float[np.ndarray, "horizon bus"]
    generation_mw: Float[np.ndarray, "horizon generator"]
    buy_price: Float[np.ndarray, " horizon"]
    sell_price: Float[np.ndarray, " horizon"]
    congestion: Float[np.ndarray, " horizon"]
    error_samples: Float[np.ndarray, "sample horizon source"] | None = None
    error_support: Float[np.ndarray, "2 horizon source"] | None = None

    @property
    def steps(self) -> int:
        """Length of the horizon."""
        return len(self.buy_price)

    def net_load_mw(self, plant: Plant) -> Float[np.ndarray, "horizon bus"]:
        """Load less generation of every bus [MW]."""
        net = self.load_p_mw.copy()
        for column, bus in enumerate(plant.generator_bus):
            net[:, bus] -= self.generation_mw[:, column]
        return net


class Status(StrEnum):
    """What a solver's answer is worth."""

    OPTIMAL = "optimal"
    FEASIBLE = "feasible"
    RULE = "rule"


@dataclass(frozen=True)
class SolverOutcome:
    """How the plan came about; objective and bound in the currency, as a cost to be minimised.

    Attributes
    ----------
    status : optimal (within the gap asked for), feasible (stopped before it), rule (nothing was solved)
    ended : why the solver stopped, in its own words
    objective, bound : cost of the plan, and a proved lower bound of it; NaN without a solver
    gap : ``(objective - bound) / |objective|``; NaN without a solver
    cone_gap : largest ``l v - p² - q²`` [pu²]; NaN without DistFlow
    seconds : time the solver took
    """

    status: Status = Status.RULE
    ended: str = ""
    objective: float = float("nan")
    bound: float = float("nan")
    gap: float = float("nan")
    cone_gap: float = float("nan")
    seconds: float = 0.0


@dataclass(frozen=True, eq=False)
class Prediction:
    """What the plan expects of the grid and the stores.

    Attributes
    ----------
    v_pu : voltage of every bus [pu]
    p_branch_mw, q_branch_mvar : flow into every branch at its parent end [MW, Mvar]
    import_mw : power drawn from the grid above each network, negative when exported [MW]
    losses_mw : losses of each network [MW]
    energy_mwh : energy of every store, at the start of each step and at the end of the last [MWh]
    cost : cost of each step, without income from customers [currency]
    """

    v_pu: Float[np.ndarray, "horizon bus"]
    p_branch_mw: Float[np.ndarray, "horizon branch"]
    q_branch_mvar: Float[np.ndarray, "horizon branch"]
    import_mw: Float[np.ndarray, "horizon network"]
    losses_mw: Float[np.ndarray, "horizon network"]
    energy_mwh: Float[np.ndarray, "horizon+1 storage"]
    cost: Float[np.ndarray, " horizon"]


@dataclass(frozen=True, eq=False)
class Plan:
    """Setpoints over the horizon; row 0 acts now. A rule may return one row.

    Attributes
    ----------
    p_mw, q_mvar : injection of every device [MW, Mvar]
    destination : station each truck is to be parked at or driving to (an index into `Plant.stations`); a parked truck
        whose destination is another station departs in that step, and gives no power while in transit
    prediction : what is expected of it, where the controller models the grid
    solver : how it came about
    memory : what the controller wants to find again in the next observation; plain numbers, strings, lists
    """

    p_mw: Float[np.ndarray, "horizon device"]
    q_mvar: Float[np.ndarray, "horizon device"]
    destination: Int[np.ndarray, "horizon truck"]
    prediction: Prediction | None = None
    solver: SolverOutcome = field(default_factory=SolverOutcome)
    memory: Mapping[str, Any] = field(default_factory=dict)

    @property
    def steps(self) -> int:
        """Number of rows."""
        return len(self.p_mw)


@dataclass(frozen=True, eq=False)
class Observation:
    """What is measured at the start of a step.

    Attributes
    ----------
    step : the step that the plan's row 0 is for, counted from the start of the run
    energy_mwh : energy of every store [MWh]
    station : station of each truck, or the one it is driving to
    transit_steps : steps until each truck arrives, 0 when parked; for one on the road the time its driver now expects
    trips_today : trips begun since local midnight, per truck
    cycles_today : cycles since local midnight, per store
    used_today : whether a truck has driven or worked since local midnight (flat labour is due once)
    v_pu : bus voltages of the last step, NaN at the first step and after a diverged power flow [pu]
    p_branch_mw, q_branch_mvar : branch flows of the last step at the parent end, NaN likewise [MW, Mvar]
    previous_plan : the plan of the last step, ``None`` at the first
    """

    step: int
    energy_mwh: Float[np.ndarray, " storage"]
    station: Int[np.ndarray, " truck"]
    transit_steps: Int[np.ndarray, " truck"]
    trips_today: Int[np.ndarray, " truck"]
    cycles_today: Float[np.ndarray, " storage"]
    used_today: Int[np.ndarray, " truck"]
    v_pu: Float[np.ndarray, " bus"]
    p_branch_mw: Float[np.ndarray, " branch"]
    q_branch_mvar: Float[np.ndarray, " branch"]
    previous_plan: Plan | None = None


# ---------------------------------------------------------------------------------------------------------- controller


class ControllerSettings(BaseModel):
    """Base of every controller's settings: frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Controller(ABC):
    """Turn what is measured and forecast into a plan. Row 0 of the plan acts now.

    Equal inputs give equal plans: no hidden random state, no clock; caches only for speed. What a controller must
    remember goes into `Plan.memory` and comes back with the observation.
    """

    Settings: ClassVar[type[ControllerSettings]] = ControllerSettings

    def __init__(self, plant: Plant, settings: ControllerSettings):
        self.plant = plant
        self.settings = settings

    @abstractmethod
    def plan(self, observation: Observation, forecast: Forecast) -> Plan:
        """Return the plan for the forecast's horizon, or raise `ControllerError`."""


def hold(plant: Plant, observation: Observation, rows: int = 1) -> Plan:
    """Return the plan that does nothing: no power, every truck stays or drives on to where it is heading."""
    nothing = np.zeros((rows, plant.n_device))
    return Plan(
        p_mw=nothing,
        q_mvar=nothing.copy(),
        destination=np.repeat(observation.station[None, :], rows, axis=0),
    )
