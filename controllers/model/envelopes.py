"""Upper limits of squared currents that every power flow keeps, where the cones alone leave losses without a limit.

An exact flow has ``ℓ w = p² + q²``. Within bounds of p, q and w the squares lie below their secants, and the product
above its McCormick envelope, both linear:

    w̲ ℓ ≤ S,    w̄ ℓ + ℓ̄ (w - w̄) ≤ S,    S = (p̲ + p̄) p - p̲ p̄ + (q̲ + q̄) q - q̲ q̄
"""

from __future__ import annotations

from dataclasses import dataclass

import cvxpy as cp
import numpy as np
from jaxtyping import Float

from gridferry.controllers.model.distflow import BranchFlow
from gridferry.controllers.model.flow_bounds import outward_order
from gridferry.networks.feeder import Feeder

Range = tuple[Float[np.ndarray, "horizon bus"], Float[np.ndarray, "horizon bus"]]
"""least and largest value"""


@dataclass(frozen=True, eq=False)
class FlowRange:
    """Range of the flow into the series impedance of every branch, in per unit.

    Attributes
    ----------
    p, q : least and largest (horizon, branch) [pu]
    w : of the squared voltage at the parent's end (horizon, branch) [pu²]
    i_sq_high : largest squared current (horizon, branch) [pu²]
    """

    p: Range
    q: Range
    w: Range
    i_sq_high: Float[np.ndarray, "horizon branch"]


def flow_range(feeder: Feeder, p: Range, q: Range, v_sq: Range) -> FlowRange:
    """Sum injections below every branch, leaves first, with the losses at the lowest voltage.

    Parameters
    ----------
    p, q : net injection of every bus [pu]
    v_sq : squared voltage of every bus [pu²]
    """
    shape = (len(p[0]), feeder.n_branch)
    p_low, p_high, q_low, q_high, i_sq_high = (np.zeros(shape) for _ in range(5))
    # what leaves a bus towards its branches and is consumed there
    p_out, q_out = (-p[1], -p[0]), (-q[1], -q[0])
    p_out = tuple(one + feeder.g_shunt_pu * v for one, v in zip(p_out, v_sq, strict=True))
    susceptance = np.stack([feeder.b_shunt_pu * v for v in v_sq])
    q_out = (q_out[0] - susceptance.max(axis=0), q_out[1] - susceptance.min(axis=0))
    for branch in outward_order(feeder)[::-1]:
        parent, child = feeder.parent[branch], feeder.child[branch]
        r, x = feeder.r_pu[branch], feeder.x_pu[branch]
        w_child = [v[:, child] / feeder.tap_child[branch] ** 2 for v in v_sq]
        w_parent = [v[:, parent] / feeder.tap_parent[branch] ** 2 for v in v_sq]
        p_child = [one[:, child] + feeder.g_child_pu[branch] * w for one, w in zip(p_out, w_child, strict=True)]
        reactive = [feeder.b_child_pu[branch] * w for w in w_child]
        q_child = [q_out[0][:, child] - np.maximum(*reactive), q_out[1][:, child] - np.minimum(*reactive)]
        most = np.maximum(*np.abs(p_child)) ** 2 + np.maximum(*np.abs(q_child)) ** 2
        i_sq = most / w_child[0]
        p_low[:, branch], p_high[:, branch] = p_child[0] + min(r, 0.0) * i_sq, p_child[1] + max(r, 0.0) * i_sq
        q_low[:, branch], q_high[:, branch] = q_child[0] + min(x, 0.0) * i_sq, q_child[1] + max(x, 0.0) * i_sq
        i_sq_high[:, branch] = i_sq
        p_out[0][:, parent] += p_low[:, branch] + feeder.g_parent_pu[branch] * w_parent[0]
        p_out[1][:, parent] += p_high[:, branch] + feeder.g_parent_pu[branch] * w_parent[1]
        reactive = [feeder.b_parent_pu[branch] * w for w in w_parent]
        q_out[0][:, parent] += q_low[:, branch] - np.maximum(*reactive)
        q_out[1][:, parent] += q_high[:, branch] - np.minimum(*reactive)
    w = tuple(one[:, feeder.parent] / feeder.tap_parent**2 for one in v_sq)
    return FlowRange((p_low, p_high), (q_low, q_high), w, i_sq_high)


def current_envelope(flow: BranchFlow, bounds: FlowRange, steps: np.ndarray) -> list[cp.Constraint]:
    """Limit the squared current of every branch in some steps.

    Parameters
    ----------
    steps : numbers of the steps
    """
    at = steps
    if not len(at):
        return []
    secants: cp.Expression = cp.Constant(np.zeros((len(at), bounds.i_sq_high.shape[1])))
    for power, (low, high) in ((flow.p_series, bounds.p), (flow.q_series, bounds.q)):
        secants = secants + cp.multiply((low + high)[at], power[at]) - (low * high)[at]
    i_sq, w, (w_low, w_high), most = flow.i_sq[at], flow.w_parent[at], bounds.w, bounds.i_sq_high[at]
    return [
        cp.multiply(w_low[at], i_sq) <= secants,
        cp.multiply(w_high[at], i_sq) + cp.multiply(most, w - w_high[at]) <= secants,
    ]
