"""Optimisation block of a generator: what it is limited to, and its reactive power.

0 ≤ P ≤ available,   P² + Q² ≤ S²,   Q = P tan φ under a fixed cos φ
"""

from __future__ import annotations

import cvxpy as cp
import numpy as np

from gridferry.controllers import tolerances
from gridferry.controllers.devices.generators.config import Reactive
from gridferry.controllers.devices.generators.device import Generator
from gridferry.controllers.devices.planning.block import Ahead, Block, Planned, resting


def generator_block(generator: Generator, ahead: Ahead) -> Block:
    """Return the block of a generator; of one that just follows its profile what it does."""
    if not (generator.curtailable or generator.reactive is Reactive.DISPATCH):
        return resting(generator, ahead)
    rated, largest = generator.s_max_mva, generator.ports[0].p_max_mw
    available = np.minimum(ahead.series["p_mw"], generator.p_max_mw)
    p = cp.Variable(ahead.horizon) if generator.curtailable else cp.Constant(available)
    q: cp.Expression = generator.q_per_p * p
    constraints: dict[str, list[cp.Constraint]] = {}
    if generator.curtailable:
        constraints["available"] = [p >= 0, p <= available]
    reach = float(np.hypot(1.0, generator.q_per_p) * available.max())
    if generator.reactive is Reactive.DISPATCH:
        q, reach = cp.Variable(ahead.horizon), rated
        scaled = cp.vstack([p, q]) / rated
        constraints["rating"] = [cp.SOC(np.ones(ahead.horizon), scaled, axis=0), q <= rated, q >= -rated]

    def plan() -> Planned:
        injected = np.clip(p.value, 0.0, available)
        uncurtailed = available - injected <= tolerances.POWER_MW
        injected = np.where(uncurtailed, available, injected)
        room = np.sqrt(np.maximum(rated**2 - injected**2, 0.0))
        requested = np.where(uncurtailed, largest, injected)
        paid = generator.paid(ahead.step_h * injected, ahead.step_h * (available - injected))
        return Planned(
            # more than forecast is not cut where nothing is curtailed
            p_mw=(requested if generator.curtailable else np.zeros(ahead.horizon))[:, None],
            q_mvar=np.clip(q.value, -room, room)[:, None],
            position=np.zeros((ahead.horizon, 0), dtype=np.int64),
            costs=paid,
        )

    at = (0, generator.bus)
    return Block(
        p={at: p},
        q={} if generator.reactive is Reactive.NONE else {at: q},
        constraints=constraints,
        costs=generator.paid(ahead.step_h * p, ahead.step_h * (available - p)),
        plan=plan,
        reach_mva={at: reach},
    )
