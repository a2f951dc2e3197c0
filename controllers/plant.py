"""Plant: the constant data of a case, such as feeders, devices, stations and roads.

Buses, branches and stations of all networks share one axis each, network after network (`Plant.bus_slices`). Devices
stand in one order everywhere (`Plant.devices`), and so do their ports and positions, the axes of a plan.
`Plant.columns` and `Plant.position_columns` say where those of a device are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from gridferry.controllers.devices.coupled_step import Coupling
from gridferry.controllers.devices.couplings import RoadTrips
from gridferry.controllers.devices.demand_charge import DemandCharge
from gridferry.controllers.devices.device import Device
from gridferry.controllers.devices.places.limits import StationLimits, limited
from gridferry.controllers.devices.ports import Act, Port, Position
from gridferry.controllers.devices.station import Station
from gridferry.networks.droop import Droops
from gridferry.networks.feeder import Feeder
from gridferry.networks.read_only import immutable
from gridferry.networks.roads.travel import Roads


@dataclass(frozen=True)
class ProfiledPort:
    """A port whose active power, or the most it can be, is a series of its device.

    Attributes
    ----------
    device : whose port it is
    key : of the series
    port : its number, along the ports of the plant
    bus : where it injects, along the axis of all buses
    """

    device: Device[Any]
    key: str
    port: int
    bus: int

    @property
    def number(self) -> int:
        """Its number among the ports of its device."""
        return self.device.series[self.key].port or 0

    def injected(self, series: Mapping[str, Float[np.ndarray, "*any"]]) -> Float[np.ndarray, "*any"]:
        """Injection that series of its device say, or the most that it can be [MW]."""
        return self.device.series[self.key].sign * series[self.key]

    @property
    def declared(self) -> Port:
        """The port as its device declares it."""
        return self.device.ports[self.number]


@dataclass(frozen=True, eq=False)
class Plant:
    """Constant data of a case.

    Attributes
    ----------
    feeders : one per network
    stations : where trucks can connect
    devices : devices that a plan sets, and devices that follow a profile
    roads : travel between stations, in their order; ``None`` without trucks
    step_s : step length [s]
    steps : number of steps of the run
    horizon_steps : largest number of steps of a forecast
    first_step_of_day : time of day at the start of the run, by the local clock [steps from midnight]
    export_price_ratio : export is paid at this share of the buying price
    currency : the unit of money
    clock_changes : changes of the local clock: the step before which it jumps, and by how many steps
    demand_charge : price on the highest import of each network; ``None`` without one
    """

    feeders: tuple[Feeder, ...]
    stations: tuple[Station, ...]
    devices: tuple[Device[Any], ...]
    roads: Roads | None
    step_s: int
    steps: int
    horizon_steps: int
    first_step_of_day: int
    export_price_ratio: float
    currency: str
    clock_changes: tuple[tuple[int, int], ...] = ()
    demand_charge: DemandCharge | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "devices", tuple(one.with_stations(self.stations) for one in self.devices))

    @property
    def step_h(self) -> float:
        """Step length Δ [h]."""
        return self.step_s / 3600.0

    @property
    def steps_in_24_h(self) -> int:
        """Steps of 24 hours."""
        return 86400 // self.step_s

    def clock_steps(self, steps: Int[np.ndarray, " step"]) -> Int[np.ndarray, " step"]:
        """What the local clock shows at the start of steps, from the midnight before the run on [steps]."""
        jumped = (by * (steps >= at) for at, by in self.clock_changes)
        return sum(jumped, self.first_step_of_day + steps)

    def clock_h(self, step: int, steps: int) -> Float[np.ndarray, " step"]:
        """Local time at the start of steps, from midnight on [h]."""
        return self.clock_steps(np.arange(step, step + steps)) % self.steps_in_24_h * self.step_s / 3600.0

    def _clock_step(self, step: int) -> int:
        return self.first_step_of_day + step + sum(by for at, by in self.clock_changes if step >= at)

    def step_of_day(self, step: int) -> int:
        """Time of day at the start of ``step``, by the local clock [steps from midnight]."""
        return self._clock_step(step) % self.steps_in_24_h

    def steps_left_of_day(self, step: int) -> int:
        """Steps from the start of ``step`` to the next local midnight, itself included."""
        left = self.steps_in_24_h - self.step_of_day(step)
        for at, by in self.clock_changes:
            # clocks that jump back from midnight make the day longer, those that jump on from it the next one shorter
            if step < at < step + left or (at == step + left and by < 0):
                left = max(left - by, at - step)
        return left

    def steps_of_coming_day(self, step: int) -> int:
        """Steps until the local clock shows the same time on the next day: from midnight on, those of the day."""
        shown = self.clock_steps(np.arange(step, step + 2 * self.steps_in_24_h)) - self._clock_step(step)
        return int(np.count_nonzero(shown < self.steps_in_24_h))

    def day_of(self, step: int) -> int:
        """Number of the local day of a step, 0 for the one that the run begins on."""
        return self._clock_step(step) // self.steps_in_24_h

    def days_from(self, step: int, horizon: int) -> Int[np.ndarray, " horizon"]:
        """Number of the local day of each step of a horizon, 0 for the day of its first."""
        days = self.clock_steps(np.arange(step, step + horizon)) // self.steps_in_24_h
        return days - self.day_of(step)

    @cached_property
    def bus_slices(self) -> tuple[slice, ...]:
        """Range of each network on the axis of buses."""
        return _slices(feeder.n_bus for feeder in self.feeders)

    @cached_property
    def branch_slices(self) -> tuple[slice, ...]:
        """Range of each network on the axis of branches."""
        return _slices(feeder.n_branch for feeder in self.feeders)

    @property
    def n_bus(self) -> int:
        """Buses of all networks."""
        return self.bus_slices[-1].stop

    @property
    def n_branch(self) -> int:
        """Branches of all networks."""
        return self.branch_slices[-1].stop

    @cached_property
    def kinds(self) -> tuple[type[Device[Any]], ...]:
        """Kinds of the devices, in the order of the devices."""
        return tuple(dict.fromkeys(type(device) for device in self.devices))

    @cached_property
    def couplings(self) -> tuple[Coupling, ...]:
        """Couplings of the devices."""
        found: list[Coupling] = [] if self.roads is None else [RoadTrips(self.roads, self.step_s)]
        return (*found, StationLimits(self.stations)) if limited(self.stations) else tuple(found)

    @cached_property
    def ports(self) -> tuple[Port, ...]:
        """Ports of all devices, device after device: the columns of `Plan.p_mw`."""
        return tuple(port for device in self.devices for port in device.ports)

    @cached_property
    def positions(self) -> tuple[Position, ...]:
        """Positions of all devices, device after device: the columns of `Plan.position`."""
        return tuple(position for device in self.devices for position in device.positions)

    @property
    def n_port(self) -> int:
        """Number of ports."""
        return len(self.ports)

    @cached_property
    def port_columns(self) -> tuple[slice, ...]:
        """Range of each device on the axis of ports."""
        return _slices(len(device.ports) for device in self.devices)

    @cached_property
    def positions_of(self) -> tuple[slice, ...]:
        """Range of each device on the axis of positions."""
        return _slices(len(device.positions) for device in self.devices)

    @cached_property
    def _number(self) -> dict[str, int]:
        return {device.key: number for number, device in enumerate(self.devices)}

    def number(self, device: Device[Any]) -> int:
        """Return the index of a device."""
        return self._number[device.key]

    def columns(self, device: Device[Any]) -> slice:
        """Return the range of a device on the axis of ports."""
        return self.port_columns[self.number(device)]

    def position_columns(self, device: Device[Any]) -> slice:
        """Return the range of a device on the axis of positions."""
        return self.positions_of[self.number(device)]

    @cached_property
    def stores(self) -> tuple[Device[Any], ...]:
        """Devices that store energy, in the order of `Observation.energy_mwh`."""
        return tuple(device for device in self.devices if device.stores)

    @cached_property
    def planned(self) -> tuple[int, ...]:
        """Ports that a plan sets: all but followers, unless their Q is set or they follow a position of their name."""
        return tuple(
            own.start + number
            for device, own in zip(self.devices, self.port_columns, strict=True)
            for number, port in enumerate(device.ports)
            if port.act is not Act.FOLLOWS or port.sets_q or port.name in {one.name for one in device.positions}
        )

    @cached_property
    def recorded(self) -> tuple[int, ...]:
        """Ports that a plan sets, or whose Q follows the voltage."""
        return tuple(sorted({*self.planned, *self.droop_ports}))

    @cached_property
    def droop_ports(self) -> tuple[int, ...]:
        """Ports whose Q follows the voltage."""
        return tuple(number for number, port in enumerate(self.ports) if port.q_of_v)

    def droops(
        self, network: int, p_mw: Float[np.ndarray, "row droop"]
    ) -> tuple[Int[np.ndarray, " own"], Droops | None]:
        """Return which of these ports are in a network, and their characteristics there; ``None`` without any.

        Parameters
        ----------
        p_mw : active power of all of them, which the rating goes to first [MW]
        """
        buses, ports = self.bus_slices[network], [self.ports[number] for number in self.droop_ports]
        own = np.array([k for k, one in enumerate(ports) if buses.start <= one.buses[0] < buses.stop], dtype=np.int64)
        if not len(own):
            return own, None
        rated = np.array([ports[k].s_max_mva for k in own])
        room = np.sqrt(np.maximum(rated**2 - p_mw[:, own] ** 2, 0.0))
        bus = np.array([ports[k].buses[0] - buses.start for k in own], dtype=np.int64)
        return own, Droops(bus, [ports[k].q_of_v for k in own], room)

    @cached_property
    def route_of(self) -> tuple[int | None, ...]:
        """Position that gives the station of each port; ``None`` for stationary ports."""
        routes = {
            (device.key, one.name): own.start + number
            for device, own in zip(self.devices, self.positions_of, strict=True)
            for number, one in enumerate(device.positions)
            if one.with_routes
        }
        return tuple(routes.get((device.key, port.name)) for device in self.devices for port in device.ports)

    @cached_property
    def profiled(self) -> tuple[ProfiledPort, ...]:
        """Ports whose active power, or the most it can be, is a series, in the order of the devices."""
        return tuple(
            ProfiledPort(device, key, own.start + series.port, device.ports[series.port].buses[0])
            for device, own in zip(self.devices, self.port_columns, strict=True)
            for key, series in device.series.items()
            if series.port is not None and device.ports[series.port].act is not Act.SETPOINT
        )

    @cached_property
    def uncertain(self) -> tuple[ProfiledPort, ...]:
        """Those of them whose series forecasts get wrong."""
        return tuple(one for one in self.profiled if one.device.series[one.key].forecast == "uncertain")

    @cached_property
    def port_p_max_mw(self) -> Float[np.ndarray, " port"]:
        """Largest active power of each port, either way [MW]."""
        return immutable(np.array([max(-port.p_min_mw, port.p_max_mw) for port in self.ports], dtype=np.float64))

    @cached_property
    def port_s_max_mva(self) -> Float[np.ndarray, " port"]:
        """Apparent-power rating of each port [MVA]."""
        return immutable(np.array([port.s_max_mva for port in self.ports], dtype=np.float64))

    def peak_import_mw(
        self, measured: Sequence[float] | Float[np.ndarray, " network"] | None = None
    ) -> Float[np.ndarray, " network"]:
        """Highest import of each network so far in a billing period: as measured, or that before the run [MW]."""
        before = [0.0] * len(self.feeders) if self.demand_charge is None else self.demand_charge.peak_before_mw
        return immutable(np.array(before if measured is None else measured, dtype=np.float64))

    @cached_property
    def station_bus(self) -> Int[np.ndarray, " station"]:
        """Bus of each station."""
        return immutable(np.array([s.bus for s in self.stations], dtype=np.int64))


def _slices(lengths: Iterable[int]) -> tuple[slice, ...]:
    """Ranges of parts in sequence."""
    ends = np.cumsum([0, *lengths])
    return tuple(slice(int(a), int(b)) for a, b in pairwise(ends))
