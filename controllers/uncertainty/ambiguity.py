"""Ambiguity set of forecast errors, and margins of what is linear in them [B, §2.4-2.5].

A generator with a limit u injects ``min(u, a + ξ)``: with an error ξ of what it can give it changes by something
between 0 and ξ, whatever u is. So an error counts with the worse of 0 and what it does, for every limit.
It is split into ``ξ⁺ = max(ξ, 0)`` and ``ξ⁻ = max(-ξ, 0)``, whose distance from those of a sample is at most that of ξ.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from jaxtyping import Float

from gridferry.controllers.uncertainty.error_map import ErrorMap
from gridferry.controllers.uncertainty.margins import Norm, robust_margin, wasserstein_margin


class Scenario(StrEnum):
    """Scenario: treatment of forecast errors."""

    NONE = "none"
    """no link and no battery is used"""
    DETERMINISTIC = "deterministic"
    """the forecast is taken for granted"""
    ROBUST = "robust"
    """limits hold for every error in the support"""
    DRCC = "drcc"
    """limits hold with the confidence, whatever the distribution in the Wasserstein ball"""


@dataclass(frozen=True, eq=False)
class Ambiguity:
    """Ambiguity set: assumptions about the errors.

    Attributes
    ----------
    scenario : how they are met
    errors : which injections follow which source
    samples, box : drawn errors and their support
    bounded : whether the distributions of the ball keep to the box, too
    confidence, radius, norm : of the chance constraint, see
        `gridferry.controllers.uncertainty.margins.wasserstein_margin`
    secant : stretch the sensitivities to the AC power flow at the worst corner of the box
    """

    scenario: Scenario
    errors: ErrorMap
    samples: Float[np.ndarray, "sample horizon source"]
    box: Float[np.ndarray, "2 horizon source"]
    bounded: bool
    confidence: float
    radius: float
    norm: Norm
    secant: bool

    def margins(self, sides: Float[np.ndarray, "horizon row column"]) -> Float[np.ndarray, "horizon row"]:
        """Margins of values to upper bounds; may be negative.

        Parameters
        ----------
        sides : change of every value by column of `ErrorMap.injections`
        """
        sides, samples, box = self._worse_of_zero(sides)
        if self.scenario is Scenario.ROBUST:
            return robust_margin(sides, box)
        return wasserstein_margin(
            sides,
            samples,
            confidence=self.confidence,
            radius=self.radius,
            norm=self.norm,
            support=box if self.bounded else None,
        )

    def corner(self, toward: Float[np.ndarray, "horizon row column"]) -> Float[np.ndarray, "horizon row column"]:
        """Corner of the support at which values are largest, by column of `ErrorMap.injections`.

        Parameters
        ----------
        toward : change of every value by column
        """
        limited = self.errors.generation[self.errors.limited].T
        low, high = (
            np.concatenate([one, beyond(one @ limited, 0.0)], axis=1)[:, None, :]
            for one, beyond in zip(self.box, (np.minimum, np.maximum), strict=True)
        )
        return np.where(toward > 0, high, np.where(toward < 0, low, 0.0))

    def _worse_of_zero(
        self, sides: Float[np.ndarray, "horizon row column"]
    ) -> tuple[
        Float[np.ndarray, "horizon row error"],
        Float[np.ndarray, "sample horizon error"],
        Float[np.ndarray, "2 horizon error"],
    ]:
        """Return sensitivities, samples and box of errors, those of ports with a limit with a sign of their own.

        ``max(0, a ξ) = max(a, 0) ξ⁺ + max(-a, 0) ξ⁻``; a source that others follow as well has ``ξ = ξ⁺ - ξ⁻`` for
        them.
        """
        errors, (low, high) = self.errors, self.box
        shares = errors.generation[errors.limited]
        if not len(shares):
            return sides, self.samples, self.box
        split = shares.any(axis=0)
        follow, limited = sides[:, :, : len(split)], sides[:, :, len(split) :]
        rising, falling = (np.maximum(one, 0.0) @ shares[:, split] for one in (limited, -limited))
        a = [follow[:, :, ~split], follow[:, :, split] + rising, falling - follow[:, :, split]]

        def signed(
            of: Float[np.ndarray, "any horizon source"], *ways: Float[np.ndarray, "any horizon source"]
        ) -> np.ndarray:
            return np.concatenate([of[..., ~split], *(np.maximum(one[..., split], 0.0) for one in ways)], axis=-1)

        samples = self.samples
        box = signed(np.stack([low, high]), np.stack([low, high]), np.stack([-high, -low]))
        return np.concatenate(a, axis=2), signed(samples, samples, -samples), box
