"""Feeders as a dispatch model has them: in per unit of what flows, without what no power flow could show.

Solvers lose digits where numbers of a model are far apart. A power base far from what flows, an impedance that AC
cannot see and a rating that no current can reach make such numbers, and mean nothing.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float

from gridferry.controllers import tolerances
from gridferry.controllers.model.flow_bounds import largest_current
from gridferry.networks.feeder import Z_MIN_PU, Feeder

_OF_RATING = 0.25
"""power base, as a share of the middle one of the ratings that can bind"""
_LEAST, _MOST = 0.02, 0.3
"""its limits, as shares of the power that can flow in or out"""
_V_LOW, _V_HIGH = 0.5, 1.5
"""shares of the lowest and the highest limit that no voltage is beyond, even where limits are violated"""


def well_scaled(
    feeder: Feeder,
    largest_mva: Float[np.ndarray, "horizon bus"],
    rating: Float[np.ndarray, "horizon branch"],
) -> Feeder:
    """Return the feeder that stands for another one in a dispatch model; buses and branches are the same.

    Parameters
    ----------
    largest_mva : largest net injection of every bus [MVA]
    rating : share of each rating that may be used
    """
    flowing = np.where(np.arange(feeder.n_bus) != feeder.slack, largest_mva, 0.0).sum(axis=1).max()
    if not 0.0 < flowing < np.inf:
        return feeder
    v_low = _V_LOW * min(float(feeder.v_min_pu.min()), feeder.slack_v_pu)
    v_high = _V_HIGH * max(float(feeder.v_max_pu.max()), feeder.slack_v_pu)
    current = largest_current(feeder, largest_mva / feeder.base_mva, v_low, v_high)
    free = rating.min(axis=0) * feeder.i_max_pu >= current
    rated_mva = feeder.base_mva * float(np.median(feeder.i_max_pu[~free])) if not free.all() else np.inf
    scaled = feeder.with_base(float(np.clip(_OF_RATING * rated_mva, _LEAST * flowing, _MOST * flowing)))
    least = np.hypot(feeder.r_pu, feeder.x_pu) <= Z_MIN_PU * (1 + 1e-9)  # raised to it: AC needs an impedance
    negligible = least | _negligible(scaled, current * feeder.base_mva / scaled.base_mva)
    return replace(
        scaled,
        r_pu=np.where(negligible, 0.0, scaled.r_pu),
        x_pu=np.where(negligible, 0.0, scaled.x_pu),
        i_max_pu=np.where(free, np.inf, scaled.i_max_pu),
    )


def _negligible(feeder: Feeder, current: Float[np.ndarray, " branch"]) -> Bool[np.ndarray, " branch"]:
    """Branches whose voltage drops and losses, all together, are less than AC tells apart."""
    z = np.hypot(feeder.r_pu, feeder.x_pu)
    order = np.argsort(z * current)
    drop = np.cumsum((z * current)[order])
    lost_mw = feeder.base_mva * np.cumsum((z * current**2)[order])
    negligible = np.zeros(feeder.n_branch, dtype=bool)
    negligible[order] = (drop <= tolerances.VOLTAGE_AC_PU) & (lost_mw <= tolerances.BRANCH_LOSS_MW)
    return negligible
