"""Parts of a store's block that few stores have: least power, ramp, wear by depth of cycle."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial

import cvxpy as cp
import numpy as np
from jaxtyping import Float

from gridferry.controllers.devices.planning.block import Ahead, Likely, SoftLimit
from gridferry.controllers.devices.stores.depth import filled_by, use_segments
from gridferry.controllers.devices.stores.storage import Storage


@dataclass(frozen=True, eq=False)
class LeastPower:
    """Semi-continuous power: ``p̲ u ≤ P ≤ p̄ u`` of charging and of discharging, of which one at most is on.

    Attributes
    ----------
    constraints : empty where there is no least power, as the rest
    binaries : u of charging and of discharging (horizon,)
    likely : on where a relaxation has half the least power
    """

    constraints: list[cp.Constraint] = field(default_factory=list)
    binaries: tuple[cp.Variable, ...] = ()
    likely: tuple[Likely, ...] = ()


def least_power(store: Storage, charge: cp.Expression, discharge: cp.Expression) -> LeastPower:
    """Limit the power to 0 or at least the least power."""
    if store.p_min_mw == 0:
        return LeastPower()
    powers = (charge, discharge)
    on = (cp.Variable(charge.shape[0]), cp.Variable(charge.shape[0]))
    constraints = [on[0] + on[1] <= 1]
    for power, binary in zip(powers, on, strict=True):
        constraints += [power >= store.p_min_mw * binary, power <= store.p_max_mw * binary]
    likely = tuple(
        (binary, partial(_half, own, other, store.p_min_mw))
        for binary, own, other in zip(on, powers, reversed(powers), strict=True)
    )
    return LeastPower(constraints, on, likely)


def _half(own: cp.Expression, other: cp.Expression, least_mw: float) -> np.ndarray:
    return np.asarray(own.value - other.value >= 0.5 * least_mw, dtype=float)


def ramp_limit(store: Storage, ahead: Ahead, p: cp.Expression) -> dict[str, SoftLimit]:
    """Limit the change of the power from step to step, ``|P(t) - P(t-1)| ≤ ρ Δ``; the first from the measured one.

    It is soft: a store that must stop at once, as it is full or drops out, breaks it.
    """
    ramp = store.ramp_mw(ahead.step_h)
    if np.isinf(ramp):
        return {}
    before = cp.hstack([cp.Constant([ahead.state.p_mw]), p[:-1]]) if ahead.horizon > 1 else ahead.state.p_mw
    return {
        "ramp": SoftLimit(
            slack=ramp - (p - before),
            other_end=ramp + (p - before),
            step=np.arange(ahead.horizon),
            whole=store.p_max_mw,
            unit="MW",
            words="changes its power by more than its ramp",
        )
    }


@dataclass(frozen=True, eq=False)
class DepthWear:
    """Wear by depth of cycle.

    ``e_j(t+1) = κ e_j(t) + a_j - b_j``, ``Σ_j (a_j - b_j) = Δ (η_ch P_ch - P_dh/η_dh - loss)``, ``0 ≤ e_j ≤ ē_j``,
    cost ``Σ_j c_j b_j`` with rising c_j.

    Attributes
    ----------
    cost : (horizon,) [currency]
    """

    constraints: list[cp.Constraint]
    cost: cp.Expression


def depth_wear(
    store: Storage, ahead: Ahead, change_mwh: cp.Expression, keeps: Float[np.ndarray, " horizon"]
) -> DepthWear:
    """Price what is taken from the store by the segment that it comes from.

    Parameters
    ----------
    change_mwh : energy that the cells gain in each step (horizon,) [MWh]
    keeps : share of its energy that is left at the start of each step
    """
    if not store.wear_by_depth:
        return DepthWear([], cp.Constant(np.zeros(ahead.horizon)))
    start = np.array(filled_by(store, ahead.state))
    width = np.maximum(np.array([width for width, _ in store.segments]), start)
    price = np.array([price for _, price in store.segments])
    shape = (ahead.horizon, len(start))
    filled, into, out = cp.Variable((ahead.horizon + 1, len(start))), cp.Variable(shape), cp.Variable(shape)
    constraints = [
        filled[0] == start,
        filled[1:] == cp.multiply(np.tile(keeps[:, None], (1, len(start))), filled[:-1]) + into - out,
        filled[1:] >= 0,
        filled[1:] <= np.tile(width, (ahead.horizon, 1)),
        into >= 0,
        out >= 0,
        cp.sum(into - out, axis=1) == change_mwh,
    ]
    return DepthWear(constraints, out @ price)


def depth_wear_of(
    store: Storage, ahead: Ahead, change_mwh: Float[np.ndarray, " horizon"], keeps: Float[np.ndarray, " horizon"]
) -> Float[np.ndarray, " horizon"]:
    """Return what given changes of the stored energy wear, as a step does it [currency]."""
    cost = np.zeros(ahead.horizon)
    if store.wear_by_depth:
        filled = filled_by(store, ahead.state)
        for step, (change, kept) in enumerate(zip(change_mwh.tolist(), keeps.tolist(), strict=True)):
            filled, cost[step] = use_segments(store, [kept * one for one in filled], change)
    return cost
