"""Margins of all bus voltages of a plant at an operating point: AC sensitivities, errors, scenario [B, §2.4-2.5].

The voltage under errors is linear in them only to first order. Far out it falls faster than the tangent says, so a
tangent's margin would be too small there. With ``secant`` the sensitivities are therefore scaled up, bus by bus, until
they meet the AC power flow at the worst corner of the support; a voltage that falls along a concave curve then never
falls below the line. They are never shrunk.
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
    sides = np.concatenate([upper, -lower], axis=1)
    if ambiguity.scenario is Scenario.ROBUST:
        margin = robust_margin(sides, ambiguity.box)
    else:
        margin = wasserstein_margin(
            sides,
            ambiguity.samples,
            confidence=ambiguity.confidence,
            radius=ambiguity.radius,
            norm=ambiguity.norm,
            support=ambiguity.box if ambiguity.bounded else None,
        )
    high, low = np.split(np.maximum(margin, 0.0), 2, axis=1)
    return Margins(upper=high, lower=low)


def sensitivities(
    plant: Plant,
    forecast: Forecast,
    p_mw: Float[np.ndarray, "horizon bus"],
    q_mvar: Float[np.ndarray, "horizon bus"],
    ambiguity: Ambiguity,
) -> tuple[Float[np.ndarray, "horizon bus source"], Float[np.ndarray, "horizon bus source"]]:
    """Change of every voltage per unit of each error, for the upper and for the lower limit [pu]."""
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


def _corner(
    toward: Float[np.ndarray, "horizon bus source"], plant: Plant, ambiguity: Ambiguity
) -> Float[np.ndarray, "horizon bus source"]:
    """Corner of the support with the largest voltage change of each network, repeated for its buses."""
    low, high = ambiguity.box
    corner = np.empty_like(toward)
    for buses in plant.bus_slices:
        together = toward[:, buses].sum(axis=1)
        at = np.where(together > 0, high, np.where(together < 0, low, 0.0))
        corner[:, buses] = at[:, None, :]
    return corner
