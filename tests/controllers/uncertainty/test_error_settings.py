"""One model of forecast errors: what is written once, what controllers take over, and the distributions by name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from cases import REPOSITORY
from cases.joint_trade import trade
from gridferry.controllers.devices.registry import find_kind
from gridferry.controllers.settings import read_settings
from gridferry.controllers.uncertainty.error_map import error_map
from gridferry.controllers.uncertainty.error_model import Purpose, draw_errors
from gridferry.controllers.uncertainty.error_settings import ErrorConfig, ErrorSettings
from gridferry.controllers.uncertainty.margin_settings import MarginSettings
from gridferry.controllers.uncertainty.plant_errors import plant_errors
from gridferry.networks.faults import InputError

UNLIKE = {"relative_std": 0.2, "correlation_h": 4.0, "truncation": 2.0, "bias": 1.5}


def of_controller(forecast: dict[str, Any] | None = None, **own: Any) -> ErrorSettings:
    """The errors of a controller, where ``[forecast.errors]`` and ``[controller.errors]`` have these keys."""
    options = {"errors": own} if own else {}
    given = {} if forecast is None else {"errors": ErrorSettings.model_validate(forecast)}
    return read_settings(MarginSettings, options, "case.toml", "controller", inherited=given).errors


# ------------------------------------------------------------------------------------------------------------- settings


def test_what_is_written_once_holds_for_every_quantity_that_has_none_of_its_own() -> None:
    short = ErrorSettings.model_validate(
        {
            "load_std": 0.06,
            "generation_std": 0.12,
            "truncation": 2.5,
            "correlation_h": 6.0,
            "price": {"truncation": 4.0},
        }
    )
    plain = {"correlation_h": 6.0, "truncation": 2.5}
    written_out = {
        "load": {"relative_std": 0.06, **plain},
        "generation": {"relative_std": 0.12, **plain},
        "price": {"correlation_h": 6.0, "truncation": 4.0},
        "congestion": plain,
    }
    assert short == ErrorSettings.model_validate(written_out)
    assert ErrorSettings.model_validate(short.model_dump(exclude_none=True)) == short


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"load": {"marginal": "empirical"}}, "load.*nothing is observed of it; give file and columns"),
        ({"file": "days.csv"}, "file and columns go together"),
        ({"file": "a", "columns": ["x"], "price": {"marginal": "empirical"}}, "price.*choose another marginal"),
        (
            {"marginal": "beta", "load": {"relative_std": 0.5, "bounds": [-1.0, 0.2]}},
            "load: relative_std = 0.5: must lie",
        ),
        ({"generation": {"marginal": "beta", "relative_std": 0.1, "bounds": [-2.0, 1.0]}}, r"must begin in \[-1, 0\)"),
        ({"marginal": "beta", "load_std": 0.1, "truncation": 1.0}, "load: .*widen truncation or bounds"),
        ({"load": {"marginal": "gauss"}}, "'normal', 'beta' or 'empirical'"),
    ],
)
def test_what_does_not_fit_together_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        ErrorSettings.model_validate(given)


def test_controllers_take_over_the_errors_of_forecasts_but_for_their_bias() -> None:
    inherited = of_controller({"load": UNLIKE, "generation_grouping": "bus", "congestion": {"bias": 0.5}})
    assert inherited.load == ErrorConfig(relative_std=0.2, correlation_h=4.0, truncation=2.0)
    assert inherited.generation == inherited.congestion == ErrorConfig()
    assert inherited.generation_grouping == "bus"


def test_every_key_that_a_controller_is_given_wins_and_the_others_stay() -> None:
    forecast = {"load": UNLIKE, "generation": UNLIKE, "load_grouping": "bus"}
    mixed = of_controller(
        forecast, load_std=0.05, generation={"truncation": 3.5, "bias": 0.9}, generation_grouping="bus"
    )
    assert mixed.load == ErrorConfig(relative_std=0.05, correlation_h=4.0, truncation=2.0)
    assert mixed.generation == ErrorConfig(relative_std=0.2, correlation_h=4.0, truncation=3.5, bias=0.9)
    assert (mixed.load_grouping, mixed.generation_grouping) == ("bus", "bus")
    # one for all of the controller's beats one by quantity of the forecast's
    assert of_controller(forecast, truncation=5.0).load.truncation == 5.0


@pytest.mark.parametrize("forecast", [None, {}, {"load": {"bias": 1.2}}, {"correlation_h": 2.0}])
def test_where_nothing_is_said_to_err_controllers_assume_that_load_and_generation_do(
    forecast: dict[str, Any] | None,
) -> None:
    assumed = of_controller(forecast)
    assert (assumed.load.relative_std, assumed.generation.relative_std, assumed.price.relative_std) == (0.05, 0.1, 0.0)
    assert assumed.load.correlation_h == (forecast or {}).get("correlation_h", 0.0)
    assert of_controller(forecast, load_std=0.02).generation.relative_std == 0.1
    assert assumed.load.bias == 1.0


def test_a_controller_given_a_size_does_not_go_by_what_was_observed() -> None:
    forecast = {"file": "days.csv", "columns": ["a"], "load": {"marginal": "normal"}}
    assert of_controller(forecast).generation.marginal == "empirical"
    sized = of_controller(forecast, generation_std=0.3).generation
    assert (sized.marginal, sized.relative_std) == ("normal", 0.3)


def test_a_controllers_own_file_columns_or_marginal_are_laid_over_what_was_observed() -> None:
    observed = {"file": "days.csv", "columns": ["a", "b"]}
    assert of_controller(observed, columns=["b", "a"]).columns == ("b", "a")
    assert str(of_controller(observed, file="other.csv").file).endswith("other.csv")
    normal = {"generation": {"marginal": "normal"}, **observed}
    assert of_controller(normal, generation={"marginal": "empirical"}).generation.marginal == "empirical"
    with pytest.raises(InputError, match="give file and columns"):
        of_controller({"load_std": 0.1}, marginal="empirical")


def test_faults_of_a_controllers_errors_name_the_key_that_was_written() -> None:
    with pytest.raises(InputError, match=r"case.toml: controller.errors.load_std: -1"):
        of_controller({"load": UNLIKE}, load_std=-1)
    with pytest.raises(InputError, match=r'controller.errors: .*load.marginal = "empirical": nothing is observed'):
        of_controller({"load": UNLIKE}, marginal="empirical")
    with pytest.raises(InputError, match=r"controller.errors.laod: no such"):
        of_controller({"load": UNLIKE}, laod={"relative_std": 0.1})
    with pytest.raises(InputError, match=r'controller.ageing_h: no such option; it is called "update_decay_h" now'):
        read_settings(MarginSettings, {"ageing_h": 3.0}, "case.toml", "controller")


# -------------------------------------------------------------------------------------------------------- distributions


@given(
    marginal=st.sampled_from(["normal", "beta"]),
    std=st.floats(0.01, 0.3),
    truncation=st.floats(1.9, 6.0),
    seed=st.integers(0, 2**32),
)
@settings(max_examples=25, deadline=None)
def test_normal_and_beta_errors_have_no_mean_the_given_deviation_and_their_bounds(
    marginal: str, std: float, truncation: float, seed: int
) -> None:
    of = ErrorConfig.model_validate({"relative_std": std, "truncation": truncation, "marginal": marginal})
    drawn = draw_errors(of, 40_000, 1.0, np.random.default_rng(seed))
    low, high = max(-1.0, -truncation * std), truncation * std
    assert drawn.min() >= low - 1e-15
    assert drawn.max() <= high + 1e-15
    if low > -1.0 or marginal == "beta":  # a normal that is cut at -1 only has a little less of either
        assert abs(drawn.mean()) < 5 * std / np.sqrt(len(drawn))
        assert drawn.std() == pytest.approx(std, rel=0.04)


def test_beta_errors_have_unequal_bounds_where_they_are_given() -> None:
    of = ErrorConfig.model_validate({"relative_std": 0.3, "marginal": "beta", "bounds": [-0.9, 0.35]})
    drawn = draw_errors(of, 50_000, 1.0, np.random.default_rng(0))
    assert -0.9 <= drawn.min() < -0.85
    assert 0.349 < drawn.max() <= 0.35
    assert drawn.mean() == pytest.approx(0.0, abs=0.01)
    assert drawn.std() == pytest.approx(0.3, rel=0.01)


def test_errors_end_where_nothing_is_left() -> None:
    wild = ErrorConfig(relative_std=0.6)
    assert draw_errors(wild, 2000, 1.0, np.random.default_rng(0)).min() == -1.0
    assert draw_errors(wild, 2000, 1.0, np.random.default_rng(0), lowest=-np.inf).min() < -1.0


@pytest.mark.parametrize("marginal", ["normal", "beta"])
def test_controllers_and_reality_draw_from_one_distribution(marginal: str) -> None:
    """Quantiles of what is drawn for a run, and of the samples that margins are made of."""
    plant, _, _ = trade(0)
    errors = ErrorSettings.model_validate({"load_std": 0.2, "marginal": marginal, "truncation": 2.0})
    _, model = plant_errors(plant, errors)
    sampled = model.draw(20_000, 2, seed=1, purpose=Purpose.IN_SAMPLE)[:, :, 0].ravel()
    real = draw_errors(errors.load, 40_000, plant.step_h, np.random.default_rng(2))
    shares = np.linspace(0.01, 0.99, 50)
    np.testing.assert_allclose(np.quantile(sampled, shares), np.quantile(real, shares), atol=0.01)
    assert model.support(1)[:, 0, 0].tolist() == pytest.approx([-0.4, 0.4])


def test_empirical_sources_take_whole_days_of_their_columns_and_others_stay_normal(tmp_path: Path) -> None:
    plant, _, _ = trade(0)
    day = plant.steps_in_24_h
    rows = 0.001 * np.arange(4 * day)
    np.savetxt(tmp_path / "days.csv", rows, header="sun", comments="")
    errors = {
        "file": str(tmp_path / "days.csv"),
        "columns": ["sun"],
        "load": {"marginal": "normal", "relative_std": 0.1},
    }
    sources, model = plant_errors(plant, ErrorSettings.model_validate(errors))
    drawn = model.draw(500, 3, seed=0, purpose=Purpose.IN_SAMPLE, first_step=2)
    sun = [one.quantity for one in sources.of].index("generation")
    starts = np.unique(np.round(drawn[:, :, sun] / 0.001).astype(int), axis=0)
    assert len(starts) == 2, "half of the days are for planning"
    assert np.array_equal(starts - starts[:, :1], np.tile([0, 1, 2], (2, 1)))
    assert set(starts[:, 0] % day) == {2}
    assert drawn[:, :, 0].std() == pytest.approx(0.1, rel=0.1)
    with pytest.raises(InputError, match="1 columns for 3 sources; name one for each of load:1, load:2, pv:1"):
        plant_errors(plant, ErrorSettings.model_validate(errors | {"load": {}}))


def test_a_generator_that_can_be_limited_errs_as_one_that_cannot() -> None:
    """A limit can only make its output change less than the sun does."""
    plant, _, forecast = trade(0)
    kind = find_kind(f"{REPOSITORY / 'tests' / 'plugins' / 'curtailable.py'}:Curtailable")
    roof = kind(name="roof", bus=3, rating_mw=0.4)  # type: ignore[call-arg]
    plant = replace(plant, devices=(*plant.devices, roof))
    sun = np.linspace(0.0, 0.4, forecast.steps)
    forecast = replace(forecast, series={**forecast.series, roof.key: {"p_mw": sun}})
    sources = error_map(plant)
    assert sources.sources[-1] == "curtailables:2"
    assert sources.of[-1].quantity == "generation"
    p_mw, q_mvar = sources.injections(forecast)
    np.testing.assert_array_equal(p_mw[:, 3, -1], sun)
    assert np.count_nonzero(p_mw[:, :, -1]) == forecast.steps - 1
    assert not q_mvar[:, :, -1].any()
