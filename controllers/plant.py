"""The plant: everything of a case that does not change during a run, devices and their limits first of all.

Buses, branches and stations of all networks share one axis each, network after network (`Plant.bus_slices`). Devices
stand in one order everywhere: trucks, batteries, link terminals.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from jaxtyping import Float, Int

from gridferry.controllers.devices.link import Link, Terminal
from gridferry.controllers.devices.storage import Battery, Storage
from gridferry.controllers.devices.truck import Station, Truck
from gridferry.networks.feeder import Feeder
from gridferry.networks.read_only import immutable
from gridferry.networks.roads.travel import Roads


@dataclass(frozen=True)
class Generator:
    """A source with a profile (PV, wind, other); ``feed_in_tariff`` is paid for what it produces [currency/MWh]."""

    name: str
    kind: str
    network: int
    bus: int
    feed_in_tariff: float


@dataclass(frozen=True, eq=False)
class Plant:
    """Everything that does not change during a run.

    Attributes
    ----------
    feeders : one per network
    stations, trucks, batteries, links, generators : the devices
    roads : travel between stations, in their order; ``None`` without trucks
    step_s : step length [s]
    steps : steps of the whole run
    horizon_steps : most steps a forecast looks ahead
    first_step_of_day : steps from local midnight to the start of the run
    export_price_ratio : export is paid at this share of the buying price
    currency : the unit of money
    """

    feeders: tuple[Feeder, ...]
    stations: tuple[Station, ...]
    trucks: tuple[Truck, ...]
    batteries: tuple[Battery, ...]
    links: tuple[Link, ...]
    generators: tuple[Generator, ...]
    roads: Roads | None
    step_s: int
    steps: int
    horizon_steps: int
    first_step_of_day: int
    export_price_ratio: float
    currency: str

    @property
    def step_h(self) -> float:
        """Step length Δ [h]."""
        return self.step_s / 3600.0

    @property
    def steps_per_day(self) -> int:
        """Steps of a day."""
        return 86400 // self.step_s

    def step_of_day(self, step: int) -> int:
        """Steps from local midnight to the start of ``step``."""
        return (self.first_step_of_day + step) % self.steps_per_day

    def steps_left_of_day(self, step: int) -> int:
        """Steps from the start of ``step`` to the next local midnight, itself included."""
        return self.steps_per_day - self.step_of_day(step)

    def day_of(self, step: int) -> int:
        """Number of the local day of a step, 0 for the one that the run begins on."""
        return (self.first_step_of_day + step) // self.steps_per_day

    def days_from(self, step: int, horizon: int) -> Int[np.ndarray, " horizon"]:
        """Number of the local day of each step of a horizon, 0 for the day of its first."""
        days = np.array([self.day_of(step + ahead) for ahead in range(horizon)], dtype=np.int64)
        return days - self.day_of(step)

    @cached_property
    def bus_slices(self) -> tuple[slice, ...]:
        """Where each network lies on the bus axis."""
        ends = np.cumsum([0] + [feeder.n_bus for feeder in self.feeders])
        return tuple(slice(int(a), int(b)) for a, b in pairwise(ends))

    @cached_property
    def branch_slices(self) -> tuple[slice, ...]:
        """Where each network lies on the branch axis."""
        ends = np.cumsum([0] + [feeder.n_branch for feeder in self.feeders])
        return tuple(slice(int(a), int(b)) for a, b in pairwise(ends))

    @property
    def n_bus(self) -> int:
        """Buses of all networks."""
        return self.bus_slices[-1].stop

    @property
    def n_branch(self) -> int:
        """Branches of all networks."""
        return self.branch_slices[-1].stop

    @cached_property
    def terminals(self) -> tuple[Terminal, ...]:
        """Terminals of all links, link after link."""
        return tuple(terminal for link in self.links for terminal in link.terminals)

    @cached_property
    def storages(self) -> tuple[Storage, ...]:
        """Stores of the storage axis: trucks, then batteries."""
        return tuple(truck.storage for truck in self.trucks) + tuple(battery.storage for battery in self.batteries)

    @cached_property
    def device_names(self) -> tuple[str, ...]:
        """Names along the device axis: trucks, batteries, terminals."""
        stores = [truck.name for truck in self.trucks] + [battery.name for battery in self.batteries]
        return (*stores, *(terminal.name for terminal in self.terminals))

    @property
    def n_device(self) -> int:
        """Length of the device axis."""
        return len(self.device_names)

    @cached_property
    def device_p_max_mw(self) -> Float[np.ndarray, " device"]:
        """Largest active power of each device, either way [MW]."""
        return immutable(np.array([s.p_max_mw for s in self.storages] + [t.s_max_mva for t in self.terminals]))

    @cached_property
    def device_s_max_mva(self) -> Float[np.ndarray, " device"]:
        """Apparent-power rating of each device [MVA]."""
        return immutable(np.array([s.s_max_mva for s in self.storages] + [t.s_max_mva for t in self.terminals]))

    @cached_property
    def generator_bus(self) -> Int[np.ndarray, " generator"]:
        """Bus of each generator."""
        return immutable(np.array([g.bus for g in self.generators], dtype=np.int64))

    @cached_property
    def station_bus(self) -> Int[np.ndarray, " station"]:
        """Bus of each station."""
        return immutable(np.array([s.bus for s in self.stations], dtype=np.int64))
