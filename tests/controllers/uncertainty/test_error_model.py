"""Error sources, their distributions and streams of samples."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from cases import REPOSITORY
from cases.parts import forecast_of, plant_of
from gridferry.controllers.contract import Plant
from gridferry.controllers.devices.generators.device import Generator
from gridferry.controllers.uncertainty.error_map import ErrorMap, Grouping, error_map
from gridferry.controllers.uncertainty.error_model import (
    EmpiricalErrors,
    ErrorModel,
    JoinedErrors,
    MarginalErrors,
    Purpose,
)
from gridferry.controllers.uncertainty.error_records import read_day_to_day_errors, read_errors
from gridferry.controllers.uncertainty.error_settings import ErrorConfig
from gridferry.controllers.uncertainty.marginals import ScaledBeta, TruncatedNormal, marginal_of
from gridferry.networks.faults import InputError
from gridferry.networks.feeder import Feeder, plain_feeder


def feeder(name: str, n_bus: int) -> Feeder:
    return plain_feeder(
        name,
        base_mva=1.0,
        base_kv=10.0,
        bus_names=[f"{name}{bus}" for bus in range(n_bus)],
        p_load_mw=np.zeros(n_bus),
        q_load_mvar=np.zeros(n_bus),
        from_bus=np.arange(n_bus - 1),
        to_bus=np.arange(1, n_bus),
        r_ohm=np.ones(n_bus - 1),
        x_ohm=np.ones(n_bus - 1),
    )


@pytest.fixture
def plant() -> Plant:
    """Buses 0-2 and 3-4; two PV plants at bus 2, one at bus 4, wind at bus 4."""
    return plant_of(
        feeders=(feeder("a", 3), feeder("b", 2)),
        stations=(),
        trucks=(),
        batteries=(),
        links=(),
        generators=(
            Generator("pv1", "pv", 0, 2, 0.0),
            Generator("pv2", "pv", 0, 2, 0.0),
            Generator("pv3", "pv", 1, 4, 0.0),
            Generator("mill", "wind", 1, 4, 0.0),
        ),
        roads=None,
        step_s=3600,
        steps=2,
        horizon_steps=2,
        first_step_of_day=0,
        export_price_ratio=1.0,
        currency="USD",
    )


LOAD_P = np.array([[0.0, 1.0, 2.0, 3.0, 4.0], [0.0, 0.5, 0.6, 0.7, 0.8]])
LOAD_Q = 0.5 * LOAD_P
GENERATION = np.array([[1.0, 2.0, 3.0, 4.0], [0.0, 0.0, 0.0, 1.0]])


def realised(mapping: ErrorMap, errors: np.ndarray, plant: Plant) -> np.ndarray:
    none = np.zeros(2)
    forecast = forecast_of(
        plant,
        load_p_mw=LOAD_P,
        load_q_mvar=LOAD_Q,
        generation_mw=GENERATION,
        buy_price=none,
        sell_price=none,
        congestion=none,
    )
    p, q = mapping.injections(forecast)
    return np.einsum("hbs,hs->hb", p + 1j * q, errors)


def test_network_groups_move_all_loads_and_all_pv_of_a_network_together(plant: Plant) -> None:
    mapping = error_map(plant)
    assert mapping.sources == ("load:1", "load:2", "pv:1", "pv:2", "wind:2")
    errors = np.array([[0.1, -0.2, 0.3, 0.4, -0.5]] * 2)
    expected = np.zeros((2, 5), dtype=complex)
    for step in range(2):
        for bus in range(5):
            expected[step, bus] -= (LOAD_P + 1j * LOAD_Q)[step, bus] * (0.1 if bus < 3 else -0.2)
        expected[step, 2] += 0.3 * (GENERATION[step, 0] + GENERATION[step, 1])
        expected[step, 4] += 0.4 * GENERATION[step, 2] - 0.5 * GENERATION[step, 3]
    np.testing.assert_allclose(realised(mapping, errors, plant), expected, atol=1e-15)


@pytest.mark.parametrize("load", list(Grouping))
@pytest.mark.parametrize("generation", list(Grouping))
def test_one_common_error_is_the_same_under_every_grouping(plant: Plant, load: Grouping, generation: Grouping) -> None:
    mapping = error_map(plant, load, generation)
    common = realised(mapping, np.full((2, len(mapping.sources)), 0.1), plant)
    coarse = error_map(plant)
    np.testing.assert_allclose(common, realised(coarse, np.full((2, 5), 0.1), plant), atol=1e-15)


def test_finer_groups_have_sources_of_their_own(plant: Plant) -> None:
    by_bus = error_map(plant, Grouping.BUS, Grouping.BUS)
    loads = ("load:1:a0", "load:1:a1", "load:1:a2", "load:2:b0", "load:2:b1")
    assert by_bus.sources == (*loads, "pv:1:a2", "pv:2:b1", "wind:2:b1")
    by_device = error_map(plant, Grouping.NETWORK, Grouping.DEVICE)
    assert by_device.sources == ("load:1", "load:2", "pv:pv1", "pv:pv2", "pv:pv3", "wind:mill")


def test_truncated_normal_has_the_standard_deviation_it_names_and_ends_at_its_bounds() -> None:
    marginal = TruncatedNormal(0.1, 2.5)
    share = (np.arange(200_000) + 0.5) / 200_000
    values = marginal.quantile(share)
    assert values.mean() == pytest.approx(0.0, abs=1e-9)
    assert values.std() == pytest.approx(0.1, rel=1e-4)
    np.testing.assert_allclose(marginal.quantile(np.array([0.0, 1.0])), [-0.25, 0.25], rtol=1e-12)
    wide = TruncatedNormal(0.05, 15.0)
    np.testing.assert_allclose(wide.quantile(share), stats.norm.ppf(share, scale=0.05), rtol=1e-9)


def test_scaled_beta_has_zero_mean_and_its_standard_deviation() -> None:
    marginal = ScaledBeta(0.3, -1.0, 0.5)
    values = marginal.quantile((np.arange(100_000) + 0.5) / 100_000)
    assert values.mean() == pytest.approx(0.0, abs=1e-6)
    assert values.std() == pytest.approx(0.3, rel=1e-4)
    assert marginal.quantile(np.array([0.0, 1.0])).tolist() == [-1.0, 0.5]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ScaledBeta(0.8, -1.0, 0.5), "must lie between 0 and 0.7071"),
        (lambda: ScaledBeta(0.1, -1.5, 0.5), "must begin in"),
        (lambda: EmpiricalErrors(np.zeros((1, 2, 3))), "two at least"),
    ],
)
def test_distributions_that_cannot_be_are_refused(make: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def correlated_model() -> MarginalErrors:
    return MarginalErrors((TruncatedNormal(0.05), ScaledBeta(0.2, -1.0, 1.0)), correlation_h=(2.0, 0.0), step_h=0.5)


def empirical_model() -> EmpiricalErrors:
    return EmpiricalErrors(np.random.default_rng(0).uniform(-0.2, 0.3, (40, 6, 2)))


def joined_model() -> JoinedErrors:
    """The second source normal, the first one as observed."""
    days = EmpiricalErrors(np.random.default_rng(1).uniform(-0.4, 0.4, (40, 6, 1)))
    return JoinedErrors([(MarginalErrors((TruncatedNormal(0.1),)), [1]), (days, [0])])


MODELS = pytest.mark.parametrize(
    "model", [correlated_model(), empirical_model(), joined_model()], ids=["marginals", "days", "both"]
)


@MODELS
def test_in_sample_and_out_of_sample_sets_never_share_a_draw(model: ErrorModel) -> None:
    known = model.draw(400, 6, seed=7, purpose=Purpose.IN_SAMPLE)
    judge = model.draw(2000, 6, seed=7, purpose=Purpose.OUT_OF_SAMPLE)
    assert not np.isin(np.unique(known), np.unique(judge)).any()
    assert abs(np.corrcoef(known.ravel(), judge[:400].ravel())[0, 1]) < 0.1


@MODELS
def test_samples_do_not_depend_on_how_they_are_fetched(model: ErrorModel) -> None:
    whole = model.draw(600, 5, seed=3, purpose=Purpose.OUT_OF_SAMPLE)
    for chunk in (1, 7, 256, 300, 1000):
        parts = list(model.stream(600, 5, seed=3, purpose=Purpose.OUT_OF_SAMPLE, chunk=chunk))
        assert max(len(part) for part in parts) <= chunk
        np.testing.assert_array_equal(np.concatenate(parts), whole)
    np.testing.assert_array_equal(model.draw(30, 5, seed=3, purpose=Purpose.OUT_OF_SAMPLE), whole[:30])
    assert not np.array_equal(model.draw(30, 5, seed=4, purpose=Purpose.OUT_OF_SAMPLE), whole[:30])
    assert model.draw(0, 5, seed=3, purpose=Purpose.OUT_OF_SAMPLE).shape == (0, 5, 2)


@given(seed=st.integers(0, 2**40), steps=st.integers(1, 8), first=st.integers(0, 8))
@settings(max_examples=15, deadline=None)
def test_samples_stay_in_their_support(seed: int, steps: int, first: int) -> None:
    for model in (correlated_model(), empirical_model(), joined_model()):
        drawn = model.draw(50, steps, seed=seed, purpose=Purpose.IN_SAMPLE, first_step=first)
        low, high = model.support(steps, first)
        assert np.all(drawn >= low)
        assert np.all(drawn <= high)


def test_samples_follow_their_marginals_and_correlations() -> None:
    drawn = correlated_model().draw(20_000, 6, seed=1, purpose=Purpose.IN_SAMPLE)
    assert (
        stats.kstest(drawn[:, 3, 0], stats.truncnorm(-3, 3, scale=0.05 / stats.truncnorm.std(-3, 3)).cdf).pvalue > 1e-3
    )
    np.testing.assert_allclose(drawn.std(axis=0), [[0.05, 0.2]] * 6, rtol=0.03)
    in_time = np.corrcoef(drawn[:, 2, 0], drawn[:, 4, 0])[0, 1]
    assert in_time == pytest.approx(np.exp(-0.5), abs=0.02)
    assert np.corrcoef(drawn[:, 2, 1], drawn[:, 4, 1])[0, 1] == pytest.approx(0.0, abs=0.02)
    assert np.corrcoef(drawn[:, 2, 0], drawn[:, 2, 1])[0, 1] == pytest.approx(0.0, abs=0.02)


def test_errors_are_correlated_within_their_groups_and_keep_their_marginals() -> None:
    marginals = [marginal_of(ErrorConfig(relative_std=std)) for std in (0.05, 0.1, 0.2)]
    model = MarginalErrors(marginals, [2.0] * 3, groups=["load", "pv", "load"], within=0.5)
    drawn = model.draw(20_000, 3, seed=1, purpose=Purpose.IN_SAMPLE)
    alone = MarginalErrors(marginals, [2.0] * 3).draw(20_000, 3, seed=1, purpose=Purpose.IN_SAMPLE)
    between = np.corrcoef(drawn[:, 2].T)
    assert between[0, 2] == pytest.approx(0.5, abs=0.02)
    assert between[0, 1] == pytest.approx(0.0, abs=0.02)
    assert np.corrcoef(drawn[:, 0, 0], drawn[:, 1, 0])[0, 1] == pytest.approx(np.exp(-0.5), abs=0.02)
    np.testing.assert_allclose(drawn.std(axis=0), alone.std(axis=0), rtol=0.03)
    whole = MarginalErrors(marginals[:1] * 2, groups=["load"] * 2, within=1.0)
    alike = whole.draw(10, 3, seed=1, purpose=Purpose.IN_SAMPLE)
    np.testing.assert_array_equal(alike[..., 0], alike[..., 1])


def test_days_begin_where_the_horizon_begins() -> None:
    days = np.arange(4.0)[:, None, None] + 0.1 * np.arange(6.0)[None, :, None]
    drawn = EmpiricalErrors(days).draw(5, 4, seed=0, purpose=Purpose.IN_SAMPLE, first_step=4)
    steps = np.round((drawn - np.floor(drawn + 1e-9)) * 10).astype(int)[:, :, 0]
    assert steps.tolist() == [[4, 5, 0, 1]] * 5


def test_where_clocks_change_a_day_of_errors_is_read_by_what_they_show() -> None:
    days = np.arange(4.0)[:, None, None] + 0.1 * np.arange(6.0)[None, :, None]
    shown = np.array([1, 2, 1, 2, 3])  # set back by two steps
    drawn = EmpiricalErrors(days).draw(5, 5, seed=0, purpose=Purpose.IN_SAMPLE, first_step=shown - np.arange(5))
    steps = np.round((drawn - np.floor(drawn + 1e-9)) * 10).astype(int)[:, :, 0]
    assert steps.tolist() == [shown.tolist()] * 5


def test_recorded_errors_are_cut_into_days(tmp_path: Path) -> None:
    file = tmp_path / "errors.csv"
    file.write_text("pv,load\n" + "".join(f"{0.1 * row},{-0.1 * row}\n" for row in range(6)))
    days = read_errors(file, ["load", "pv"], 3)
    np.testing.assert_allclose(days, [[[-0.1 * row, 0.1 * row] for row in range(k, k + 3)] for k in (0, 3)], atol=1e-15)
    with pytest.raises(InputError, match="6 rows are no whole days of 4"):
        read_errors(file, ["load"], 4)
    with pytest.raises(InputError, match=r'"lod": no such column.*did you mean "load"'):
        read_errors(file, ["lod"], 3)
    file.write_text("load\n0.1\nx\n-2\n")
    with pytest.raises(InputError, match=r"line 3, column load: x: not a finite number\n.*line 4, .*: -2: below -1"):
        read_errors(file, ["load"], 3)


def test_rows_of_a_file_are_averaged_or_repeated_to_steps(tmp_path: Path) -> None:
    file = tmp_path / "errors.csv"
    file.write_text("load\n0.1\n0.3\n-0.2\n0.0\n")
    assert read_errors(file, ["load"], 2, 4).ravel().tolist() == pytest.approx([0.2, -0.1])
    assert read_errors(file, ["load"], 4, 2).tolist() == [[[0.1]] * 2 + [[0.3]] * 2, [[-0.2]] * 2 + [[0.0]] * 2]
    with pytest.raises(InputError, match="4 rows a day do not make 3 equal steps"):
        read_errors(file, ["load"], 3, 4)


def test_day_to_day_errors_are_those_of_persistence(tmp_path: Path) -> None:
    """Two rows a step, two steps a day; the second step of day one is too small to be a forecast."""
    file = tmp_path / "year.csv"
    file.write_text("pv\n" + "\n".join(["9", "11", "0.1", "0.1", "12", "12", "5", "5", "3", "3", "20", "20"]) + "\n")
    errors = read_day_to_day_errors(file, ["pv"], 2, rows_per_day=4)
    np.testing.assert_allclose(errors[:, :, 0], [[0.2, 0.0], [-0.75, 1.0]])
    file.write_text("pv\n3\n-1\n")
    with pytest.raises(InputError, match="line 3, column pv: -1: negative"):
        read_day_to_day_errors(file, ["pv"], 2)


def test_a_real_year_gives_errors_in_their_support() -> None:
    file = REPOSITORY / "configs" / "data" / "year_profiles.csv"
    days = read_day_to_day_errors(file, ["load_mw", "pv_mw"], 24, rows_per_day=96)
    assert days.shape == (365, 24, 2)
    model = EmpiricalErrors(days)
    low, high = model.support(24)
    assert np.all((low >= -1) & (high <= 1))
    assert 0.02 < days[:, :, 0].std() < 0.15 < days[:, 12, 1].std()


def test_a_run_takes_observed_days_one_after_the_other_from_those_that_are_not_planned_with() -> None:
    days = np.arange(8.0)[:, None, None] + 0.1 * np.arange(6.0)[None, :, None]
    model = EmpiricalErrors(days)
    drawn = model.draw_run(4 + np.arange(20), np.random.default_rng(3))[:, 0]
    rows = (4 + np.arange(20)) % 6
    day = np.round(drawn - 0.1 * rows).astype(int)
    np.testing.assert_allclose(drawn, day + 0.1 * rows)
    assert [len(set(day[part])) for part in (slice(0, 2), slice(2, 8), slice(8, 14), slice(14, 20))] == [1] * 4
    assert set(day) <= set(model.pools[Purpose.OUT_OF_SAMPLE])
    np.testing.assert_array_equal(model.draw_run(4 + np.arange(7), np.random.default_rng(3))[:, 0], drawn[:7])
