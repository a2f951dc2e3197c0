"""A kind of device as a user would write it: a capacitor bank that is switched in steps."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np

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

if TYPE_CHECKING:
    from gridferry.controllers.devices.planning.block import Ahead, Block


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
    block: ClassVar[str] = f"{__name__}:bank_block"
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


def bank_block(bank: CapacitorBank, ahead: Ahead) -> Block:
    """Choose one step of the bank for every step of the horizon; only who optimises imports cvxpy."""
    import cvxpy as cp

    from gridferry.controllers.devices.planning.block import Block, Planned

    every = np.arange(bank.capacitors + 1)
    chosen, switched = cp.Variable((ahead.horizon, len(every))), cp.Variable(ahead.horizon)
    on = chosen @ every
    before = cp.hstack([np.array([ahead.state.on]), on[:-1]])

    def plan() -> Planned:
        position = np.argmax(chosen.value, axis=1)
        switchings = np.abs(np.diff(position, prepend=ahead.state.on))
        return Planned(
            p_mw=-bank.loss_each_mw * position[:, None],
            q_mvar=bank.q_each_mvar * position[:, None],
            position=position[:, None],
            costs={"switching": bank.cost_per_switching * switchings},
        )

    return Block(
        p={(0, bank.bus): -bank.loss_each_mw * on},
        q={(0, bank.bus): bank.q_each_mvar * on},
        constraints={
            "one of the steps": [chosen >= 0, cp.sum(chosen, axis=1) == 1],
            "switchings": [switched >= on - before, switched >= before - on],
        },
        costs={"switching": bank.cost_per_switching * switched},
        binaries=(chosen,),
        plan=plan,
    )
