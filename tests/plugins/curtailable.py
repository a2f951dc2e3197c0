"""A kind of device as a user would write it: a generator that is sent a limit, as a grid operator sends it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Self

from gridferry.controllers.devices import (
    Act,
    BusName,
    Column,
    Device,
    DeviceConfig,
    Injection,
    Now,
    Outcome,
    Port,
    Positive,
    Profile,
    Request,
    Series,
    Site,
    Stateless,
)


class CurtailableConfig(DeviceConfig):
    """Generators that are sent a limit."""

    network: str
    bus: BusName
    rating_mw: Positive
    """most that it injects [MW]"""
    p_mw: Profile
    """what the sun gives [MW]"""


@dataclass(frozen=True)
class Curtailable(Device[Stateless]):
    """A generator that injects what the sun gives, and at most what is requested."""

    table: ClassVar[str] = "curtailables"
    port_kind: ClassVar[str] = "curtailable"
    Config: ClassVar[type[CurtailableConfig]] = CurtailableConfig
    series: ClassVar[Mapping[str, Series]] = {
        "p_mw": Series(default=0.0, meaning="output [MW]", port=0, forecast="uncertain", error="generation")
    }
    columns: ClassVar[Mapping[str, Column]] = {"curtailed_mw": Column(unit="MW", meaning="left unused")}

    name: str
    bus: int
    rating_mw: float

    @classmethod
    def build(cls, config: CurtailableConfig, site: Site) -> Self:
        """Build one from its entry in the config."""
        return cls(config.name, site.bus(config.network, config.bus), config.rating_mw)

    @cached_property
    def ports(self) -> tuple[Port, ...]:
        """One; doing nothing is to leave it uncurtailed."""
        rated = self.rating_mw
        return (
            Port(
                name=self.name,
                buses=(self.bus,),
                p_min_mw=0.0,
                p_max_mw=rated,
                s_max_mva=rated,
                act=Act.LIMIT,
                rest_mw=rated,
            ),
        )

    def initial_state(self, now: Now) -> Stateless:
        """It has none."""
        return Stateless()

    def step(self, state: Stateless, request: Request, now: Now) -> tuple[Stateless, Outcome]:
        """Inject the least of sun, limit and rating."""
        sun = min(max(now.series.get("p_mw", 0.0), 0.0), self.rating_mw)
        p_mw = min(sun, max(request.p_mw[0], 0.0))
        port = Injection(self.bus, p_mw)
        return state, Outcome((port,), source_mwh=now.step_h * p_mw, row={"curtailed_mw": sun - p_mw})
