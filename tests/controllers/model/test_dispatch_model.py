"""The dispatch model: blocks of any kind, who rests, what couples devices, minimum violations, names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import ClassVar

import cvxpy as cp
import numpy as np
import pytest

from cases import REPOSITORY
from cases.dispatch import EXACT, Case, dispatch, dispatch_model
from cases.joint_trade import controller, nothing_due, trade, within
from cases.parts import forecast_of
from gridferry.controllers.conformance.sample_plants import (
    at_start,
    look_ahead,
    no_devices,
    two_feeders,
    with_state,
)
from gridferry.controllers.contract import NoteKind, Plant, Status, hold
from gridferry.controllers.devices import Coupling, Device
from gridferry.controllers.devices.batteries.device import Battery
from gridferry.controllers.devices.planning.block import Block
from gridferry.controllers.devices.registry import find_kind
from gridferry.controllers.joint import Joint
from gridferry.controllers.mess_exact import MessExact
from gridferry.controllers.model import plan as read
from gridferry.controllers.model.objective import ModelOptions, stands_still, stores_and_sources
from gridferry.controllers.model.solution import solve_dispatch
from gridferry.controllers.model.within_limits import minimise_violation
from gridferry.controllers.schedule.ac_evaluation import evaluate_plan
from gridferry.controllers.solve import InfeasibleError, Problem, SolveOptions, SolverTroubleError, solve

# ---------------------------------------------------------------------------------------------------------------- kinds


def test_a_device_of_a_users_own_kind_is_scheduled_with_binaries_and_does_in_ac_what_was_planned() -> None:
    """A capacitor pays where it saves more losses than it costs to switch it: in the hours of heavy reactive load."""
    kind = find_kind(str(REPOSITORY / "tests" / "plugins" / "capacitor_bank.py") + ":CapacitorBank")
    bank = kind(name="C", bus=3, capacitors=3, q_each_mvar=0.2, loss_each_mw=2e-4, cost_per_switching=0.02)  # type: ignore[call-arg]
    sample = no_devices()
    plant = replace(sample.plant, devices=(bank,), steps=6, horizon_steps=6)
    heavy = np.array([0.1, 1.0, 1.0, 1.0, 0.1, 0.1])[:, None]
    forecast = forecast_of(
        plant,
        load_p_mw=sample.day.load_p_mw[:6],
        load_q_mvar=2.0 * heavy * sample.day.load_p_mw[:6],
        buy_price=np.full(6, 100.0),
        sell_price=np.full(6, 100.0),
    )
    observation = at_start(plant)
    plan = controller(Joint, plant, scenario="deterministic", gap_of_saving=0.0, gap_abs=1e-4).plan(
        observation, forecast
    )
    costs = []
    for on in np.ndindex(4, 4):  # by brute force: so many in the heavy hours, so many afterwards
        position = np.array([0, on[0], on[0], on[0], on[1], on[1]])[:, None]
        done = evaluate_plan(plant, replace(plan, position=position), observation, forecast)
        costs.append(float(done.cost.sum()))
    assert plan.solver.status is Status.OPTIMAL
    assert plan.position.max() > 0
    assert plan.prediction is not None
    assert float(plan.prediction.cost.sum()) == pytest.approx(min(costs), abs=1e-3)
    assert plan.solver.objective == pytest.approx(float(plan.prediction.cost.sum()), abs=1e-3)
    np.testing.assert_allclose(plan.q_mvar[:, 0], 0.2 * plan.position[:, 0])


def evening(horizon: int = 3) -> Case:
    sample = two_feeders(step_s=3600)
    return sample.plant, replace(at_start(sample.plant), step=8), look_ahead(sample, 8, horizon)


@pytest.mark.parametrize(
    ("plans", "resting"), [(stores_and_sources, {"links"}), (stands_still, {"trucks"}), (ModelOptions().plans, set())]
)
def test_who_is_not_planned_rests_by_what_it_can_do_and_not_by_its_kind(plans, resting: set[str]) -> None:
    model = dispatch_model(evening(), options=ModelOptions(plans=plans))
    solve(model.model, SolveOptions(gap=1e-2))
    assert {device.table for device in model.resting} == resting
    p_mw, q_mvar = read.setpoints(model)
    for device in model.resting:
        own = model.plant.columns(device)
        assert not p_mw[:, own].any()
        assert not q_mvar[:, own].any()
        where = model.plant.position_columns(device)
        assert (read.positions(model)[:, where] == model.observation.position[where]).all()


def test_a_plan_names_the_devices_that_rest_and_a_kind_without_a_block_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Battery, "block", "")
    plant, observation, forecast = evening()
    plan = controller(MessExact, plant, gap=1e-2).plan(observation, forecast)
    resting = {note.place for note in plan.solver.notes if note.kind is NoteKind.RESTS}
    assert resting == {device.name for device in plant.devices if device.table in ("links", "batteries")}
    assert plan.solver.status is Status.OPTIMAL


# ---------------------------------------------------------------------------------------------------- couplings, names


class ImportLimit(Coupling):
    """Batteries together draw no more than a limit from the grid."""

    block: ClassVar[str] = f"{__name__}:import_limit"
    limit_mw = 0.3


def import_limit(coupling: ImportLimit, blocks: Mapping[str, Block]) -> Block:
    total = sum(power for key, one in blocks.items() if key.startswith("batteries.") for power in one.p.values())
    return Block(constraints={"limit": [-total <= coupling.limit_mw]}, costs={"standby": cp.Constant(np.full(6, 0.5))})


class CoupledPlant(Plant):
    """A plant with a limit that its batteries share."""

    @cached_property
    def couplings(self) -> tuple[Coupling, ...]:
        return (*super().couplings, ImportLimit())


def test_what_couples_devices_has_constraints_and_costs_in_the_model() -> None:
    plant, _, _ = evening()
    coupled = CoupledPlant(**{name: getattr(plant, name) for name in Plant.__dataclass_fields__})
    sample = two_feeders(step_s=3600)
    cheap = replace(look_ahead(sample, 0, 6), buy_price=np.array([1.0, 1.0, 1.0, 200.0, 200.0, 200.0]))
    drawn, costs = [], []
    for one in (plant, coupled):
        model = dispatch_model((one, at_start(one), cheap))
        solve(model.model, SolveOptions(gap=1e-3))
        stores = [model.blocks[device.key] for device in one.devices if device.table == "batteries"]
        drawn.append(float(np.max(-sum(power.value for block in stores for power in block.p.values()))))
        costs.append(float(read.cost_of_plan(model).sum()))
    assert drawn[0] > 0.3 + 1e-3
    assert drawn[1] == pytest.approx(0.3, abs=1e-5)
    assert costs[1] > costs[0] + 6 * 0.5
    assert "ImportLimit: limit" in model.constraints


def test_constraints_costs_and_limits_go_by_names() -> None:
    model = dispatch_model(evening(), options=ModelOptions())
    assert {"trucks.T1: route", "batteries.B1: energy", "links.L1: converters"} <= set(model.constraints)
    assert {"network 1 (dn1): voltage_drop", "network 2 (dn2): current_cone"} <= set(model.constraints)
    assert {"network 1 (dn1): upper_voltage", "trucks.T1: energy_due"} <= set(model.soft) & set(model.constraints)
    assert set(model.costs) == {"energy", "feed_in", *(term for device in model.plant.devices for term in device.costs)}


# ----------------------------------------------------------------------------------------------------------- solutions


def test_what_is_planned_costs_what_doing_it_costs_term_by_term() -> None:
    plant, observation, forecast = case = trade(0)
    solved = solve_dispatch(dispatch(case, options=ModelOptions()).on_positions(np.ones((6, 1), dtype=np.int64)))
    p_mw, q_mvar = read.setpoints(solved.model)
    plan = replace(
        controller(Joint, plant, scenario="deterministic").plan(observation, forecast),
        p_mw=p_mw,
        q_mvar=q_mvar,
        position=read.positions(solved.model),
    )
    found = evaluate_plan(plant, plan, observation, forecast)
    for term, cost in solved.model.costs.items():
        np.testing.assert_allclose(cost.value, found.costs[term][0], atol=1e-4, err_msg=term)


def test_fixed_positions_are_the_same_as_fixed_binaries() -> None:
    case = trade(0)
    wanted = np.array([[0], [0], [1], [1], [1], [0]])
    free = dispatch_model(case, options=ModelOptions())
    ((column, route),) = free.routes
    held = Problem(free.model).solve(EXACT, fixed=route.values(wanted[:, column]))
    fixed = solve_dispatch(dispatch(case, options=ModelOptions()).on_positions(wanted))
    assert fixed.outcome.objective == pytest.approx(held.objective, abs=1e-4)
    np.testing.assert_array_equal(read.positions(fixed.model), read.positions(free))


def lowest_largest_violation(case: Case) -> float:
    """By bisection over limits: the least by which the lower voltage limit has to be moved [pu²]."""
    inside, outside = 0.1, 0.0
    for _ in range(18):
        middle = 0.5 * (inside + outside)
        limits = dispatch(case).limits
        moved = replace(limits, v_low_sq=limits.v_low_sq - middle)
        stays = dispatch(case, options=ModelOptions(), limits=moved).on_positions(np.zeros((6, 1), dtype=np.int64))
        try:
            solve_dispatch(stays)
        except (InfeasibleError, SolverTroubleError):
            outside = middle
        else:
            inside = middle
    return inside


def test_the_largest_violation_is_as_small_as_moving_the_limit_shows() -> None:
    case = within(nothing_due(trade(0)), 0.9995)
    stays = dispatch(case, options=ModelOptions()).on_positions(np.zeros((6, 1), dtype=np.int64))
    least = minimise_violation(stays)
    assert [one.note.kind for one in least.violated] == [NoteKind.VIOLATED_V_LOW]
    found = max(float(soft.lacking().max()) for soft in least.model.soft.values())
    assert found == pytest.approx(lowest_largest_violation(case), abs=2e-6)
    assert least.tight


def test_what_devices_without_a_block_do_at_rest_is_in_the_balance_of_the_plan_and_in_its_cost() -> None:
    plugins = REPOSITORY / "tests" / "plugins"
    roof = find_kind(f"{plugins / 'curtailable.py'}:Curtailable")(name="roof", bus=3, rating_mw=0.4)  # type: ignore[call-arg]
    bank_kind = find_kind(f"{plugins / 'capacitor_bank.py'}:CapacitorBank")
    bank = bank_kind(name="C", bus=2, capacitors=3, q_each_mvar=0.1, loss_each_mw=0.01, cost_per_switching=1.0)  # type: ignore[call-arg]
    plant, _, plain = evening()
    plant = replace(plant, devices=(*plant.devices, roof, bank))
    forecast = replace(plain, series={**plain.series, roof.key: {"p_mw": np.array([0.1, 0.6, 0.2])}, bank.key: {}})
    observation = replace(with_state(plant, at_start(plant), bank, on=2), step=8)

    def still(device: Device) -> bool:
        return stands_still(device) and device is not bank

    model = dispatch_model((plant, observation, forecast), options=ModelOptions(plans=still))
    solve(model.model, SolveOptions(gap=1e-6))
    assert {one.name for one in model.resting} == {"T1", "roof", "C"}
    p_mw, q_mvar = read.setpoints(model)
    plan = replace(hold(plant, observation, 3), p_mw=p_mw, q_mvar=q_mvar)
    found = evaluate_plan(plant, plan, observation, forecast)
    for number, network in enumerate(model.networks.values()):
        np.testing.assert_allclose(network.import_mw.value, found.flow.import_mw[0, :, number], atol=1e-5)
    assert sum(one.value.sum() for one in model.costs.values()) == pytest.approx(found.cost.sum(), rel=1e-5)
    assert read.cost_of_plan(model).sum() == pytest.approx(found.cost.sum(), rel=1e-5)
