"""Evaluation of schedules: simulation of devices, AC power flow, cost.

All predictions are made here: of plans of optimisers, of the first step of rules, of doing nothing. Under forecasts
that come true, what is predicted of the first step is what the record will say of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from gridferry.controllers.contract import ControllerError, Forecast, Observation, Plan, Plant, Prediction, hold
from gridferry.controllers.devices import Act, Now, Outcome, Outcomes, Requests, Stateless, step_all
from gridferry.controllers.devices.device import reached
from gridferry.controllers.plans.first_step import Around, requests_of_row, surroundings
from gridferry.controllers.schedule.ac_flow import AcFlow, ac_flow
from gridferry.controllers.schedule.settlement import Demand, settle


@dataclass(frozen=True, kw_only=True, eq=False)
class Schedules:
    """A batch of schedules; their horizon may be shorter than that of a forecast.

    Attributes
    ----------
    p_mw, q_mvar : requested of every port [MW, Mvar]
    position : what every position is set to
    """

    p_mw: Float[np.ndarray, "sample horizon port"]
    q_mvar: Float[np.ndarray, "sample horizon port"]
    position: Int[np.ndarray, "sample horizon position"]

    @classmethod
    def of_plan(cls, plan: Plan, steps: int) -> Schedules:
        """Return the first steps of a plan as a batch of one schedule."""
        return cls(p_mw=plan.p_mw[None, :steps], q_mvar=plan.q_mvar[None, :steps], position=plan.position[None, :steps])


@dataclass(frozen=True, kw_only=True, eq=False)
class Evaluation:
    """Evaluation of schedules; NaN where a power flow has no solution or the forecast is not finite.

    Attributes
    ----------
    flow : AC power flow of all networks
    costs : by name of the cost term: ``energy``, and those of the devices [currency]
    energy_mwh : energy of every device that stores at the start of each step and at the end of the last [MWh]
    reached : positions after each step, -1 on the way
    """

    flow: AcFlow
    costs: Mapping[str, Float[np.ndarray, "sample horizon"]]
    energy_mwh: Float[np.ndarray, "sample horizon+1 store"]
    reached: Int[np.ndarray, "sample horizon position"]

    @cached_property
    def cost(self) -> Float[np.ndarray, "sample horizon"]:
        """Sum of all cost terms [currency]."""
        return np.sum(list(self.costs.values()), axis=0)

    def prediction(self, sample: int = 0) -> Prediction:
        """Return the prediction of one of the schedules."""
        flow = self.flow
        return Prediction(
            v_pu=flow.v_pu[sample],
            p_branch_mw=flow.p_branch_mw[sample],
            q_branch_mvar=flow.q_branch_mvar[sample],
            import_mw=flow.import_mw[sample],
            losses_mw=flow.losses_mw[sample],
            energy_mwh=self.energy_mwh[sample],
            cost=self.cost[sample],
            costs={name: of_term[sample] for name, of_term in self.costs.items()},
        )

    def refuse_unsolved(self) -> None:
        """Raise `ControllerError` if a power flow has no solution, with network and steps."""
        for number, feeder in enumerate(self.flow.plant.feeders):
            solved = self.flow.converged[..., number].all(axis=0)
            steps = ", ".join(map(str, np.flatnonzero(~solved)[:5]))
            if steps:
                raise ControllerError(
                    f"network {number + 1} ({feeder.name}) has no power flow at steps {steps} of the horizon; the load "
                    "is more than it can carry"
                )


class ScheduleEvaluator:
    """Evaluator of schedules from an observation under a forecast: simulates devices and solves AC for all steps.

    What is not known of what surrounds a device makes its power and its energy, and with them the flow, NaN.

    Parameters
    ----------
    steps : most steps of a schedule; as far as the forecast looks ahead where not given
    """

    def __init__(self, plant: Plant, observation: Observation, forecast: Forecast, steps: int | None = None):
        self._plant, self._states, self._forecast = plant, observation.states, forecast
        self._around = surroundings(plant, observation.step, forecast, forecast.steps if steps is None else steps)
        self._demand = Demand(observation.step, plant.peak_import_mw(observation.peak_import_mw))
        self._together = all(one.same_in_all_samples for one in plant.couplings)

    @cached_property
    def _surroundings(self) -> list[list[Now]]:
        """Surroundings of each device in every step, with those of couplings for devices that change a position."""
        rows = []
        for nows, values in self._around:
            informed: Sequence[Now] = nows
            for coupling in self._plant.couplings:
                informed = coupling.inform_all(self._plant.devices, informed, values)
            rows.append(informed)
        return [list(one) for one in zip(*rows, strict=True)]

    @cached_property
    def _whatever_requested(self) -> dict[int, Outcomes]:
        """Outcomes of the devices that only follow a profile, by their number; the same for all schedules."""
        found = {}
        for number, (device, state) in enumerate(zip(self._plant.devices, self._states, strict=True)):
            follows = all(port.act is Act.FOLLOWS and not port.sets_q for port in device.ports)
            if device.State is Stateless and not device.stores and not device.positions and follows:
                rest_mw = np.tile(np.array(device.rest_mw), (1, len(self._around), 1))
                requested = Requests(
                    rest_mw, np.zeros_like(rest_mw), np.zeros((1, len(self._around), 0), dtype=np.int64)
                )
                found[number] = device.simulate_many(state, requested, self._surroundings[number])
        return found

    def evaluate(self, schedules: Schedules) -> Evaluation:
        """Evaluate schedules."""
        plant, forecast, (samples, steps) = self._plant, self._forecast, schedules.p_mw.shape[:2]
        done = _Done.empty(plant, samples, steps)
        finite = np.isfinite(schedules.p_mw).all() and np.isfinite(schedules.q_mvar).all()
        if samples * steps > 1 and finite and self._together:
            others = self._simulate_together(schedules, done)
        else:
            others = np.arange(samples)
        _simulate_alone(plant, schedules, others, self._states, self._around[:steps], done)
        known = _known(plant, forecast, steps)
        done.p_mw[:, ~known] = np.nan
        for number, device in enumerate(plant.stores):
            done.energy_mwh[:, 1:, number][:, ~known[:, plant.columns(device)].all(axis=1)] = np.nan
        flow = ac_flow(plant, *_net_injections(plant, forecast, done), done.p_mw[:, :, list(plant.droop_ports)])
        costs = settle(plant, flow.import_mw, forecast.buy_price[:steps], done.costs, self._demand)
        return Evaluation(flow=flow, costs=costs, energy_mwh=done.energy_mwh, reached=done.reached)

    def _simulate_together(self, schedules: Schedules, done: _Done) -> Int[np.ndarray, " other"]:
        """Simulate all schedules of each device at once, and collect the outcomes.

        Return the schedules that couplings do not let happen like that.
        """
        plant, (samples, steps) = self._plant, schedules.p_mw.shape[:2]
        done.note_energy(plant, self._states, slice(None), 0)
        store = 0
        given: list[Requests] = []
        every: list[Outcomes] = []
        for number, (device, state) in enumerate(zip(plant.devices, self._states, strict=True)):
            ports, positions = plant.port_columns[number], plant.positions_of[number]
            own = (schedules.p_mw[:, :, ports], schedules.q_mvar[:, :, ports], schedules.position[:, :, positions])
            given.append(Requests(*own))
            outcomes = self._whatever_requested.get(number)
            if outcomes is None:
                outcomes = device.simulate_many(state, given[-1], self._surroundings[number][:steps])
            every.append(outcomes)
            done.note_schedules(ports, positions, outcomes)
            if device.stores:
                done.energy_mwh[:, 1:, store] = outcomes.stored_mwh[:, :steps]
                store += 1
        same = np.ones(samples, dtype=bool)
        for coupling in plant.couplings:
            same &= coupling.grants_all(plant.devices, self._states, given, every)
        return np.flatnonzero(~same)


def evaluate(plant: Plant, schedules: Schedules, observation: Observation, forecast: Forecast) -> Evaluation:
    """Evaluate one batch of schedules; see `ScheduleEvaluator`."""
    return ScheduleEvaluator(plant, observation, forecast, schedules.p_mw.shape[1]).evaluate(schedules)


def _simulate_alone(
    plant: Plant,
    schedules: Schedules,
    samples: Int[np.ndarray, " some"],
    start: Sequence[Any],
    around: list[tuple[list[Now], Around]],
    done: _Done,
) -> None:
    """Simulate some schedules one after the other, and collect the outcomes."""
    for term in done.costs.values():
        term[samples] = 0.0
    for sample in samples.tolist():
        rows = zip(*(x[sample].tolist() for x in (schedules.p_mw, schedules.q_mvar, schedules.position)), strict=True)
        states: list[Any] = list(start)
        done.note_energy(plant, states, sample, 0)
        for step, row in enumerate(rows):
            nows, values = around[step]
            requests = requests_of_row(plant, states, *row)
            outcomes = step_all(plant.devices, plant.couplings, states, requests, nows, values)
            states = [state for state, _ in outcomes]
            done.note([outcome for _, outcome in outcomes], sample, step)
            done.note_energy(plant, states, sample, step + 1)
            done.reached[sample, step] = [
                at for device, state in zip(plant.devices, states, strict=True) for at in reached(device, state)
            ]


def _known(plant: Plant, forecast: Forecast, steps: int) -> Bool[np.ndarray, "horizon port"]:
    """Mask of the steps in which all series of a port's device are known."""
    known = np.ones((steps, plant.n_port), dtype=bool)
    for device, own in zip(plant.devices, plant.port_columns, strict=True):
        for values in forecast.of(device).values():
            known[:, own] &= np.isfinite(values[:steps, None])
    return known


