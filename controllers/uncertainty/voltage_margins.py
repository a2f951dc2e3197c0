"""Margins of all bus voltages of a plant at an operating point: AC sensitivities, errors, scenario [B, §2.4-2.5].

The voltage under errors is linear in them only to first order. Far out it falls faster than the tangent says, so a
tangent's margin would be too small there. With ``secant`` the sensitivities are therefore scaled up, bus by bus, until
they meet the AC power flow at the worst corner of the support; a voltage that falls along a concave curve then never
falls below the line. They are never shrunk.

A generator with a limit u injects ``min(u, a + ξ)``: with an error ξ of what it can give it changes by something
between 0 and ξ, whatever u is. So an error counts with the worse of 0 and what it does, for either limit of a voltage.
It is split into ``ξ⁺ = max(ξ, 0)`` and ``ξ⁻ = max(-ξ, 0)``, whose distance from those of a sample is at most that of ξ.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from jaxtyping import Complex, Float

from gridferry.controllers.contract import ControllerError, Forecast, Plant
from gridferry.controllers.uncertainty.error_map import ErrorMap
from gridferry.controllers.uncertainty.margins import Margins, Norm, robust_margin, wasserstein_margin
from gridferry.controllers.uncertainty.sensitivities import voltage_response
from gridferry.networks.power_flow import solve_sweep

_SEEN = 1e-9
"""sensitivities of a voltage that changes by less than this are not scaled [pu]"""


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


def operating_point(
    plant: Plant, p_mw: Float[np.ndarray, "horizon bus"], q_mvar: Float[np.ndarray, "horizon bus"]
) -> Complex[np.ndarray, "horizon bus"]:
    """AC voltages of all networks under net injections [pu].

    Raises
    ------
    ControllerError
        naming the network and the steps that have no power flow.
    """
    parts = []
    for number, (feeder, buses) in enumerate(zip(plant.feeders, plant.bus_slices, strict=True), start=1):
        v, converged = solve_sweep(feeder, p_mw[:, buses], q_mvar[:, buses])
        if not converged.all():
            steps = ", ".join(str(step) for step in np.flatnonzero(~converged)[:5])
            raise ControllerError(
                f"network {number} ({feeder.name}) has no power flow at steps {steps} of the horizon; the load is more "
                "than it can carry"
            )
        parts.append(v)
    return np.concatenate(parts, axis=1)


def voltage_margins(
    plant: Plant,
    forecast: Forecast,
    p_mw: Float[np.ndarray, "horizon bus"],
    q_mvar: Float[np.ndarray, "horizon bus"],
    ambiguity: Ambiguity,
) -> Margins:
    """Margins of the voltages of all buses at given net injections [pu].

    Raises
    ------
    ControllerError
        where the operating point, or with ``secant`` the worst corner of the errors, has no power flow.
    """
    upper, lower = sensitivities(plant, forecast, p_mw, q_mvar, ambiguity)
    sides, samples, box = _worse_of_zero(np.concatenate([upper, -lower], axis=1), ambiguity)
    if ambiguity.scenario is Scenario.ROBUST:
        margin = robust_margin(sides, box)
    else:
        margin = wasserstein_margin(
            sides,
            samples,
            confidence=ambiguity.confidence,
            radius=ambiguity.radius,
            norm=ambiguity.norm,
            support=box if ambiguity.bounded else None,
        )
    high, low = np.split(np.maximum(margin, 0.0), 2, axis=1)
    return Margins(upper=high, lower=low)


def sensitivities(
    plant: Plant,
    forecast: Forecast,
    p_mw: Float[np.ndarray, "horizon bus"],
    q_mvar: Float[np.ndarray, "horizon bus"],
    ambiguity: Ambiguity,
) -> tuple[Float[np.ndarray, "horizon bus column"], Float[np.ndarray, "horizon bus column"]]:
    """Change of every voltage by column of `ErrorMap.injections`, for the upper and for the lower limit [pu]."""
    v = operating_point(plant, p_mw, q_mvar)
    p_per, q_per = ambiguity.errors.injections(forecast)
    tangent = np.zeros_like(p_per)
    for feeder, buses in zip(plant.feeders, plant.bus_slices, strict=True):
        tangent[:, buses] = voltage_response(feeder, v[:, buses], p_per[:, buses], q_per[:, buses])
    if not ambiguity.secant:
        return tangent, tangent.copy()
    v_pu = np.abs(v)
    scaled = []
    for side in (1.0, -1.0):
        corner = _corner(side * tangent, plant, ambiguity)
        p_there = p_mw + np.einsum("hbs,hbs->hb", p_per, corner)
        q_there = q_mvar + np.einsum("hbs,hbs->hb", q_per, corner)
        by_line = np.einsum("hbs,hbs->hb", tangent, corner)
        by_flow = np.abs(operating_point(plant, p_there, q_there)) - v_pu
        seen = side * by_line > _SEEN
        scale = np.divide(by_flow, by_line, out=np.ones_like(by_line), where=seen)
        scaled.append(tangent * np.maximum(scale, 1.0)[:, :, None])
    return scaled[0], scaled[1]


def _worse_of_zero(
    sides: Float[np.ndarray, "horizon row column"], ambiguity: Ambiguity
) -> tuple[
    Float[np.ndarray, "horizon row error"],
    Float[np.ndarray, "sample horizon error"],
    Float[np.ndarray, "2 horizon error"],
]:
    """Return sensitivities, samples and box of errors in which those of ports with a limit have a sign of their own.

    ``max(0, a ξ) = max(a, 0) ξ⁺ + max(-a, 0) ξ⁻``; a source that others follow as well has ``ξ = ξ⁺ - ξ⁻`` for them.
    """
    errors, (low, high) = ambiguity.errors, ambiguity.box
    shares = errors.generation[errors.limited]
    if not len(shares):
        return sides, ambiguity.samples, ambiguity.box
    split = shares.any(axis=0)
    follow, limited = sides[:, :, : len(split)], sides[:, :, len(split) :]
    rising, falling = (np.maximum(one, 0.0) @ shares[:, split] for one in (limited, -limited))
    a = [follow[:, :, ~split], follow[:, :, split] + rising, falling - follow[:, :, split]]

    def signed(
        of: Float[np.ndarray, "any horizon source"], *ways: Float[np.ndarray, "any horizon source"]
    ) -> np.ndarray:
        return np.concatenate([of[..., ~split], *(np.maximum(one[..., split], 0.0) for one in ways)], axis=-1)

    samples = ambiguity.samples
    box = signed(np.stack([low, high]), np.stack([low, high]), np.stack([-high, -low]))
    return np.concatenate(a, axis=2), signed(samples, samples, -samples), box


def _corner(
    toward: Float[np.ndarray, "horizon bus column"], plant: Plant, ambiguity: Ambiguity
) -> Float[np.ndarray, "horizon bus column"]:
    """Corner of the support with the largest voltage change of each network, repeated for its buses."""
    limited = ambiguity.errors.generation[ambiguity.errors.limited].T
    low, high = (
        np.concatenate([one, beyond(one @ limited, 0.0)], axis=1)
        for one, beyond in zip(ambiguity.box, (np.minimum, np.maximum), strict=True)
    )
    corner = np.empty_like(toward)
    for buses in plant.bus_slices:
        together = toward[:, buses].sum(axis=1)
        at = np.where(together > 0, high, np.where(together < 0, low, 0.0))
        corner[:, buses] = at[:, None, :]
    return corner
