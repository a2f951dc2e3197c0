"""Evaluation of one schedule under many samples of loads and of devices' series."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from gridferry.controllers.contract import Forecast, Observation, Plan, Plant
from gridferry.controllers.devices import NOWHERE, Coupling, Device, Now, Request, Requests, step_all
from gridferry.controllers.devices.device import reached
from gridferry.controllers.plans.first_step import requests_of_row, surroundings
from gridferry.controllers.schedule.ac_evaluation import Evaluation
from gridferry.controllers.schedule.ac_flow import ac_flow
from gridferry.controllers.schedule.settlement import Demand, settle
from gridferry.controllers.uncertainty.error_map import ErrorMap
from gridferry.networks.droop import Solver

Samples = Mapping[str, Float[np.ndarray, "sample horizon"]]
"""Values of series of a device, by key."""


class SampledEvaluation:
    """Evaluator of a plan under samples; devices without sampled series are simulated once.

    Parameters
    ----------
    plan : of which as much is evaluated as the forecast looks ahead
    observation, forecast : what the devices start from, and what surrounds those that no sample tells of
    sampled : devices that samples tell of, by `Device.key`; what couplings say to them is that of the forecast
    solvers : AC of each network, see `gridferry.controllers.schedule.ac_flow.ac_flow`
    """

    def __init__(
        self,
        plant: Plant,
        plan: Plan,
        observation: Observation,
        forecast: Forecast,
        sampled: Sequence[str],
        solvers: Sequence[Solver] | None = None,
    ):
        self._plant, self._forecast, self._solvers = plant, forecast, solvers
        self._own = [i for i, device in enumerate(plant.devices) if device.key in set(sampled)]
        shape = min(plan.steps, forecast.steps), plant.n_bus
        self._p_mw, self._q_mvar = np.zeros(shape), np.zeros(shape)
        self._p_port = np.zeros((shape[0], plant.n_port))
        self._costs: dict[str, np.ndarray] = {}
        self._energy_mwh = np.zeros((shape[0] + 1, len(plant.stores)))
        self._reached = np.full((shape[0], len(plant.positions)), -1)
        self._requested: list[list[tuple[Request, Now]]] = []
        self._start = observation.states
        self._demand = Demand(observation.step, plant.peak_import_mw(observation.peak_import_mw))
        self._step(plan, observation.step)

    @property
    def steps(self) -> int:
        """Steps of the horizon."""
        return len(self._p_mw)

    @property
    def injected_mw(self) -> Float[np.ndarray, " horizon"]:
        """Injections of the devices without sampled series [MW]."""
        injected: Float[np.ndarray, " horizon"] = self._p_mw.sum(axis=1)
        return injected

    def evaluate(
        self,
        load_p_mw: Float[np.ndarray, "sample horizon bus"],
        load_q_mvar: Float[np.ndarray, "sample horizon bus"],
        series: Mapping[str, Samples],
    ) -> Evaluation:
        """Evaluate samples of the loads, and of series of the sampled devices by `Device.key`."""
        samples = len(load_p_mw)
        p, q = self._p_mw - load_p_mw, self._q_mvar - load_q_mvar
        costs = {name: np.repeat(term[None], samples, axis=0) for name, term in self._costs.items()}
        energy = np.repeat(self._energy_mwh[None], samples, axis=0)
        p_port = np.repeat(self._p_port[None], samples, axis=0)
        for number in self._own:
            device = self._plant.devices[number]
            requests, nows = zip(*(requested[self._own.index(number)] for requested in self._requested), strict=True)
            own = {key: values[:, : self.steps] for key, values in series[device.key].items()}
            done = device.simulate_many(self._start[number], _repeated(requests, samples), nows, own)
            p_port[:, :, self._plant.port_columns[number]] = done.p_mw
            _inject(p, done.bus, done.p_mw)
            _inject(q, done.bus, done.q_mvar)
            for name, money in done.money.items():
                costs.setdefault(name, np.zeros((samples, self.steps)))
                costs[name] += money
            if device.stores:
                energy[:, 1:, self._store(number)] = done.stored_mwh
        flow = ac_flow(self._plant, p, q, p_port[:, :, list(self._plant.droop_ports)], self._solvers)
        settled = settle(self._plant, flow.import_mw, self._forecast.buy_price[: self.steps], costs, self._demand)
        at = np.repeat(self._reached[None], samples, axis=0)
        return Evaluation(flow=flow, costs=settled, energy_mwh=energy, reached=at)

    def under(self, errors: ErrorMap, drawn: Float[np.ndarray, "sample horizon source"]) -> Evaluation:
        """Evaluate samples of the sources of forecast errors; devices whose ports err are the sampled ones."""
        load, output = 1.0 + drawn @ errors.load.T, 1.0 + drawn @ errors.generation.T
        series: dict[str, dict[str, np.ndarray]] = {}
        for column, one in enumerate(errors.ports):
            expected = self._forecast.of(one.device)[one.key]
            series.setdefault(one.device.key, {})[one.key] = expected * output[:, :, column]
        return self.evaluate(self._forecast.load_p_mw * load, self._forecast.load_q_mvar * load, series)

    def _step(self, plan: Plan, first: int) -> None:
        """Simulate the plan under the forecast, and collect the outcomes of devices without sampled series."""
        plant = self._plant
        states: Sequence[Any] = self._start
        last_seen = _LastSeen()
        surround = surroundings(plant, first, self._forecast, self.steps)
        self._note_energy(states, 0)
        for step in range(self.steps):
            p_mw, q_mvar, position = (one[step].tolist() for one in (plan.p_mw, plan.q_mvar, plan.position))
            requests = requests_of_row(plant, states, p_mw, q_mvar, position)
            nows, around = surround[step]
            done = step_all(plant.devices, (*plant.couplings, last_seen), states, requests, nows, around)
            self._requested.append([(requests[i], last_seen.nows[i]) for i in self._own])
            states = [state for state, _ in done]
            self._note_energy(states, step + 1)
            self._reached[step] = [
                at for device, state in zip(plant.devices, states, strict=True) for at in reached(device, state)
            ]
            for number, (_, outcome) in enumerate(done):
                if number in self._own:
                    continue
                self._p_port[step, plant.port_columns[number]] = [port.p_mw for port in outcome.ports]
                for port in outcome.ports:
                    if port.bus != NOWHERE:
                        self._p_mw[step, port.bus] += port.p_mw
                        self._q_mvar[step, port.bus] += port.q_mvar
                for name, money in outcome.money.items():
                    self._costs.setdefault(name, np.zeros(self.steps))[step] += money

    def _note_energy(self, states: Sequence[Any], step: int) -> None:
        devices: Sequence[Device[Any]] = self._plant.devices
        self._energy_mwh[step] = [
            device.stored_mwh(state) for device, state in zip(devices, states, strict=True) if device.stores
        ]

    def _store(self, number: int) -> int:
        """Index of a device on the axis of stores."""
        return sum(device.stores for device in self._plant.devices[:number])


class _LastSeen(Coupling):
    """Coupling that records the surroundings after all couplings before it."""

    nows: Sequence[Now] = ()

    def grant(
        self, devices: Sequence[Device[Any]], moved: Sequence[Any], requests: Sequence[Request], nows: Sequence[Now]
    ) -> Sequence[Now]:
        """Record the surroundings."""
        self.nows = nows
        return nows


def _repeated(requests: Sequence[Request], samples: int) -> Requests:
    """Return the same requests for all samples."""
    p_mw, q_mvar = (
        np.tile(np.array(one, dtype=np.float64), (samples, 1, 1))
        for one in ([request.p_mw for request in requests], [request.q_mvar for request in requests])
    )
    position = np.array([request.position for request in requests], dtype=np.int64)
    return Requests(p_mw, q_mvar, np.tile(position, (samples, 1, 1)))


def _inject(into: np.ndarray, bus: np.ndarray, power: np.ndarray) -> None:
    """Add powers ``(sample, horizon, port)`` to buses ``(sample, horizon, bus)``."""
    for port in range(bus.shape[2]):
        where = bus[:, :, port]
        if where.size and (where == where[0, 0]).all():
            if where[0, 0] != NOWHERE:
                into[:, :, where[0, 0]] += power[:, :, port]
        else:
            sample, step = np.nonzero(where != NOWHERE)
            into[sample, step, where[sample, step]] += power[sample, step, port]
