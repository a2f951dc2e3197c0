"""Sample plants, days and observations for tests of controllers."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, replace
from importlib import resources
from typing import Any, TypeVar

import numpy as np

from gridferry.controllers.conformance.devices.site import SampleSite
from gridferry.controllers.contract import Forecast, Observation, Plant, Station
from gridferry.controllers.devices import Device, Now
from gridferry.controllers.devices.registry import BUILT_IN, find_kind
from gridferry.controllers.plans.first_step import observed, series_of_devices
from gridferry.networks.feeder import Feeder, plain_feeder
from gridferry.networks.read_only import own_copy
from gridferry.networks.roads.travel import DistanceMatrix

T = TypeVar("T", Forecast, Observation)


@dataclass(frozen=True, eq=False)
class Sample:
    """A plant with the conditions of one day.

    Attributes
    ----------
    name : for messages
    plant : the plant
    day : load, generation, prices and congestion of every step of the run
    """

    name: str
    plant: Plant
    day: Forecast


def samples() -> tuple[Sample, ...]:
    """Return three samples: one truck, all kinds of devices on two feeders, and no device.

    Steps are long and days short, so that controllers that solve large problems can be tried too.
    """
    return three_bus(step_s=1800), two_feeders(step_s=3600), no_devices()


def three_bus(step_s: int = 600) -> Sample:
    """One day of three buses in a row, a station at each, PV, wind and one truck (the published case's figures)."""
    return _sample("three_bus", "three buses, one truck", step_s)


def two_feeders(step_s: int = 900) -> Sample:
    """Two feeders with a link of two terminals, a battery in each, a truck for three of four stations; 30 hours."""
    return _sample("two_feeders", "two feeders, link, batteries, truck", step_s)


def no_devices() -> Sample:
    """Sample with one feeder and no device."""
    return _sample("no_devices", "no devices", 3600)


def _sample(name: str, title: str, step_s: int) -> Sample:
    """Build a plant of ``sample_plants.toml``, and its day."""
    given = tomllib.loads(resources.files(__package__).joinpath("sample_plants.toml").read_text(encoding="utf-8"))[name]
    stations = tuple(Station(**one) for one in given.get("stations", ()))
    roads = given.get("roads")
    plant = Plant(
        feeders=tuple(_feeder(**one) for one in given["feeders"]),
        stations=stations,
        devices=(),
        roads=None if roads is None else _roads(tuple(one.name for one in stations), **roads),
        step_s=step_s,
        steps=given["hours"] * 3600 // step_s,
        horizon_steps=86400 // step_s,
        first_step_of_day=given["begins_h"] * 3600 // step_s,
        export_price_ratio=given.get("export_price_ratio", 1.0),
        currency="USD",
    )
    site = SampleSite(plant)
    devices = [
        kind.build(kind.Config.model_validate(entry), site)
        for kind in map(find_kind, BUILT_IN)
        for entry in given.get(kind.table, ())
    ]
    assert not site.faults, site.faults
    plant = replace(plant, devices=tuple(devices))
    return Sample(title, plant, _day(plant))


def _feeder(bus_names: list[str], **given: Any) -> Feeder:
    values: dict[str, Any] = {key: np.array(one) if isinstance(one, list) else one for key, one in given.items()}
    return plain_feeder(bus_names=bus_names, **values)


def _roads(stations: tuple[str, ...], distance_km: list[list[float]], **given: Any) -> DistanceMatrix:
    return DistanceMatrix(stations, np.array(distance_km), **given)


def look_ahead(sample: Sample, step: int, horizon: int) -> Forecast:
    """Return the perfect forecast from ``step`` on, ``horizon`` steps or what is left of the run; read-only."""
    return read_only(sample.day.rows(slice(step, step + horizon)))


def at_start(plant: Plant) -> Observation:
    """Return the observation before the first step, with initial states; read-only."""
    return read_only(
        Observation(
            step=0,
            v_pu=np.full(plant.n_bus, np.nan),
            p_branch_mw=np.full(plant.n_branch, np.nan),
            q_branch_mvar=np.full(plant.n_branch, np.nan),
            **observed(plant, [device.initial_state(Now(plant.step_h)) for device in plant.devices]),
        )
    )


def with_state(plant: Plant, observation: Observation, device: Device[Any], **changes: Any) -> Observation:
    """Return the observation with some fields of a device's state replaced."""
    states = list(observation.states)
    number = plant.number(device)
    states[number] = replace(states[number], **changes)
    return replace(observation, **observed(plant, states))


def read_only(given: T) -> T:
    """Return a read-only copy, as the closed loop gives it to a controller."""
    return own_copy(given)


def _day(plant: Plant) -> Forecast:
    """Day with a cheap night, an expensive evening, PV at noon, wind at night, and traffic in the afternoon."""
    hour = (np.array([plant.step_of_day(step) for step in range(plant.steps)]) + 0.5) * plant.step_h
    factor = 0.65 - 0.35 * np.cos(2 * np.pi * (hour - 4.0) / 24.0)
    output = {
        "pv": 0.5 * np.maximum(0.0, np.sin(np.pi * (hour - 6.0) / 12.0)),
        "wind": 0.8 + 0.4 * np.cos(2 * np.pi * hour / 24.0),
    }
    profiles = {one.device.key: {one.key: output[one.device.error_group]} for one in plant.profiled}
    delay = 2.0 + 15.0 * np.exp(-(((hour - 17.0) / 2.0) ** 2))
    return read_only(
        Forecast(
            load_p_mw=factor[:, None] * np.concatenate([feeder.p_load_mw for feeder in plant.feeders]),
            load_q_mvar=factor[:, None] * np.concatenate([feeder.q_load_mvar for feeder in plant.feeders]),
            buy_price=110.0 - 85.0 * np.cos(2 * np.pi * (hour - 5.0) / 24.0),
            sell_price=np.full(plant.steps, 80.0),
            congestion=np.zeros((plant.steps, 0)) if plant.roads is None else plant.roads.on_every_road(delay),
            series=series_of_devices(plant, plant.steps, profiles),
        )
    )
