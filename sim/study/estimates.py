"""Estimates from samples with their 95 % confidence intervals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.special import ndtri

_Z = float(ndtri(0.975))


@dataclass(frozen=True)
class Estimate:
    """Estimate with its confidence interval; NaN without samples."""

    value: float
    low: float
    high: float


def share(successes: float | int, trials: float | int) -> Estimate:
    """Return a share with its Wilson score interval [Wilson 1927].

    Parameters
    ----------
    successes, trials : need not be integers, as trials may be an effective sample size
    """
    if trials <= 0:
        return Estimate(np.nan, np.nan, np.nan)
    p, z = successes / trials, _Z
    centre = (p + z**2 / (2 * trials)) / (1 + z**2 / trials)
    half = z / (1 + z**2 / trials) * np.sqrt(p * (1 - p) / trials + z**2 / (4 * trials**2))
    return Estimate(float(p), float(max(0.0, min(p, centre - half))), float(min(1.0, max(p, centre + half))))


def mean(values: Float[np.ndarray, " sample"]) -> Estimate:
    """Return the mean of independent values, with the normal interval of the mean."""
    n = len(values)
    if n == 0:
        return Estimate(np.nan, np.nan, np.nan)
    centre = float(values.mean())
    if n == 1:
        return Estimate(centre, -np.inf, np.inf)
    half = _Z * float(values.std(ddof=1)) / np.sqrt(n)
    return Estimate(centre, float(centre - half), float(centre + half))
