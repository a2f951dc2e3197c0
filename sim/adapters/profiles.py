"""mosaik simulator of the realised conditions: load, generation, prices, traffic and outages.

``Demand-<k>`` gives the lists ``P_load[MW]``, ``Q_load[MVar]``, ``P_gen[MW]`` over the buses of network k, and
``P_own[MW]``: what of ``P_gen[MW]`` is the network's own, and no device's. ``Market-0`` gives the prices, ``Roads-0``
the list ``congestion`` of all roads, ``DeviceSeries-0`` the ``series`` of all devices, by device and key.
"""

from __future__ import annotations

from typing import Any

import mosaik_api_v3
import numpy as np

from gridferry.sim.adapters.case_params import case_of_params
from gridferry.sim.case.case import Case

META: dict[str, Any] = {
    "api_version": "3.0",
    "type": "time-based",
    "models": {
        "Demand": {"public": True, "params": [], "attrs": ["P_load[MW]", "Q_load[MVar]", "P_gen[MW]", "P_own[MW]"]},
        "Market": {"public": True, "params": [], "attrs": ["buy_price", "sell_price"]},
        "Roads": {"public": True, "params": [], "attrs": ["congestion"]},
        "DeviceSeries": {"public": True, "params": [], "attrs": ["series"]},
    },
}


class ProfileSimulator(mosaik_api_v3.Simulator):
    """Simulator that gives the realised conditions of a case."""

    def __init__(self) -> None:
        super().__init__(META)
        self._case: Case
        self._first_step = 0
        self._step = 0

    def init(self, sid: str, time_resolution: float = 1.0, **params: Any) -> Any:
        """Take the case, and the step of the case at time 0 (``first_step``)."""
        self._case = case_of_params(params)
        self._first_step = int(params.get("first_step", 0))
        plant, conditions = self._case.plant, self._case.conditions
        # what customers draw and what the network's own sources give are shown apart, not as their difference
        own = np.concatenate([feeder.p_gen_mw for feeder in plant.feeders])
        self._own = own
        self._load = conditions.load_p_mw + own
        self._generation = np.tile(own, (conditions.steps, 1))
        for one in plant.profiled:
            self._generation[:, one.bus] += conditions.series[one.device.key][one.key]
        return self.meta

    def create(self, num: int, model: str, **params: Any) -> list[Any]:
        """Create one ``Demand`` per network, one ``Market``, one ``Roads``, one ``DeviceSeries``."""
        expected = len(self._case.plant.feeders) if model == "Demand" else 1
        if num != expected:
            raise ValueError(f"create {expected} {model}, not {num}")
        return [{"eid": f"{model}-{k}", "type": model, "rel": []} for k in range(num)]

    def step(self, time: int, inputs: dict[str, Any], max_advance: int) -> int:
        """Go to the step at ``time``."""
        step_s = self._case.plant.step_s
        self._step = self._first_step + time // step_s
        return time + step_s

    def get_data(self, outputs: dict[str, list[str]]) -> dict[str, Any]:
        """Return the conditions of the step."""
        return {eid: {attr: self._value(eid, attr) for attr in attrs} for eid, attrs in outputs.items()}

    def _value(self, eid: str, attr: str) -> Any:
        conditions, step = self._case.conditions, self._step
        if attr == "congestion":
            return conditions.congestion[step].tolist()
        if attr == "series":
            return {
                device: {key: float(values[step]) for key, values in series.items()}
                for device, series in conditions.series.items()
            }
        if attr in ("buy_price", "sell_price"):
            return float(getattr(conditions, attr)[step])
        buses = self._case.plant.bus_slices[int(eid.rpartition("-")[2])]
        if attr == "P_own[MW]":
            return self._own[buses].tolist()
        table = {
            "P_load[MW]": self._load,
            "Q_load[MVar]": conditions.load_q_mvar,
            "P_gen[MW]": self._generation,
        }[attr]
        return table[step, buses].tolist()
