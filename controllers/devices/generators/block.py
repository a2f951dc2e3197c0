"""A generator with a profile over the horizon: nothing to decide."""

from __future__ import annotations

import cvxpy as cp
import numpy as np

from gridferry.controllers.devices.generators.device import Generator
from gridferry.controllers.devices.planning.block import Ahead, Block, Planned


def generator_block(generator: Generator, ahead: Ahead) -> Block:
    """Return a generator over the horizon: what sun or wind give, and its feed-in tariff [A, eq. 32]."""
    p_mw = ahead.series["p_mw"]
    paid = ahead.step_h * generator.feed_in_tariff * p_mw
    return Block(
        p={(0, generator.bus): cp.Constant(p_mw)},
        costs={"feed_in": cp.Constant(paid)},
        plan=lambda: Planned(
            p_mw=p_mw[:, None],
            q_mvar=np.zeros((ahead.horizon, 1)),
            position=np.zeros((ahead.horizon, 0), dtype=np.int64),
            costs={"feed_in": paid},
        ),
    )
