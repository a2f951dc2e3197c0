from __future__ import annotations

import dataclasses
import math
from typing import Literal

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import kstest, truncnorm

from gridferry.controllers.contract import Forecast, Plant
from gridferry.controllers.devices.generators.device import Generator
from gridferry.controllers.uncertainty.error_model import draw_errors
from gridferry.controllers.uncertainty.error_settings import ErrorConfig, ErrorSettings
from gridferry.networks.feeder import plain_feeder
from gridferry.networks.roads.travel import DistanceMatrix
from gridferry.sim.case.conditions import Conditions
from gridferry.sim.case.forecast_errors import stream
from gridferry.sim.case.forecasts import Forecaster, corrected, measured_rows
from gridferry.sim.config.forecast_schema import ForecastConfig, ForecastKind

PERFECT = ForecastConfig()
PERSISTENCE = ForecastConfig(kind=ForecastKind.PERSISTENCE)
FIELDS = ("load_p_mw", "load_q_mvar", "buy_price", "sell_price", "congestion")


def plant(steps: int, horizon: int, generators: tuple[str, ...] = ("pv",), networks: int = 2) -> Plant:
    feeders = tuple(
        plain_feeder(
            "same",
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
        for _ in range(networks)
    )
    sources = tuple(Generator(name, "pv", 0, 1, 0.0) for name in generators)
    roads = DistanceMatrix(("A", "B"), np.ones((2, 2)), 40.0, 0.0)
    return Plant(feeders, (), sources, roads, 3600 * 6, steps, horizon, 0, 1.0, "USD")


def conditions(of: Plant, seed: int = 0) -> Conditions:
    numbers = np.random.default_rng(seed)
    return Conditions(
        load_p_mw=numbers.random((of.steps, of.n_bus)),
        load_q_mvar=numbers.random((of.steps, of.n_bus)) - 0.5,
        series={one.key: {"p_mw": numbers.random(of.steps)} for one in of.devices},
        buy_price=numbers.normal(size=of.steps),
        sell_price=numbers.random(of.steps),
        congestion=numbers.random((of.steps, 2)),
    )


def produced(of: Plant, given: Conditions | Forecast) -> np.ndarray:
    """Output of the generators, a column each."""
    return np.stack([given.series[one.key]["p_mw"] for one in of.devices], axis=1)


def erring(on: Literal["forecast", "realised"] = "forecast", **sizes: ErrorConfig) -> ForecastConfig:
    return ForecastConfig(kind=ForecastKind.ERRORS, errors_on=on, errors=ErrorSettings(**sizes))


LOAD = ErrorConfig(relative_std=0.1, correlation_h=12.0)
ALL = {"load": LOAD, "generation": LOAD, "price": LOAD, "congestion": LOAD}


# ------------------------------------------------------------------------------------------------ perfect, persistence


def test_a_perfect_forecast_is_a_view_of_what_happens_up_to_the_end_of_the_run() -> None:
    of = plant(10, 4)
    real = conditions(of)
    forecaster = Forecaster(of, real, PERFECT, 0)
    assert forecaster.realised is real
    for step, length in ((0, 4), (6, 4), (7, 3), (9, 1)):
        got = forecaster.at(step)
        assert got.steps == length
        for name in FIELDS:
            assert np.array_equal(getattr(got, name), getattr(real, name)[step : step + length])
            assert np.shares_memory(getattr(got, name), getattr(real, name))
            assert not getattr(got, name).flags.writeable
    for outside in (-1, 10):
        with pytest.raises(ValueError, match="outside the run"):
            forecaster.at(outside)


def test_persistence_by_hand() -> None:
    of = plant(12, 12)
    # four steps a day; at the start of step 6 the last one measured is 5
    assert measured_rows(of, 6, 12).tolist() == [2, 3, 4, 5, 2, 3]
    # nothing is known of the day before: the last measured value
    assert measured_rows(of, 2, 6).tolist() == [1, 1, 0, 1]
    assert measured_rows(of, 1, 4).tolist() == [0, 0, 0]
    # at the very start nothing is measured
    assert measured_rows(of, 0, 6).tolist() == [0] * 6


def test_persistence_knows_nothing_of_the_step_that_acts_now_nor_of_what_follows() -> None:
    of = plant(40, 9)
    real = conditions(of)
    for step in (1, 3, 4, 17, 39):
        other = conditions(of, seed=1)
        sun = np.concatenate([produced(of, real)[:step], produced(of, other)[step:]])
        later = Conditions(
            series={one.key: {"p_mw": sun[:, column]} for column, one in enumerate(of.devices)},
            **{name: np.concatenate([getattr(real, name)[:step], getattr(other, name)[step:]]) for name in FIELDS},
        )
        one, two = (Forecaster(of, given, PERSISTENCE, 0).at(step) for given in (real, later))
        assert np.array_equal(produced(of, one), produced(of, two))
        for name in FIELDS:
            assert np.array_equal(getattr(one, name), getattr(two, name))
            assert len(getattr(one, name)) == min(9, 40 - step)
            assert not getattr(one, name).flags.writeable


# -------------------------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize("truncation", [1.8, 2.0, 3.0, 6.0])
def test_errors_have_the_requested_standard_deviation_and_bounds(truncation: float) -> None:
    settings = ErrorConfig(relative_std=0.2, correlation_h=0.0, truncation=truncation)
    drawn = draw_errors(settings, 200_000, 0.25, stream(1, "a"))
    assert abs(np.mean(drawn)) < 0.003
    assert np.std(drawn) == pytest.approx(0.2, rel=0.01)
    assert np.max(np.abs(drawn)) <= truncation * 0.2
    assert np.max(np.abs(drawn)) > min(truncation, 3.0) * 0.2 * 0.97


def test_errors_are_a_truncated_normal() -> None:
    drawn = draw_errors(ErrorConfig(relative_std=0.2, truncation=2.0), 20_000, 1.0, stream(2, "a")) / 0.2
    # the normal to cut at ±2 standard deviations of the result: its own deviation s solves s · std(±2/s) = 1
    s = brentq(lambda wide: wide * truncnorm.std(-2 / wide, 2 / wide) - 1, 1.0, 3.0)
    assert kstest(drawn, truncnorm(-2 / s, 2 / s, scale=s).cdf).pvalue > 0.01


def test_bounds_nearer_than_a_uniform_distribution_allows_give_the_uniform_one() -> None:
    drawn = draw_errors(ErrorConfig(relative_std=0.2, truncation=1.0), 20_000, 1.0, stream(2, "a"))
    assert kstest(drawn, "uniform", args=(-0.2, 0.4)).pvalue > 0.01


def test_a_truncation_that_never_binds_leaves_the_normal() -> None:
    drawn = draw_errors(ErrorConfig(relative_std=0.2, truncation=1e200), 20_000, 1.0, stream(2, "a"))
    assert kstest(drawn, "norm", args=(0.0, 0.2)).pvalue > 0.01


@pytest.mark.parametrize("correlation_h", [0.0, 0.5, 3.0])
def test_errors_are_correlated_over_the_requested_time(correlation_h: float) -> None:
    drawn = draw_errors(ErrorConfig(relative_std=0.1, correlation_h=correlation_h), 400_000, 0.25, stream(3, "a"))
    for lag in (1, 4, 12):
        expected = math.exp(-lag * 0.25 / correlation_h) if correlation_h else 0.0
        assert np.corrcoef(drawn[lag:], drawn[:-lag])[0, 1] == pytest.approx(expected, abs=0.02)


def test_the_first_error_is_as_wide_as_any_other() -> None:
    first = [draw_errors(LOAD, 1, 0.25, stream(seed, "a"))[0] for seed in range(1500)]
    assert np.std(first) == pytest.approx(0.1, rel=0.06)


def test_errors_of_the_forecast_leave_reality_alone_and_stay_the_same_as_time_passes() -> None:
    of = plant(30, 30)
    real = conditions(of)
    forecaster = Forecaster(of, real, erring(**ALL), 5)
    assert forecaster.realised is real
    early, late = forecaster.at(0), forecaster.at(10)
    for name in FIELDS:
        assert np.array_equal(getattr(early, name)[10:], getattr(late, name))
        assert np.array_equal(getattr(early, name), getattr(real, name)) == (name == "sell_price")
    # one series per network, the same for P and Q of all its buses
    ratio_p, ratio_q = early.load_p_mw / real.load_p_mw, early.load_q_mvar / real.load_q_mvar
    assert ratio_p == pytest.approx(ratio_q)
    assert ratio_p[:, 0] == pytest.approx(ratio_p[:, 1])
    assert not np.allclose(ratio_p[:, 0], ratio_p[:, 2])
    assert np.all(np.abs(ratio_p - 1) <= 0.3 + 1e-12)


def test_errors_of_reality_leave_the_forecast_at_the_profile() -> None:
    of = plant(30, 30)
    profile = conditions(of)
    as_forecast = Forecaster(of, profile, erring("forecast", **ALL), 5).at(0)
    forecaster = Forecaster(of, profile, erring("realised", **ALL), 5)
    for name in FIELDS:
        assert np.array_equal(getattr(forecaster.at(0), name), getattr(profile, name))
        assert np.array_equal(getattr(forecaster.realised, name), getattr(as_forecast, name))
        assert not getattr(forecaster.realised, name).flags.writeable


def test_the_bias_multiplies_and_loads_never_turn_negative() -> None:
    of = plant(2000, 2000)
    profile = conditions(of)
    got = Forecaster(of, profile, erring(generation=ErrorConfig(bias=1.25)), 5).at(0)
    assert produced(of, got) == pytest.approx(1.25 * produced(of, profile))
    assert np.array_equal(got.load_p_mw, profile.load_p_mw)
    wild = ErrorConfig(relative_std=1.0)
    real = Forecaster(of, profile, erring("realised", load=wild, generation=wild), 5).realised
    assert np.min(real.load_p_mw) == 0.0
    assert np.min(produced(of, real)) == 0.0


def test_seeds_repeat_and_differ() -> None:
    of = plant(30, 30)
    profile = conditions(of)
    one, again, other = (Forecaster(of, profile, erring(**ALL), seed).at(0) for seed in (5, 5, 6))
    assert not np.allclose(produced(of, one), produced(of, other))
    for name in FIELDS[:3]:
        assert np.array_equal(getattr(one, name), getattr(again, name))
        assert not np.allclose(getattr(one, name), getattr(other, name))


def test_another_entity_or_a_longer_run_does_not_change_what_the_others_draw() -> None:
    small = plant(30, 30)
    large = plant(45, 45, generators=("wind", "pv"), networks=3)
    flat = [
        Conditions(
            load_p_mw=np.ones((of.steps, of.n_bus)),
            load_q_mvar=np.ones((of.steps, of.n_bus)),
            buy_price=np.ones(of.steps),
            sell_price=np.ones(of.steps),
            congestion=np.ones((of.steps, 2)),
            series={one.key: {"p_mw": np.ones(of.steps)} for one in of.devices},
        )
        for of in (small, large)
    ]
    one, two = (Forecaster(of, given, erring(**ALL), 5).at(0) for of, given in zip((small, large), flat, strict=True))
    assert np.array_equal(one.load_p_mw, two.load_p_mw[:30, :4])
    assert np.array_equal(produced(small, one)[:, 0], produced(large, two)[:30, 1])
    assert np.array_equal(one.buy_price, two.buy_price[:30])
    assert np.array_equal(one.congestion, two.congestion[:30])


def test_streams_of_different_entities_are_independent() -> None:
    names = [("load", "dn1", "0"), ("load", "dn1", "1"), ("generation", "pv"), ("price",)]
    drawn = np.array([draw_errors(LOAD, 50_000, 50.0, stream(0, *name)) for name in names])
    assert np.abs(np.corrcoef(drawn) - np.eye(4)).max() < 0.02


def test_a_forecast_learns_from_the_error_just_measured():
    """By hand: forecast load 1.1 of the real one and half the traffic, as measured in the step before."""
    case = plant(48, 48)
    steps, buses = case.steps, case.n_bus
    real = Conditions(
        load_p_mw=np.ones((steps, buses)),
        load_q_mvar=np.full((steps, buses), 0.5),
        series={one.key: {"p_mw": np.zeros(steps)} for one in case.devices},
        buy_price=np.full(steps, 50.0),
        sell_price=np.full(steps, 80.0),
        congestion=np.full((steps, 2), 10.0),
    )
    known = dataclasses.replace(real, load_p_mw=1.1 * real.load_p_mw, congestion=0.5 * real.congestion)
    day_ahead = Forecast(
        load_p_mw=known.load_p_mw[3:],
        load_q_mvar=known.load_q_mvar[3:],
        series={device: {"p_mw": given["p_mw"][3:]} for device, given in known.series.items()},
        buy_price=known.buy_price[3:],
        sell_price=known.sell_price[3:],
        congestion=known.congestion[3:],
    )
    aged = corrected(case, day_ahead, known, real, 3, decay_h=2.0)
    fading = np.exp(-np.arange(1, steps - 2) * case.step_h / 2.0)
    np.testing.assert_allclose(aged.load_p_mw[:, 0], 1.1 * (1 + fading * (1 / 1.1 - 1)), rtol=1e-12)
    np.testing.assert_allclose(aged.congestion, np.outer(5.0 * (1 + fading), [1.0, 1.0]), rtol=1e-12)
    np.testing.assert_array_equal(produced(case, aged), produced(case, day_ahead))
    assert aged.load_p_mw[0, 0] < day_ahead.load_p_mw[0, 0]
    assert aged.load_p_mw[-1, 0] == pytest.approx(1.1, rel=0.05)
