"""The limits of the networks that a plan has to keep."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from gridferry.controllers.contract import Plant
from gridferry.controllers.uncertainty.margins import Margins


@dataclass(frozen=True, kw_only=True, eq=False)
class Limits:
    """Limits of all networks.

    Attributes
    ----------
    v_low_sq, v_high_sq : of the squared voltages; ``v_low_sq`` may exceed ``v_high_sq`` where margins leave nothing
        between [pu²]
    rating : share of the rating of each branch that may be used
    """

    v_low_sq: Float[np.ndarray, "horizon bus"]
    v_high_sq: Float[np.ndarray, "horizon bus"]
    rating: Float[np.ndarray, "horizon branch"]


def limits_of(plant: Plant, horizon: int, margins: Margins | None = None, v_margin_pu: float = 0.0) -> Limits:
    """``(v_min + m)² ≤ v² ≤ (v_max - m)²``: margins on plain voltages as limits of squared ones [A, eq. 16].

    Parameters
    ----------
    margins : kept from the limits of every bus and step [pu]
    v_margin_pu : kept from all of them, beside the margins [pu]
    """
    none = np.zeros((horizon, plant.n_bus))
    lower, upper = (none, none) if margins is None else (margins.lower, margins.upper)
    v_min = np.concatenate([feeder.v_min_pu for feeder in plant.feeders])
    v_max = np.concatenate([feeder.v_max_pu for feeder in plant.feeders])
    return Limits(
        v_low_sq=np.maximum(v_min + lower + v_margin_pu, 0.0) ** 2,
        v_high_sq=np.maximum(v_max - upper - v_margin_pu, 0.0) ** 2,
        rating=np.ones((horizon, plant.n_branch)),
    )
