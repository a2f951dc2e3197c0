"""A stationary battery: a store at one bus."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from gridferry.controllers.devices.batteries.config import BatteryConfig
from gridferry.controllers.devices.device import NOTHING, Device
from gridferry.controllers.devices.ports import Column, Port, Series
from gridferry.controllers.devices.site import Site
from gridferry.controllers.devices.steps import Injection, Now, Outcome, Outcomes, Request, Requests
from gridferry.controllers.devices.stores.many import simulate_store, with_rest_alone
from gridferry.controllers.devices.stores.step import initial_store, step_store, store_row
from gridferry.controllers.devices.stores.storage import STORE_COLUMNS, STORE_COSTS, STORE_SERIES, Storage, StoreState


@dataclass(frozen=True)
class Battery(Device[StoreState]):
    """A stationary battery (BESS); ``bus`` counts along the axis of all buses."""

    table: ClassVar[str] = "batteries"
    version: ClassVar[int] = 2
    block: ClassVar[str] = "gridferry.controllers.devices.batteries.block:battery_block"
    port_kind: ClassVar[str] = "battery"
    Config: ClassVar[type[BatteryConfig]] = BatteryConfig
    State: ClassVar[type[StoreState]] = StoreState
    stores: ClassVar[bool] = True
    series: ClassVar[Mapping[str, Series]] = STORE_SERIES
    columns: ClassVar[Mapping[str, Column]] = STORE_COLUMNS
    costs: ClassVar[Mapping[str, str]] = STORE_COSTS

    name: str
    network: int
    bus: int
    storage: Storage

    @classmethod
    def build(cls, config: BatteryConfig, site: Site) -> Battery:
        """Build a battery from its entry of ``[[batteries]]``."""
        return cls(config.name, site.network(config.network), site.bus(config.network, config.bus), config.storage())

    @cached_property
    def ports(self) -> tuple[Port, ...]:
        """The port at its bus."""
        return (self.storage.port(self.name, (self.bus,)),)

    def initial_state(self, now: Now) -> StoreState:
        """State at the initial state of charge, of the usable energy."""
        return initial_store(self.storage, now)

    def step(self, state: StoreState, request: Request, now: Now) -> tuple[StoreState, Outcome]:
        """Charge or discharge within all limits."""
        after, done = step_store(self.storage, state, request.p_mw[0], request.q_mvar[0], now)
        port = Injection(self.bus, done.p_mw, done.q_mvar, done.shortfall_mwh, done.loss_mwh, done.clips)
        row = store_row(self.storage, state, after, done, now)
        return after, Outcome((port,), money={"wear": done.wear_cost}, row=row)

    def simulate_many(
        self, state: StoreState, requests: Requests, nows: Sequence[Now], series: Mapping[str, np.ndarray] = NOTHING
    ) -> Outcomes:
        """Simulate many schedules."""
        p, q = requests.p_mw, requests.q_mvar
        done = simulate_store(self.storage, state, p[:, :, 0], q[:, :, 0], nows, series)
        outcomes = Outcomes(np.full(p.shape, self.bus), p, q, done.energy_mwh, {"wear": done.wear_cost})
        return with_rest_alone(self, done.within, (state, requests, nows, series), outcomes)

    def stored_mwh(self, state: StoreState) -> float:
        """Stored energy [MWh]."""
        return state.energy_mwh
