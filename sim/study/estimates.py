"""Estimates from samples with their confidence intervals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.special import ndtri


@dataclass(frozen=True)
class Estimate:
    """A value and its confidence interval; NaN where there was nothing to estimate it from."""

    value: float
    low: float
    high: float


def share(successes: float | int, trials: float | int, confidence: float = 0.95) -> Estimate:
    """Return a share with its Wilson score interval [Wilson 1927].

    Parameters
    ----------
    successes, trials : need not be whole numbers, where trials are an effective sample size
    """
    if trials <= 0:
        return Estimate(np.nan, np.nan, np.nan)
    p, z = successes / trials, float(ndtri(0.5 + 0.5 * confidence))
    centre = (p + z**2 / (2 * trials)) / (1 + z**2 / trials)
    half = z / (1 + z**2 / trials) * np.sqrt(p * (1 - p) / trials + z**2 / (4 * trials**2))
    return Estimate(float(p), float(max(0.0, min(p, centre - half))), float(min(1.0, max(p, centre + half))))


def clustered_share(shares: Float[np.ndarray, " sample"], confidence: float = 0.95) -> Estimate:
    """Return the mean of shares found in independent samples, outcomes within a sample being dependent.

    The Wilson interval of as many independent trials as give the mean the variance that is seen between samples; where
    none is seen, of one trial per sample.
    """
    n = len(shares)
    if n == 0:
        return Estimate(np.nan, np.nan, np.nan)
    p = float(shares.mean())
    variance = float(shares.var(ddof=1)) / n if n > 1 else 0.0
    trials = p * (1.0 - p) / variance if variance > 0 else float(n)
    return share(p * trials, trials, confidence)


def mean(values: Float[np.ndarray, " sample"], confidence: float = 0.95) -> Estimate:
    """Return the mean of independent values, with the normal interval of the mean."""
    n = len(values)
    if n == 0:
        return Estimate(np.nan, np.nan, np.nan)
    centre = float(values.mean())
    if n == 1:
        return Estimate(centre, -np.inf, np.inf)
    half = float(ndtri(0.5 + 0.5 * confidence)) * float(values.std(ddof=1)) / np.sqrt(n)
    return Estimate(centre, float(centre - half), float(centre + half))
