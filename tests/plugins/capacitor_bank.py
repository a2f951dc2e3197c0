"""A kind of device as a user would write it: a capacitor bank that is switched in steps."""

from __future__ import annotations

import math
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
    NonNegative,
    Now,
    Outcome,
    Port,
    Position,
    Positive,
    Request,
    Site,
)


class BankConfig(DeviceConfig):
    """Capacitor banks that are switched in steps."""

    network: str
    bus: BusName
    capacitors: int
    """how many it has"""
    q_each_mvar: Positive
    """what each injects [Mvar]"""
    loss_each_mw: NonNegative = 0.0
    """what each loses [MW]"""
    cost_per_switching: NonNegative = 0.0
    """cost of every capacitor switched [currency]"""


@dataclass(frozen=True, slots=True)
class BankState:
    """How many capacitors are switched on."""

    on: int


@dataclass(frozen=True)
class CapacitorBank(Device[BankState]):
    """Equal capacitors at one bus; each loses the same, and every switching costs."""

    table: ClassVar[str] = "capacitor_banks"
    port_kind: ClassVar[str] = "capacitor_bank"
    Config: ClassVar[type[BankConfig]] = BankConfig
    State: ClassVar[type[BankState]] = BankState
    columns: ClassVar[Mapping[str, Column]] = {
        "switched": Column(unit="", meaning="capacitors switched in this step", of=int, total="sum")
    }
    costs: ClassVar[Mapping[str, str]] = {"switching": "cost of every capacitor switched"}

    name: str
    bus: int
    capacitors: int
    q_each_mvar: float
    loss_each_mw: float
    cost_per_switching: float

    @classmethod
    def build(cls, config: BankConfig, site: Site) -> Self:
        """Build one from its entry in the config."""
        bus = site.bus(config.network, config.bus)
        each = config.q_each_mvar, config.loss_each_mw
        return cls(config.name, bus, config.capacitors, *each, config.cost_per_switching)

    @cached_property
    def ports(self) -> tuple[Port, ...]:
        """One: what it injects follows from its position."""
        s_max = self.capacitors * math.hypot(self.q_each_mvar, self.loss_each_mw)
        drawn = self.capacitors * self.loss_each_mw
        return (
            Port(name=self.name, buses=(self.bus,), p_min_mw=-drawn, p_max_mw=0.0, s_max_mva=s_max, act=Act.FOLLOWS),
        )

    @cached_property
    def positions(self) -> tuple[Position, ...]:
        """How many are on."""
        return (Position(name=self.name, labels=tuple(str(on) for on in range(self.capacitors + 1))),)

    def initial_state(self, now: Now) -> BankState:
        """All off."""
        return BankState(0)

    def at(self, state: BankState) -> tuple[int, ...]:
        """How many are on."""
        return (state.on,)

    def step(self, state: BankState, request: Request, now: Now) -> tuple[BankState, Outcome]:
        """Switch, then inject."""
        (wanted,) = request.position
        on = min(max(wanted, 0), self.capacitors)
        switched = abs(on - state.on)
        lost = on * self.loss_each_mw
        port = Injection(
            self.bus,
            -lost,
            on * self.q_each_mvar,
            loss_mwh=now.step_h * lost,
            clips=() if on == wanted else ("unknown_step",),
        )
        return BankState(on), Outcome(
            (port,), money={"switching": self.cost_per_switching * switched}, row={"switched": switched}
        )
