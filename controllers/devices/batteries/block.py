"""Optimisation block of a stationary battery."""

from __future__ import annotations

import numpy as np

from gridferry.controllers.devices.batteries.device import Battery
from gridferry.controllers.devices.planning.block import Ahead, Block, Planned
from gridferry.controllers.devices.stores.block import storage_power, store_of


def battery_block(battery: Battery, ahead: Ahead) -> Block:
    """Return the block of a battery."""
    power = storage_power(battery.storage, ahead.horizon, available=ahead.series["availability"])
    store = store_of(battery.storage, ahead, power)

    def plan() -> Planned:
        p_mw, q_mvar = power.p.value, power.q.value
        return Planned(
            p_mw=p_mw[:, None],
            q_mvar=q_mvar[:, None],
            position=np.zeros((ahead.horizon, 0), dtype=np.int64),
            costs={"wear": store.wear_of(p_mw, q_mvar)},
        )

    return Block(
        p={(0, battery.bus): power.p},
        q={(0, battery.bus): power.q},
        constraints={"power": power.constraints, **store.constraints},
        costs={"wear": store.wear},
        binaries=store.least.binaries,
        likely=store.least.likely,
        soft=store.soft,
        exclusive=store.exclusive,
        losses=store.losses,
        plan=plan,
    )
