"""Optimisation block of a load that can be shed: ``0 ≤ P_shed ≤ σ P_demand``, at the value of lost load."""

from __future__ import annotations

import cvxpy as cp
import numpy as np

from gridferry.controllers import tolerances
from gridferry.controllers.devices.planning.block import Ahead, Block, Planned
from gridferry.controllers.devices.sheddable_loads.device import SheddableLoad


def sheddable_load_block(load: SheddableLoad, ahead: Ahead) -> Block:
    """Return the block of a load that can be shed."""
    demand, q_per_p = ahead.series["p_mw"], load.config.q_per_p
    most = load.config.share * demand
    shed = cp.Variable(ahead.horizon)

    def plan() -> Planned:
        p_mw = np.where(shed.value > tolerances.POWER_MW, np.minimum(shed.value, most), 0.0)
        return Planned(
            p_mw=np.stack([np.zeros(ahead.horizon), p_mw], axis=1),
            q_mvar=q_per_p * np.stack([-demand, p_mw], axis=1),
            position=np.zeros((ahead.horizon, 0), dtype=np.int64),
            costs={"lost_load": load.cost_per_mwh * ahead.step_h * p_mw},
        )

    at = (1, load.bus)
    return Block(
        p={(0, load.bus): cp.Constant(-demand), at: shed},
        q={(0, load.bus): cp.Constant(-q_per_p * demand), at: q_per_p * shed},
        constraints={"share": [shed >= 0, shed <= most]},
        costs={"lost_load": load.cost_per_mwh * ahead.step_h * shed},
        plan=plan,
        reach_mva={at: float(np.hypot(1.0, q_per_p) * most.max())},
    )
