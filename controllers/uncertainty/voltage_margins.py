"""Margins of all bus voltages of a plant at an operating point: AC sensitivities, errors, scenario [B, §2.4-2.5].

The voltage under errors is linear in them only to first order. Far out it falls faster than the tangent says, so a
tangent's margin would be too small there. With ``secant`` the sensitivities are therefore scaled up, bus by bus, until
they meet the AC power flow at the worst corner of the support; a voltage that falls along a concave curve then never
falls below the line. They are never shrunk.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from gridferry.controllers.uncertainty.ambiguity import Ambiguity
from gridferry.controllers.uncertainty.sensitivities import Linearisation, magnitude_change, operating_point

_SEEN = 1e-9
"""sensitivities of a voltage that changes by less than this are not scaled [pu]"""


def voltage_margins(
    at: Linearisation, ambiguity: Ambiguity
) -> tuple[Float[np.ndarray, "horizon bus"], Float[np.ndarray, "horizon bus"]]:
    """Margins of the voltages of all buses, below the upper and above the lower limit [pu].

    Raises
    ------
    ControllerError
        where, with ``secant``, the worst corner of the errors has no power flow.
    """
    upper, lower = sensitivities(at, ambiguity)
    margin = np.maximum(ambiguity.margins(np.concatenate([upper, -lower], axis=1)), 0.0)
    high, low = np.split(margin, 2, axis=1)
    return high, low


def sensitivities(
    at: Linearisation, ambiguity: Ambiguity
) -> tuple[Float[np.ndarray, "horizon bus column"], Float[np.ndarray, "horizon bus column"]]:
    """Change of every voltage by column of `ErrorMap.injections`, for the upper and for the lower limit [pu]."""
    tangent = magnitude_change(at.v, at.dv)
    if not ambiguity.secant:
        return tangent, tangent.copy()
    v_pu = np.abs(at.v)
    scaled = []
    for side in (1.0, -1.0):
        corner = _corner(side * tangent, at, ambiguity)
        p_there = at.p_mw + np.einsum("hbs,hbs->hb", at.p_per, corner)
        q_there = at.q_mvar + np.einsum("hbs,hbs->hb", at.q_per, corner)
        by_line = np.einsum("hbs,hbs->hb", tangent, corner)
        by_flow = np.abs(operating_point(at.plant, p_there, q_there)) - v_pu
        seen = side * by_line > _SEEN
        scale = np.divide(by_flow, by_line, out=np.ones_like(by_line), where=seen)
        scaled.append(tangent * np.maximum(scale, 1.0)[:, :, None])
    return scaled[0], scaled[1]


def _corner(
    toward: Float[np.ndarray, "horizon bus column"], at: Linearisation, ambiguity: Ambiguity
) -> Float[np.ndarray, "horizon bus column"]:
    """Corner of the support with the largest voltage change of each network, repeated for its buses."""
    together = np.stack([toward[:, buses].sum(axis=1) for buses in at.plant.bus_slices], axis=1)
    n_bus = [feeder.n_bus for feeder in at.plant.feeders]
    return np.repeat(ambiguity.corner(together), n_bus, axis=1)
