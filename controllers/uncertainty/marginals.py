"""Distributions of the relative error of one source: zero mean, bounded support."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float
from scipy.optimize import brentq
from scipy.special import betaincinv, ndtr, ndtri

from gridferry.controllers.uncertainty.error_settings import ErrorConfig, MarginalName

# truncations, in standard deviations of the untruncated normal, at which it is uniform to 1e-3 or complete to 1e-16
_NARROWEST, _WIDEST = 0.05, 10.0


class Marginal(ABC):
    """Distribution of one source's error."""

    @property
    @abstractmethod
    def low(self) -> float:
        """Lower end of the support."""

    @property
    @abstractmethod
    def high(self) -> float:
        """Upper end of the support."""

    @abstractmethod
    def quantile(self, share: Float[np.ndarray, "*batch"]) -> Float[np.ndarray, "*batch"]:
        """Return the values below which the given shares of all errors lie."""


def marginal_of(settings: ErrorConfig, lowest: float = -1.0) -> Marginal:
    """Return the normal or beta distribution of a config.

    Parameters
    ----------
    lowest : no error of a normal distribution is below; what cannot change its sign ends at -1, where nothing is left

    Raises
    ------
    ValueError
        where there is no such beta distribution.
    """
    if settings.marginal is MarginalName.BETA and settings.relative_std > 0:
        reach = settings.truncation * settings.relative_std
        return ScaledBeta(settings.relative_std, *(settings.bounds or (max(-reach, -1.0), reach)))
    return TruncatedNormal(settings.relative_std, settings.truncation, lowest)


@dataclass(frozen=True)
class TruncatedNormal(Marginal):
    """Normal distribution truncated at ±``truncation`` · ``std``.

    Attributes
    ----------
    std : standard deviation, after the cut; where the cut is nearer than √3 of them, it is uniform up to there
    truncation : where it is cut, in standard deviations
    lowest : what would be lower is this
    """

    std: float
    truncation: float = 3.0
    lowest: float = -1.0

    @property
    def high(self) -> float:
        """Upper end of the support; beyond ten standard deviations nothing is left to cut."""
        return self.std * min(self.truncation, _WIDEST)

    @property
    def low(self) -> float:
        """Lower end of the support."""
        return max(-self.high, self.lowest)

    @cached_property
    def _cut(self) -> float:
        """Truncation point of a unit normal such that, scaled to unit variance, it ends at ±``truncation``.

        Solves ``bound²/a² · (1 - 2 a φ(a) / (2 Φ(a) - 1)) = 1`` for a; 0, the uniform limit, where bound ≤ √3.
        """
        bound = min(self.truncation, _WIDEST)

        def excess(a: float) -> float:
            density = math.exp(-0.5 * a * a) / math.sqrt(2.0 * math.pi)
            return (bound / a) ** 2 * (1.0 - 2.0 * a * density / math.erf(a / math.sqrt(2.0))) - 1.0

        if bound == _WIDEST:
            return bound
        return 0.0 if excess(_NARROWEST) <= 0.0 else float(brentq(excess, _NARROWEST, bound, xtol=1e-12))

    def quantile(self, share: Float[np.ndarray, "*batch"]) -> Float[np.ndarray, "*batch"]:
        """Return the values below which the given shares of all errors lie."""
        if self._cut == 0.0:
            values = self.high * (2.0 * share - 1.0)
        else:
            below = ndtr(-self._cut)
            values = ndtri(below + share * (1.0 - 2.0 * below)) * (self.high / self._cut)
        return np.clip(values, self.low, self.high)


@dataclass(frozen=True)
class ScaledBeta(Marginal):
    """Beta distribution scaled to a support, with zero mean; for PV, which can lose all but gain little.

    Attributes
    ----------
    std : standard deviation
    low, high : ends of the support, on either side of zero

    Raises
    ------
    ValueError
        where no beta distribution has that mean and standard deviation, or the error falls below -1.
    """

    std: float
    low: float = -1.0
    high: float = 1.0

    def __post_init__(self) -> None:
        if not -1.0 <= self.low < 0.0 < self.high:
            raise ValueError(f"bounds = [{self.low}, {self.high}]: must begin in [-1, 0) and end above 0")
        if not 0.0 < self.std < math.sqrt(-self.low * self.high):
            raise ValueError(
                f"relative_std = {self.std}: must lie between 0 and {math.sqrt(-self.low * self.high):.4g}, the most "
                f"that a mean of zero allows on [{self.low}, {self.high}]; lower it, or widen truncation or bounds"
            )

    def quantile(self, share: Float[np.ndarray, "*batch"]) -> Float[np.ndarray, "*batch"]:
        """Return the values below which the given shares of all errors lie."""
        width = self.high - self.low
        mean = -self.low / width
        concentration = mean * (1.0 - mean) * (width / self.std) ** 2 - 1.0
        values = betaincinv(mean * concentration, (1.0 - mean) * concentration, share)
        return np.clip(self.low + width * values, self.low, self.high)
