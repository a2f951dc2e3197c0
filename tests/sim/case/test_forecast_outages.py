"""What forecasts say of devices out of service, forecasts that do not arrive, and foresight."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from gridferry.controllers.contract import Battery, Link, Plant, Storage, Terminal
from gridferry.networks.feeder import plain_feeder
from gridferry.sim.case.conditions import Conditions
from gridferry.sim.case.forecasts import Forecaster
from gridferry.sim.config.schema import ErrorConfig, ForecastConfig, ForecastErrors, ForecastKind

STEPS, HORIZON = 10, 4
LOAD = ErrorConfig(relative_std=0.2)
ERRORS = ForecastErrors(load=LOAD, generation=LOAD, price=LOAD, congestion=LOAD)
PLAIN = ("load_p_mw", "load_q_mvar", "generation_mw", "buy_price", "sell_price", "congestion")


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
    batteries = (Battery("B", 0, 1, store),)
    return Plant((feeder,), (), (), batteries, (link,), (), None, 3600, STEPS, HORIZON, 0, 1.0, "USD")


@pytest.fixture
def real(plant: Plant) -> Conditions:
    numbers = np.random.default_rng(0)
    return Conditions(
        load_p_mw=numbers.random((STEPS, 2)),
        load_q_mvar=numbers.random((STEPS, 2)),
        generation_mw=np.empty((STEPS, 0)),
        buy_price=numbers.random(STEPS),
        sell_price=numbers.random(STEPS),
        congestion=numbers.random(STEPS),
        availability=numbers.random((STEPS, 3)),
        capacity=numbers.random((STEPS, 1)),
    )


def settings(kind: ForecastKind = ForecastKind.PERFECT, **more: Any) -> ForecastConfig:
    return ForecastConfig(kind=kind, errors=ERRORS, **more)


def test_planned_outages_are_known_under_a_perfect_forecast(plant: Plant, real: Conditions) -> None:
    got = Forecaster(plant, real, settings(), 0).at(7)
    assert np.array_equal(got.availability, real.availability[7:])
    assert np.array_equal(got.capacity, real.capacity[7:])
    assert not got.availability.flags.writeable


@pytest.mark.parametrize("kind", [ForecastKind.PERSISTENCE, ForecastKind.ERRORS])
@pytest.mark.parametrize("ageing_h", [0.0, 3.0])
def test_faults_come_as_a_surprise_and_are_taken_to_stay(
    plant: Plant, real: Conditions, kind: ForecastKind, ageing_h: float
) -> None:
    forecaster = Forecaster(plant, real, settings(kind, ageing_h=ageing_h), 0)
    for step, measured in ((0, 0), (1, 0), (5, 4), (9, 8)):
        got = forecaster.at(step)
        rows = min(HORIZON, STEPS - step)
        assert np.array_equal(got.availability, np.tile(real.availability[measured], (rows, 1)))
        assert np.array_equal(got.capacity, np.tile(real.capacity[measured], (rows, 1)))
        assert not got.capacity.flags.writeable


@pytest.mark.parametrize("kind", list(ForecastKind))
def test_nothing_is_said_of_devices_that_are_always_whole(plant: Plant, real: Conditions, kind: ForecastKind) -> None:
    whole = dataclasses.replace(real, availability=None, capacity=None)
    got = Forecaster(plant, whole, settings(kind), 0).at(3)
    assert got.availability is None
    assert got.capacity is None


@pytest.mark.parametrize("kind", list(ForecastKind))
@pytest.mark.parametrize("ageing_h", [0.0, 3.0])
def test_a_forecast_that_does_not_arrive_holds_no_number(
    plant: Plant, real: Conditions, kind: ForecastKind, ageing_h: float
) -> None:
    outage = np.zeros(STEPS)
    outage[5] = 0.1
    forecaster = Forecaster(plant, dataclasses.replace(real, forecast_outage=outage), settings(kind), 0)
    without = Forecaster(plant, real, settings(kind), 0)
    for step in (4, 5, 6):
        got, expected = forecaster.at(step), without.at(step)
        for name in (*PLAIN, "availability", "capacity"):
            values = getattr(got, name)
            assert values.shape == getattr(expected, name).shape
            assert not values.flags.writeable
            assert np.isnan(values).all() if step == 5 else np.array_equal(values, getattr(expected, name))
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
    for name in (*PLAIN, "availability", "capacity"):
        # the same happens, but this time it is known
        assert np.array_equal(getattr(seeing.realised, name), getattr(blind.realised, name))
        assert np.array_equal(getattr(got, name), getattr(seeing.realised, name)[3:7])
