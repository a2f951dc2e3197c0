"""Upper limits of squared currents that every power flow keeps, where the cones alone leave losses without a limit.

An exact flow has ``ℓ w = |s|²``. What flows is what is given, c, and what devices may add, at most R: ``|s - c| ≤ R``.
So its square is below a plane, and the product above its McCormick envelope:

    w̲ ℓ ≤ S,    w̄ ℓ + ℓ̄ (w - w̄) ≤ S,    ℓ ≤ ℓ̄ = (|c| + R)² / w̲,    S = 2 c's - |c|² + R²
"""

from __future__ import annotations

from dataclasses import dataclass

import cvxpy as cp
import numpy as np
from jaxtyping import Float, Int

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
    p, q : what flows if devices do nothing, in the middle of what losses may add (horizon, branch) [pu]
    radius : by how much the flow may differ from that (horizon, branch) [pu]
    w : least and largest squared voltage at the parent's end (horizon, branch) [pu²]
    i_sq : largest squared current (horizon, branch) [pu²]
    """

    p: Float[np.ndarray, "horizon branch"]
    q: Float[np.ndarray, "horizon branch"]
    radius: Float[np.ndarray, "horizon branch"]
    w: tuple[Float[np.ndarray, "horizon branch"], Float[np.ndarray, "horizon branch"]]
    i_sq: Float[np.ndarray, "horizon branch"]


def flow_range(
    feeder: Feeder,
    p: Float[np.ndarray, "horizon bus"],
    q: Float[np.ndarray, "horizon bus"],
    reach: Float[np.ndarray, "port bus"],
    v_sq: Range,
) -> FlowRange:
    """Sum injections below every branch, leaves first, with the losses at the lowest voltage.

    Parameters
    ----------
    p, q : given injection of every bus [pu]
    reach : largest apparent power of every port, at the buses where it may be [pu]
    v_sq : squared voltage of every bus [pu²]
    """
    (v_low, v_high), shape = v_sq, (len(p), feeder.n_branch)
    flow, radius, i_sq_high = np.zeros(shape, dtype=complex), np.zeros(shape), np.zeros(shape)
    out = -(p + 1j * q) + _shunt(feeder.g_shunt_pu, feeder.b_shunt_pu, v_low, v_high)
    spread = np.hypot(feeder.g_shunt_pu, feeder.b_shunt_pu) * (v_high - v_low) / 2
    # a port counts once, wherever below a branch it is
    ports = reach.copy()
    for branch in outward_order(feeder)[::-1]:
        parent, child = feeder.parent[branch], feeder.child[branch]
        z = complex(feeder.r_pu[branch], feeder.x_pu[branch])
        ends = ((parent, "parent", feeder.tap_parent), (child, "child", feeder.tap_child))
        (y_parent, half_parent), (y_child, half_child) = (
            (_shunt(g, b, low, high), np.hypot(g, b) * (high - low) / 2)
            for bus, end, tap in ends
            for g, b in [(getattr(feeder, f"g_{end}_pu")[branch], getattr(feeder, f"b_{end}_pu")[branch])]
            for low, high in [(v_low[:, bus] / tap[branch] ** 2, v_high[:, bus] / tap[branch] ** 2)]
        )
        received, around = out[:, child] + y_child, spread[:, child] + half_child
        most = np.abs(received) + around + ports[:, child].sum()
        i_sq = most**2 / (v_low[:, child] / feeder.tap_child[branch] ** 2)
        flow[:, branch], losses = received + z * i_sq / 2, abs(z) * i_sq / 2
        radius[:, branch] = around + losses + ports[:, child].sum()
        i_sq_high[:, branch] = i_sq
        out[:, parent] += flow[:, branch] + y_parent
        spread[:, parent] += around + losses + half_parent
        ports[:, parent] = np.maximum(ports[:, parent], ports[:, child])
    w = v_low[:, feeder.parent] / feeder.tap_parent**2, v_high[:, feeder.parent] / feeder.tap_parent**2
    return FlowRange(flow.real, flow.imag, radius, w, i_sq_high)


def _shunt(g: np.ndarray, b: np.ndarray, v_low: np.ndarray, v_high: np.ndarray) -> np.ndarray:
    """Power of a shunt in the middle of its voltages."""
    return np.asarray((g - 1j * b) * (v_low + v_high) / 2)


def current_envelope(flow: BranchFlow, bounds: FlowRange, steps: Int[np.ndarray, " step"]) -> list[cp.Constraint]:
    """Limit the squared current of every branch in some steps.

    Parameters
    ----------
    steps : numbers of the steps
    """
    p, q, (w_low, w_high), most = bounds.p[steps], bounds.q[steps], bounds.w, bounds.i_sq[steps]
    plane = 2 * (cp.multiply(p, flow.p_series[steps]) + cp.multiply(q, flow.q_series[steps]))
    plane = plane + (bounds.radius[steps] ** 2 - p**2 - q**2)
    i_sq, w = flow.i_sq[steps], flow.w_parent[steps]
    return [
        i_sq <= most,
        cp.multiply(w_low[steps], i_sq) <= plane,
        cp.multiply(w_high[steps], i_sq) + cp.multiply(most, w - w_high[steps]) <= plane,
    ]
