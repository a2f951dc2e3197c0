"""Margins where a generator takes a limit: an error counts with the worse of 0 and what it does."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from cases.battery_day import battery_day, chain
from cases.joint_trade import Case
from gridferry.controllers.devices.generators.device import Generator
from gridferry.controllers.uncertainty.error_model import Purpose
from gridferry.controllers.uncertainty.error_settings import ErrorSettings
from gridferry.controllers.uncertainty.margin_settings import MarginMaker, MarginSettings
from gridferry.controllers.uncertainty.margins import Margins, sample_cvar
from gridferry.controllers.uncertainty.plant_errors import plant_errors
from gridferry.controllers.uncertainty.sensitivities import operating_point, voltage_response
from gridferry.networks.power_flow import solve_sweep

FEEDER = chain((0.02, 0.02), (0.03, 0.012), kv=0.4, base_mva=0.25)
PV = Generator("pv", "pv", 0, 2, 0.0, curtailable=True)
ROOF = Generator("roof", "pv", 0, 1, 0.0)
ERRORS: dict[str, Any] = {"load_std": 0.2, "generation_std": 0.3, "truncation": 3.0}


def case(*sources: Generator) -> Case:
    plant, seen, ahead = battery_day(FEEDER, [0.03], [50.0], [0.1])
    plant = replace(plant, devices=(plant.devices[0], *sources))
    series = {one.key: {"p_mw": np.array([0.1])} for one in sources}
    return plant, seen, replace(ahead, series={**ahead.series, **series})


def margins(given: Case, **settings: Any) -> Margins:
    """At full sun and a battery that rests."""
    plant, _, ahead = given
    maker = MarginMaker(plant, MarginSettings(errors=ErrorSettings(**ERRORS), **settings))
    nothing = np.zeros((1, plant.n_bus))
    return maker.margins(ahead, maker.ambiguity(0, ahead), nothing, nothing)


def response(given: Case, bus: int) -> np.ndarray:
    """Change of all voltages per MW at a bus, at full sun [pu]."""
    plant, _, ahead = given
    v = operating_point(plant, -ahead.net_load_mw(plant), -ahead.load_q_mvar)
    p = np.zeros((1, plant.n_bus, 1))
    p[0, bus] = 1.0
    return voltage_response(FEEDER, v, p, 0 * p)[0, :, 0]


@pytest.mark.parametrize("sources", [(PV,), (PV, ROOF)], ids=["alone", "with one that is not curtailable"])
def test_the_margin_is_the_cvar_of_the_worse_of_nothing_and_the_error(sources: tuple[Generator, ...]) -> None:
    given = case(*sources)
    settings = {"radius": 0.0, "confidence": 0.9, "samples": 200, "secant": False}
    found = margins(given, **settings)
    _, model = plant_errors(given[0], ErrorSettings(**ERRORS))
    load, sun = model.draw(200, 24, seed=0, purpose=Purpose.IN_SAMPLE)[:, 0].T
    at = response(given, 2)
    follows = -0.03 * load[:, None] * at + (0.1 * sun[:, None] * response(given, 1) if ROOF in sources else 0.0)
    limited = 0.1 * sun[:, None] * at
    for side, margin in ((1.0, found.upper), (-1.0, found.lower)):
        worse = side * follows + np.maximum(side * limited, 0.0)
        np.testing.assert_allclose(margin[0], np.maximum(sample_cvar(worse.T, 0.1), 0.0), atol=1e-9)


def test_a_robust_margin_has_the_whole_error_on_both_sides() -> None:
    given = case(PV)
    found, at = margins(given, scenario="robust", secant=False), response(given, 2)
    most = 0.03 * 0.6 * at + 0.1 * 0.9 * at
    np.testing.assert_allclose(found.upper[0], most, atol=1e-9)
    np.testing.assert_allclose(found.lower[0], most, atol=1e-9)


def test_margins_are_never_less_than_those_of_a_generator_that_takes_no_limit() -> None:
    limited, free = (margins(case(one)) for one in (PV, replace(PV, curtailable=False)))
    assert (limited.upper >= free.upper - 1e-12).all()
    assert (limited.lower >= free.lower - 1e-12).all()


@pytest.mark.parametrize("limit_mw", [0.05, 0.1, 1000.0])
def test_whatever_the_limit_voltages_stay_within_the_margins_as_often_as_promised(limit_mw: float) -> None:
    given = case(PV)
    found = margins(given, confidence=0.9, samples=200)
    _, model = plant_errors(given[0], ErrorSettings(**ERRORS))
    load, sun = model.draw(4000, 24, seed=5, purpose=Purpose.OUT_OF_SAMPLE)[:, 0].T

    def voltages(load_mw: np.ndarray, sun_mw: np.ndarray) -> np.ndarray:
        p = np.zeros((len(load_mw), 3))
        p[:, 2] = np.minimum(sun_mw, limit_mw) - load_mw
        return np.abs(solve_sweep(FEEDER, p, 0 * p)[0])

    v = voltages(0.03 * (1 + load), 0.1 * (1 + sun))
    (planned,) = voltages(np.array([0.03]), np.array([0.1]))
    assert (v[:, 2] <= planned[2] + found.upper[0, 2]).mean() >= 0.9
    assert (v[:, 2] >= planned[2] - found.lower[0, 2]).mean() >= 0.9
