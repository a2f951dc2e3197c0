"""Where no plan keeps every limit, every optimiser says in the same words what binds, where, when and by how much."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import ClassVar

import numpy as np
import pytest

from cases.carrying import carrying
from cases.joint_trade import Case, controller, nothing_due, trade, within
from cases.parts import with_devices
from gridferry.controllers.conformance.sample_plants import at_start
from gridferry.controllers.contract import Controller, Plan, Plant
from gridferry.controllers.devices import Coupling
from gridferry.controllers.devices.planning.block import Block
from gridferry.controllers.joint import Joint
from gridferry.controllers.mess_exact import MessExact
from gridferry.controllers.mess_two_stage import MessTwoStage
from gridferry.controllers.mvdc_drcc import MvdcDrcc
from gridferry.controllers.solve import InfeasibleError

PLAIN = {
    Joint: {"scenario": "deterministic", "on_infeasible": "raise"},
    MessExact: {"on_infeasible": "raise"},
    MvdcDrcc: {"scenario": "deterministic", "on_infeasible": "raise"},
    MessTwoStage: {"iterations": 0},
}
"""of every optimiser, without margins; the published method has no choice but to relax"""
RAISING = (Joint, MessExact, MvdcDrcc)


def planned(case: Case, optimiser: type[Controller]) -> Plan:
    plant, observation, forecast = case
    return controller(optimiser, plant, **PLAIN[optimiser]).plan(observation, forecast)


def refusal(case: Case, optimiser: type[Controller]) -> str:
    with pytest.raises(InfeasibleError) as caught:
        planned(case, optimiser)
    return str(caught.value)


@pytest.mark.parametrize("optimiser", RAISING)
def test_the_tightest_voltage_limit_is_named_and_widened_by_as_much_it_is_kept(optimiser: type[Controller]) -> None:
    case = nothing_due(trade(0))
    words = refusal(within(case, 0.9995), optimiser)
    assert "bus 2 of network 2 (dn2) at step " in words
    assert "below its limit of 0.9995 pu. Widen that limit by as much" in words
    by = float(words.split("the voltage stays ")[1].split(" pu")[0])
    plan = planned(within(case, 0.9995 - by - 1e-5), optimiser)
    assert plan.prediction is not None
    assert plan.prediction.v_pu[:, 3].min() == pytest.approx(0.9995 - by, abs=2e-5)


@pytest.mark.parametrize("optimiser", [Joint, MessExact])
def test_a_minimum_violation_that_is_of_the_incumbent_routes_says_so(optimiser: type[Controller]) -> None:
    assert "; on the incumbent routes the tightest is bus 2" in refusal(within(trade(0), 0.9995), optimiser)


@pytest.mark.parametrize("optimiser", [Joint, MessExact])
def test_energy_that_cannot_be_there_by_midnight_is_named_with_its_truck_and_its_step(
    optimiser: type[Controller],
) -> None:
    """One hour gives at most 1 MWh of the 1.8 that are due."""
    case = carrying(horizon=1, trip=1.0, energy_mwh=2.0, soc_end_min=0.9)
    words = refusal(case, optimiser)
    assert "the tightest is truck T0 falls short of the energy due at the end of step 0 by 0.8 MWh" in words


@pytest.mark.parametrize("optimiser", RAISING)
def test_a_rating_that_load_exceeds_is_named_with_its_branch(optimiser: type[Controller]) -> None:
    plant, observation, forecast = trade(0)
    feeders = tuple(replace(one, i_max_pu=np.full(one.n_branch, 0.2)) for one in plant.feeders)
    words = refusal((replace(plant, feeders=feeders), observation, forecast), optimiser)
    assert "branch 1-2 of network 2 (dn2) at step " in words
    assert "above its rating" in words


# ---------------------------------------------------------------------------------- constraints that cannot be violated


class Purchase(Coupling):
    """Batteries together have to draw more than they can."""

    block: ClassVar[str] = f"{__name__}:purchase"


def purchase(coupling: Purchase, blocks: Mapping[str, Block]) -> Block:
    drawn = -sum(power for key, one in blocks.items() if key.startswith("batteries.") for power in one.p.values())
    return Block(constraints={"take_or_pay": [drawn >= 2.0]})


class BoundPlant(Plant):
    """A plant that is bound to a purchase."""

    @cached_property
    def couplings(self) -> tuple[Coupling, ...]:
        return (*super().couplings, Purchase())


@pytest.mark.parametrize("optimiser", PLAIN)
def test_constraints_that_exclude_each_other_are_named(optimiser: type[Controller]) -> None:
    plant, _, forecast = trade(0)
    plant = with_devices(plant, links=())
    plant = BoundPlant(**{name: getattr(plant, name) for name in Plant.__dataclass_fields__})
    words = refusal((plant, at_start(plant), forecast), optimiser)
    assert words.startswith("no plan, even where limits may be violated; these constraints exclude each other: ")
    assert "Purchase: take_or_pay at step " in words
    assert "batteries.B: power at step " in words
