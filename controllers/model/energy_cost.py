"""What energy from the grid above costs [A, eqs. 26-27]."""

from __future__ import annotations

from dataclasses import dataclass

import cvxpy as cp
import numpy as np
from jaxtyping import Float

from gridferry.controllers.devices.planning.block import Likely


@dataclass(frozen=True, eq=False)
class EnergyCost:
    """Cost of what one network draws from the grid above.

    Attributes
    ----------
    per_step : (horizon,) [currency]
    constraints : how import and export are told apart
    binaries : where that needs a choice
    likely : likely values of those, from a solved relaxation
    """

    per_step: cp.Expression
    constraints: list[cp.Constraint]
    binaries: list[cp.Variable]
    likely: list[Likely]


def energy_cost(
    import_mw: cp.Expression,
    price: Float[np.ndarray, " horizon"],
    export_ratio: float,
    step_h: float,
    largest_mw: Float[np.ndarray, " horizon"],
) -> EnergyCost:
    """Pay for import, be paid for export at a share of the price.

    ``Δ price (g⁺ - ratio g⁻)`` with ``g = g⁺ - g⁻`` is convex in g where ``price (1 - ratio) ≥ 0``. Elsewhere (a
    negative price with a ratio below 1, a ratio above 1) buying and selling at once would pay, so a binary allows
    one of them.

    Parameters
    ----------
    import_mw : g, negative where exported (horizon,) [MW]
    price : of energy bought [currency/MWh]
    export_ratio : share of the price paid for export
    largest_mw : no flow either way can be larger [MW]
    """
    horizon = len(price)
    bent = price * (1 - export_ratio)
    if not np.any(bent):
        return EnergyCost(step_h * cp.multiply(price, import_mw), [], [], [])
    bought, sold = cp.Variable(horizon), cp.Variable(horizon)
    constraints: list[cp.Constraint] = [bought - sold == import_mw, bought >= 0, sold >= 0]
    binaries: list[cp.Variable] = []
    likely: list[Likely] = []
    choose = np.flatnonzero(bent < 0)
    if len(choose):
        buys = cp.Variable(len(choose))
        limit = largest_mw[choose]
        constraints += [bought[choose] <= cp.multiply(limit, buys), sold[choose] <= cp.multiply(limit, 1 - buys)]
        binaries.append(buys)
        likely.append((buys, lambda: (import_mw.value[choose] >= 0).astype(float)))
    paid = step_h * (cp.multiply(price, bought) - export_ratio * cp.multiply(price, sold))
    return EnergyCost(paid, constraints, binaries, likely)


def marginal_price(price: Float[np.ndarray, " horizon"], export_ratio: float) -> Float[np.ndarray, " horizon"]:
    """Least that one more MWh drawn from the grid can cost, importing or exporting [currency/MWh].

    Where it is negative, waste pays: charging and discharging at once, or fictitious losses.
    """
    return np.minimum(price, price * export_ratio)
