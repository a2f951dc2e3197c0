"""Distributions of the relative error of one source: zero mean, bounded support, never below -1 (nothing left)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float
from scipy.optimize import brentq
from scipy.special import betaincinv, ndtr, ndtri
from scipy.stats import truncnorm

_WHOLE_NORMAL = 10.0
"""A normal cut at this many standard deviations is whole in double precision."""


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


@dataclass(frozen=True)
class TruncatedNormal(Marginal):
    """A normal distribution cut at ±``truncation`` · ``std``.

    Attributes
    ----------
    std : standard deviation, after the cut
    truncation : where it is cut, in standard deviations

    Raises
    ------
    ValueError
        where the cut leaves no such distribution, or lets the error fall below -1.
    """

    std: float
    truncation: float = 3.0

    def __post_init__(self) -> None:
        given = f"std = {self.std}, truncation = {self.truncation}"
        if not (self.std >= 0 and self.truncation >= 1.8):
            raise ValueError(
                f"{given}: std must not be negative, and the cut at least 1.8 standard deviations away (at 1.73 the "
                "distribution is uniform, nearer there is none)"
            )
        if self.low < -1.0:
            raise ValueError(f"{given}: errors reach {self.low:.3g}, below -1; cut nearer, or use a beta distribution")

    @property
    def low(self) -> float:
        """Lower end of the support."""
        return -self.high

    @property
    def high(self) -> float:
        """Upper end of the support."""
        return self.std * self.truncation

    @cached_property
    def _cut(self) -> float:
        """Where to cut the unit normal, so that this is ``truncation`` of its standard deviations after the cut."""
        if self.truncation >= _WHOLE_NORMAL:
            return self.truncation
        return float(
            brentq(lambda cut: cut - self.truncation * truncnorm.std(-cut, cut), 0.1, _WHOLE_NORMAL + 1.0, xtol=1e-13)
        )

    def quantile(self, share: Float[np.ndarray, "*batch"]) -> Float[np.ndarray, "*batch"]:
        """Return the values below which the given shares of all errors lie."""
        below = ndtr(-self._cut)
        values = ndtri(below + share * (1.0 - 2.0 * below)) * (self.high / self._cut)
        return np.clip(values, self.low, self.high)


@dataclass(frozen=True)
class ScaledBeta(Marginal):
    """A beta distribution stretched to a support, its mean at zero; for PV, which can lose all but gain little.

    Attributes
    ----------
    std : standard deviation
    lowest, highest : ends of the support, on either side of zero

    Raises
    ------
    ValueError
        where no beta distribution has that mean and standard deviation, or the error falls below -1.
    """

    std: float
    lowest: float = -1.0
    highest: float = 1.0

    def __post_init__(self) -> None:
        if not -1.0 <= self.lowest < 0.0 < self.highest:
            raise ValueError(f"support [{self.lowest}, {self.highest}]: must begin in [-1, 0) and end above 0")
        if not 0.0 < self.std < np.sqrt(-self.lowest * self.highest):
            raise ValueError(
                f"std = {self.std}: must lie between 0 and {np.sqrt(-self.lowest * self.highest):.4g}, the most that a "
                f"mean of zero allows on [{self.lowest}, {self.highest}]"
            )

    @property
    def low(self) -> float:
        """Lower end of the support."""
        return self.lowest

    @property
    def high(self) -> float:
        """Upper end of the support."""
        return self.highest

    def quantile(self, share: Float[np.ndarray, "*batch"]) -> Float[np.ndarray, "*batch"]:
        """Return the values below which the given shares of all errors lie."""
        width = self.highest - self.lowest
        mean = -self.lowest / width
        concentration = mean * (1.0 - mean) * (width / self.std) ** 2 - 1.0
        values = betaincinv(mean * concentration, (1.0 - mean) * concentration, share)
        return np.clip(self.lowest + width * values, self.lowest, self.highest)
