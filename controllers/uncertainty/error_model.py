"""Error models: samples of forecast errors for planning and for reality, from separate streams.

A sample is a day (or horizon) of errors of all sources. Samples come in blocks of fixed size, every block with a random
stream spawned from (seed, purpose, block number): the first 30 of 300 samples are the same as 30 alone, the size of
the chunks does not matter, and in-sample and out-of-sample draws come from different streams by construction.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from enum import IntEnum
from itertools import count as count_from

import numpy as np
from jaxtyping import Float, Int
from scipy.signal import lfilter
from scipy.special import ndtr

from gridferry.controllers.uncertainty.error_settings import ErrorConfig
from gridferry.controllers.uncertainty.marginals import Marginal, marginal_of

_BLOCK = 256
"""Samples drawn from one stream."""


class Purpose(IntEnum):
    """Purpose of samples; each has its own random streams."""

    IN_SAMPLE = 0
    """known to the controller"""
    OUT_OF_SAMPLE = 1
    """to evaluate its plan"""
    TUNING = 2
    """to tune its settings by"""
    CERTIFICATE = 3
    """to certify a plan that was tuned"""


FirstStep = int | Int[np.ndarray, " horizon"]
"""step of the day that a horizon begins with; of each row where clocks change: what they show less the row's number"""


class ErrorModel(ABC):
    """Joint distribution of the errors of all sources over the steps of a day."""

    sources: int

    @abstractmethod
    def support(self, steps: int, first_step: FirstStep = 0) -> Float[np.ndarray, "2 horizon source"]:
        """Lower and upper ends of the box that holds all errors, for steps counted from ``first_step`` of the day."""

    @abstractmethod
    def _block(
        self, numbers: np.random.Generator, purpose: Purpose, steps: int, first_step: FirstStep
    ) -> Float[np.ndarray, "block horizon source"]:
        """Draw one block."""

    def draw(
        self, samples: int, steps: int, *, seed: int, purpose: Purpose, first_step: FirstStep = 0
    ) -> Float[np.ndarray, "sample horizon source"]:
        """Draw samples of ``steps`` steps, which begin at ``first_step`` of the day."""
        chunks = self.stream(samples, steps, seed=seed, purpose=purpose, first_step=first_step, chunk=max(samples, 1))
        return next(chunks, np.empty((0, steps, self.sources)))

    def stream(
        self, samples: int, steps: int, *, seed: int, purpose: Purpose, first_step: FirstStep = 0, chunk: int = _BLOCK
    ) -> Iterator[Float[np.ndarray, "sample horizon source"]]:
        """Yield the samples of `draw`, at most ``chunk`` at a time."""
        pending = np.empty((0, steps, self.sources))
        blocks = count_from()
        for start in range(0, samples, chunk):
            wanted = min(chunk, samples - start)
            parts = [pending]
            missing = wanted - len(pending)
            while missing > 0:
                seeds = np.random.SeedSequence(seed, spawn_key=(int(purpose), next(blocks)))
                parts.append(self._block(np.random.default_rng(seeds), purpose, steps, first_step))
                missing -= len(parts[-1])
            drawn = np.concatenate(parts)
            pending = drawn[wanted:]
            yield drawn[:wanted]


class MarginalErrors(ErrorModel):
    """Errors with given marginals, each an AR(1) series in time, under one Gaussian copula.

    Normals, correlated in time and within a group, are mapped by ``F⁻¹(Φ(x))`` to the marginals.

    Parameters
    ----------
    marginals : distribution of each source
    correlation_h : time over which the correlation of each source falls to 1/e [h]; 0: independent steps
    step_h : step length [h]
    groups : group of each source, within which errors are correlated
    within : that correlation, from 0 to 1; sources of different groups are independent
    """

    def __init__(
        self,
        marginals: Sequence[Marginal],
        correlation_h: Sequence[float] = (),
        step_h: float = 1.0,
        *,
        groups: Sequence[str] = (),
        within: float = 0.0,
    ):
        self.sources = len(marginals)
        self._groups, self._within = groups, within
        self._marginals = marginals
        self._keeps = [kept(one, step_h) for one in correlation_h] or [0.0] * self.sources

    def support(self, steps: int, first_step: FirstStep = 0) -> Float[np.ndarray, "2 horizon source"]:
        """Support of the marginals, the same at every step."""
        ends = np.array([[one.low for one in self._marginals], [one.high for one in self._marginals]])
        return np.repeat(ends.reshape(2, 1, self.sources), steps, axis=1)

    def _block(
        self, numbers: np.random.Generator, purpose: Purpose, steps: int, first_step: FirstStep
    ) -> Float[np.ndarray, "block horizon source"]:
        normal = numbers.standard_normal((_BLOCK, steps, self.sources))
        if self._within > 0:
            for group in dict.fromkeys(self._groups):
                own = [number for number, one in enumerate(self._groups) if one == group]
                common = numbers.standard_normal((_BLOCK, steps, 1))
                normal[:, :, own] = with_common(normal[:, :, own], common, self._within)
        errors = np.empty_like(normal)
        for source, (marginal, keeps) in enumerate(zip(self._marginals, self._keeps, strict=True)):
            errors[:, :, source] = marginal.quantile(ndtr(correlated(normal[:, :, source], keeps)))
        return errors


def kept(correlation_h: float, step_h: float) -> float:
    """Correlation of an error with that of the step before."""
    return math.exp(-step_h / correlation_h) if correlation_h > 0 else 0.0


