"""Margins as controllers have them: near errors are smaller where forecasts learn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cases.joint_trade import ERRORS, Case, trade
from gridferry.controllers.uncertainty.margin_settings import MarginMaker, MarginSettings
from gridferry.controllers.uncertainty.margins import Margins


def margins(case: Case, **wish: Any) -> Margins:
    plant, observation, forecast = case
    maker = MarginMaker(plant, MarginSettings(errors=ERRORS, **wish))
    nothing = np.zeros((forecast.steps, plant.n_bus))
    return maker.margins(forecast, maker.ambiguity(observation.step, forecast), nothing, nothing)


@pytest.mark.parametrize("secant", [False, True])
@pytest.mark.parametrize("scenario", ["robust", "drcc"])
@pytest.mark.parametrize("support", ["box", "unbounded"])
def test_what_was_just_measured_shrinks_near_margins_and_enlarges_none(
    scenario: str, support: str, secant: bool
) -> None:
    wish = {"scenario": scenario, "support": support, "secant": secant}
    case = trade(0, horizon=12)
    full = margins(case, **wish)
    before = full
    for update_decay_h in (0.01, 1.0, 4.0, 24.0):
        aged = margins(case, **wish, update_decay_h=update_decay_h)
        for one, other, whole in ((aged.lower, before.lower, full.lower), (aged.upper, before.upper, full.upper)):
            # the longer errors last, the more a measurement says
            assert (one <= other + 1e-12).all()
            assert (one <= whole + 1e-12).all()
            assert (one >= 0).all()
        before = aged
    slow = margins(case, **wish, update_decay_h=4.0)
    assert slow.lower[0, 3] < 0.8 * full.lower[0, 3]
    # twelve hours are three correlation times
    assert slow.lower[-1, 3] == pytest.approx(full.lower[-1, 3], rel=5e-3)
    np.testing.assert_allclose(margins(case, **wish, update_decay_h=0.01).lower, full.lower, rtol=1e-9)


def test_near_margins_shrink_as_the_errors_process_says() -> None:
    """Unbounded without a ball: margins are in proportion to the errors, √(1 - exp(-2 τ / T)) for T = 4 h."""
    wish = {"scenario": "drcc", "support": "unbounded", "radius": 0.0, "secant": False}
    case = trade(0, horizon=8)
    share = margins(case, **wish, update_decay_h=4.0).lower[:, 3] / margins(case, **wish).lower[:, 3]
    np.testing.assert_allclose(share, np.sqrt(1 - np.exp(-np.arange(1, 9) / 2)), rtol=1e-9)
