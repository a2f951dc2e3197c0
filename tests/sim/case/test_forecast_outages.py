"""What forecasts say of devices out of service, forecasts that do not arrive, and foresight."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from gridferry.controllers.contract import Plant, Storage
from gridferry.controllers.devices.batteries.device import Battery
from gridferry.controllers.devices.links.device import Link, Terminal
from gridferry.controllers.uncertainty.error_settings import ErrorConfig, ErrorSettings
from gridferry.networks.feeder import plain_feeder
from gridferry.sim.case.conditions import Conditions
from gridferry.sim.case.forecasts import Forecaster
from gridferry.sim.config.forecast_schema import ForecastConfig, ForecastKind

STEPS, HORIZON = 10, 4
LOAD = ErrorConfig(relative_std=0.2)
ERRORS = ErrorSettings(load=LOAD, generation=LOAD, price=LOAD, congestion=LOAD)
PLAIN = ("load_p_mw", "load_q_mvar", "buy_price", "sell_price", "congestion")


@pytest.fixture
def plant() -> Plant:
    feeder = plain_feeder(
        "two",
        base_mva=1.0,
        base_kv=10.0,
        bus_names=["1", "2"],
        p_load_mw=np.ones(2),
        q_load_mvar=np.ones(2),
        from_bus=np.array([0]),
        to_bus=np.array([1]),
        r_ohm=np.ones(1),
        x_ohm=np.ones(1),
    )
    store = Storage(1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 1.0, 0.5, None, np.inf, 0.0)
    link = Link("L", (Terminal("L-1", 0, 0, 1.0, 0.0), Terminal("L-2", 0, 1, 1.0, 0.0)), 0)
    return Plant((feeder,), (), (Battery("B", 0, 1, store), link), None, 3600, STEPS, HORIZON, 0, 1.0, "USD")


@pytest.fixture
def real(plant: Plant) -> Conditions:
    numbers = np.random.default_rng(0)
    return Conditions(
        load_p_mw=numbers.random((STEPS, 2)),
        load_q_mvar=numbers.random((STEPS, 2)),
        buy_price=numbers.random(STEPS),
        sell_price=numbers.random(STEPS),
        congestion=numbers.random((STEPS, 2)),
        series={
            "batteries.B": {"availability": numbers.random(STEPS), "usable_energy_share": numbers.random(STEPS)},
            "links.L": {"availability": numbers.random(STEPS)},
        },
    )


def settings(kind: ForecastKind = ForecastKind.PERFECT, **more: Any) -> ForecastConfig:
    return ForecastConfig(kind=kind, errors=ERRORS, **more)


def test_planned_outages_are_known_under_a_perfect_forecast(plant: Plant, real: Conditions) -> None:
    got = Forecaster(plant, real, settings(), 0).at(7)
    for device, given in real.series.items():
        for key, values in given.items():
            assert np.array_equal(got.series[device][key], values[7:])
            assert not got.series[device][key].flags.writeable


@pytest.mark.parametrize("kind", [ForecastKind.PERSISTENCE, ForecastKind.ERRORS])
@pytest.mark.parametrize("update_decay_h", [0.0, 3.0])
def test_faults_come_as_a_surprise_and_are_taken_to_stay(
    plant: Plant, real: Conditions, kind: ForecastKind, update_decay_h: float
) -> None:
    forecaster = Forecaster(plant, real, settings(kind, update_decay_h=update_decay_h), 0)
    for step, measured in ((0, 0), (1, 0), (5, 4), (9, 8)):
        got = forecaster.at(step)
        rows = min(HORIZON, STEPS - step)
        for device, given in real.series.items():
            for key, values in given.items():
                assert np.array_equal(got.series[device][key], np.full(rows, values[measured]))
                assert not got.series[device][key].flags.writeable


@pytest.mark.parametrize("kind", list(ForecastKind))
@pytest.mark.parametrize("update_decay_h", [0.0, 3.0])
def test_a_forecast_that_does_not_arrive_holds_no_number(
    plant: Plant, real: Conditions, kind: ForecastKind, update_decay_h: float
) -> None:
    outage = np.zeros(STEPS)
    outage[5] = 0.1
    forecaster = Forecaster(plant, dataclasses.replace(real, forecast_outage=outage), settings(kind), 0)
    without = Forecaster(plant, real, settings(kind), 0)
    for step in (4, 5, 6):
        got, expected = forecaster.at(step), without.at(step)
        pairs = [(getattr(got, name), getattr(expected, name)) for name in PLAIN]
        pairs += [
            (got.series[device][key], values)
            for device, given in expected.series.items()
            for key, values in given.items()
        ]
        for values, right in pairs:
            assert values.shape == right.shape
            assert not values.flags.writeable
            assert np.isnan(values).all() if step == 5 else np.array_equal(values, right)
    assert np.isfinite(forecaster.realised.load_p_mw).all()


@pytest.mark.parametrize("kind", list(ForecastKind))
@pytest.mark.parametrize("errors_on", ["forecast", "realised"])
def test_with_foresight_the_forecast_is_what_happens(
    plant: Plant, real: Conditions, kind: ForecastKind, errors_on: str
) -> None:
    dark = dataclasses.replace(real, forecast_outage=np.ones(STEPS))
    blind = Forecaster(plant, dark, settings(kind, errors_on=errors_on), 5)
    seeing = Forecaster(plant, dark, settings(kind, errors_on=errors_on, foresight=True), 5)
    got = seeing.at(3)
    triples = [(getattr(got, name), *(getattr(one.realised, name) for one in (seeing, blind))) for name in PLAIN]
    triples += [
        (values, *(one.realised.series[device][key] for one in (seeing, blind)))
        for device, given in got.series.items()
        for key, values in given.items()
    ]
    for values, seen, unseen in triples:
        # the same happens, but this time it is known
        assert np.array_equal(seen, unseen)
        assert np.array_equal(values, seen[3:7])
