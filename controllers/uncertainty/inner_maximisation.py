"""Inner maximisation of the worst-case CVaR: largest gain of a sample moved within the support, at a price.

For one error sample ξ̂ and sensitivities a,

    g(λ) = max over ξ in [lo, hi] of  aᵀξ - λ ‖ξ - ξ̂‖

Only moves towards the bound that a points to pay; room_l ≥ 0 is the way to it along coordinate l, δ_l ≥ 0 the move.

* 1-norm: a coordinate moves all the way if |a_l| > λ, else stays. So
  ``g = Σ clip(a_l, ±λ) ξ̂_l + Σ sign(a_l) (|a_l| - λ)₊ bound_l``, one matrix product for all samples.
* 2-norm: ``δ_l = min(room_l, t |a_l|)`` with ``‖δ‖ = λ t``. In the order of room/|a|, with k coordinates at their
  bound, ``C = Σ_{≤k} room²`` and ``A = Σ_{>k} a²``:  ``t² = C / (λ² - A)`` and
  ``g - aᵀξ̂ = Σ_{≤k} |a| room - √(C (λ² - A))``.
* ∞-norm: ``δ_l = min(room_l, t)``; t grows, in the order of the rooms, while the coordinates not yet at their bound
  have ``Σ |a| > λ``.

All three are exact. g is convex in λ, and ``-‖δ‖`` is a subgradient.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from jaxtyping import Float, Int


class InnerMaximisation(ABC):
    """Inner maximisation for rows of sensitivities that share the samples of one step: g and ‖δ‖ of all samples."""

    @abstractmethod
    def maximise(
        self, rows: Int[np.ndarray, " some"], price: Float[np.ndarray, " some"]
    ) -> tuple[Float[np.ndarray, "some sample"], Float[np.ndarray, "some sample"]]:
        """Return g and the distance ‖δ‖ of every sample, for chosen rows, each at its price λ."""


class OneNormMaximisation(InnerMaximisation):
    """Inner maximisation under the 1-norm.

    Parameters
    ----------
    a : sensitivities of every row
    samples : error samples
    low, high : the box
    """

    def __init__(
        self,
        a: Float[np.ndarray, "row source"],
        samples: Float[np.ndarray, "sample source"],
        low: Float[np.ndarray, " source"],
        high: Float[np.ndarray, " source"],
    ):
        self._a, self._size, self._sign = a, np.abs(a), np.sign(a)
        self._samples = np.ascontiguousarray(samples.T)
        self._bound = np.where(a > 0, high, low)

    def maximise(
        self, rows: Int[np.ndarray, " some"], price: Float[np.ndarray, " some"]
    ) -> tuple[Float[np.ndarray, "some sample"], Float[np.ndarray, "some sample"]]:
        """Return g and ‖δ‖; a coordinate that gains exactly what it costs counts as moved."""
        size, sign, bound, price = self._size[rows], self._sign[rows], self._bound[rows], price[:, None]
        over = np.maximum(size - price, 0.0)
        moved = sign * (size >= price)
        g = (sign * np.minimum(size, price)) @ self._samples + (sign * over * bound).sum(axis=1, keepdims=True)
        return g, (moved * bound).sum(axis=1, keepdims=True) - moved @ self._samples


class TwoNormMaximisation(InnerMaximisation):
    """Moves under the Euclidean norm; parameters as `OneNormMaximisation`."""

    def __init__(
        self,
        a: Float[np.ndarray, "row source"],
        samples: Float[np.ndarray, "sample source"],
        low: Float[np.ndarray, " source"],
        high: Float[np.ndarray, " source"],
    ):
        size, room = _size_and_room(a, samples, low, high)
        with np.errstate(divide="ignore", invalid="ignore"):
            kink = np.where(size > 0, room / size, np.inf)
        order = np.argsort(kink, axis=0)
        size, room, kink = (np.take_along_axis(one, order, axis=0) for one in (size, room, kink))
        self._stay = a @ samples.T
        self._at_bound = _running_sum(size * room)
        self._c = _running_sum(room**2 * (size > 0))
        self._rest = _remaining_sum(size**2)
        with np.errstate(divide="ignore", invalid="ignore"):
            growth = np.where(kink > 0, self._c[1:] / kink**2, 0.0)
        self._slope_sq = growth + self._rest[1:]

    def maximise(
        self, rows: Int[np.ndarray, " some"], price: Float[np.ndarray, " some"]
    ) -> tuple[Float[np.ndarray, "some sample"], Float[np.ndarray, "some sample"]]:
        """Return g and ‖δ‖ of every sample."""
        price_sq = (price**2)[:, None]
        at_bound, c, rest = _while(self._slope_sq, price_sq, rows, self._at_bound, self._c, self._rest)
        excess = np.maximum(price_sq - rest, 0.0)
        partly = (rest > 0) & (c > 0) & (excess > 0)
        share = np.divide(price_sq, excess, out=np.ones_like(excess), where=partly)
        return self._stay[rows] + at_bound - np.sqrt(c * excess), np.sqrt(c * share)


class InfNormMaximisation(InnerMaximisation):
    """Moves under the ∞-norm; parameters as `OneNormMaximisation`."""

    def __init__(
        self,
        a: Float[np.ndarray, "row source"],
        samples: Float[np.ndarray, "sample source"],
        low: Float[np.ndarray, " source"],
        high: Float[np.ndarray, " source"],
    ):
        size, room = _size_and_room(a, samples, low, high)
        order = np.argsort(room, axis=0)
        size, room = (np.take_along_axis(one, order, axis=0) for one in (size, room))
        self._stay = a @ samples.T
        self._at_bound = _running_sum(size * room)
        self._rest = _remaining_sum(size)
        self._reach = np.concatenate([np.zeros((1, *room.shape[1:])), room])

    def maximise(
        self, rows: Int[np.ndarray, " some"], price: Float[np.ndarray, " some"]
    ) -> tuple[Float[np.ndarray, "some sample"], Float[np.ndarray, "some sample"]]:
        """Return g and ‖δ‖ of every sample."""
        price = price[:, None]
        at_bound, rest, reach = _while(self._rest[:-1], price, rows, self._at_bound, self._rest, self._reach)
        return self._stay[rows] + at_bound + (rest - price) * reach, reach


def _while(
    falling: Float[np.ndarray, "source row sample"],
    price: Float[np.ndarray, "some 1"],
    rows: Int[np.ndarray, " some"],
    *tables: Float[np.ndarray, "source+1 row sample"],
) -> list[Float[np.ndarray, "some sample"]]:
    """Look up tables after the first k coordinates, for which ``falling`` exceeds the price."""
    found = [table[0, rows] for table in tables]
    for k, level in enumerate(falling):
        exceeds = level[rows] > price
        for table, one in zip(tables, found, strict=True):
            np.copyto(one, table[k + 1, rows], where=exceeds)
    return found


def _size_and_room(
    a: Float[np.ndarray, "row source"],
    samples: Float[np.ndarray, "sample source"],
    low: Float[np.ndarray, " source"],
    high: Float[np.ndarray, " source"],
) -> tuple[Float[np.ndarray, "source row sample"], Float[np.ndarray, "source row sample"]]:
    """|a|, and the distance to the bound in the direction of a, for every row and sample."""
    to_high, to_low = (high - samples).T[:, None, :], (samples - low).T[:, None, :]
    room = np.where((a > 0).T[:, :, None], to_high, to_low)
    return np.broadcast_to(np.abs(a).T[:, :, None], room.shape), room


def _running_sum(values: Float[np.ndarray, "source row sample"]) -> Float[np.ndarray, "source+1 row sample"]:
    """Sum of the first k values, k = 0 … all."""
    return np.concatenate([np.zeros((1, *values.shape[1:])), np.cumsum(values, axis=0)])


def _remaining_sum(values: Float[np.ndarray, "source row sample"]) -> Float[np.ndarray, "source+1 row sample"]:
    """Sum of all but the first k values, k = 0 … all; the last is exactly zero."""
    return _running_sum(values[::-1])[::-1]
