"""Plants, forecasts and observations put together from what a test wants to say of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from gridferry.controllers.contract import Forecast, Observation, Plant
from gridferry.controllers.devices import Storage, storage_of
from gridferry.controllers.plans.first_step import observed, series_of_devices

TABLES = ("trucks", "batteries", "links", "generators")


def of_kind(plant: Plant, table: str) -> list[Any]:
    """Devices of one table."""
    return [one for one in plant.devices if one.table == table]


def plant_of(**given: Any) -> Plant:
    """A plant from devices by table, and its other fields."""
    devices = tuple(one for table in TABLES for one in given.get(table, ()))
    return Plant(devices=devices, **{name: value for name, value in given.items() if name not in TABLES})


def with_devices(plant: Plant, **changes: Any) -> Plant:
    """The plant with other devices of some tables, and other fields."""
    devices = tuple(one for table in TABLES for one in changes.get(table, of_kind(plant, table)))
    rest = {name: value for name, value in changes.items() if name not in TABLES}
    return replace(plant, devices=devices, **rest)


def forecast_of(
    plant: Plant,
    *,
    congestion: np.ndarray | None = None,
    generation_mw: np.ndarray | None = None,
    availability: np.ndarray | None = None,
    usable_energy_share: np.ndarray | None = None,
    **plain: np.ndarray,
) -> Forecast:
    """A forecast with the same congestion on all roads, and series in columns: see `with_series`."""
    steps = len(plain["buy_price"])
    delay = np.zeros(steps) if congestion is None else congestion
    roads = np.zeros((steps, 0)) if plant.roads is None else plant.roads.on_every_road(delay)
    bare = Forecast(congestion=roads, series=series_of_devices(plant, steps), **plain)
    return with_series(
        plant, bare, generation_mw=generation_mw, availability=availability, usable_energy_share=usable_energy_share
    )


def with_series(
    plant: Plant,
    forecast: Any,
    *,
    generation_mw: np.ndarray | None = None,
    availability: np.ndarray | None = None,
    usable_energy_share: np.ndarray | None = None,
    **plain: Any,
) -> Any:
    """A forecast, or conditions, with other series, and other fields; devices that it does not know have defaults.

    Parameters
    ----------
    generation_mw : a column for each port that follows a profile
    availability : a column for each port that a plan sets; a device has that of its first
    usable_energy_share : a column for each store
    """
    steps = len(forecast.buy_price)
    series = {device: dict(given) for device, given in series_of_devices(plant, steps, forecast.series).items()}
    if generation_mw is not None:
        for column, one in enumerate(plant.profiled):
            series[one.device.key][one.key] = generation_mw[:, column]
    if availability is not None:
        for device in plant.devices:
            if "availability" in device.series:
                series[device.key]["availability"] = availability[:, plant.columns(device).start]
    if usable_energy_share is not None:
        for column, device in enumerate(plant.stores):
            series[device.key]["usable_energy_share"] = usable_energy_share[:, column]
    return replace(forecast, series=series, **plain)


def last_steps(forecast: Forecast, begin: int) -> Forecast:
    """The forecast without its first steps."""
    series = {device: {key: one[begin:] for key, one in given.items()} for device, given in forecast.series.items()}
    names = ("load_p_mw", "load_q_mvar", "buy_price", "sell_price", "congestion")
    return replace(forecast, series=series, **{name: getattr(forecast, name)[begin:] for name in names})


def seen_as(plant: Plant, observation: Observation, **changes: Any) -> Observation:
    """The observation with other states; other fields are replaced as they are.

    Fields of states are given as sequences, with a value for every device whose states have the field.
    """
    states = list(observation.states)
    fields = {name: iter(values) for name, values in changes.items() if name in STATE_FIELDS}
    for number, state in enumerate(states):
        own = {name: next(values) for name, values in fields.items() if hasattr(state, name)}
        plain = {name: one.item() if isinstance(one, np.generic) else one for name, one in own.items()}
        states[number] = replace(state, **plain)
    others = {name: value for name, value in changes.items() if name not in STATE_FIELDS}
    return replace(observation, **observed(plant, states), **others)


STATE_FIELDS = (
    "energy_mwh",
    "cycles_today",
    "usable_energy_share",
    "station",
    "transit_steps",
    "trips_today",
    "used_today",
    "parked_steps",
)


def storages(plant: Plant) -> list[Storage]:
    """Limits of all stores, in the order of the plant."""
    return [one for one in map(storage_of, plant.devices) if one is not None]


def profiled_mw(plant: Plant, forecast: Forecast) -> np.ndarray:
    """Active power of the ports that follow a profile, in the order of `Plant.profiled` (horizon, profiled) [MW]."""
    return np.stack([forecast.of(one.device)[one.key] for one in plant.profiled], axis=1)
