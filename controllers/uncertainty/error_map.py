"""Error map: loads and generators that share an error source, and the resulting bus injections.

Errors are relative to the forecast: what happens is ``forecast · (1 + ξ)``. A positive load error draws more, active
and reactive power alike; a positive generation error gives more. One matrix for the loads and one for the generators
say which source each of them follows, so any grouping is a choice of matrices.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from gridferry.controllers.contract import Forecast, Plant
from gridferry.controllers.devices import Act
from gridferry.controllers.devices.device import Device
from gridferry.controllers.devices.registry import is_built_in
from gridferry.controllers.plant import ProfiledPort


class Grouping(StrEnum):
    """Grouping of loads or generators into error sources."""

    NETWORK = "network"
    """all loads of a network, or all generators of one kind in it"""
    BUS = "bus"
    """the load of a bus, or all generators of one kind at it"""
    DEVICE = "device"
    """every generator by itself; for loads the same as ``bus``"""


@dataclass(frozen=True, kw_only=True)
class Source:
    """A source of errors.

    Attributes
    ----------
    name : ``load:<network>``, ``load:<network>:<bus>``, ``<kind>:<network>``, ``<kind>:<network>:<bus>`` or
        ``<kind>:<device>``; networks count from 1
    quantity : key of `gridferry.controllers.uncertainty.error_settings.ErrorSettings` that says how it errs
    stream : names of the random numbers that are its own when reality is drawn, whatever other sources there are
    """

    name: str
    quantity: str
    stream: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class ErrorMap:
    """Map from errors of the sources to injections at the buses of all networks.

    Attributes
    ----------
    of : the sources
    ports : ports whose power errs, `Plant.uncertain`
    load : share of each source's relative error that the load of a bus follows
    generation : the same for each of these ports
    """

    of: tuple[Source, ...]
    ports: tuple[ProfiledPort, ...]
    load: Float[np.ndarray, "bus source"]
    generation: Float[np.ndarray, "port source"]

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the sources."""
        return tuple(one.name for one in self.of)

    def output_mw(self, forecast: Forecast) -> Float[np.ndarray, "horizon port"]:
        """Active power of the ports as forecast; of one that can be limited, what it could give [MW]."""
        columns = [one.injected(forecast.of(one.device)) for one in self.ports]
        return np.stack(columns, axis=1) if columns else np.zeros((forecast.steps, 0))

    @property
    def limited(self) -> Int[np.ndarray, " limited"]:
        """Which of the ports take a limit."""
        return np.array([k for k, one in enumerate(self.ports) if one.declared.act is Act.LIMIT], dtype=np.int64)

    def injections(
        self, forecast: Forecast
    ) -> tuple[Float[np.ndarray, "horizon bus column"], Float[np.ndarray, "horizon bus column"]]:
        """Change of the injections P [MW] and Q [Mvar] of every bus at a forecast, by column.

        The first columns are per unit of each source, without the ports that take a limit. Those follow, each per unit
        of its own error. A Q that follows the voltage is taken not to: with it voltages change by less.
        """
        limited, each = self.limited, np.eye(len(self.ports))
        follow = self.generation.copy()
        follow[limited] = 0.0
        of_ports = np.concatenate([follow, each[:, limited]], axis=1)
        load = np.concatenate([self.load, np.zeros((len(self.load), len(limited)))], axis=1)
        at_bus = np.zeros((len(self.load), len(self.ports)))
        at_bus[[one.bus for one in self.ports], np.arange(len(self.ports))] = 1.0
        q_at_bus = at_bus * np.array([one.declared.q_per_p for one in self.ports])
        output = self.output_mw(forecast)[:, :, None] * of_ports
        p_load, q_load = (one[:, :, None] * load for one in (forecast.load_p_mw, forecast.load_q_mvar))
        return at_bus @ output - p_load, q_at_bus @ output - q_load


def error_map(plant: Plant, load: Grouping = Grouping.NETWORK, generation: Grouping = Grouping.NETWORK) -> ErrorMap:
    """Group the loads and profiled ports of a plant into error sources; loads are the first ones.

    Parameters
    ----------
    load, generation : what shares a source
    """
    bus_names = [name for feeder in plant.feeders for name in feeder.bus_names]
    feeders = [feeder.name for feeder in plant.feeders]
    # networks may be built from the same feeder: count those of a name
    streams = [(name, str(feeders[:k].count(name))) for k, name in enumerate(feeders)]
    network_of = np.repeat(np.arange(len(feeders)), [feeder.n_bus for feeder in plant.feeders])
    found: dict[str, Source] = {}

    def place(bus: int, grouping: Grouping) -> tuple[str, tuple[str, ...]]:
        """Name and stream of the network or bus that a source stands for."""
        network = int(network_of[bus])
        if grouping is Grouping.NETWORK:
            return f"{network + 1}", streams[network]
        return f"{network + 1}:{bus_names[bus]}", (*streams[network], bus_names[bus])

    def source(group: str, quantity: str, where: str, stream: tuple[str, ...]) -> str:
        name = f"{group}:{where}"
        found.setdefault(name, Source(name=name, quantity=quantity, stream=(quantity, *stream)))
        return name

    by_bus = [source("load", "load", *place(bus, load)) for bus in range(plant.n_bus)]
    by_port = []
    for one in plant.uncertain:
        device, quantity = one.device, one.device.series[one.key].error
        if device.error_group == "load":  # demand errs as the loads beside it
            where, stream = place(one.bus, load)
        elif generation is not Grouping.DEVICE:
            where, stream = place(one.bus, generation)
            stream = (device.error_group, *stream)
        else:
            alone = sum(other.device is device for other in plant.uncertain) == 1
            where = device.name if alone else f"{device.name}:{one.key}"
            stream = series_stream(device, one.key)
        by_port.append(source(device.error_group, quantity, where, stream))
    columns = {name: column for column, name in enumerate(found)}
    return ErrorMap(
        of=tuple(found.values()),
        ports=plant.uncertain,
        load=np.eye(len(found))[[columns[name] for name in by_bus]],
        generation=np.eye(len(found))[[columns[name] for name in by_port]].reshape(-1, len(found)),
    )


def series_stream(device: Device[Any], key: str) -> tuple[str, ...]:
    """Names of the random numbers of a series of a device."""
    # names are unique in a table; ours draw as they did when there were no others
    return (device.name,) if is_built_in(type(device)) else (device.key, key)
