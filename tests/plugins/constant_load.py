"""A kind of device as a user would write it: a load with a profile, up to a rating, that nobody sets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator

from gridferry.controllers.devices import (
    Act,
    BusName,
    Column,
    Device,
    DeviceConfig,
    Injection,
    Limits,
    NonNegative,
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


class ConstantLoadConfig(DeviceConfig):
    """Loads that draw a profile, at most their rating."""

    network: str
    bus: BusName
    drawn_mw: Profile
    """what it would draw [MW]"""
    rating_mw: Positive
    """the most it draws [MW]"""
    power_factor: Annotated[float, Field(gt=0, le=1)] = 1.0
    """of what it draws, inductive"""
    tariff: NonNegative = 0.0
    """paid for every MWh it draws [currency/MWh]"""

    @model_validator(mode="after")
    def _affordable(self) -> ConstantLoadConfig:
        if self.tariff > 1e6:
            raise ValueError("the tariff is given in currency/MWh; nobody pays a million")
        return self


@dataclass(frozen=True)
class ConstantLoad(Device[Stateless]):
    """A load with a profile."""

    table: ClassVar[str] = "constant_loads"
    port_kind: ClassVar[str] = "constant_load"
    Config: ClassVar[type[ConstantLoadConfig]] = ConstantLoadConfig
    series: ClassVar[Mapping[str, Series]] = {
        "drawn_mw": Series(
            default=0.0,
            meaning="power drawn [MW]",
            limits=Limits(lowest=0.0, highest=50.0),
            forecast="uncertain",
            error="works",
        )
    }
    columns: ClassVar[Mapping[str, Column]] = {"cut_mw": Column(unit="MW", meaning="what is beyond its rating")}
    costs: ClassVar[Mapping[str, str]] = {"tariff": "what it pays"}

    name: str
    bus: int
    rating_mw: float
    q_per_p: float
    tariff: float

    @classmethod
    def build(cls, config: ConstantLoadConfig, site: Site) -> Self:
        """Build one from its entry in the config."""
        if config.rating_mw > 100:
            site.fault("rating_mw", "no distribution feeder carries that; give the rating in MW")
        q_per_p = (1 / config.power_factor**2 - 1) ** 0.5
        return cls(config.name, site.bus(config.network, config.bus), config.rating_mw, q_per_p, config.tariff)

    @cached_property
    def ports(self) -> tuple[Port, ...]:
        """One, at its bus."""
        s_max = self.rating_mw * (1 + self.q_per_p**2) ** 0.5
        return (
            Port(
                name=self.name,
                buses=(self.bus,),
                p_min_mw=-self.rating_mw,
                p_max_mw=0.0,
                s_max_mva=s_max,
                act=Act.FOLLOWS,
            ),
        )

    def initial_state(self, now: Now) -> Stateless:
        """It has none."""
        return Stateless()

    def step(self, state: Stateless, request: Request, now: Now) -> tuple[Stateless, Outcome]:
        """Draw the profile, up to the rating."""
        wanted = now.series.get("drawn_mw", 0.0)
        drawn = min(wanted, self.rating_mw)
        return state, Outcome(
            (Injection(self.bus, -drawn, -drawn * self.q_per_p),),
            source_mwh=-now.step_h * drawn,
            money={"tariff": -self.tariff * now.step_h * drawn},
            row={"cut_mw": wanted - drawn},
        )
