"""Upper bounds of flows and losses of a feeder, for any operation of the devices."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

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
