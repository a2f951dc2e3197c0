"""Samples of forecast errors for training and for judging, from streams that never meet.

A sample is a day (or horizon) of errors of all sources. Samples come in blocks of fixed size, every block with a random
stream spawned from (seed, purpose, block number): the first 30 of 300 samples are the same as 30 alone, the size of
the chunks does not matter, and in-sample and out-of-sample draws come from different streams by construction.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from enum import IntEnum
from itertools import count as count_from

import numpy as np
from jaxtyping import Float
from scipy.signal import lfilter
from scipy.special import ndtr

from gridferry.controllers.uncertainty.marginals import Marginal

_BLOCK = 256
"""Samples drawn from one stream."""


class Purpose(IntEnum):
    """What samples are for; each has streams of its own."""

    IN_SAMPLE = 0
    """known to the controller"""
    OUT_OF_SAMPLE = 1
    """to judge its plan"""


class ErrorModel(ABC):
    """Joint distribution of the errors of all sources over the steps of a day."""

    sources: int

    @abstractmethod
    def support(self, steps: int, first_step: int = 0) -> Float[np.ndarray, "2 horizon source"]:
        """Lower and upper ends of the box that holds all errors, for steps counted from ``first_step`` of the day."""

    @abstractmethod
    def _block(
        self, numbers: np.random.Generator, purpose: Purpose, steps: int, first_step: int
    ) -> Float[np.ndarray, "block horizon source"]:
        """Draw one block."""

    def draw(
        self, samples: int, steps: int, *, seed: int, purpose: Purpose, first_step: int = 0
    ) -> Float[np.ndarray, "sample horizon source"]:
        """Draw samples of ``steps`` steps, which begin at ``first_step`` of the day."""
        chunks = self.stream(samples, steps, seed=seed, purpose=purpose, first_step=first_step, chunk=max(samples, 1))
        return next(chunks, np.empty((0, steps, self.sources)))

    def stream(
        self, samples: int, steps: int, *, seed: int, purpose: Purpose, first_step: int = 0, chunk: int = _BLOCK
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
    """Errors with given marginals, joined by a Gaussian copula.

    Normals, correlated between sources and as an AR(1) series in time, are mapped by ``F⁻¹(Φ(x))`` to the marginals.

    Parameters
    ----------
    marginals : distribution of each source
    correlation_h : time over which the correlation in time falls to 1/e [h]; 0: independent steps
    step_h : step length [h]
    between : correlation of the normals of the sources; independent when not given

    Raises
    ------
    ValueError
        where ``between`` is no correlation matrix, or a time is negative.
    """

    def __init__(
        self,
        marginals: tuple[Marginal, ...],
        *,
        correlation_h: float = 0.0,
        step_h: float = 1.0,
        between: Float[np.ndarray, "source source"] | None = None,
    ):
        if correlation_h < 0 or step_h <= 0:
            raise ValueError(f"correlation_h = {correlation_h}, step_h = {step_h}: times must not be negative")
        self.sources = len(marginals)
        self._marginals = marginals
        self._keeps = float(np.exp(-step_h / correlation_h)) if correlation_h > 0 else 0.0
        self._mixing = None if between is None else _root(between, self.sources)

    def support(self, steps: int, first_step: int = 0) -> Float[np.ndarray, "2 horizon source"]:
        """Ends of the marginals' supports, the same at every step."""
        ends = np.array([[one.low for one in self._marginals], [one.high for one in self._marginals]])
        return np.repeat(ends.reshape(2, 1, self.sources), steps, axis=1)

    def _block(
        self, numbers: np.random.Generator, purpose: Purpose, steps: int, first_step: int
    ) -> Float[np.ndarray, "block horizon source"]:
        normal = numbers.standard_normal((_BLOCK, steps, self.sources))
        if self._mixing is not None:
            normal = normal @ self._mixing.T
        if self._keeps > 0:
            normal[:, 1:] *= np.sqrt(1.0 - self._keeps**2)
            normal = lfilter([1.0], [1.0, -self._keeps], normal, axis=1)
        share = ndtr(normal)
        errors = np.empty_like(share)
        for source, marginal in enumerate(self._marginals):
            errors[:, :, source] = marginal.quantile(share[:, :, source])
        return errors


class EmpiricalErrors(ErrorModel):
    """Whole days of observed errors, drawn with replacement.

    The days are dealt out once: even places of a shuffled deck are for the controller, odd ones for judging, so that no
    day serves both purposes.

    Parameters
    ----------
    days : observed errors of whole days, at least two
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
        deck = np.random.default_rng(shuffle_seed).permutation(len(days))
        self.pools = {Purpose.IN_SAMPLE: np.sort(deck[0::2]), Purpose.OUT_OF_SAMPLE: np.sort(deck[1::2])}

    def support(self, steps: int, first_step: int = 0) -> Float[np.ndarray, "2 horizon source"]:
        """Least box, step by step, that holds the errors of all days."""
        rows = (first_step + np.arange(steps)) % self._days.shape[1]
        return np.stack([self._days.min(axis=0)[rows], self._days.max(axis=0)[rows]])

    def _block(
        self, numbers: np.random.Generator, purpose: Purpose, steps: int, first_step: int
    ) -> Float[np.ndarray, "block horizon source"]:
        chosen = numbers.choice(self.pools[purpose], _BLOCK)
        rows = (first_step + np.arange(steps)) % self._days.shape[1]
        return self._days[chosen[:, None], rows[None, :]]


def _root(between: Float[np.ndarray, "source source"], sources: int) -> Float[np.ndarray, "source source"]:
    """A matrix R with ``R Rᵀ = between``; also of singular correlations, where sources move as one."""
    fits = between.shape == (sources, sources) and np.allclose(between, between.T) and np.allclose(np.diag(between), 1)
    values, vectors = np.linalg.eigh(between if fits else -np.eye(sources))
    if values.min(initial=0.0) < -1e-9:
        raise ValueError(
            f"the correlation between the {sources} sources must be a symmetric {sources} × {sources} matrix with ones "
            "on its diagonal and no negative eigenvalue"
        )
    return vectors * np.sqrt(np.maximum(values, 0.0))
