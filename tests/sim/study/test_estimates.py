"""Confidence intervals against scipy, and their coverage."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from gridferry.sim.study.estimates import clustered_share, mean, share


@pytest.mark.parametrize(("successes", "trials"), [(0, 10), (3, 10), (10, 10), (950, 1000)])
def test_share_has_the_wilson_interval(successes: int, trials: int) -> None:
    found = share(successes, trials, 0.9)
    expected = stats.binomtest(successes, trials).proportion_ci(0.9, method="wilson")
    assert found.value == successes / trials
    assert (found.low, found.high) == (pytest.approx(expected.low, abs=1e-12), pytest.approx(expected.high, abs=1e-12))


def test_mean_has_the_normal_interval() -> None:
    values = np.array([1.0, 2.0, 4.0, 7.0])
    found = mean(values, 0.95)
    half = 1.959963984540054 * values.std(ddof=1) / 2
    assert (found.value, found.low, found.high) == pytest.approx((3.5, 3.5 - half, 3.5 + half))


def test_clusters_of_independent_trials_give_the_interval_of_single_trials() -> None:
    inside = np.random.default_rng(0).random((4000, 24)) < 0.9
    clustered, single = clustered_share(inside.mean(axis=1)), share(int(inside.sum()), inside.size)
    assert clustered.value == pytest.approx(single.value)
    assert clustered.high - clustered.low == pytest.approx(single.high - single.low, rel=0.1)


def test_clusters_that_stand_or_fall_together_count_once_each() -> None:
    days = np.array([1.0] * 180 + [0.0] * 20)
    clustered, whole = clustered_share(days), share(180, 200)
    assert (clustered.low, clustered.high) == pytest.approx((whole.low, whole.high), abs=1e-3)
    sure = clustered_share(np.ones(50))
    assert (sure.value, sure.high) == (1.0, 1.0)
    assert sure.low == pytest.approx(share(50, 50).low)


def test_nothing_gives_nothing() -> None:
    for estimate in (share(0, 0), clustered_share(np.zeros(0)), mean(np.zeros(0))):
        assert math.isnan(estimate.value)
    assert mean(np.array([2.0])).high == math.inf
