"""Objective of the dispatch model: cost, or violations of limits; losses have a price where waste pays.

Violations are weighed in pu² of a squared voltage: first the largest of each unit, then the sum, then losses and cost.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import cvxpy as cp
import numpy as np
from jaxtyping import Bool, Float

from gridferry.controllers.devices import Device
from gridferry.controllers.devices.planning.block import Losses, SoftLimit
from gridferry.controllers.model.ahead import Outlook
from gridferry.controllers.model.networks import marginal_price

_LEAST_LOSS_PRICE = 1e-3
"""losses cost at least this share of the mean price, so that the cones are tight where energy is free"""
_LARGEST, _EACH = 1e3, 10.0
"""weights of the largest violation of a unit and of every violation, in MWh at the highest price per pu²"""
_COST = 1e-3
"""weight of the cost beside violations"""


def plans_all(device: Device[Any]) -> bool:
    """Choose every device to be planned."""
    return True


def plans_stores(device: Device[Any]) -> bool:
    """Choose stores to be planned."""
    return device.stores


def stands_still(device: Device[Any]) -> bool:
    """Choose devices that do not travel to be planned."""
    return not any(position.with_routes for position in device.positions)


@dataclass(frozen=True, kw_only=True, eq=False)
class ModelOptions:
    """Options of a dispatch model.

    Attributes
    ----------
    plans : whether a device is to be planned; others rest
    complementarity_from_start : let binaries choose between powers that exclude each other wherever waste pays
    exclusive : by name of the powers that exclude each other, further steps in which a binary sees to it
    bounded_losses : limit losses from above in every step, not just where waste pays
    soft : minimise violations of soft limits
    allowed : by name of the soft limit, violations that are allowed, in its unit
    """

    plans: Callable[[Device[Any]], bool] = plans_all
    complementarity_from_start: bool = True
    exclusive: Mapping[str, Bool[np.ndarray, " horizon"]] = field(default_factory=dict)
    bounded_losses: bool = False
    soft: bool = False
    allowed: Mapping[str, np.ndarray] | None = None

    @property
    def strict(self) -> bool:
        """Whether every limit is kept."""
        return not self.soft and self.allowed is None

    def bounded(self, marginal_price: Float[np.ndarray, " horizon"]) -> Bool[np.ndarray, " horizon"]:
        """Steps with upper limits of the currents: where waste pays, or limits are gained by it."""
        return (marginal_price < 0) | self.bounded_losses | self.soft

    def excluded(self, name: str, marginal_price: Float[np.ndarray, " horizon"]) -> Bool[np.ndarray, " horizon"]:
        """Steps with complementarity binaries: those with a negative marginal price, where waste pays."""
        early = marginal_price < 0 if self.complementarity_from_start else np.zeros(len(marginal_price), dtype=bool)
        return early | self.exclusive[name] if name in self.exclusive else early


@dataclass(frozen=True, eq=False)
class Objective:
    """Objective, constraints of soft limits, and the largest effect of the price of losses on the cost."""

    total: cp.Expression
    constraints: dict[str, list[cp.Constraint]]
    bound_correction: float


def highest_price(buy_price: Float[np.ndarray, " horizon"]) -> float:
    """Return the highest price of a horizon, at least 1 [currency/MWh]."""
    return max(float(np.abs(buy_price).max()), 1.0)


def objective(
    outlook: Outlook,
    options: ModelOptions,
    cost: cp.Expression,
    losses: Sequence[Losses],
    soft: Mapping[str, SoftLimit],
) -> Objective:
    """Return the objective of a model with all its blocks.

    Parameters
    ----------
    cost : of everything [currency]
    losses, soft : of devices and networks
    """
    plant, price = outlook.plant, outlook.forecast.buy_price
    step_h, highest = plant.step_h, highest_price(price)
    # where waste costs next to nothing cones would open
    least, waste = _LEAST_LOSS_PRICE * float(np.abs(price).mean()), marginal_price(price, plant.export_price_ratio)
    loss_price = np.where(waste < 0, 0.0, np.maximum(least - waste, 0.0))
    priced, correction = cp.Constant(0.0), 0.0
    if np.any(loss_price):
        priced = sum((step_h * (loss_price @ one.mw) for one in losses), start=priced)
        correction = step_h * sum(float(np.sum(loss_price * one.largest_mw)) for one in losses)
    if options.soft:
        violation, constraints = _violation(soft)
        return Objective(highest * violation + _COST * cost + priced, constraints, correction)
    allowed = options.allowed or {}
    kept = {name: [one.slack >= -allowed.get(name, 0.0)] for name, one in soft.items()}
    return Objective(cost + priced, kept, correction)


def _violation(soft: Mapping[str, SoftLimit]) -> tuple[cp.Expression, dict[str, list[cp.Constraint]]]:
    """Weighted violation of all soft limits: the largest of each unit outweighs the others."""
    largest = {unit: cp.Variable() for unit in dict.fromkeys(one.unit for one in soft.values())}
    total: cp.Expression = _LARGEST * sum(largest.values(), start=cp.Constant(0.0))
    constraints: dict[str, list[cp.Constraint]] = {
        f"largest violation [{unit}]": [one >= 0] for unit, one in largest.items()
    }
    for name, one in soft.items():
        violated = cp.Variable(one.slack.shape)
        weighed = cp.multiply(np.broadcast_to(one.weight, one.slack.shape), violated)
        constraints[name] = [violated >= 0, one.slack + violated >= 0, weighed <= largest[one.unit]]
        total = total + _EACH * cp.sum(weighed)
    return total, constraints
