"""mosaik simulator of the devices.

``Devices-0`` has these children, numbered in the order of the plant:

* ``Port-<i>`` takes the setpoints of a port and gives its injection,
* ``Position-<i>`` takes where a device is to stand and gives where it stands or is on the way to,
* ``Device-<i>`` gives the energy it stores,
* ``Bus-<i>`` gives what all devices inject at a bus: what moves is fed in where it is,
* ``Feed-<k>`` gives the same as lists over the buses of network k, and as ``Q_of_V`` what follows the voltage there.

A port without a setpoint rests. ``Devices-0`` itself takes the list ``congestion`` of all roads, and the ``series`` of
devices, by device and key; defaults hold for what is not connected or not in it. It gives the state of all devices and
what each did in the step.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from gridferry.controllers.contract import Plant
from gridferry.controllers.devices import NOWHERE, Outcome, states_of_json, states_to_json, step_all
from gridferry.controllers.devices.device import NOTHING
from gridferry.controllers.plans.first_step import nows_of_step, requests_of_row
from gridferry.controllers.settings import no_such_key
from gridferry.sim.adapters.grid import DROOPS, droops_to_json
from gridferry.sim.adapters.inputs import reals, refused
from gridferry.sim.adapters.serve import serve_case
from gridferry.sim.adapters.simulator import CaseSimulator, Models

_POWER = ["P[MW]", "Q[MVar]"]


def initial_state(plant: Plant, series: Mapping[str, Mapping[str, float]] = NOTHING) -> dict[str, dict[str, Any]]:
    """Return the state of all devices at the start of a run, as JSON-able values.

    Parameters
    ----------
    series : what surrounds each device in the first step, by `Device.key` and key; defaults hold for what is missing
    """
    nows = nows_of_step(plant, 0, [series.get(device.key, NOTHING) for device in plant.devices])
    states = [device.initial_state(now) for device, now in zip(plant.devices, nows, strict=True)]
    return states_to_json(plant.devices, states)


class DeviceSimulator(CaseSimulator):
    """Simulator that moves all devices by one step."""

    models: ClassVar[Models] = {"Devices": ["congestion", "congestion_ahead", "series", "state", "outcomes"]}
    parts: ClassVar[Models] = {
        "Port": ["P_set[MW]", "Q_set[MVar]", *_POWER],
        "Position": ["position_set", "position"],
        "Device": ["E[MWh]"],
        "Bus": _POWER,
        "Feed": [*_POWER, DROOPS],
    }
    _plant: Plant
    _states: list[Any]
    _outcomes: list[Outcome]
    _stored_change_mwh: list[float]
    _p_bus: np.ndarray
    _q_bus: np.ndarray

    def _begin(self, params: Mapping[str, Any]) -> None:
        """Take the ``state`` that the devices start in."""
        self._plant = self._case.plant
        self._states = states_of_json(self._plant.devices, params.get("state") or initial_state(self._plant))

    def _names_of_parts(self) -> Mapping[str, Sequence[str]]:
        plant = self._plant
        return {
            "Port": [port.name for port in plant.ports],
            "Position": [one.name for one in plant.positions],
            "Device": [device.name for device in plant.devices],
            "Bus": [name for feeder in plant.feeders for name in feeder.bus_names],
            "Feed": [feeder.name for feeder in plant.feeders],
        }

    def _simulate(self) -> None:
        plant, inputs = self._plant, self._inputs
        ports = list(enumerate(plant.ports))
        requests = requests_of_row(
            plant,
            self._states,
            [inputs.total(f"Port-{i}", "P_set[MW]", port.rest_mw) for i, port in ports],
            [inputs.total(f"Port-{i}", "Q_set[MVar]") for i, _ in ports],
            [self._position(i) for i in range(len(plant.positions))],
        )
        series: Mapping[str, Mapping[str, float]] = NOTHING
        if inputs.sources("Devices-0", "series"):
            expected = "numbers by the key of the device and of the series"
            series = inputs.read("Devices-0", "series", expected, self._series)
        nows = nows_of_step(plant, self._step, [series.get(device.key, NOTHING) for device in plant.devices])
        n_road = 0 if plant.roads is None else len(plant.roads.road_names)
        congestion = inputs.total_of_lists("Devices-0", "congestion", n_road, "road")
        roads: dict[str, list[float]] = {}
        if inputs.sources("Devices-0", "congestion"):
            roads = {"congestion": congestion.tolist(), "step": [float(self._step)]}
        if inputs.sources("Devices-0", "congestion_ahead"):
            expected = f"finite numbers, {n_road} for each coming step"
            roads["congestion_ahead"] = inputs.read(
                "Devices-0", "congestion_ahead", expected, lambda given: _ahead(given, n_road, expected)
            )
        done = step_all(plant.devices, plant.couplings, self._states, requests, nows, roads)
        self._stored_change_mwh = [
            device.stored_mwh(after) - device.stored_mwh(before)
            for device, before, (after, _) in zip(plant.devices, self._states, done, strict=True)
        ]
        self._states = [state for state, _ in done]
        self._outcomes = [outcome for _, outcome in done]
        self._p_bus, self._q_bus = np.zeros(plant.n_bus), np.zeros(plant.n_bus)
        for outcome in self._outcomes:
            for port in outcome.ports:
                if port.bus >= 0:
                    self._p_bus[port.bus] += port.p_mw
                    self._q_bus[port.bus] += port.q_mvar

    def _value(self, model: str, number: int, attr: str) -> Any:
        """Powers, states and outcomes of the step."""
        plant = self._plant
        if attr == DROOPS:
            ports = [port for outcome in self._outcomes for port in outcome.ports]
            p_mw = np.array([[ports[number].p_mw for number in plant.droop_ports]])
            return droops_to_json(plant.droops(number, p_mw)[1])
        if attr == "state":
            return states_to_json(plant.devices, self._states)
        if attr == "outcomes":
            return self._rows()
        if model == "Port":
            port = [port for outcome in self._outcomes for port in outcome.ports][number]
            return port.p_mw if attr == "P[MW]" else port.q_mvar
        if model == "Position":
            at = [device.at(state) for device, state in zip(plant.devices, self._states, strict=True)]
            return [one for of_device in at for one in of_device][number]
        if model == "Device":
            return plant.devices[number].stored_mwh(self._states[number])
        table = self._p_bus if attr == "P[MW]" else self._q_bus
        return float(table[number]) if model == "Bus" else table[plant.bus_slices[number]].tolist()

    def _rows(self) -> list[dict[str, Any]]:
        """Outcomes of all devices for the recorder."""
        return [
            {
                "ports": [
                    {
                        "connected": port.bus != NOWHERE,
                        "p_mw": port.p_mw,
                        "q_mvar": port.q_mvar,
                        "loss_mwh": port.loss_mwh,
                        "shortfall_mwh": port.shortfall_mwh,
                        "clipped": ",".join(port.clips),
                    }
                    for port in outcome.ports
                ],
                "source_mwh": outcome.source_mwh,
                "stored_change_mwh": change,
                "position": list(device.at(state)),
                "money": dict(outcome.money),
                "row": dict(outcome.row),
            }
            for device, state, outcome, change in zip(
                self._plant.devices, self._states, self._outcomes, self._stored_change_mwh, strict=True
            )
        ]

    def _series(self, given: Mapping[str, Mapping[str, float]]) -> Mapping[str, Mapping[str, float]]:
        """Check series; raises `ValueError` for unknown devices and keys, and for values that are outside limits."""
        known = {device.key: device.series for device in self._plant.devices}
        wrong: list[str] = []
        for device, values in given.items():
            for key, value in values.items():
                listed = known.get(device, {})
                series = listed.get(key)
                if series is None:
                    wrong.append(f"{device}.{key}: {no_such_key(key, listed, 'series')}")
                elif not isinstance(value, (int, float)) or not math.isfinite(value):
                    wrong.append(f"{device}.{key} = {value!r} is no number")
                elif not series.limits.holds(value):
                    wrong.append(f"{device}.{key} = {value:g} is {series.limits.outside}")
        if wrong:
            raise refused("Devices-0", "series", "; ".join(wrong))
        return given

    def _position(self, index: int) -> int | None:
        """Return the requested position; ``None``, or a number below 0, stands for none."""
        eid, attr, labels = f"Position-{index}", "position_set", self._plant.positions[index].labels
        given = [one for one in self._inputs.sources(eid, attr).values() if one is not None]
        read = [reals(one) for one in given]
        known = [one for one in read if one is not None and one.ndim == 0 and np.isfinite(one)]
        numbers = [int(one) for one in known if one == np.round(one)]
        wanted = {one for one in numbers if one >= 0}
        if len(numbers) < len(given) or len(wanted) > 1 or max(wanted, default=0) >= len(labels):
            ways = f"one whole number from 0 to {len(labels) - 1}: {', '.join(labels)}; or None for as it is"
            raise refused(eid, attr, f"given is {', '.join(map(repr, given))}; expected {ways}")
        return next(iter(wanted), None)


def _ahead(given: Sequence[float], n_road: int, expected: str) -> list[float]:
    """Check the congestion of coming steps."""
    numbers = reals(given)
    if numbers is None or numbers.ndim != 1 or not np.isfinite(numbers).all() or numbers.size % max(n_road, 1):
        raise refused("Devices-0", "congestion_ahead", f"expected {expected}")
    return list(numbers.tolist())


if __name__ == "__main__":
    serve_case(DeviceSimulator, "device simulator")
