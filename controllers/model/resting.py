"""A device that a model does not plan: what it does at rest under the forecast, as constants."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import cvxpy as cp
import numpy as np

from gridferry.controllers.devices import NOWHERE, Device, Now, rest, step_all
from gridferry.controllers.devices.planning.block import Ahead, Block, Planned


def resting(device: Device[Any], ahead: Ahead) -> Block:
    """Return the block of a device that rests, ports at rest and positions as they are: what it does then is known."""
    request = rest(device, ahead.state)
    p_mw = np.tile(np.array(request.p_mw, dtype=np.float64), (ahead.horizon, 1))
    position = np.tile(np.array(request.position, dtype=np.int64), (ahead.horizon, 1))
    p, q, costs = _Steps(ahead.horizon), _Steps(ahead.horizon), _Steps(ahead.horizon)
    state = ahead.state
    for step in range(ahead.horizon):
        series = {key: float(values[step]) for key, values in ahead.series.items()}
        now = Now(ahead.step_h, step + 1 in ahead.day_ends, series)
        ((state, outcome),) = step_all([device], [], [state], [request], [now])
        for port, done in enumerate(outcome.ports):
            if done.bus != NOWHERE:
                p.add((port, done.bus), step, done.p_mw)
                q.add((port, done.bus), step, done.q_mvar)
        for term, money in outcome.money.items():
            costs.add(term, step, money)
    planned = Planned(p_mw=p_mw, q_mvar=np.zeros_like(p_mw), position=position, costs=costs.values)
    return Block(p=p.constants(), q=q.constants(), costs=costs.constants(), plan=lambda: planned)


class _Steps:
    """Values by key and step, as far as there are others than zero."""

    def __init__(self, horizon: int):
        self.values: dict[Any, np.ndarray] = defaultdict(lambda: np.zeros(horizon))

    def add(self, key: Any, step: int, value: float) -> None:
        """Set a value."""
        if value:
            self.values[key][step] = value

    def constants(self) -> dict[Any, cp.Expression]:
        """Return them as constants."""
        return {key: cp.Constant(values) for key, values in self.values.items()}
