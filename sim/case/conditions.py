"""Realised conditions: load, generation, prices, traffic and outages of every step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from gridferry.controllers.contract import Forecast, Plant
from gridferry.controllers.devices import Device
from gridferry.networks.faults import Fault, InputError, no_such
from gridferry.networks.feeder import Feeder
from gridferry.networks.network import Network
from gridferry.networks.read_only import immutable, own_copy
from gridferry.networks.roads.travel import Roads
from gridferry.sim.case.own_elements import OwnPowers, own_powers
from gridferry.sim.case.series import SeriesReader
from gridferry.sim.config.document import Loc
from gridferry.sim.config.loaded import LoadedConfig


@dataclass(frozen=True, eq=False)
class Conditions(Forecast):
    """Realised conditions of every step of the run, as a forecast of all of it that is right; arrays are read-only.

    Loads are less what the networks' own sources inject.

    Attributes
    ----------
    own_p_mw : of that, what they inject; nothing where not given (step, bus) [MW]
    forecast_outage : no forecast arrives where it is above 0; ``None``: every one arrives
    """

    forecast_outage: Float[np.ndarray, " step"] | None = None
    own_p_mw: Float[np.ndarray, "step bus"] | None = None

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            object.__setattr__(self, name, own_copy(value))

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


def build_conditions(
    loaded: LoadedConfig, plant: Plant, networks: Sequence[Network] | None = None, notes: list[Fault] | None = None
) -> Conditions:
    """Read the profiles of a config, each file once, and evaluate all series for every step of the run.

    Loads at a bus take the place of the scaled nominal ones there, and add up.

    Parameters
    ----------
    networks : of the plant, with what they bring; its feeders alone when not given
    notes : where to note how files were read

    Raises
    ------
    InputError
        with everything that is wrong: unknown columns, values that are missing or no numbers, negative loads and
        generation, shares outside their range, times that are irregular or do not cover the run.
    """
    config, brought = loaded.config, networks or tuple(map(Network, plant.feeders))
    reader = SeriesReader(loaded, lambda loc: True, brought)
    if reader.faults:
        raise InputError(reader.faults)
    if notes is not None:
        notes += reader.notes
    given, steps = reader.values, config.time.steps
    load_p, load_q = np.zeros((steps, plant.n_bus)), np.zeros((steps, plant.n_bus))
    own_p, own_q = np.zeros((steps, plant.n_bus)), np.zeros((steps, plant.n_bus))
    for number, (network, buses) in enumerate(zip(brought, plant.bus_slices, strict=True)):
        own = own_powers(loaded, number, network, given)
        own_p[:, buses], own_q[:, buses] = own.p_mw, own.q_mvar
        load_p[:, buses], load_q[:, buses] = _loads(loaded, number, network.feeder, own, given)
    outage = given["forecast", "outage"]
    return Conditions(
        load_p_mw=load_p - own_p,
        load_q_mvar=load_q - own_q,
        own_p_mw=own_p,
        buy_price=given["prices", "buy"],
        sell_price=given["prices", "sell"],
        congestion=np.zeros((steps, 0)) if plant.roads is None else _congestion(loaded, plant.roads, given),
        series={device.key: _series_of(device, loaded, given) for device in plant.devices},
        forecast_outage=outage if outage.any() else None,
    )


def _congestion(
    loaded: LoadedConfig, roads: Roads, given: Mapping[Loc, Float[np.ndarray, " step"]]
) -> Float[np.ndarray, "step road"]:
    """Congestion of each road, from one series for all or a column for each; raises `InputError` for other columns."""
    loc, steps = ("roads", "congestion"), loaded.config.time.steps
    columns = {str(at[2]): values for at, values in given.items() if at[:2] == loc and len(at) > 2}
    unknown = [one for one in columns if one not in roads.road_names]
    if unknown:
        raise InputError(loaded.fault(loc, no_such("road", one, roads.road_names)) for one in unknown)
    base = roads.base_congestion
    if not columns and not base.any():
        return roads.on_every_road(immutable(given.get(loc, np.zeros(steps))))
    everywhere = given.get(loc, np.zeros(steps))
    return np.stack([columns.get(name, everywhere) for name in roads.road_names], axis=1) + base


def _loads(
    loaded: LoadedConfig, number: int, feeder: Feeder, own: OwnPowers, given: Mapping[Loc, Float[np.ndarray, " step"]]
) -> tuple[Float[np.ndarray, "step bus"], Float[np.ndarray, "step bus"]]:
    """Loads of a network: its own ones scaled, and at some buses others in their place [MW, Mvar]."""
    config, steps = loaded.config, loaded.config.time.steps
    here = [(i, one) for i, one in enumerate(config.loads) if one.network == config.networks[number].name]
    everywhere = [(i, one) for i, one in here if one.bus is None]
    load_p, load_q = np.zeros((steps, feeder.n_bus)), np.zeros((steps, feeder.n_bus))
    if own.drawn and not everywhere:
        load_p, load_q = own.load_p_mw.copy(), own.load_q_mvar.copy()
    replaced: set[int] = set()
    for i, load in sorted(here, key=lambda one: one[1].bus is not None):
        at = np.arange(feeder.n_bus) if load.bus is None else np.array([feeder.bus_index(load.bus)])
        if load.factor is None:
            p = given["loads", i, "p_mw"][:, None]
            q = given.get(("loads", i, "q_mvar"), np.zeros(steps))[:, None]
        else:
            factor = given["loads", i, "factor"][:, None]
            p, q = factor * own.load_p_mw[:, at], factor * own.load_q_mvar[:, at]
        if load.bus is not None and int(at[0]) not in replaced:
            load_p[:, at], load_q[:, at] = 0.0, 0.0
            replaced.add(int(at[0]))
        load_p[:, at] += p
        load_q[:, at] += q if load.q_per_p is None else load.q_per_p * p
    return load_p, load_q


def _series_of(
    device: Device[Any], loaded: LoadedConfig, given: Mapping[Loc, Float[np.ndarray, " step"]]
) -> dict[str, Float[np.ndarray, " step"]]:
    """Series of a device, found in the config by table and name."""
    number = [one.name for one in loaded.config.entries(type(device))].index(device.name)
    steps = loaded.config.time.steps
    return {
        key: given.get((device.table, number, key), np.full(steps, series.default))
        for key, series in device.series.items()
    }
