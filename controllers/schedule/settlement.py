"""Settlement of a step: cost of grid energy and cost terms of devices, by name.

Income from customers is no cost: loads are what they are, whoever plans.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from gridferry.controllers.contract import Plant
from gridferry.controllers.devices.demand_charge import DEMAND

ENERGY = "energy"
"""The cost term of the exchange with the grid above; those of devices have the names in `Outcome.money`."""


@dataclass(frozen=True, eq=False)
class Demand:
    """What a demand charge goes by.

    Attributes
    ----------
    step : the first of the horizon
    peak_mw : highest import of each network so far in the billing period of that step [MW]
    """

    step: int
    peak_mw: Float[np.ndarray, " network"]


def settled_mw(import_mw: Float[np.ndarray, "*any"], export_ratio: float) -> Float[np.ndarray, "*any"]:
    """Power billed at the buying price: import, less the paid share of export [MW]."""
    return np.maximum(import_mw, 0.0) - export_ratio * np.maximum(-import_mw, 0.0)


def settle(
    plant: Plant,
    import_mw: Float[np.ndarray, "*batch horizon network"],
    buy_price: Float[np.ndarray, " horizon"],
    of_devices: Mapping[str, Float[np.ndarray, "*batch horizon"]],
    demand: Demand | None = None,
) -> dict[str, Float[np.ndarray, "*batch horizon"]]:
    """Return every cost term by step [currency]; each network is settled by itself, NaN where nothing is known.

    Parameters
    ----------
    import_mw : drawn from the grid above each network, negative where exported [MW]
    buy_price : of energy bought [currency/MWh]
    of_devices : cost terms of the devices [currency]
    demand : what the demand charge goes by; ``None`` leaves it out
    """
    price = np.where(np.isfinite(buy_price), buy_price, np.nan)
    energy = plant.step_h * price * settled_mw(import_mw, plant.export_price_ratio).sum(axis=-1)
    costs = {ENERGY: energy, **of_devices}
    if plant.demand_charge is not None and demand is not None:
        costs[DEMAND] = plant.demand_charge.cost(demand.step, demand.peak_mw, import_mw)
    return costs
