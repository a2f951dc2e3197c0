"""The plant: everything of a case that does not change during a run, devices and their limits first of all.

Buses, branches and stations of all networks share one axis each, network after network (`Plant.bus_slices`). Devices
stand in one order everywhere (`Plant.devices`), and so do their ports: what a plan sets first, what follows a profile
after it. `Plant.columns` says where the ports of a device are.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from gridferry.controllers.devices.batteries.device import Battery
from gridferry.controllers.devices.couplings import RoadTrips
from gridferry.controllers.devices.device import Act, Coupling, Device, Port, Position
from gridferry.controllers.devices.generators.device import Generator
from gridferry.controllers.devices.links.device import Link, Terminal
from gridferry.controllers.devices.storage import Storage
from gridferry.controllers.devices.trucks.device import Station, Truck
from gridferry.networks.feeder import Feeder
from gridferry.networks.read_only import immutable
from gridferry.networks.roads.travel import Roads


@dataclass(frozen=True, eq=False)
class Plant:
    """Everything that does not change during a run.

    Attributes
    ----------
    feeders : one per network
    stations : where trucks can connect
    trucks, batteries, links, generators : the devices
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
    def devices(self) -> tuple[Device[Any], ...]:
        """All devices: those that a plan sets, then those that follow a profile."""
        trucks = (replace(truck, all_stations=self.stations) for truck in self.trucks)
        return (*trucks, *self.batteries, *self.links, *self.generators)

    @cached_property
    def kinds(self) -> tuple[type[Device[Any]], ...]:
        """Kinds of the devices, in the order of the devices."""
        return tuple(dict.fromkeys(type(device) for device in self.devices))

    @cached_property
    def couplings(self) -> tuple[Coupling, ...]:
        """What the devices share."""
        return () if self.roads is None else (RoadTrips(self.roads, self.step_s),)

    @cached_property
    def ports(self) -> tuple[Port, ...]:
        """Ports of all devices, device after device; the first `n_device` are columns of a plan."""
        return tuple(port for device in self.devices for port in device.ports)

    @cached_property
    def positions(self) -> tuple[Position, ...]:
        """Positions of all devices, device after device: the columns of `Plan.destination`."""
        return tuple(position for device in self.devices for position in device.positions)

    @cached_property
    def port_columns(self) -> tuple[slice, ...]:
        """Where the ports of each device lie on the axis of the ports."""
        ends = np.cumsum([0] + [len(device.ports) for device in self.devices])
        return tuple(slice(int(a), int(b)) for a, b in pairwise(ends))

    @cached_property
    def _columns(self) -> dict[str, slice]:
        return {device.key: own for device, own in zip(self.devices, self.port_columns, strict=True)}

    def columns(self, device: Device[Any]) -> slice:
        """Return where the ports of a device lie on the axis of the ports."""
        return self._columns[device.key]

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
        """Names along the axis of the ports that a plan sets: trucks, batteries, terminals."""
        return tuple(port.name for port in self.ports if port.act is not Act.FOLLOWS)

    @cached_property
    def n_device(self) -> int:
        """Number of the ports that a plan sets."""
        return len(self.device_names)

    @cached_property
    def device_p_max_mw(self) -> Float[np.ndarray, " device"]:
        """Largest active power of each port that a plan sets, either way [MW]."""
        return immutable(np.array([port.p_max_mw for port in self.ports[: self.n_device]], dtype=np.float64))

    @cached_property
    def device_s_max_mva(self) -> Float[np.ndarray, " device"]:
        """Apparent-power rating of each port that a plan sets [MVA]."""
        return immutable(np.array([port.s_max_mva for port in self.ports[: self.n_device]], dtype=np.float64))

    @cached_property
    def generator_bus(self) -> Int[np.ndarray, " generator"]:
        """Bus of each generator."""
        return immutable(np.array([g.bus for g in self.generators], dtype=np.int64))

    @cached_property
    def station_bus(self) -> Int[np.ndarray, " station"]:
        """Bus of each station."""
        return immutable(np.array([s.bus for s in self.stations], dtype=np.int64))
