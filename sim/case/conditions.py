"""Realised conditions: load, generation, prices, traffic and outages of every step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from gridferry.controllers.contract import Plant
from gridferry.controllers.devices import Device
from gridferry.networks.faults import InputError, no_such
from gridferry.networks.read_only import immutable, own_copy
from gridferry.sim.case.series import SeriesReader
from gridferry.sim.config.document import Loc
from gridferry.sim.config.loaded import LoadedConfig
from gridferry.sim.config.schema import LoadConfig


@dataclass(frozen=True, eq=False)
class Conditions:
    """Realised conditions of every step of the run; arrays are read-only.

    Attributes
    ----------
    load_p_mw, load_q_mvar : loads of each bus, positive where they consume, less the fixed generation of the network's
        source [MW, Mvar]
    buy_price, sell_price : price of grid energy, and what customers pay [currency/MWh]
    congestion : state of each road, in the unit of `Roads.congestion_unit`
    series : what surrounds each device, by `Device.key` and the keys of `Device.series`
    forecast_outage : no forecast arrives where it is above 0; ``None``: every one arrives
    """

    load_p_mw: Float[np.ndarray, "step bus"]
    load_q_mvar: Float[np.ndarray, "step bus"]
    buy_price: Float[np.ndarray, " step"]
    sell_price: Float[np.ndarray, " step"]
    congestion: Float[np.ndarray, "step road"]
    series: Mapping[str, Mapping[str, Float[np.ndarray, " step"]]]
    forecast_outage: Float[np.ndarray, " step"] | None = None

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            object.__setattr__(self, name, own_copy(value))

    @property
    def steps(self) -> int:
        """Number of steps."""
        return len(self.buy_price)

    def series_at(self, step: int) -> dict[str, dict[str, float]]:
        """Return what surrounds each device in a step, by `Device.key` and key, as JSON-able values."""
        return {
            device: {key: float(values[step]) for key, values in given.items()} for device, given in self.series.items()
        }


def uncertain_series(plant: Plant) -> Iterator[tuple[Device[Any], str, str]]:
    """Device, key and error name of every series with forecast errors."""
    for device in plant.devices:
        for key, series in device.series.items():
            if series.forecast == "uncertain":
                yield device, key, series.error


def build_conditions(loaded: LoadedConfig, plant: Plant) -> Conditions:
    """Read the profiles of a config, each file once, and evaluate all series for every step of the run.

    Raises
    ------
    InputError
        with everything that is wrong: unknown columns and buses, values that are missing or no numbers, negative loads
        and generation, shares outside their range, times that are irregular or do not cover the run.
    """
    return _Composition(loaded, plant).conditions()


class _Composition:
    """Assignment of the series to the loads and devices of a plant."""

    def __init__(self, loaded: LoadedConfig, plant: Plant):
        self.loaded, self.config, self.plant = loaded, loaded.config, plant
        reader = SeriesReader(loaded, lambda loc: True)
        self.series, self.faults = reader.values, reader.faults

    def conditions(self) -> Conditions:
        """Build the conditions, or raise all faults at once."""
        config, plant = self.config, self.plant
        steps = config.time.steps
        load_p, load_q = np.zeros((steps, plant.n_bus)), np.zeros((steps, plant.n_bus))
        for i, load in enumerate(config.loads):
            self._add_load(i, load, load_p, load_q)
        for feeder, buses in zip(plant.feeders, plant.bus_slices, strict=True):
            load_p[:, buses] -= feeder.p_gen_mw
            load_q[:, buses] -= feeder.q_gen_mvar
        if self.faults:
            raise InputError(self.faults)
        congestion = immutable(self.series.get(("roads", "congestion"), np.zeros(steps)))
        return Conditions(
            load_p_mw=load_p,
            load_q_mvar=load_q,
            buy_price=self.series[("prices", "buy")],
            sell_price=self.series[("prices", "sell")],
            congestion=np.zeros((steps, 0)) if plant.roads is None else plant.roads.on_every_road(congestion),
            series=self._of_devices(),
            forecast_outage=_unless(0.0, self.series[("forecast", "outage")]),
        )

    def _of_devices(self) -> dict[str, dict[str, Float[np.ndarray, " step"]]]:
        """Series of every device, found in the config by table and name."""
        given = {}
        for device in self.plant.devices:
            names = [one.name for one in self.config.entries(type(device))]
            loc: Loc = (device.table, names.index(device.name))
            given[device.key] = {
                key: self.series.get((*loc, key), np.full(self.plant.steps, series.default))
                for key, series in device.series.items()
            }
        return given

    def _add_load(
        self,
        number: int,
        load: LoadConfig,
        load_p: Float[np.ndarray, "step bus"],
        load_q: Float[np.ndarray, "step bus"],
    ) -> None:
        """Add one entry of ``[[loads]]``; entries that name the same bus add up."""
        names = [network.name for network in self.config.networks]
        if load.network not in names:
            fault = self.loaded.fault(("loads", number, "network"), no_such("network", load.network, names))
            self.faults.append(fault)
            return
        network = names.index(load.network)
        feeder, buses = self.plant.feeders[network], self.plant.bus_slices[network]
        if load.bus is None:
            factor = self.series[("loads", number, "factor")][:, None]
            load_p[:, buses] += factor * feeder.p_load_mw
            load_q[:, buses] += factor * feeder.q_load_mvar
            return
        try:
            index = feeder.bus_index(load.bus)
        except KeyError:
            wrong = no_such(f"bus in {load.network}", load.bus, feeder.bus_names)
            self.faults.append(self.loaded.fault(("loads", number, "bus"), wrong))
            return
        if load.factor is not None:
            factor = self.series[("loads", number, "factor")]
            load_p[:, buses.start + index] += factor * feeder.p_load_mw[index]
            load_q[:, buses.start + index] += factor * feeder.q_load_mvar[index]
            return
        load_p[:, buses.start + index] += self.series[("loads", number, "p_mw")]
        if load.q_mvar is not None:
            load_q[:, buses.start + index] += self.series[("loads", number, "q_mvar")]


def _unless(plain: float, values: np.ndarray) -> np.ndarray | None:
    """Return the values; ``None`` if all are ``plain``."""
    return None if (values == plain).all() else values
