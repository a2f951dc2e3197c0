"""Wear by depth of cycle: segments of the stored energy, the shallowest used first [Xu et al. 2018].

Stored energy lies in segments with rising prices of what is taken from them. Charging fills the cheapest segment that
has room, discharging empties the cheapest that holds anything: cycles of little depth use the first alone, and a cycle
costs the same wherever it lies in the window. At a given power no other use of the segments costs less, so that a
linear program that is free to use them otherwise comes to the same cost.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from gridferry.controllers.devices.stores.storage import Storage, StoreState


def filled_by(storage: Storage, state: StoreState) -> tuple[float, ...]:
    """Return what each segment holds [MWh]; where a state does not say it, as charged from empty."""
    if len(state.depth_mwh) == len(storage.wear_by_depth):
        return state.depth_mwh
    return use_segments(storage, (0.0,) * len(storage.wear_by_depth), state.energy_mwh)[0]


def use_segments(storage: Storage, filled: Sequence[float], change_mwh: float) -> tuple[tuple[float, ...], float]:
    """Return what the segments hold after a change of the stored energy, and what it wears [MWh, currency]."""
    left, cost, after = change_mwh, 0.0, list(filled)
    for number, (width, price) in enumerate(storage.segments):
        moved = max(min(left, width - filled[number]), -filled[number])
        # rounding, and energy beyond the rated, are of the last
        moved = moved if number + 1 < len(filled) else max(left, -filled[number])
        after[number] = filled[number] + moved
        cost += price * max(-moved, 0.0)
        left -= moved
    return tuple(after), cost


def wear_of_schedules(
    storage: Storage, filled: Sequence[float], energy_mwh: Float[np.ndarray, "sample horizon+1"], keeps: float
) -> Float[np.ndarray, "sample horizon"]:
    """Return what the changes of schedules of energy wear, as `use_segments` does [currency].

    Parameters
    ----------
    keeps : share of the energy that is left of it at the start of a step
    """
    widths = np.array([width for width, _ in storage.segments])
    now = np.tile(np.array(filled), (len(energy_mwh), 1))
    cost = np.zeros((len(energy_mwh), energy_mwh.shape[1] - 1))
    for step in range(cost.shape[1]):
        now *= keeps
        left = energy_mwh[:, step + 1] - keeps * energy_mwh[:, step]
        for number, (_, price) in enumerate(storage.segments):
            last = number + 1 == len(filled)
            room = np.inf if last else widths[number] - now[:, number]
            moved = np.maximum(np.minimum(left, room), -now[:, number])
            now[:, number] += moved
            cost[:, step] += price * np.maximum(-moved, 0.0)
            left = left - moved
    return cost
