"""The contract between a controller and the closed loop: what it is given, what it returns, how it fails.

Axes are ``(sample, horizon, entity)``; the order of buses and devices is the plant's
(`gridferry.controllers.plant`). Injection into the grid is positive. What a controller is given is its own, and its
arrays cannot be written to; what it returns is checked and copied (`gridferry.controllers.plans.returned_plan`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float, Int
from pydantic import BaseModel, ConfigDict

from gridferry.controllers.devices.batteries.device import Battery
from gridferry.controllers.devices.generators.device import Generator
from gridferry.controllers.devices.links.device import Link, Terminal
from gridferry.controllers.devices.storage import Storage
from gridferry.controllers.devices.trucks.device import Labour, Mileage, Station, Truck, TruckCost
from gridferry.controllers.outcome import Note, NoteKind, SolverOutcome, Status, Termination
from gridferry.controllers.plant import Plant

__all__ = [
    "Battery",
    "Controller",
    "ControllerError",
    "ControllerSettings",
    "Correction",
    "Forecast",
    "Generator",
    "Labour",
    "Link",
    "Mileage",
    "Note",
    "NoteKind",
    "Observation",
    "Plan",
    "Plant",
    "Prediction",
    "SolverOutcome",
    "Station",
    "Status",
    "Storage",
    "Terminal",
    "Termination",
    "Truck",
    "TruckCost",
    "hold",
]


class ControllerError(Exception):
    """A controller could not make a plan; the host applies the config's ``on_failure``."""


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
    availability : share of its rating that each device has, 0 out of service, 1 whole; ``None``: all whole. A truck
        whose battery is out of service still drives
    capacity : share of its rated energy that each store can hold; ``None``: all of it
    """

    load_p_mw: Float[np.ndarray, "horizon bus"]
    load_q_mvar: Float[np.ndarray, "horizon bus"]
    generation_mw: Float[np.ndarray, "horizon generator"]
    buy_price: Float[np.ndarray, " horizon"]
    sell_price: Float[np.ndarray, " horizon"]
    congestion: Float[np.ndarray, " horizon"]
    error_samples: Float[np.ndarray, "sample horizon source"] | None = None
    error_support: Float[np.ndarray, "2 horizon source"] | None = None
    availability: Float[np.ndarray, "horizon device"] | None = None
    capacity: Float[np.ndarray, "horizon storage"] | None = None

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

    def available(self, device: int) -> Float[np.ndarray, " horizon"]:
        """Share of its rating that a device has in each step."""
        return np.ones(self.steps) if self.availability is None else self.availability[:, device]

    def holds(self, storage: int) -> Float[np.ndarray, " horizon"]:
        """Share of its rated energy that a store can hold in each step."""
        return np.ones(self.steps) if self.capacity is None else self.capacity[:, storage]


@dataclass(frozen=True, eq=False)
class Prediction:
    """What the plan expects of the grid and the stores; it has the plan's rows, and NaN for what is not known.

    Attributes
    ----------
    v_pu : voltage of every bus [pu]
    p_branch_mw, q_branch_mvar : flow into every branch at its parent end [MW, Mvar]
    import_mw : power drawn from the grid above each network, negative when exported [MW]
    losses_mw : losses of each network, in branches and shunts [MW]
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
    memory : what the controller wants to find again in the next observation; None, bool, int, float, str, and lists and
        dicts of them with text keys
    """

    p_mw: Float[np.ndarray, "horizon device"]
    q_mvar: Float[np.ndarray, "horizon device"]
    destination: Int[np.ndarray, "horizon truck"]
    prediction: Prediction | None = None
    solver: SolverOutcome = field(default_factory=lambda: SolverOutcome(termination=Termination.RULE))
    memory: Mapping[str, Any] = field(default_factory=dict)

    @property
    def steps(self) -> int:
        """Number of rows."""
        return len(self.p_mw)


@dataclass(frozen=True, eq=False)
class Correction:
    """By how much AC, on the forecast, broke limits under row 0 of plans for this step; the next one is to keep as far.

    Attributes
    ----------
    v_low_pu, v_high_pu : to be kept from the lower and the upper voltage limit of each bus, in row 0 [pu]
    rating : share to be taken off the rating of each branch, in row 0
    plan : the last plan that broke them
    """

    v_low_pu: Float[np.ndarray, " bus"]
    v_high_pu: Float[np.ndarray, " bus"]
    rating: Float[np.ndarray, " branch"]
    plan: Plan | None = None


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
    capacity : share of its rated energy that each store could hold in the last step; ``None``: all of it
    correction : what AC asks of this step's plan beside its own margins; ``None`` when a step's first plan is asked for
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
    capacity: Float[np.ndarray, " storage"] | None = None
    correction: Correction | None = None


# ---------------------------------------------------------------------------------------------------------- controller


class ControllerSettings(BaseModel):
    """Base of every controller's settings: frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Controller(ABC):
    """Turn what is measured and forecast into a plan. Row 0 of the plan acts now.

    Equal inputs give equal plans: no hidden random state, no clock; caches only for speed. What a controller must
    remember goes into `Plan.memory` and comes back with the observation.

    A controller that says ``corrects = True`` is asked again, with `Observation.correction`, where AC on the forecast
    breaks a limit under row 0 of its plan; as often as the config's ``ac_corrections`` allows.
    """

    Settings: ClassVar[type[ControllerSettings]] = ControllerSettings
    corrects: ClassVar[bool] = False

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
