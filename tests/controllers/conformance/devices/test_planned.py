"""A kind that names a block is planned and steps through its plan; blocks that say something else are caught."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any, ClassVar

import numpy as np
import pytest

from gridferry.controllers.conformance.device_suite import check_device
from gridferry.controllers.conformance.devices.block import BLOCK_PROMISES
from gridferry.controllers.conformance.sample_plants import two_feeders
from gridferry.controllers.devices import Device
from gridferry.controllers.devices.batteries.block import battery_block
from gridferry.controllers.devices.batteries.device import Battery
from gridferry.controllers.devices.planning.block import Ahead, Block, Planned

(PROMISE,) = BLOCK_PROMISES
DEVICES = [one for one in two_feeders().plant.devices if type(one).block]
(BATTERY,) = (one for one in DEVICES if one.name == "B2")


@pytest.mark.parametrize("device", DEVICES, ids=[one.name for one in DEVICES])
def test_what_our_blocks_plan_is_done_at_the_cost_that_they_say(device: Device[Any]) -> None:
    (finding,) = check_device(type(device), [device], [PROMISE])
    assert finding.passed, finding.explanation


def without_energy(battery: Battery, ahead: Ahead) -> Block:
    """Plan as if a battery were never empty."""
    block = battery_block(battery, ahead)
    return replace(block, constraints={"power": block.constraints["power"]}, exclusive={})


def planning(change: Callable[[Planned], Planned]) -> Callable[[Battery, Ahead], Block]:
    """Read another plan from the solution."""

    def block(battery: Battery, ahead: Ahead) -> Block:
        honest = battery_block(battery, ahead)
        assert honest.plan is not None
        plan = honest.plan
        return replace(honest, plan=lambda: change(plan()))

    return block


half_price = planning(lambda plan: replace(plan, costs={"wear": 0.5 * plan.costs["wear"]}))
free = planning(lambda plan: replace(plan, costs={}))
other_term = planning(lambda plan: replace(plan, costs={"ageing": np.zeros(8)}))


def no_plan(battery: Battery, ahead: Ahead) -> Block:
    """A block that cannot be read."""
    return replace(battery_block(battery, ahead), plan=None)


class Tried(Battery):
    """A battery with a block of its own."""

    table: ClassVar[str] = "tried"


@pytest.mark.parametrize(
    ("block", "says"),
    [
        (without_energy, "(energy_empty); have the block keep the limits of the step"),
        (half_price, '"wear" costs 0.6 in the block and 1.2 in the step; make them equal'),
        (free, '"wear" costs 0 in the block and 1.2 in the step'),
        (other_term, "the block's costs have ageing; name every term in costs"),
        (no_plan, "gives a block that cannot be read; give it Block.plan"),
    ],
)
def test_a_block_that_says_something_else_than_the_step_is_caught(
    block: Callable[..., Block], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gridferry.controllers.devices.batteries.block.tried", block, raising=False)
    monkeypatch.setattr(Tried, "block", "gridferry.controllers.devices.batteries.block:tried")
    tried = Tried(**{one.name: getattr(BATTERY, one.name) for one in fields(BATTERY)})  # type: ignore[arg-type]
    (finding,) = check_device(Tried, [tried], [PROMISE])
    assert says in finding.explanation
