"""A plan with everything in it, and a host whose controller returns what a test makes of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from gridferry.controllers.conformance.sample_plants import at_start, look_ahead, two_feeders
from gridferry.controllers.contract import (
    Controller,
    Forecast,
    Observation,
    Plan,
    Prediction,
    hold,
)
from gridferry.sim.config.schema import OnFailure
from gridferry.sim.host.host import ControllerHost, Dispatch

SAMPLE = two_feeders()
PLANT = SAMPLE.plant
ROWS = 3
WHERE = __file__
"""file of the controller that returns plans"""


def forced(given: Any, **values: Any) -> Any:
    """Set fields of a frozen dataclass past its constructor, as a plug-in can that runs without our checks."""
    for name, value in values.items():
        object.__setattr__(given, name, value)
    return given


def fine() -> Plan:
    """A plan with everything in it that a plan may have."""
    expected = Prediction(
        v_pu=np.ones((ROWS, PLANT.n_bus)),
        p_branch_mw=np.zeros((ROWS, PLANT.n_branch)),
        q_branch_mvar=np.zeros((ROWS, PLANT.n_branch)),
        import_mw=np.zeros((ROWS, 2)),
        losses_mw=np.zeros((ROWS, 2)),
        energy_mwh=np.ones((ROWS + 1, len(PLANT.stores))),
        cost=np.zeros(ROWS),
        costs={"energy": np.arange(ROWS) + 0.1, "wear": -0.1 - np.arange(ROWS)},
    )
    memory = {"rows": [[1, 2.5, None], {"a": True}], "text": "ä"}
    return replace(hold(PLANT, at_start(PLANT), ROWS), prediction=expected, memory=memory)


class Returning(Controller):
    """Returns what it is told to return, or calls it."""

    made: Any

    def plan(self, observation: Observation, forecast: Forecast) -> Plan:
        return self.made() if callable(self.made) else self.made


def decided(made: Any, on_failure: OnFailure = OnFailure.IDLE, *, clip: bool = False) -> Dispatch:
    controller = Returning(PLANT, Returning.Settings())
    controller.made = made
    host = ControllerHost(PLANT, controller, on_failure, clip=clip)
    return host.decide(at_start(PLANT), look_ahead(SAMPLE, 0, 4))
