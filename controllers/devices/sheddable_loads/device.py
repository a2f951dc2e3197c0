"""A load of which a share can be shed: one port follows the demand, another gives back what is shed of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from gridferry.controllers.devices.clips import NEGLIGIBLE_MW, Clip
from gridferry.controllers.devices.demand import DEMAND, demand_port, relief_port
from gridferry.controllers.devices.device import NOTHING, Device
from gridferry.controllers.devices.ports import Column, Port, Series
from gridferry.controllers.devices.sheddable_loads.config import SheddableLoadConfig
from gridferry.controllers.devices.site import Site
from gridferry.controllers.devices.steps import Injection, Now, Outcome, Outcomes, Request, Requests, Stateless


@dataclass(frozen=True)
class SheddableLoad(Device[Stateless]):
    """A load that can be shed."""

    table: ClassVar[str] = "sheddable_loads"
    block: ClassVar[str] = "gridferry.controllers.devices.sheddable_loads.block:sheddable_load_block"
    port_kind: ClassVar[str] = "sheddable_load"
    Config: ClassVar[type[SheddableLoadConfig]] = SheddableLoadConfig
    example: ClassVar[Mapping[str, Any]] = {
        "p_mw": 0.5,
        "cos_phi": 0.9,
        "share": 0.4,
        "value_of_lost_load_per_mwh": 90.0,
    }
    series: ClassVar[Mapping[str, Series]] = DEMAND
    columns: ClassVar[Mapping[str, Column]] = {
        "demand_mwh": Column(unit="MWh", meaning="demand", total="sum"),
        "shed_mwh": Column(unit="MWh", meaning="of that, shed", total="sum"),
    }
    costs: ClassVar[Mapping[str, str]] = {"lost_load": "value of what is shed, by its priority"}

    name: str
    bus: int
    config: SheddableLoadConfig

    @classmethod
    def build(cls, config: SheddableLoadConfig, site: Site) -> SheddableLoad:
        """Build a load from its entry of ``[[sheddable_loads]]``."""
        return cls(config.name, site.bus(config.network, config.bus), config)

    @cached_property
    def ports(self) -> tuple[Port, ...]:
        """The demand, and what is shed of it."""
        return (
            demand_port(self.name, self.bus, self.config),
            relief_port(self.name, self.bus, self.config, p_min_mw=0.0),
        )

    @property
    def error_group(self) -> str:
        """It errs with the loads of its network."""
        return "load"

    @property
    def cost_per_mwh(self) -> float:
        """Cost of what is shed [currency/MWh]."""
        return self.config.priority * self.config.value_of_lost_load_per_mwh

    def initial_state(self, now: Now) -> Stateless:
        """A load has no state."""
        return Stateless()

    def step(self, state: Stateless, request: Request, now: Now) -> tuple[Stateless, Outcome]:
        """Shed as requested, up to the share of the demand."""
        demand, requested, q_per_p = now.series.get("p_mw", 0.0), request.p_mw[1], self.config.q_per_p
        shed = float(self._shed(demand, requested))
        clips = (Clip.RATING,) if abs(shed - requested) > NEGLIGIBLE_MW else ()
        ports = (
            Injection(self.bus, -demand, -q_per_p * demand),
            Injection(self.bus, shed, q_per_p * shed, now.step_h * abs(requested - shed), clips=clips),
        )
        return state, Outcome(
            ports,
            source_mwh=-now.step_h * (demand - shed),
            money={"lost_load": self.cost_per_mwh * now.step_h * shed},
            row={"demand_mwh": now.step_h * demand, "shed_mwh": now.step_h * shed},
        )

    def simulate_many(
        self, state: Stateless, requests: Requests, nows: Sequence[Now], series: Mapping[str, np.ndarray] = NOTHING
    ) -> Outcomes:
        """Shed in many schedules at once."""
        shape, step_h, q_per_p = requests.p_mw.shape, nows[0].step_h, self.config.q_per_p
        known = np.array([now.series.get("p_mw", 0.0) for now in nows])
        demand = np.broadcast_to(series.get("p_mw", known), shape[:2])
        shed = self._shed(demand, requests.p_mw[:, :, 1])
        p_mw = np.stack([-demand, shed], axis=-1)
        money = {"lost_load": self.cost_per_mwh * step_h * shed}
        return Outcomes(np.full(shape, self.bus), p_mw, q_per_p * p_mw, np.zeros(shape[:2]), money)

    def _shed(self, demand: Any, requested: Any) -> Any:
        """What is shed of a request, of numbers or arrays [MW]."""
        return np.minimum(np.maximum(requested, 0.0), self.config.share * demand)
