"""The controller's host: asks it for a plan, checks what it would dispatch, and falls back when it fails."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from time import perf_counter

import numpy as np

from controllers.contract import Controller, ControllerError, Forecast, Observation, Plan, Plant, SolverOutcome, hold
from controllers.shifting import shifted
from sim.config import OnFailure
from sim.prediction import predict_row

# solvers meet limits to about this much; the agents clip the rest
LIMIT_TOLERANCE = 1e-6


class Fallback(StrEnum):
    """What was dispatched instead of the controller's own plan."""

    NONE = ""
    PREVIOUS_PLAN = "previous_plan"
    IDLE = "idle"


@dataclass(frozen=True)
class Dispatch:
    """What the host sends to the devices in a step.

    Attributes
    ----------
    plan : the plan whose row 0 is dispatched
    fallback : what replaced the controller's plan, if anything did
    failure : why, in one line; empty without a failure
    seconds : time the controller took
    """

    plan: Plan
    fallback: Fallback
    failure: str
    seconds: float


class ControllerStoppedError(RuntimeError):
    """The controller failed and the config says ``on_failure = "stop"``."""


def shape_faults(plant: Plant, plan: Plan) -> list[str]:
    """Say which arrays of the plan have another shape than the plant asks for."""
    shapes = {
        "p_mw": (plan.p_mw, plant.n_device),
        "q_mvar": (plan.q_mvar, plant.n_device),
        "destination": (plan.destination, len(plant.trucks)),
    }
    return [
        f"{name} has shape {array.shape}, not (rows, {width})"
        for name, (array, width) in shapes.items()
        if array.ndim != 2 or array.shape[1] != width or len(array) != len(plan.p_mw) or len(array) == 0
    ]


def dispatch_faults(plant: Plant, plan: Plan) -> list[str]:
    """Say what forbids dispatching row 0 of the plan: wrong shapes, values that are not finite, ratings exceeded."""
    wrong = shape_faults(plant, plan)
    if wrong:
        return wrong
    p, q = plan.p_mw[0], plan.q_mvar[0]
    finite = np.isfinite(p) & np.isfinite(q)
    faults = [f"{plant.device_names[i]}: setpoint is not finite" for i in np.flatnonzero(~finite)]
    over_p = finite & (np.abs(p) > plant.device_p_max_mw * (1 + LIMIT_TOLERANCE) + LIMIT_TOLERANCE)
    over_s = finite & (np.hypot(p, q) > plant.device_s_max_mva * (1 + LIMIT_TOLERANCE) + LIMIT_TOLERANCE)
    faults += [
        f"{plant.device_names[i]}: asks {p[i]:.6g} MW of {plant.device_p_max_mw[i]:.6g}" for i in np.flatnonzero(over_p)
    ]
    faults += [
        f"{plant.device_names[i]}: asks {np.hypot(p[i], q[i]):.6g} MVA of {plant.device_s_max_mva[i]:.6g}"
        for i in np.flatnonzero(over_s & ~over_p)
    ]
    faults += [
        f"{truck.name}: destination {int(station)} is none of its stations"
        for truck, station in zip(plant.trucks, plan.destination[0], strict=True)
        if int(station) not in truck.stations
    ]
    return faults


class ControllerHost:
    """Runs one controller, step by step.

    Parameters
    ----------
    plant : what it controls
    controller : the controller
    on_failure : what to dispatch when it fails
    clip : leave setpoints beyond a rating to the agents, which clip and report them, instead of refusing the plan;
        this is how a schedule made elsewhere is validated
    """

    def __init__(self, plant: Plant, controller: Controller, on_failure: OnFailure, clip: bool = False):
        self._plant = plant
        self._controller = controller
        self._on_failure = on_failure
        self._clip = clip

    def decide(self, observation: Observation, forecast: Forecast) -> Dispatch:
        """Return what to dispatch; raises `ControllerStoppedError` where the config says to stop at a failure."""
        started = perf_counter()
        try:
            plan = self._controller.plan(observation, forecast)
            failure = self._refusal(plan)
        except ControllerError as error:
            failure = f"{type(error).__name__}: {error}"
        except Exception as error:  # a plug-in may fail in any way; the run must outlive it, and says so
            failure = f"the controller raised {type(error).__name__}: {error}"
        seconds = perf_counter() - started
        if not failure:
            return Dispatch(self._predicted(plan, observation, forecast), Fallback.NONE, "", seconds)
        failure = f"step {observation.step}: {failure}"
        if self._on_failure is OnFailure.STOP:
            raise ControllerStoppedError(failure)
        plan, fallback = self._fall_back(observation)
        return Dispatch(self._predicted(plan, observation, forecast), fallback, failure, seconds)

    def _predicted(self, plan: Plan, observation: Observation, forecast: Forecast) -> Plan:
        if plan.prediction is not None:
            return plan
        return replace(plan, prediction=predict_row(self._plant, plan, observation, forecast))

    def _refusal(self, plan: object) -> str:
        if not isinstance(plan, Plan):  # a plug-in may return anything
            return f"plan() returned {type(plan).__name__}, not a Plan"
        faults = shape_faults(self._plant, plan) if self._clip else dispatch_faults(self._plant, plan)
        return f"its plan may not be dispatched: {'; '.join(faults)}" if faults else ""

    def _fall_back(self, observation: Observation) -> tuple[Plan, Fallback]:
        previous = observation.previous_plan
        if self._on_failure is OnFailure.PREVIOUS_PLAN and previous is not None:
            rest = shifted(previous)
            if rest is not None and not dispatch_faults(self._plant, rest):
                return replace(rest, solver=SolverOutcome(ended="previous plan")), Fallback.PREVIOUS_PLAN
        memory = previous.memory if previous is not None else {}
        return replace(hold(self._plant, observation), memory=memory), Fallback.IDLE
