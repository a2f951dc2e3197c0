"""Objective of the dispatch model: cost, or violations of limits; losses have a price where waste pays.

Violations are those of the one scale (`gridferry.controllers.plans.violation`): the largest, then the sum, then the
cost is minimised, each within what was found before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import cvxpy as cp
import numpy as np
import scipy.sparse as sp
from jaxtyping import Bool, Float

from gridferry.controllers.contract import Observation, Plant
from gridferry.controllers.devices import Device
from gridferry.controllers.devices.demand_charge import DEMAND
from gridferry.controllers.devices.planning.block import Block, Losses, SoftLimit
from gridferry.controllers.devices.traits import at_one_bus
from gridferry.controllers.model.ahead import Outlook
from gridferry.controllers.model.networks import marginal_price

_LEAST_LOSS_PRICE = 1e-3
"""losses cost at least this share of the mean price, so that the cones are tight where energy is free"""
_VIOLATION = 1e2
"""weight of violations, in MWh at the highest price"""
_LEAST_SECANT = 1e-3
"""no secant is taken over a smaller violation"""
_COST = 1e-3
"""weight of the cost beside violations"""


def plans_all(device: Device[Any]) -> bool:
    """Choose every device to be planned."""
    return True


def stores_and_sources(device: Device[Any]) -> bool:
    """Choose stores to be planned, and all that injects at one bus; links rest."""
    return device.stores or at_one_bus(device)


def stands_still(device: Device[Any]) -> bool:
    """Choose devices that do not travel to be planned."""
    return not any(position.with_routes for position in device.positions)


class Aim(StrEnum):
    """What is minimised."""

    COST = "cost"
    LARGEST = "largest violation"
    TOTAL = "sum of violations"


@dataclass(frozen=True, kw_only=True, eq=False)
class ModelOptions:
    """Options of a dispatch model.

    Attributes
    ----------
    plans : whether a device is to be planned; others rest
    complementarity_from_start : let binaries choose between powers that exclude each other wherever waste pays
    exclusive : by name of the powers that exclude each other, further steps in which a binary sees to it
    bounded_losses : limit losses from above in every step, not just where waste pays
    at_rest : every device that is planned is at rest, and there are no networks
    aim : what is minimised
    largest, total : violations that are allowed on the one scale: of every soft limit, and the sum; where the largest
        is minimised, the one near which squares are linearised, 0 for the secant from 0 to 1
    """

    plans: Callable[[Device[Any]], bool] = plans_all
    complementarity_from_start: bool = True
    exclusive: Mapping[str, Bool[np.ndarray, " horizon"]] = field(default_factory=dict)
    bounded_losses: bool = False
    at_rest: bool = False
    aim: Aim = Aim.COST
    largest: float = 0.0
    total: float = float("inf")

    @property
    def soft(self) -> bool:
        """Whether violations are minimised."""
        return self.aim is not Aim.COST

    @property
    def strict(self) -> bool:
        """Whether every limit is kept."""
        return not self.soft and self.largest == 0

    def bounded(self, marginal_price: Float[np.ndarray, " horizon"]) -> Bool[np.ndarray, " horizon"]:
        """Steps with upper limits of the currents: where waste pays, or limits are gained by it."""
        return (marginal_price < 0) | self.bounded_losses | self.soft

    def excluded(self, name: str, marginal_price: Float[np.ndarray, " horizon"]) -> Bool[np.ndarray, " horizon"]:
        """Steps with complementarity binaries: those with a negative marginal price, where waste pays."""
        early = marginal_price < 0 if self.complementarity_from_start else np.zeros(len(marginal_price), dtype=bool)
        return early | self.exclusive[name] if name in self.exclusive else early


@dataclass(frozen=True, eq=False)
class Objective:
    """Objective, constraints of soft limits, and the largest effect of the price of losses on the cost.

    ``slacks`` are the variables of violations, which follow from everything else.
    """

    total: cp.Expression
    constraints: dict[str, list[cp.Constraint]]
    bound_correction: float
    slacks: Sequence[cp.Variable]


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
    violation, constraints, slacks = _violation(soft, options)
    if violation is None:
        return Objective(cost + priced, constraints, correction, slacks)
    return Objective(_VIOLATION * highest * violation + _COST * cost + priced, constraints, correction, slacks)


def _violation(
    soft: Mapping[str, SoftLimit], options: ModelOptions
) -> tuple[cp.Expression | None, dict[str, list[cp.Constraint]], list[cp.Variable]]:
    """Violation that is minimised, if any, the constraints of all soft limits, and the variables of violations."""
    constraints: dict[str, list[cp.Constraint]] = {}
    slacks: list[cp.Variable] = []
    if options.aim is Aim.LARGEST:
        largest = cp.Variable(name="largest")
        constraints["largest violation"] = [largest >= 0]
        for name, one in soft.items():
            slope = linear(one, options.largest)
            lacks = (one.lacks(options.largest) - slope * options.largest) + slope * largest
            constraints[name] = [slack + lacks >= 0 for slack in one.slacks]
        return largest, constraints, [largest]
    total: cp.Expression = cp.Constant(0.0)
    for name, one in soft.items():
        if options.aim is Aim.COST and np.isinf(options.total):
            constraints[name] = [slack >= -one.lacks(options.largest) for slack in one.slacks]
            continue
        violated = cp.Variable(one.slack.shape)
        slacks.append(violated)
        lacks = cp.multiply(secant(one, options.largest), violated)
        constraints[name] = [violated >= 0, violated <= options.largest, *(slack + lacks >= 0 for slack in one.slacks)]
        total = total + cp.sum(violated)
    if options.aim is Aim.TOTAL:
        return total, constraints, slacks
    if np.isfinite(options.total):
        constraints["sum of violations"] = [total <= options.total]
    return None, constraints, slacks


def linear(one: SoftLimit, near: float) -> Float[np.ndarray, ...]:
    """Missing slack by violation: the derivative near a violation, the secant from 0 to 1 near 0."""
    return one.slope(near) if near > 0 else one.lacks(1.0)


def secant(one: SoftLimit, largest: float) -> Float[np.ndarray, ...]:
    """Missing slack by violation: the secant from 0 to the largest violation."""
    largest = max(largest, _LEAST_SECANT)
    return one.lacks(largest) / largest


def demand_block(plant: Plant, number: int, observation: Observation, import_mw: cp.Expression) -> Block | None:
    """Charge the highest import of a network; ``None`` where there is no demand charge.

    ``c_D Σ_k (ĝ_k - ĝ_k⁰)`` with ``ĝ_k ≥ g_t`` in every step t of the billing period k, and ``ĝ_k ≥ ĝ_k⁰``, what was
    reached before: measured in the period that the horizon begins in, 0 in later ones. It is paid at the first step of
    each period in the horizon.
    """
    charge = plant.demand_charge
    if charge is None:
        return None
    period = charge.periods(observation.step, import_mw.shape[0])
    first = np.unique(period, return_index=True)[1]
    before = np.zeros(len(first))
    before[0] = plant.peak_import_mw(observation.peak_import_mw)[number]
    reached = cp.Variable(len(first), name="reached")
    price = np.full(len(first), charge.per_mw)
    at_first = sp.csr_array((price, (first, np.arange(len(first)))), (len(period), len(first)))
    return Block(
        constraints={"highest_import": [reached >= before, reached[period] >= import_mw]},
        costs={DEMAND: at_first @ (reached - before)},
        dependent=(reached,),
    )
