"""Bounds of flows and losses of a feeder, for any operation of the devices."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
from jaxtyping import Complex, Float, Int

from gridferry.networks.feeder import Feeder


@dataclass(frozen=True, eq=False)
class LargestFlow:
    """Upper bounds of all power flows within the voltage limits, in per unit.

    Attributes
    ----------
    exchange : largest active power drawn from or fed to the grid above (horizon,) [pu]
    losses : largest losses (horizon,) [pu]
    """

    exchange: Float[np.ndarray, " horizon"]
    losses: Float[np.ndarray, " horizon"]


def largest_flow(
    feeder: Feeder,
    p_largest: Float[np.ndarray, "horizon bus"],
    q_largest: Float[np.ndarray, "horizon bus"],
    v_low_pu: float,
    *,
    rated: bool = True,
) -> LargestFlow:
    """Sum the largest power below every branch, leaves first, with the losses at the lowest voltage.

    Parameters
    ----------
    p_largest, q_largest : largest magnitude of the net injection at every bus [pu]
    v_low_pu : no voltage is lower [pu]
    rated : currents keep their ratings
    """
    v_high_sq = max(float(feeder.v_max_pu.max()), feeder.slack_v_pu, 1.0) ** 2
    p = p_largest + np.abs(feeder.g_shunt_pu) * v_high_sq
    q = q_largest + np.abs(feeder.b_shunt_pu) * v_high_sq
    losses = np.full(len(p), np.abs(feeder.g_shunt_pu).sum() * v_high_sq)
    for branch in outward_order(feeder)[::-1]:
        parent, child = feeder.parent[branch], feeder.child[branch]
        w_high = v_high_sq / min(feeder.tap_parent[branch], feeder.tap_child[branch]) ** 2
        w_low = v_low_pu**2 / max(feeder.tap_parent[branch], feeder.tap_child[branch]) ** 2
        p_out = p[:, child] + abs(feeder.g_child_pu[branch]) * w_high
        q_out = q[:, child] + abs(feeder.b_child_pu[branch]) * w_high
        # seen from the child's end of the impedance, where the voltage is at least w_low
        i_sq = np.minimum((p_out**2 + q_out**2) / w_low, _rating_sq(feeder, int(branch)) if rated else np.inf)
        shunts = (abs(feeder.g_parent_pu[branch]) + abs(feeder.g_child_pu[branch])) * w_high
        losses += feeder.r_pu[branch] * i_sq + shunts
        p[:, parent] += p_out + feeder.r_pu[branch] * i_sq + abs(feeder.g_parent_pu[branch]) * w_high
        q[:, parent] += q_out + abs(feeder.x_pu[branch]) * i_sq + abs(feeder.b_parent_pu[branch]) * w_high
    return LargestFlow(p[:, feeder.slack], losses)


def largest_current(
    feeder: Feeder, s_largest: Float[np.ndarray, "horizon bus"], v_low_pu: float, v_high_pu: float
) -> Float[np.ndarray, " branch"]:
    """Sum the largest currents below every branch, leaves first: currents add up, whatever is lost on the way [pu].

    Parameters
    ----------
    s_largest : largest magnitude of the net injection at every bus [pu]
    v_low_pu, v_high_pu : no voltage is lower or higher [pu]
    """
    drawn = s_largest.max(axis=0) / v_low_pu + np.hypot(feeder.g_shunt_pu, feeder.b_shunt_pu) * v_high_pu
    largest = np.zeros(feeder.n_branch)
    for branch in outward_order(feeder)[::-1]:
        parent, child = feeder.parent[branch], feeder.child[branch]
        tap_parent, tap_child = feeder.tap_parent[branch], feeder.tap_child[branch]
        at_child = np.hypot(feeder.g_child_pu[branch], feeder.b_child_pu[branch]) * v_high_pu / tap_child
        at_parent = np.hypot(feeder.g_parent_pu[branch], feeder.b_parent_pu[branch]) * v_high_pu / tap_parent
        largest[branch] = drawn[child] * tap_child + at_child + at_parent
        drawn[parent] += largest[branch] / tap_parent
    return largest


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
    w, w_child = (
        tuple(one[:, bus] / tap**2 for one in v_sq)
        for bus, tap in ((feeder.parent, feeder.tap_parent), (feeder.child, feeder.tap_child))
    )
    y_parent, around_parent = _consumed(feeder.g_parent_pu, feeder.b_parent_pu, *w)
    y_child, around_child = _consumed(feeder.g_child_pu, feeder.b_child_pu, *w_child)
    out, around = _consumed(feeder.g_shunt_pu, feeder.b_shunt_pu, v_low, v_high)
    out = out - (p + 1j * q)
    # a port counts once, wherever below a branch it is
    ports = reach.copy()
    for branch in outward_order(feeder)[::-1]:
        parent, child = feeder.parent[branch], feeder.child[branch]
        z = complex(feeder.r_pu[branch], feeder.x_pu[branch])
        received, spread = out[:, child] + y_child[:, branch], around[:, child] + around_child[:, branch]
        added = float(ports[:, child].sum())
        i_sq = (np.abs(received) + spread + added) ** 2 / w_child[0][:, branch]
        flow[:, branch], spread = received + z * i_sq / 2, spread + abs(z) * i_sq / 2
        radius[:, branch], i_sq_high[:, branch] = spread + added, i_sq
        out[:, parent] += flow[:, branch] + y_parent[:, branch]
        around[:, parent] += spread + around_parent[:, branch]
        ports[:, parent] = np.maximum(ports[:, parent], ports[:, child])
    return FlowRange(flow.real, flow.imag, radius, w, i_sq_high)


def _consumed(
    g: Float[np.ndarray, " entity"],
    b: Float[np.ndarray, " entity"],
    v_low: Float[np.ndarray, "horizon entity"],
    v_high: Float[np.ndarray, "horizon entity"],
) -> tuple[Complex[np.ndarray, "horizon entity"], Float[np.ndarray, "horizon entity"]]:
    """Power of shunts in the middle of squared voltages, and by how much it may differ [pu]."""
    return (g - 1j * b) * (v_low + v_high) / 2, np.hypot(g, b) * (v_high - v_low) / 2


def outward_order(feeder: Feeder) -> Int[np.ndarray, " branch"]:
    """Order of branches in which every branch comes before those below it."""
    below: list[list[int]] = [[] for _ in range(feeder.n_bus)]
    for branch, parent in enumerate(feeder.parent):
        below[parent].append(branch)
    order: list[int] = []
    queue = deque([feeder.slack])
    while queue:
        for branch in below[queue.popleft()]:
            order.append(branch)
            queue.append(int(feeder.child[branch]))
    return np.array(order, dtype=np.int64)


def _rating_sq(feeder: Feeder, branch: int) -> float:
    """Squared limit of the current of a plain branch; the series current of a charged one may exceed its ends'."""
    charged = (
        feeder.b_parent_pu[branch]
        or feeder.b_child_pu[branch]
        or feeder.g_parent_pu[branch]
        or feeder.g_child_pu[branch]
    )
    return np.inf if charged else float((feeder.loading_max[branch] * feeder.i_max_pu[branch]) ** 2)
