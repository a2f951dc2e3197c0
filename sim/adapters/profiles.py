"""mosaik simulator of the realised conditions: load, generation, prices, traffic and outages.

``Demand-<k>`` gives the lists ``P_load[MW]``, ``Q_load[MVar]``, ``P_gen[MW]`` over the buses of network k, and
``P_own[MW]``: what of ``P_gen[MW]`` is the network's own, and no device's. ``Market-0`` gives the prices, ``Roads-0``
the list ``congestion`` of all roads and its rows in the coming steps that a trip may meet, ``congestion_ahead``,
``DeviceSeries-0`` the ``series`` of all devices, by device and key.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from gridferry.controllers.devices.couplings import congestion_around
from gridferry.sim.adapters.simulator import CaseSimulator, Models


class ProfileSimulator(CaseSimulator):
    """Simulator that gives the realised conditions of a case."""

    models: ClassVar[Models] = {
        "Demand": ["P_load[MW]", "Q_load[MVar]", "P_gen[MW]", "P_own[MW]"],
        "Market": ["buy_price", "sell_price"],
        "Roads": ["congestion", "congestion_ahead"],
        "DeviceSeries": ["series"],
    }

    def _begin(self, params: Mapping[str, Any]) -> None:
        plant, conditions = self._case.plant, self._case.conditions
        roads = plant.roads
        self._rows_met = 1 if roads is None else roads.rows_met(conditions.congestion, plant.step_s)
        # what customers draw and what the network's own sources give are shown apart, not as their difference
        own = np.zeros((conditions.steps, plant.n_bus)) if conditions.own_p_mw is None else conditions.own_p_mw
        self._load = conditions.load_p_mw + own
        self._own, self._generation = own, own.copy()
        for one in plant.profiled:
            self._generation[:, one.bus] += one.injected(conditions.series[one.device.key])

    def _number_of(self, model: str) -> int:
        return len(self._case.plant.feeders) if model == "Demand" else 1

    def _value(self, model: str, number: int, attr: str) -> Any:
        conditions, step = self._case.conditions, self._step
        if attr in ("congestion", "congestion_ahead"):
            return congestion_around(conditions.congestion[step : step + self._rows_met], step)[attr]
        if attr == "series":
            return conditions.series_at(step)
        if attr in ("buy_price", "sell_price"):
            return float(getattr(conditions, attr)[step])
        buses = self._case.plant.bus_slices[number]
        tables = {
            "P_load[MW]": self._load,
            "Q_load[MVar]": conditions.load_q_mvar,
            "P_gen[MW]": self._generation,
            "P_own[MW]": self._own,
        }
        return tables[attr][step, buses].tolist()
