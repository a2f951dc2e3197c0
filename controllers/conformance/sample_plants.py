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
    feeder = plain_feeder(
        "three_bus",
        base_mva=10.0,
        base_kv=16.0,
        bus_names=("1", "2", "3"),
        p_load_mw=np.array([0.0, 2.0, 1.5]),
        q_load_mvar=np.array([0.0, 0.5, 0.4]),
        from_bus=np.array([0, 1]),
        to_bus=np.array([1, 2]),
        r_ohm=np.array([0.256, 0.384]),
        x_ohm=np.array([0.512, 0.64]),
        v_min_pu=0.95,
        v_max_pu=1.05,
    )
    km = np.array([[0.0, 16.87, 19.92], [16.87, 0.0, 16.83], [19.92, 16.83, 0.0]])
    plant = Plant(
        feeders=(feeder,),
        stations=tuple(Station(f"S{bus + 1}", 0, bus) for bus in range(3)),
        devices=(),
        roads=DistanceMatrix(("S1", "S2", "S3"), km, speed_km_h=40.0, install_min=5.0),
        step_s=step_s,
        steps=86400 // step_s,
        horizon_steps=86400 // step_s,
        first_step_of_day=0,
        export_price_ratio=1.0,
        currency="USD",
    )
    plant = _with_devices(plant, "three_bus")
    return Sample("three buses, one truck", plant, _day(plant))


def two_feeders(step_s: int = 900) -> Sample:
    """Two feeders with a link of two terminals, a battery in each, a truck for three of four stations; 30 hours."""
    plant = Plant(
        feeders=(_line("dn1"), _line("dn2")),
        stations=(Station("S1", 0, 0), Station("S2", 0, 3), Station("S3", 1, 4), Station("S4", 1, 6)),
        devices=(),
        roads=DistanceMatrix(
            ("S1", "S2", "S3", "S4"),
            np.array([[0.0, 3.0, 9.0, 12.0], [3.0, 0.0, 8.0, 10.0], [9.0, 8.0, 0.0, 4.0], [12.0, 10.0, 4.0, 0.0]]),
            speed_km_h=30.0,
            install_min=5.0,
        ),
        step_s=step_s,
        steps=30 * 3600 // step_s,
        horizon_steps=86400 // step_s,
        first_step_of_day=6 * 3600 // step_s,
        export_price_ratio=0.8,
        currency="USD",
    )
    plant = _with_devices(plant, "two_feeders")
    return Sample("two feeders, link, batteries, truck", plant, _day(plant))


def no_devices() -> Sample:
    """Sample with one feeder and no device."""
    plant = Plant(
        feeders=(_line("dn1"),),
        stations=(),
        devices=(),
        roads=None,
        step_s=3600,
        steps=24,
        horizon_steps=24,
        first_step_of_day=0,
        export_price_ratio=1.0,
        currency="USD",
    )
    return Sample("no devices", plant, _day(plant))


def _with_devices(plant: Plant, name: str) -> Plant:
    """Return the plant with the devices that ``sample_devices.toml`` has for it."""
    text = resources.files(__package__).joinpath("sample_devices.toml").read_text(encoding="utf-8")
    tables = tomllib.loads(text)[name]
    site = SampleSite(plant)
    devices = [
        kind.build(kind.Config.model_validate(entry), site)
        for kind in map(find_kind, BUILT_IN)
        for entry in tables.get(kind.table, ())
    ]
    assert not site.faults, site.faults
    return replace(plant, devices=tuple(devices))


def look_ahead(sample: Sample, step: int, horizon: int) -> Forecast:
    """Return the perfect forecast from ``step`` on, ``horizon`` steps or what is left of the run; read-only."""
    rows = slice(step, step + horizon)
    day = sample.day
    return read_only(
        Forecast(
            load_p_mw=day.load_p_mw[rows].copy(),
            load_q_mvar=day.load_q_mvar[rows].copy(),
            buy_price=day.buy_price[rows].copy(),
            sell_price=day.sell_price[rows].copy(),
            congestion=day.congestion[rows].copy(),
            series={
                device: {key: one[rows].copy() for key, one in given.items()} for device, given in day.series.items()
            },
        )
    )


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


def _line(name: str) -> Feeder:
    loads = np.array([0.0, 0.3, 0.2, 0.4])
    return plain_feeder(
        name,
        base_mva=1.0,
        base_kv=12.66,
        bus_names=("1", "2", "3", "4"),
        p_load_mw=loads,
        q_load_mvar=0.4 * loads,
        from_bus=np.array([0, 1, 2]),
        to_bus=np.array([1, 2, 3]),
        r_ohm=np.array([0.4, 0.5, 0.6]),
        x_ohm=np.array([0.3, 0.4, 0.4]),
    )
