"""Reactive power that follows the voltage, connected to a grid in any scenario."""

from __future__ import annotations

import json

import numpy as np
import pytest

from gridferry.networks.droop import Droops
from gridferry.networks.faults import InputError
from gridferry.sim.adapters.grid import DROOPS, GridSimulator, droops_of_json, droops_to_json

POINTS = ((0.9, 1.0), (0.97, 0.0), (1.0, -0.4))


def step(given: object) -> dict[str, list[float]]:
    """What the grid of 33 buses gives after a step with a characteristic at bus 18."""
    grid = GridSimulator()
    grid.init("Grid-0")
    grid.create(1, "Grid", network="ieee33")
    grid.step(0, {"Grid-0": {DROOPS: {"Feed-0": given}}}, 900)
    found: dict[str, list[float]] = grid.get_data({"Grid-0": ["Vm[pu]", "Q[MVar]"]})["Grid-0"]
    return found


@pytest.mark.parametrize("room", [np.inf, 0.2])
def test_q_is_that_of_the_voltage_also_over_json(room: float) -> None:
    droops = Droops(np.array([17]), [POINTS], np.array([[room]]))
    sent = json.loads(json.dumps(droops_to_json(droops)))
    found, without = step(sent), step([])
    q = without["Q[MVar]"][17] - found["Q[MVar]"][17]
    assert q == pytest.approx(min(np.interp(found["Vm[pu]"][17], *np.array(POINTS).T), room), abs=1e-6)
    assert q > 0.1
    assert found["Vm[pu]"][17] > without["Vm[pu]"][17] + 0.002
    assert json.loads(json.dumps(droops_to_json(droops_of_json(sent, 33)))) == sent


@pytest.mark.parametrize("wrong", [[[17, None]], [[99, None, POINTS]], [[17, 0.1, [[1.0, 0.1], [0.9, 0.2]]]], 3])
def test_what_is_no_characteristic_is_refused_by_entity_and_attribute(wrong: object) -> None:
    with pytest.raises(InputError, match=r"Grid-0: Q_of_V"):
        step(wrong)