def evaluate_plan(plant: Plant, plan: Plan, observation: Observation, forecast: Forecast) -> Evaluation:
    """Evaluate a plan up to the end of the forecast."""
    return evaluate(plant, Schedules.of_plan(plan, forecast.steps), observation, forecast)


def evaluate_rest(plant: Plant, observation: Observation, forecast: Forecast) -> Evaluation:
    """Evaluate rest over the whole forecast: the reference for savings.

    Raises
    ------
    ControllerError
        where a network has no power flow.
    """
    found = evaluate_plan(plant, hold(plant, observation, forecast.steps), observation, forecast)
    found.refuse_unsolved()
    return found


@dataclass(frozen=True, eq=False)
class _Done:
    """Collected outcomes of devices: ports and buses ``(sample, horizon, port)``, energies, positions, costs."""

    p_mw: np.ndarray
    q_mvar: np.ndarray
    bus: np.ndarray
    energy_mwh: np.ndarray
    reached: np.ndarray
    costs: dict[str, np.ndarray]

    @classmethod
    def empty(cls, plant: Plant, samples: int, steps: int) -> _Done:
        shape = (samples, steps, len(plant.ports))
        energy = np.empty((samples, steps + 1, len(plant.stores)))
        bus, at = (np.full((*shape[:2], columns), -1) for columns in (shape[2], len(plant.positions)))
        return cls(np.empty(shape), np.empty(shape), bus, energy, at, {})

    def note(self, outcomes: list[Outcome], sample: int, step: int) -> None:
        """Add the outcomes of all devices in a step."""
        ports = [port for outcome in outcomes for port in outcome.ports]
        self.p_mw[sample, step] = [port.p_mw for port in ports]
        self.q_mvar[sample, step] = [port.q_mvar for port in ports]
        self.bus[sample, step] = [port.bus for port in ports]
        for outcome in outcomes:
            for name, money in outcome.money.items():
                if name not in self.costs:
                    self.costs[name] = np.zeros(self.p_mw.shape[:2])
                self.costs[name][sample, step] += money

    def note_schedules(self, ports: slice, positions: slice, outcomes: Outcomes) -> None:
        """Note what a device did of all schedules, or of one that stands for all."""
        steps = self.p_mw.shape[1]
        self.p_mw[:, :, ports], self.q_mvar[:, :, ports] = outcomes.p_mw[:, :steps], outcomes.q_mvar[:, :steps]
        self.bus[:, :, ports] = outcomes.bus[:, :steps]
        if outcomes.reached.size:
            self.reached[:, :, positions] = outcomes.reached[:, :steps]
        for name, money in outcomes.money.items():
            if name not in self.costs:
                self.costs[name] = np.zeros(self.p_mw.shape[:2])
            self.costs[name] += money[:, :steps]

    def note_energy(self, plant: Plant, states: Sequence[Any], sample: int | slice, step: int) -> None:
        """Add the stored energy at the start of a step."""
        self.energy_mwh[sample, step] = [
            device.stored_mwh(state) for device, state in zip(plant.devices, states, strict=True) if device.stores
        ]


def _net_injections(
    plant: Plant, forecast: Forecast, done: _Done
) -> tuple[Float[np.ndarray, "sample horizon bus"], Float[np.ndarray, "sample horizon bus"]]:
    """Net injection of every bus: devices at their present buses, less the loads [MW, Mvar]."""
    shape = (*done.p_mw.shape[:2], plant.n_bus)
    steps = shape[1]
    p, q = (np.broadcast_to(-one[:steps], shape).copy() for one in (forecast.load_p_mw, forecast.load_q_mvar))
    sample, step, port = np.nonzero(done.bus >= 0)
    where = sample, step, done.bus[sample, step, port]
    with np.errstate(invalid="ignore"):  # what is not finite has no flow
        np.add.at(p, where, done.p_mw[sample, step, port])
        np.add.at(q, where, done.q_mvar[sample, step, port])
    return p, q
