"""Margins against forecast errors: deterministic, robust, distributionally robust [B, §2.4-2.5].

A quantity ``y(ξ) = y_plan + aᵀ ξ`` with errors ξ is to stay below a bound. Setpoints do not multiply ξ, and CVaR moves
with a constant, so the requirement is ``y_plan + m ≤ bound`` with a margin m that no decision enters.

The distributionally robust margin is the worst conditional value at risk over all distributions within Wasserstein
distance ε of the N samples (order 1, ground norm ‖·‖; Mohajerin Esfahani and Kuhn 2018), β = 1 - confidence:

    m = min over τ of  τ + (1/β) sup_Q E_Q (aᵀξ - τ)₊
      = min over τ, λ ≥ 0 of  τ + (1/β) (λ ε + (1/N) Σᵢ supₖ [(aᵀξ - τ)₊ - λ ‖ξ - ξ̂ᵢ‖])

The supremum over ξ in the support is ``max(gᵢ(λ) - τ, 0)`` with ``gᵢ(λ) = sup aᵀξ - λ ‖ξ - ξ̂ᵢ‖``: either the sample
moves to where it hurts, or it stays where it is and the positive part vanishes. Minimising over τ leaves one convex
function of one number,

    m = min over λ ≥ 0 of  h(λ) = λ ε / β + CVaR_β of the N numbers gᵢ(λ)

Without bounds on ξ, gᵢ is infinite below the dual norm ``‖a‖_*`` and aᵀξ̂ᵢ from there on, so
``m = CVaR_β(aᵀξ̂ᵢ) + ε ‖a‖_* / β``. With a box, ``h(0)`` is the robust margin and ``h(‖a‖_*)`` the unbounded one, and m
is at most the lesser of the two; `gridferry.controllers.uncertainty.inner_maximisation` has gᵢ, and
`wasserstein_margin` finds the minimum.

A margin may be negative where the samples lean to the harmless side. `Margins` are floored at zero: the forecast is
itself an outcome that must keep the limits, so a margin never widens them, and 0 ≤ m_IV ≤ m_III for the same box.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from jaxtyping import Float, Int

from gridferry.controllers.uncertainty.inner_maximisation import (
    InfNormMaximisation,
    InnerMaximisation,
    OneNormMaximisation,
    TwoNormMaximisation,
)

_GAP = 1e-11
"""The minimum over λ is found to this share of the margins at the ends of its range."""
_WORK = 4_000_000
"""Numbers in one work array of the 2- and ∞-norm; more rows than that are taken in turns."""


class Norm(StrEnum):
    """Ground norm of the Wasserstein distance."""

    ONE = "1"
    TWO = "2"
    INF = "inf"


_MAXIMISATIONS: dict[Norm, type[OneNormMaximisation] | type[TwoNormMaximisation] | type[InfNormMaximisation]] = {
    Norm.ONE: OneNormMaximisation,
    Norm.TWO: TwoNormMaximisation,
    Norm.INF: InfNormMaximisation,
}
_DUAL_ORDER = {Norm.ONE: np.inf, Norm.TWO: 2, Norm.INF: 1}


@dataclass(frozen=True, eq=False)
class Margins:
    """Margins of what is planned to its limits, never negative.

    Attributes
    ----------
    upper : below the upper limit of a voltage [pu]
    lower : above the lower one [pu]
    current : below the limit of a current [share of the rating]
    loading : currents where the margins are taken, at the more loaded end [share of the rating]
    """

    upper: Float[np.ndarray, "horizon bus"]
    lower: Float[np.ndarray, "horizon bus"]
    current: Float[np.ndarray, "horizon branch"]
    loading: Float[np.ndarray, "horizon branch"]


def robust_margin(
    a: Float[np.ndarray, "horizon row source"], support: Float[np.ndarray, "2 horizon source"]
) -> Float[np.ndarray, "horizon row"]:
    """Largest ``aᵀ ξ`` in the support box."""
    low, high = support[0][:, None, :], support[1][:, None, :]
    return np.maximum(a * low, a * high).sum(axis=2)


def wasserstein_margin(
    a: Float[np.ndarray, "horizon row source"],
    samples: Float[np.ndarray, "sample horizon source"],
    *,
    confidence: float,
    radius: float,
    norm: Norm = Norm.ONE,
    support: Float[np.ndarray, "2 horizon source"] | None = None,
) -> Float[np.ndarray, "horizon row"]:
    """Worst CVaR of ``aᵀ ξ`` over the Wasserstein ball around the samples of each step; may be negative.

    Parameters
    ----------
    a : sensitivities of every row (a bus and side) to the errors
    samples : error samples ξ̂, equally likely
    confidence : η; the CVaR is that of the worst share β = 1 - η
    radius : ε of the ball, in the unit of the errors
    norm : ground norm of the distance
    support : lower and upper ends of the box that holds all errors; unbounded when not given

    Raises
    ------
    ValueError
        for a confidence outside [0, 1), a negative radius, no samples, or samples outside the support.
    """
    beta = 1.0 - confidence
    if not 0.0 < beta <= 1.0:
        raise ValueError(f"confidence = {confidence}: must be at least 0 and below 1")
    if not (radius >= 0.0 and np.isfinite(radius)):
        raise ValueError(f"radius = {radius}: must be a finite number that is not negative")
    if len(samples) == 0:
        raise ValueError("no error samples; the Wasserstein ball needs at least one as its centre")
    price_max = np.linalg.norm(a, ord=_DUAL_ORDER[norm], axis=2)
    if support is None:
        stay = np.matmul(a, samples.transpose(1, 2, 0))
        return sample_cvar(stay, beta) + radius / beta * price_max
    samples = _inside(samples, support)
    margin = np.empty(a.shape[:2])
    rows = a.shape[1] if norm is Norm.ONE else max(1, _WORK // max(1, samples.shape[0] * samples.shape[2]))
    for step in range(len(a)):
        for start in range(0, a.shape[1], rows):
            part = slice(start, start + rows)
            inner = _MAXIMISATIONS[norm](a[step, part], samples[:, step], support[0, step], support[1, step])
            margin[step, part] = _least(inner, price_max[step, part], beta, radius)
    return margin


def sample_cvar(values: Float[np.ndarray, "*rows sample"], beta: float) -> Float[np.ndarray, "*rows"]:
    """Mean of the largest share β of the values, the last of them counted in part [Rockafellar and Uryasev 2000]."""
    quantile = _quantile(values, beta)
    return quantile[..., 0] + np.maximum(values - quantile, 0.0).mean(axis=-1) / beta


def _quantile(values: Float[np.ndarray, "*rows sample"], beta: float) -> Float[np.ndarray, "*rows 1"]:
    """Value above which the largest share β lies."""
    n = values.shape[-1]
    place = n - min(max(int(np.ceil(beta * n)), 1), n)
    return np.partition(values, place, axis=-1)[..., place, None]


def _inside(
    samples: Float[np.ndarray, "sample horizon source"], support: Float[np.ndarray, "2 horizon source"]
) -> Float[np.ndarray, "sample horizon source"]:
    """Check that the samples lie in the support, and project those outside by rounding."""
    low, high = support
    slack = 1e-9 * np.maximum(high - low, np.maximum(np.abs(low), np.abs(high)))
    if np.any(low > high) or not np.isfinite(support).all():
        raise ValueError("the support of the errors must be finite, its lower end not above its upper end")
    outside = (samples < low - slack) | (samples > high + slack)
    if outside.any():
        sample, step, source = (int(index[0]) for index in np.nonzero(outside))
        raise ValueError(
            f"error sample {sample}, step {step}, source {source} = {samples[sample, step, source]:.6g} lies outside "
            f"its support [{low[step, source]:.6g}, {high[step, source]:.6g}]; widen it or truncate the samples"
        )
    return np.clip(samples, low, high)


def _least(
    inner: InnerMaximisation, price_max: Float[np.ndarray, " row"], beta: float, radius: float
) -> Float[np.ndarray, " row"]:
    """Minimise h(λ) over 0 ≤ λ ≤ ‖a‖_*, by the tangents at both ends of a shrinking bracket.

    Two tangents of a convex function meet below it, so their meeting point gives a lower bound and the next λ; where
    h is piecewise linear this ends exactly. Every third turn halves the bracket, so that it shrinks in any case.
    """

    def value_and_slope(
        rows: Int[np.ndarray, " some"], price: Float[np.ndarray, " some"]
    ) -> tuple[Float[np.ndarray, " some"], Float[np.ndarray, " some"]]:
        g, moved = inner.maximise(rows, price)
        quantile = _quantile(g, beta)
        excess = g - quantile
        tail, edge = excess > 0, excess == 0
        part = (beta * g.shape[1] - tail.sum(axis=1)) / edge.sum(axis=1)
        mean_moved = (np.where(tail, moved, 0.0).sum(axis=1) + part * np.where(edge, moved, 0.0).sum(axis=1)) / g.shape[
            1
        ]
        cvar = quantile[:, 0] + np.maximum(excess, 0.0).mean(axis=1) / beta
        return price * radius / beta + cvar, (radius - mean_moved) / beta

    rows: np.ndarray = np.arange(len(price_max))
    low: np.ndarray = np.zeros(len(rows))
    high: np.ndarray = price_max.copy()
    h_high, slope_high = value_and_slope(rows, high)
    best = h_high.copy()
    going = (slope_high > 0) & (high > 0)
    rows, low, high, h_high, slope_high = (one[going] for one in (rows, low, high, h_high, slope_high))
    h_low, slope_low = value_and_slope(rows, low)
    best[rows] = np.minimum(best[rows], h_low)
    tolerance = _GAP * np.maximum(np.abs(h_low), np.abs(h_high))
    turn = 0
    while rows.size:
        with np.errstate(divide="ignore", invalid="ignore"):
            meet = (h_high - h_low + slope_low * low - slope_high * high) / (slope_low - slope_high)
        bound = h_low + slope_low * (meet - low)
        middle = 0.5 * (low + high)
        going = (slope_low < 0) & (slope_high > 0) & (best[rows] - bound > tolerance) & (middle > low) & (middle < high)
        if not going.all():
            rows, low, high, h_low, h_high = (one[going] for one in (rows, low, high, h_low, h_high))
            slope_low, slope_high, tolerance = slope_low[going], slope_high[going], tolerance[going]
            meet, middle = meet[going], middle[going]
        turn += 1
        price = middle if turn % 3 == 0 else np.clip(meet, low, high)
        h, slope = value_and_slope(rows, price)
        best[rows] = np.minimum(best[rows], h)
        falls = slope <= 0
        low, h_low, slope_low = (np.where(falls, x, y) for x, y in ((price, low), (h, h_low), (slope, slope_low)))
        high, h_high, slope_high = (np.where(falls, y, x) for x, y in ((price, high), (h, h_high), (slope, slope_high)))
    return best
