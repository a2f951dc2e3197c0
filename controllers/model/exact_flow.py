"""Power flow of a radial feeder in the equations of `distflow`, with equality in its cones, for all steps at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from gridferry.controllers.model.flow_bounds import outward_order
from gridferry.networks.feeder import Feeder

_SWEEPS, _SETTLED = 60, 1e-13
"""backward-forward sweeps, and by how little the last one changes a squared voltage [pu²]"""


@dataclass(frozen=True, eq=False)
class ExactFlow:
    """Power flow of a feeder, in per unit; see `distflow.BranchFlow`."""

    v_sq: Float[np.ndarray, "horizon bus"]
    p: Float[np.ndarray, "horizon branch"]
    q: Float[np.ndarray, "horizon branch"]
    i_sq: Float[np.ndarray, "horizon branch"]
    p_import: Float[np.ndarray, " horizon"]
    q_import: Float[np.ndarray, " horizon"]


@np.errstate(over="ignore", invalid="ignore")
def exact_flow(
    feeder: Feeder, p_injection: Float[np.ndarray, "horizon bus"], q_injection: Float[np.ndarray, "horizon bus"]
) -> ExactFlow | None:
    """Solve the power flow for net injections [pu]; ``None`` where the voltage collapses.

    Unlike `power_flow.solve_sweep` it knows branches without impedance.
    """
    order = outward_order(feeder)
    shunt = feeder.g_shunt_pu - 1j * feeder.b_shunt_pu
    y_parent = feeder.g_parent_pu - 1j * feeder.b_parent_pu
    y_child = feeder.g_child_pu - 1j * feeder.b_child_pu
    z = feeder.r_pu + 1j * feeder.x_pu
    shape = (len(p_injection), feeder.n_branch)
    v = np.full(p_injection.shape, feeder.slack_v_pu**2)
    s, i_sq = np.zeros(shape, dtype=complex), np.zeros(shape)
    for _ in range(_SWEEPS):
        drawn = shunt * v - (p_injection + 1j * q_injection)
        series = np.zeros(shape, dtype=complex)
        for branch in order[::-1]:
            parent, child = feeder.parent[branch], feeder.child[branch]
            w = v[:, child] / feeder.tap_child[branch] ** 2
            received = drawn[:, child] + y_child[branch] * w
            i_sq[:, branch] = np.abs(received) ** 2 / w if z[branch] else 0.0
            series[:, branch] = received + z[branch] * i_sq[:, branch]
            s[:, branch] = series[:, branch] + y_parent[branch] * v[:, parent] / feeder.tap_parent[branch] ** 2
            drawn[:, parent] += s[:, branch]
        before, v = v, v.copy()
        for branch in order:
            drop = 2 * (np.conj(z[branch]) * series[:, branch]).real - np.abs(z[branch]) ** 2 * i_sq[:, branch]
            w = v[:, feeder.parent[branch]] / feeder.tap_parent[branch] ** 2 - drop
            v[:, feeder.child[branch]] = w * feeder.tap_child[branch] ** 2
        if not (v > 0).all():
            return None
        if np.abs(v - before).max() <= _SETTLED:
            grid = drawn[:, feeder.slack]
            return ExactFlow(v, s.real, s.imag, i_sq, grid.real, grid.imag)
    return None
