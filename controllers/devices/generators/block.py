"""Optimisation block of a generator: what it is limited to, and its reactive power.

0 ≤ P ≤ available,   P² + Q² ≤ S²

Q is 0, or ``P tan φ`` under a fixed cos φ, or ``a + b v²``: Q(U), linearised at the last voltages.
"""

from __future__ import annotations

import cvxpy as cp
import numpy as np
from jaxtyping import Float

from gridferry.controllers import tolerances
from gridferry.controllers.devices.generators.config import Reactive
from gridferry.controllers.devices.generators.device import Generator
from gridferry.controllers.devices.planning.block import Ahead, Block, Planned, resting
from gridferry.networks.droop import q_at, slope_at

_VOLTAGES = (0.8, 1.2)
"""that no plan goes beyond [pu]"""


def generator_block(generator: Generator, ahead: Ahead) -> Block:
    """Return the block of a generator; of one that just follows its profile what it does."""
    if not (generator.curtailable or generator.reactive in (Reactive.DISPATCH, Reactive.Q_OF_V)):
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
    at = (0, generator.bus)
    q_of_v: dict[tuple[int, int], tuple[np.ndarray, np.ndarray]] = {}
    if generator.reactive is Reactive.Q_OF_V:
        q, q_of_v[at] = cp.Variable(ahead.horizon), _linearised(generator, ahead.v_pu[0], available)
        offset, slope = q_of_v[at]
        largest_q = max(float(np.abs(offset + slope * v**2).max()) for v in _VOLTAGES)
        reach = float(np.hypot(available.max(), largest_q))

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

    return Block(
        p={at: p},
        q={} if generator.reactive is Reactive.NONE else {at: q},
        constraints=constraints,
        costs=generator.paid(ahead.step_h * p, ahead.step_h * (available - p)),
        plan=plan,
        q_of_v=q_of_v,
        reach_mva={at: reach},
    )


def _linearised(
    generator: Generator, v_pu: Float[np.ndarray, " horizon"], available: Float[np.ndarray, " horizon"]
) -> tuple[Float[np.ndarray, " horizon"], Float[np.ndarray, " horizon"]]:
    """Return a and b of ``Q = a + b v²``, the tangent of Q(U) at given voltages, with the room at full power."""
    room = np.sqrt(np.maximum(generator.s_max_mva**2 - available**2, 0.0))
    q = q_at(generator.q_of_v, v_pu, room)
    slope = np.where(np.abs(q) < room, slope_at(generator.q_of_v, v_pu), 0.0)
    return q - 0.5 * slope * v_pu, 0.5 * slope / v_pu
