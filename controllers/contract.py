"""Contract between a controller and the closed loop: inputs, plan, errors.

Axes are ``(sample, horizon, entity)``; the order of buses and devices is the plant's
(`gridferry.controllers.plant`). Injection into the grid is positive. A controller gets its own copies of its
inputs, whose arrays are read-only; its plan is checked and copied (`gridferry.controllers.plans.returned_plan`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float, Int
from pydantic import BaseModel, ConfigDict

from gridferry.controllers.devices.device import Device
from gridferry.controllers.devices.station import Station
from gridferry.controllers.devices.stores.storage import Storage
from gridferry.controllers.outcome import Note, NoteKind, SolverOutcome, Status, Termination
from gridferry.controllers.plant import Plant

__all__ = [
    "AcFeedback",
    "Controller",
    "ControllerError",
    "ControllerSettings",
    "Forecast",
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
    "Termination",
    "hold",
]


class ControllerError(Exception):
    """A controller could not make a plan; the host applies the config's ``on_failure``.

    Parameters
    ----------
    out_of_time : the time limit is why
    """

    out_of_time = False

    def __init__(self, *args: object, out_of_time: bool = False):
        super().__init__(*args)
        self.out_of_time = out_of_time


# ------------------------------------------------------------------------------------------- what a controller is given


@dataclass(frozen=True, eq=False)
class Forecast:
    """Forecast of the coming steps; row 0 is the current step.

    Attributes
    ----------
    load_p_mw, load_q_mvar : loads of each bus, non-negative where they consume [MW, Mvar]
    buy_price, sell_price : price of grid energy, and price that customers pay [currency/MWh]
    congestion : state of each road, delay [min] or traffic [veh/h]; the roads are those of `Plant.roads`
    series : series of each device, by `Device.key` and the keys of `Device.series`, each (horizon,): the output of a
        generator, the share of the rating in service (0 none, 1 all)
    error_samples : drawn forecast errors ``(sample, horizon, source)``, where the case has them
    error_support : lower and upper end ``(2, horizon, source)`` of the errors, where the case has them
    """

    load_p_mw: Float[np.ndarray, "horizon bus"]
    load_q_mvar: Float[np.ndarray, "horizon bus"]
    buy_price: Float[np.ndarray, " horizon"]
    sell_price: Float[np.ndarray, " horizon"]
    congestion: Float[np.ndarray, "horizon road"]
    series: Mapping[str, Mapping[str, Float[np.ndarray, " horizon"]]]
    error_samples: Float[np.ndarray, "sample horizon source"] | None = None
    error_support: Float[np.ndarray, "2 horizon source"] | None = None

    @property
    def steps(self) -> int:
        """Length of the horizon."""
        return len(self.buy_price)

    def of(self, device: Device[Any]) -> Mapping[str, Float[np.ndarray, " horizon"]]:
        """Return the series of a device, by key."""
        return self.series[device.key]

    def first(self, steps: int | None) -> Forecast:
        """Return the forecast of the first steps, at least 1, or all of it for ``None``."""
        if steps is None:
            return self
        if type(steps) is not int or steps < 1:
            raise ValueError(f"steps_read = {steps!r}: must be a whole number from 1 on, or None for all")
        return self.rows(slice(steps))

    def rows(self, rows: slice | Int[np.ndarray, " some"]) -> Forecast:
        """Return some steps of the forecast."""
        return Forecast(
            load_p_mw=self.load_p_mw[rows],
            load_q_mvar=self.load_q_mvar[rows],
            buy_price=self.buy_price[rows],
            sell_price=self.sell_price[rows],
            congestion=self.congestion[rows],
            series={name: {key: one[rows] for key, one in own.items()} for name, own in self.series.items()},
            error_samples=None if self.error_samples is None else self.error_samples[:, rows],
            error_support=None if self.error_support is None else self.error_support[:, rows],
        )

    def net_load_mw(self, plant: Plant) -> Float[np.ndarray, "horizon bus"]:
        """Load of every bus, less what generators with a profile can give [MW]."""
        net = self.load_p_mw.copy()
        for one in plant.profiled:
            net[:, one.bus] -= one.injected(self.of(one.device))
        return net


@dataclass(frozen=True, eq=False)
class Prediction:
    """Expected state of the grid and the stores under a plan, row by row; NaN where unknown.

    Attributes
    ----------
    v_pu : voltage of every bus [pu]
    p_branch_mw, q_branch_mvar : flow into every branch at its parent end [MW, Mvar]
    import_mw : power drawn from the grid above each network, negative when exported [MW]
    losses_mw : losses of each network, in branches and shunts [MW]
    energy_mwh : energy of every device that stores, at the start of each step and at the end of the last [MWh]
    cost : cost of each step, without income from customers [currency]
    costs : the same by cost term: ``energy`` for the exchange with the grids above, and the terms that devices name in
        `Device.costs`; empty where only the sum is known
    """

    v_pu: Float[np.ndarray, "horizon bus"]
    p_branch_mw: Float[np.ndarray, "horizon branch"]
    q_branch_mvar: Float[np.ndarray, "horizon branch"]
    import_mw: Float[np.ndarray, "horizon network"]
    losses_mw: Float[np.ndarray, "horizon network"]
    energy_mwh: Float[np.ndarray, "horizon+1 store"]
    cost: Float[np.ndarray, " horizon"]
    costs: Mapping[str, Float[np.ndarray, " horizon"]] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Plan:
    """Setpoints over the horizon; row 0 is dispatched now. A rule may return one row.

    Attributes
    ----------
    p_mw, q_mvar : injection of every port, in the order of `Plant.ports`; ignored for ports that follow a profile
        [MW, Mvar]
    position : what every position is set to, an index into its labels, in the order of `Plant.positions`. A truck that
        is parked and set to another station departs in that step, and gives no power while in transit
    prediction : expected state of the grid and the stores, if the controller models them
    solver : outcome of planning
    memory : data of the controller for the next step, found in the next observation; None, bool, int, float, str, and
        lists and dicts of them with text keys
    """

    p_mw: Float[np.ndarray, "horizon port"]
    q_mvar: Float[np.ndarray, "horizon port"]
    position: Int[np.ndarray, "horizon position"]
    prediction: Prediction | None = None
    solver: SolverOutcome = field(default_factory=lambda: SolverOutcome(termination=Termination.RULE))
    memory: Mapping[str, Any] = field(default_factory=dict)

    @property
    def steps(self) -> int:
        """Number of rows."""
        return len(self.p_mw)


@dataclass(frozen=True, eq=False)
class AcFeedback:
    """AC feedback: limit violations of earlier plans for this step, by AC power flow on the forecast.

    Attributes
    ----------
    v_low_pu, v_high_pu : margins to the lower and the upper voltage limit of each bus, for row 0 [pu]
    rating : reduction of the limit of the loading of each branch, as a share of its rating, for row 0
    plan : the last plan that violated limits
    spent_s : time that the plans of this step have taken; a controller's time limit is for all of them [s]
    """

    v_low_pu: Float[np.ndarray, " bus"]
    v_high_pu: Float[np.ndarray, " bus"]
    rating: Float[np.ndarray, " branch"]
    plan: Plan | None = None
    spent_s: float = 0.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Observation:
    """Measurements at the start of a step.

    Attributes
    ----------
    step : the step that the plan's row 0 is for, counted from the start of the run
    states : state of every device, in the order of `Plant.devices`; each kind says what its own has
    energy_mwh : energy of every device that stores, in the order of `Plant.stores` [MWh]
    position : where every position stands, or is on the way to, in the order of `Plant.positions`
    transit_steps : steps until each position is reached, 0 where it is; on the road the time the driver now expects
    v_pu : bus voltages of the last step, NaN at the first step and after a diverged power flow [pu]
    p_branch_mw, q_branch_mvar : branch flows of the last step at the parent end, NaN likewise [MW, Mvar]
    peak_import_mw : highest import of each network so far in the billing period of this step, for a demand charge; that
        before the run when ``None`` [MW]
    previous_plan : the plan of the last step, ``None`` at the first
    ac_feedback : what AC requires of this step's plan beside its own margins; ``None`` for a step's first plan
    """

    step: int
    states: tuple[Any, ...]
    energy_mwh: Float[np.ndarray, " store"]
    position: Int[np.ndarray, " position"]
    transit_steps: Int[np.ndarray, " position"]
    v_pu: Float[np.ndarray, " bus"]
    p_branch_mw: Float[np.ndarray, " branch"]
    q_branch_mvar: Float[np.ndarray, " branch"]
    previous_plan: Plan | None = None
    ac_feedback: AcFeedback | None = None
    peak_import_mw: Float[np.ndarray, " network"] | None = None


# ---------------------------------------------------------------------------------------------------------- controller


class ControllerSettings(BaseModel):
    """Base of every controller's settings: frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Controller(ABC):
    """Base of all controllers: turns an observation and a forecast into a plan.

    Equal inputs give equal plans: no hidden random state, no clock; caches only for speed. What a controller must
    remember goes into `Plan.memory` and comes back with the observation.

    A controller that says ``accepts_ac_feedback = True`` is called again, with `Observation.ac_feedback`, where AC on
    the forecast breaks a limit under row 0 of its plan; as often as the config's ``ac_corrections`` allows. One that
    says ``steps_read`` is given the forecast of that many steps, at least 1, and returns no more rows. Of one that says
    ``steps_needed`` `gridferry check` tells where the horizon of a config is shorter.
    """

    Settings: ClassVar[type[ControllerSettings]] = ControllerSettings
    accepts_ac_feedback: ClassVar[bool] = False

    @property
    def steps_read(self) -> int | None:
        """Steps of a forecast that it reads; ``None`` for all. A class attribute will do."""
        return None

    @property
    def steps_needed(self) -> int:
        """Steps of a forecast without which it does less than it is meant to."""
        return 1

    def __init__(self, plant: Plant, settings: ControllerSettings):
        self.plant = plant
        self.settings = settings

    @abstractmethod
    def plan(self, observation: Observation, forecast: Forecast) -> Plan:
        """Return the plan for the forecast's horizon, or raise `ControllerError`."""


def hold(plant: Plant, observation: Observation, rows: int = 1) -> Plan:
    """Return the plan at rest: every port at rest, every position unchanged.

    A port that rests gives no power, or what its `Port.rest_mw` says.
    """
    at_rest = np.array([port.rest_mw for port in plant.ports], dtype=np.float64)
    return Plan(
        p_mw=np.tile(at_rest, (rows, 1)),
        q_mvar=np.zeros((rows, plant.n_port)),
        position=np.tile(observation.position, (rows, 1)),
    )
