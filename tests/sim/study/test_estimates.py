"""Confidence intervals against scipy, and their coverage."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from gridferry.sim.study.estimates import mean, share


@pytest.mark.parametrize(("successes", "trials"), [(0, 10), (3, 10), (10, 10), (950, 1000)])
def test_share_has_the_wilson_interval(successes: int, trials: int) -> None:
    found = share(successes, trials)
    expected = stats.binomtest(successes, trials).proportion_ci(0.95, method="wilson")
    assert found.value == successes / trials
    assert (found.low, found.high) == (pytest.approx(expected.low, abs=1e-12), pytest.approx(expected.high, abs=1e-12))


def test_mean_has_the_normal_interval() -> None:
    values = np.array([1.0, 2.0, 4.0, 7.0])
    found = mean(values)
    half = 1.959963984540054 * values.std(ddof=1) / 2
    assert (found.value, found.low, found.high) == pytest.approx((3.5, 3.5 - half, 3.5 + half))


def test_nothing_gives_nothing() -> None:
    for estimate in (share(0, 0), mean(np.zeros(0))):
        assert math.isnan(estimate.value)
    assert mean(np.array([2.0])).high == math.inf
