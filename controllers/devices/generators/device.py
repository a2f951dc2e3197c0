"""A generator with a profile: it injects its output, whatever is requested."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from gridferry.controllers.devices.device import NOTHING, Device
from gridferry.controllers.devices.generators.config import GeneratorConfig
from gridferry.controllers.devices.ports import Act, Port, Series
from gridferry.controllers.devices.site import Site
from gridferry.controllers.devices.steps import Injection, Now, Outcome, Outcomes, Request, Requests, Stateless


@dataclass(frozen=True)
class Generator(Device[Stateless]):
    """Generator with a profile (PV, wind, other); ``feed_in_tariff`` is paid for its production [currency/MWh]."""

    table: ClassVar[str] = "generators"
    port_kind: ClassVar[str] = "generator"
    Config: ClassVar[type[GeneratorConfig]] = GeneratorConfig
    series: ClassVar[Mapping[str, Series]] = {
        "p_mw": Series(default=0.0, meaning="output [MW]", port=0, forecast="uncertain", error="generation")
    }
    costs: ClassVar[Mapping[str, str]] = {"feed_in": "feed-in tariff of what it produces"}

    name: str
    kind: str
    network: int
    bus: int
    feed_in_tariff: float

    @classmethod
    def build(cls, config: GeneratorConfig, site: Site) -> Generator:
        """Build a generator from its entry of ``[[generators]]``."""
        network, bus = site.network(config.network), site.bus(config.network, config.bus)
        return cls(config.name, config.kind, network, bus, config.feed_in_tariff)

    @cached_property
    def ports(self) -> tuple[Port, ...]:
        """The port at its bus; its rating is not known."""
        return (
            Port(
                name=self.name,
                buses=(self.bus,),
                p_min_mw=0.0,
                p_max_mw=math.inf,
                s_max_mva=math.inf,
                act=Act.FOLLOWS,
            ),
        )

    @property
    def error_group(self) -> str:
        """Its source of energy: sun, wind or another."""
        return self.kind

    def initial_state(self, now: Now) -> Stateless:
        """A generator has no state."""
        return Stateless()

    def step(self, state: Stateless, request: Request, now: Now) -> tuple[Stateless, Outcome]:
        """Inject the output of the step."""
        p_mw = now.series.get("p_mw", 0.0)
        produced = now.step_h * p_mw
        return state, Outcome(
            (Injection(self.bus, p_mw),), source_mwh=produced, money={"feed_in": self.feed_in_tariff * produced}
        )

    def simulate_many(
        self, state: Stateless, requests: Requests, nows: Sequence[Now], series: Mapping[str, np.ndarray] = NOTHING
    ) -> Outcomes:
        """Inject the output in many samples at once."""
        shape = requests.p_mw.shape
        output = np.array([now.series.get("p_mw", 0.0) for now in nows])
        p_mw = np.array(np.broadcast_to(series.get("p_mw", output), shape[:2]), dtype=np.float64)
        return Outcomes(
            bus=np.full(shape, self.bus),
            p_mw=p_mw[:, :, None],
            q_mvar=np.zeros(shape),
            stored_mwh=np.zeros(shape[:2]),
            money={"feed_in": self.feed_in_tariff * (nows[0].step_h * p_mw)},
        )
