"""An exact finish begins near the plan of the last step, and is none the worse for it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cases.dispatch import dispatch
from cases.joint_trade import Case, controller
from cases.parts import last_steps, seen_as
from cases.relaxed import one_line
from gridferry.controllers.conformance.sample_plants import read_only
from gridferry.controllers.contract import Plan, Status
from gridferry.controllers.mess_exact import MessExact
from gridferry.controllers.model.exact_finish import previous_flow
from gridferry.controllers.model.solution import Solved, solve_dispatch
from gridferry.controllers.schedule.ac_evaluation import evaluate_plan


def paid_to_burn() -> Case:
    """A battery behind a line at negative prices, where a relaxation would burn energy in losses that do not occur."""
    return one_line(
        [1.0, 1.2, 0.8, 1.5, 0.4],
        [0.0, 0.5, 2.0, 1.0, 0.0],
        r_ohm=3.0,
        price=[-30.0, 20.0, -60.0, -10.0, 80.0],
        soc_initial=0.4,
        loss_coefficient=0.01,
    )


def planned(case: Case) -> Plan:
    plant, observation, forecast = case
    return controller(MessExact, plant).plan(observation, forecast)


@pytest.fixture(scope="module")
def next_step() -> tuple[Case, Plan]:
    """The second step of the case, and the plan of the first."""
    plant, observation, forecast = case = paid_to_burn()
    plan = planned(case)
    assert plan.prediction is not None
    energy = plan.prediction.energy_mwh[1].copy()
    seen = seen_as(plant, observation, step=1, energy_mwh=energy, previous_plan=plan)
    return (plant, read_only(seen), last_steps(forecast, 1)), plan


def relaxed(case: Case) -> Solved:
    solved = solve_dispatch(dispatch(case))
    assert not solved.tight
    return solved


def test_the_flow_to_begin_near_is_that_of_the_last_plan_in_ac(
    next_step: tuple[Case, Plan],
) -> None:
    case, plan = next_step
    plant, observation, forecast = case
    model = relaxed(case).model
    flow = previous_flow(model)
    assert flow is not None
    continued = replace(plan, p_mw=plan.p_mw[1:], q_mvar=plan.q_mvar[1:], position=plan.position[1:])
    v_pu = evaluate_plan(plant, continued, observation, forecast).flow.v_pu[0]
    v_sq = next(iter(model.networks.values())).flow.v_sq
    np.testing.assert_allclose(flow[v_sq], v_pu**2, atol=1e-6)


def test_no_flow_is_known_on_the_first_step() -> None:
    assert previous_flow(relaxed(paid_to_burn()).model) is None


def test_a_finish_near_the_last_plan_costs_no_more_than_one_from_the_relaxation(
    next_step: tuple[Case, Plan],
) -> None:
    case, plan = next_step
    model = relaxed(case).model
    began_at, flow = model.problem.values, previous_flow(model)
    cold = model.problem.solve_exact().objective
    model.problem.values = began_at
    warm = model.problem.solve_exact(begin=flow).objective
    assert warm <= cold + 1e-4
    # all came as planned, so that the rest of the last plan is one, too
    assert plan.prediction is not None
    assert warm <= plan.prediction.cost[1:].sum() + 1e-4


def test_a_plan_after_a_plan_is_as_good_as_one_without_and_comes_out_the_same_again(
    next_step: tuple[Case, Plan],
) -> None:
    case, _ = next_step
    plant, observation, forecast = case
    after = planned(case)
    without = planned((plant, replace(observation, previous_plan=None), forecast))
    assert after.solver.status is Status.LOCALLY_OPTIMAL
    assert after.solver.objective == pytest.approx(without.solver.objective, abs=1e-3)
    assert after.solver.bound == pytest.approx(without.solver.bound, abs=1e-2)
    again = planned(case)
    np.testing.assert_array_equal(after.p_mw, again.p_mw)
    np.testing.assert_array_equal(after.q_mvar, again.q_mvar)
