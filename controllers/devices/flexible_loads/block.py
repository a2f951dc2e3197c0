"""Optimisation block of a load that can be shifted within a day.

``P = P_down - P_up``, ``Σ Δ P_down, Σ Δ P_up ≤`` shiftable energy a day, ``Σ Δ P = 0`` by the end of every day
"""

from __future__ import annotations

import cvxpy as cp
import numpy as np

from gridferry.controllers import tolerances
from gridferry.controllers.devices.flexible_loads.device import FlexibleLoad
from gridferry.controllers.devices.planning.block import Ahead, Block, Planned, SoftLimit
from gridferry.controllers.devices.planning.routing import by_day


def flexible_load_block(load: FlexibleLoad, ahead: Ahead) -> Block:
    """Return the block of a load that can be shifted."""
    demand, config, state, step_h = ahead.series["p_mw"], load.config, ahead.state, ahead.step_h
    clock_h = ahead.clock_h[:-1] if len(ahead.clock_h) else np.zeros(ahead.horizon)
    lower, raise_ = load.room_mw(demand, clock_h, step_h)
    down, up = cp.Variable(ahead.horizon), cp.Variable(ahead.horizon)
    stored = state.energy_mwh + step_h * cp.cumsum(up - down)
    first = np.arange(ahead.day[-1] + 1) == 0
    daily = []
    for moved, before in ((down, state.lowered_mwh), (up, state.raised_mwh)):
        left = np.maximum(config.shiftable_mwh_per_day - np.where(first, before, 0.0), 0.0)
        daily.append(step_h * (by_day(ahead.day) @ moved) <= left)
    soft = {}
    if ahead.day_ends:
        at = np.array(ahead.day_ends, dtype=np.int64) - 1
        soft["shifted_energy"] = SoftLimit(
            slack=stored[at],
            other_end=-stored[at],
            step=at,
            whole=config.shiftable_mwh_per_day,
            words="has not drawn what it was to",
        )

    def plan() -> Planned:
        shifted = np.clip(down.value - up.value, -raise_, lower)
        p_mw = np.where(np.abs(shifted) > tolerances.POWER_MW, shifted, 0.0)
        return Planned(
            p_mw=np.stack([np.zeros(ahead.horizon), p_mw], axis=1),
            q_mvar=config.q_per_p * np.stack([-demand, p_mw], axis=1),
            position=np.zeros((ahead.horizon, 0), dtype=np.int64),
        )

    at_bus = (1, load.bus)
    shifted = down - up
    return Block(
        p={(0, load.bus): cp.Constant(-demand), at_bus: shifted},
        q={(0, load.bus): cp.Constant(-config.q_per_p * demand), at_bus: config.q_per_p * shifted},
        constraints={"power": [down >= 0, down <= lower, up >= 0, up <= raise_], "daily_energy": daily},
        soft=soft,
        plan=plan,
        reach_mva={at_bus: float(np.hypot(1.0, config.q_per_p) * np.maximum(lower, raise_).max())},
    )
