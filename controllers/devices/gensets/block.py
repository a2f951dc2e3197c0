"""Optimisation block of a genset: fuel, least power, starts.

``P̲ u ≤ P ≤ α P̄ u``, ``‖(P, Q)‖ ≤ α S̄ u``, ``s(t) ≥ u(t) - u(t-1)``, ``Σ Δ P/η ≤`` fuel in the tank
"""

from __future__ import annotations

import cvxpy as cp
import numpy as np

from gridferry.controllers import tolerances
from gridferry.controllers.devices.gensets.device import Genset
from gridferry.controllers.devices.planning.block import Ahead, Block, Planned


def genset_block(genset: Genset, ahead: Ahead) -> Block:
    """Return the block of a genset."""
    config, horizon, state = genset.config, ahead.horizon, ahead.state
    share = np.clip(ahead.series["availability"], 0.0, 1.0)
    p, q = cp.Variable(horizon), cp.Variable(horizon)
    burned = ahead.step_h / config.efficiency * p
    runs: cp.Expression = cp.Constant(np.ones(horizon))
    binaries: tuple[cp.Variable, ...] = ()
    starts: cp.Expression = cp.Constant(np.zeros(horizon))
    switching: list[cp.Constraint] = []
    if config.p_min_mw > 0:
        runs, starts = cp.Variable(horizon), cp.Variable(horizon)
        binaries = (runs,)
        before = cp.hstack([cp.Constant([float(state.runs)]), runs[:-1]]) if horizon > 1 else float(state.runs)
        switching = [p >= config.p_min_mw * runs, starts >= 0, starts >= runs - before]
    rated = cp.multiply(share * genset.s_max_mva, runs)
    power = [
        p >= 0,
        p <= cp.multiply(share * genset.p_max_mw, runs),
        # implied by the cone; as plain rows they vanish with u
        q <= rated,
        q >= -rated,
        cp.SOC(rated, cp.vstack([p, q]), axis=0),
    ]
    fuel = [] if state.fuel_mwh is None else [cp.sum(burned) <= state.fuel_mwh]

    def plan() -> Planned:
        p_mw = np.where(p.value > tolerances.POWER_MW, p.value, 0.0)
        on = p_mw > 0
        started = on & ~np.append(state.runs, on[:-1])
        return Planned(
            p_mw=p_mw[:, None],
            q_mvar=np.where(on | (config.p_min_mw == 0), q.value, 0.0)[:, None],
            position=np.zeros((horizon, 0), dtype=np.int64),
            costs={
                "genset_fuel": config.fuel_cost_per_mwh * ahead.step_h / config.efficiency * p_mw,
                "genset_starts": config.start_cost * started,
            },
        )

    return Block(
        p={(0, genset.bus): p},
        q={(0, genset.bus): q},
        constraints={"power": power, "switching": switching, "fuel": fuel},
        costs={"genset_fuel": config.fuel_cost_per_mwh * burned, "genset_starts": config.start_cost * starts},
        binaries=binaries,
        likely=tuple((one, lambda: (p.value >= 0.5 * config.p_min_mw).astype(float)) for one in binaries),
        plan=plan,
    )
