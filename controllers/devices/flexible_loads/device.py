"""A load that can be shifted within a day: one port follows the demand, another gives back what is not drawn of it.

What is raised is stored, so to speak, and what is lowered is taken from that, or owed; what is owed at the end of a day
should be nothing, as plans see to it. A setpoint is limited by the window, by the powers that the load may draw, and by
the energy that may be lowered and raised in a day.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from gridferry.controllers.devices.clips import NEGLIGIBLE_MW, Clip
from gridferry.controllers.devices.config_parts import hours
from gridferry.controllers.devices.demand import DEMAND, demand_port, relief_port
from gridferry.controllers.devices.device import NOTHING, Device
from gridferry.controllers.devices.flexible_loads.config import FlexibleLoadConfig
from gridferry.controllers.devices.ports import Column, Port, Series
from gridferry.controllers.devices.site import Site
from gridferry.controllers.devices.steps import Injection, Now, Outcome, Outcomes, Request, Requests
from gridferry.controllers.devices.stores.many import days_of, with_rest_alone

_ROUNDING_H = 1e-9


@dataclass(frozen=True, slots=True)
class FlexibleLoadState:
    """A flexible load at the start of a step.

    Attributes
    ----------
    energy_mwh : energy drawn in advance; negative what is owed, as it was lowered and not yet raised [MWh]
    lowered_mwh, raised_mwh : since local midnight [MWh]
    """

    energy_mwh: float = 0.0
    lowered_mwh: float = 0.0
    raised_mwh: float = 0.0


@dataclass(frozen=True)
class FlexibleLoad(Device[FlexibleLoadState]):
    """A load that can be shifted within a day."""

    table: ClassVar[str] = "flexible_loads"
    block: ClassVar[str] = "gridferry.controllers.devices.flexible_loads.block:flexible_load_block"
    port_kind: ClassVar[str] = "flexible_load"
    Config: ClassVar[type[FlexibleLoadConfig]] = FlexibleLoadConfig
    State: ClassVar[type[FlexibleLoadState]] = FlexibleLoadState
    stores: ClassVar[bool] = True
    example: ClassVar[Mapping[str, Any]] = {
        "p_mw": 0.5,
        "cos_phi": 0.9,
        "shiftable_mwh_per_day": 0.3,
        "p_min_mw": 0.1,
        "p_max_mw": 0.8,
    }
    series: ClassVar[Mapping[str, Series]] = DEMAND
    columns: ClassVar[Mapping[str, Column]] = {
        "demand_mwh": Column(unit="MWh", meaning="demand", total="sum"),
        "lowered_mwh": Column(unit="MWh", meaning="by which the demand was lowered", total="sum"),
        "raised_mwh": Column(unit="MWh", meaning="by which the demand was raised", total="sum"),
        "energy_mwh": Column(
            unit="MWh", meaning="drawn in advance at the end of the step; negative: owed", total="last"
        ),
    }

    name: str
    bus: int
    config: FlexibleLoadConfig

    @classmethod
    def build(cls, config: FlexibleLoadConfig, site: Site) -> FlexibleLoad:
        """Build a load from its entry of ``[[flexible_loads]]``."""
        return cls(config.name, site.bus(config.network, config.bus), config)

    @cached_property
    def ports(self) -> tuple[Port, ...]:
        """The demand, and what is not drawn of it; negative where more is drawn."""
        return (
            demand_port(self.name, self.bus, self.config),
            relief_port(self.name, self.bus, self.config, p_min_mw=-math.inf),
        )

    @property
    def error_group(self) -> str:
        """It errs with the loads of its network."""
        return "load"

    def room_mw(self, demand_mw: Any, clock_h: Any, step_h: float) -> tuple[Any, Any]:
        """Powers by which a demand can be lowered and raised in a step, of numbers or arrays [MW].

        Parameters
        ----------
        clock_h : local time at its start [h]
        """
        config, inside = self.config, 1.0
        if config.window is not None:
            begin, end = (hours(one) for one in config.window)
            length = (end - begin) % 24.0 or 24.0
            inside = ((clock_h - begin + _ROUNDING_H) % 24.0 + step_h <= length + 2 * _ROUNDING_H) * 1.0
        lower = inside * np.maximum(demand_mw - config.p_min_mw, 0.0)
        return lower, inside * np.maximum(config.p_max_mw - demand_mw, 0.0)

    @property
    def balanced_mwh(self) -> float:
        """What it stores is to be nothing at the end of a day; this much of it owed counts as 1 [MWh]."""
        return self.config.shiftable_mwh_per_day

    def stored_mwh(self, state: FlexibleLoadState) -> float:
        """Energy drawn in advance [MWh]."""
        return state.energy_mwh

    def initial_state(self, now: Now) -> FlexibleLoadState:
        """Nothing owed."""
        return FlexibleLoadState()

    def step(self, state: FlexibleLoadState, request: Request, now: Now) -> tuple[FlexibleLoadState, Outcome]:
        """Shift as requested, within all limits."""
        demand, requested, step_h = now.series.get("p_mw", 0.0), request.p_mw[1], now.step_h
        lower, raise_ = (float(one) for one in self.room_mw(demand, now.clock_h, step_h))
        within = min(max(requested, -raise_), lower)
        most = self.config.shiftable_mwh_per_day
        left = max(most - (state.lowered_mwh if within > 0 else state.raised_mwh), 0.0) / step_h
        shifted = min(max(within, -left), left)
        clips = [Clip.RATING if lower + raise_ > 0 else Clip.WINDOW] if abs(within - requested) > NEGLIGIBLE_MW else []
        clips += [Clip.DAILY_ENERGY] if abs(shifted - within) > NEGLIGIBLE_MW else []
        q_per_p, lowered, raised = self.config.q_per_p, step_h * max(shifted, 0.0), step_h * max(-shifted, 0.0)
        ports = (
            Injection(self.bus, -demand, -q_per_p * demand),
            Injection(self.bus, shifted, q_per_p * shifted, step_h * abs(requested - shifted), clips=tuple(clips)),
        )
        energy = state.energy_mwh - lowered + raised
        row = {"demand_mwh": step_h * demand, "lowered_mwh": lowered, "raised_mwh": raised, "energy_mwh": energy}
        outcome = Outcome(ports, source_mwh=-step_h * demand, row=row)
        if now.ends_day:
            return FlexibleLoadState(energy), outcome
        return FlexibleLoadState(energy, state.lowered_mwh + lowered, state.raised_mwh + raised), outcome

    def simulate_many(
        self,
        state: FlexibleLoadState,
        requests: Requests,
        nows: Sequence[Now],
        series: Mapping[str, np.ndarray] = NOTHING,
    ) -> Outcomes:
        """Shift in many schedules at once."""
        shape, step_h, q_per_p = requests.p_mw.shape, nows[0].step_h, self.config.q_per_p
        known = np.array([now.series.get("p_mw", 0.0) for now in nows])
        demand = np.broadcast_to(series.get("p_mw", known), shape[:2])
        lower, raise_ = self.room_mw(demand, np.array([now.clock_h for now in nows]), step_h)
        shifted = requests.p_mw[:, :, 1]
        within = (shifted <= lower) & (shifted >= -raise_)
        for day in days_of(nows):
            for sign, before in ((1.0, state.lowered_mwh), (-1.0, state.raised_mwh)):
                moved = np.cumsum(step_h * np.maximum(sign * shifted[:, day], 0.0), axis=1)
                already = before if day.start == 0 else 0.0
                within[:, day] &= already + moved <= self.config.shiftable_mwh_per_day
        p_mw = np.stack([-demand, shifted], axis=-1)
        stored = state.energy_mwh - np.cumsum(step_h * shifted, axis=1)
        outcomes = Outcomes(np.full(shape, self.bus), p_mw, q_per_p * p_mw, stored)
        return with_rest_alone(self, within.all(axis=1), (state, requests, nows, series), outcomes)