def with_common(
    shocks: Float[np.ndarray, "*shape"], common: Float[np.ndarray, "*other"], correlation: float
) -> Float[np.ndarray, "*shape"]:
    """Give independent normals a part in common, so that any two of them have a correlation."""
    return math.sqrt(1.0 - correlation) * shocks + math.sqrt(correlation) * common


def correlated(shocks: Float[np.ndarray, "*batch step"], keeps: float) -> Float[np.ndarray, "*batch step"]:
    """Turn independent normals into a stationary AR(1) series ``x_t = keeps x_{t-1} + √(1 - keeps²) n_t``."""
    scaled = math.sqrt(1.0 - keeps * keeps) * shocks
    scaled[..., :1] = shocks[..., :1]
    return lfilter([1.0], [1.0, -keeps], scaled)


def draw_errors(
    settings: ErrorConfig,
    steps: int,
    step_h: float,
    numbers: np.random.Generator,
    lowest: float = -1.0,
    *,
    common: np.random.Generator | None = None,
    correlation: float = 0.0,
) -> Float[np.ndarray, " step"]:
    """Draw the errors of one source over a run; a longer run begins with the shorter one.

    Parameters
    ----------
    settings : with a normal or beta marginal
    lowest : as in `gridferry.controllers.uncertainty.marginals.marginal_of`
    common, correlation : numbers of which other sources have the same, and the correlation with their errors
    """
    if not settings.errs:
        return np.zeros(steps)
    shocks = numbers.standard_normal(steps)
    if common is not None and correlation > 0:
        shocks = with_common(shocks, common.standard_normal(steps), correlation)
    unit = correlated(shocks, kept(settings.correlation_h, step_h))
    return marginal_of(settings, lowest).quantile(ndtr(unit))


class EmpiricalErrors(ErrorModel):
    """Whole days of observed errors, drawn with replacement.

    The days are dealt out once: even places of a shuffled deck are for the controller, to plan and tune by, odd ones
    for evaluation and certificates, so that no day serves both purposes.

    Parameters
    ----------
    days : observed errors of complete days, at least two
    shuffle_seed : seed of the deal

    Raises
    ------
    ValueError
        for fewer than two days, or errors that are not finite or fall below -1.
    """

    def __init__(self, days: Float[np.ndarray, "day step source"], shuffle_seed: int = 0):
        if len(days) < 2:
            raise ValueError(
                f"{len(days)} days of errors; two at least are needed, to draw from one and judge by another"
            )
        if not (np.isfinite(days).all() and days.min(initial=0.0) >= -1.0):
            raise ValueError("errors must be finite and not below -1 (nothing left of the forecast)")
        self.sources = days.shape[2]
        self._days = days
        shuffled = np.random.default_rng(shuffle_seed).permutation(len(days))
        known, fresh = np.sort(shuffled[0::2]), np.sort(shuffled[1::2])
        self.pools = {
            Purpose.IN_SAMPLE: known,
            Purpose.TUNING: known,
            Purpose.OUT_OF_SAMPLE: fresh,
            Purpose.CERTIFICATE: fresh,
        }

    def support(self, steps: int, first_step: FirstStep = 0) -> Float[np.ndarray, "2 horizon source"]:
        """Smallest box, step by step, that contains the errors of all days."""
        rows = (first_step + np.arange(steps)) % self._days.shape[1]
        return np.stack([self._days.min(axis=0)[rows], self._days.max(axis=0)[rows]])

    def _block(
        self, numbers: np.random.Generator, purpose: Purpose, steps: int, first_step: FirstStep
    ) -> Float[np.ndarray, "block horizon source"]:
        chosen = numbers.choice(self.pools[purpose], _BLOCK)
        rows = (first_step + np.arange(steps)) % self._days.shape[1]
        return self._days[chosen[:, None], rows[None, :]]

    def draw_run(
        self, clock_steps: Int[np.ndarray, " step"], numbers: np.random.Generator
    ) -> Float[np.ndarray, "step source"]:
        """Draw what happens in a run, a day after the other; a longer run begins with the shorter one.

        Parameters
        ----------
        clock_steps : as of `Plant.clock_steps`
        """
        day, row = np.divmod(clock_steps, self._days.shape[1])
        chosen = numbers.choice(self.pools[Purpose.OUT_OF_SAMPLE], int(day[-1]) + 1)
        return self._days[chosen[day], row]


class JoinedErrors(ErrorModel):
    """Errors of some sources by one model, and of the others by another.

    Parameters
    ----------
    parts : models, and which sources each of them draws
    """

    def __init__(self, parts: Sequence[tuple[ErrorModel, Sequence[int]]]):
        self._parts = parts
        self.sources = sum(model.sources for model, _ in parts)

    def support(self, steps: int, first_step: FirstStep = 0) -> Float[np.ndarray, "2 horizon source"]:
        """Ends of the support of each source, as its model has them."""
        return self._joined([model.support(steps, first_step) for model, _ in self._parts])

    def _block(
        self, numbers: np.random.Generator, purpose: Purpose, steps: int, first_step: FirstStep
    ) -> Float[np.ndarray, "block horizon source"]:
        return self._joined([model._block(numbers, purpose, steps, first_step) for model, _ in self._parts])

    def _joined(self, given: Sequence[Float[np.ndarray, "row horizon _"]]) -> Float[np.ndarray, "row horizon source"]:
        joined = np.empty((*given[0].shape[:2], self.sources))
        for values, (_, columns) in zip(given, self._parts, strict=True):
            joined[:, :, columns] = values
        return joined
