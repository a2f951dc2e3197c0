"""Routes of the joint controller: kept, decided anew, remembered, and kept where AC asks for a correction."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from cases.joint_trade import EXACT, Case, controller, corrected, following, joint, trade
from gridferry.controllers.contract import (
    Note,
    NoteKind,
    Plan,
)
from gridferry.controllers.joint import Joint
from gridferry.controllers.plans.plan_json import plan_from_json, plan_to_json


def decided_at(plan: Plan) -> int:
    return plan.memory["joint"]["decided_at"]


def test_routes_are_kept_between_decisions_and_power_is_planned_anew() -> None:
    case = trade(0)
    first = joint(case, **EXACT)
    assert decided_at(first) == 0
    drifted = following(case, first, energy_mwh=np.clip(first.prediction.energy_mwh[1] - 0.05, 0.1, None))
    kept = joint(drifted, **EXACT)
    np.testing.assert_array_equal(kept.position, first.position[1:])
    assert decided_at(kept) == 0
    assert kept.solver.note(NoteKind.BOUND_FOR_ROUTES) == Note(NoteKind.BOUND_FOR_ROUTES, 0.0)
    np.testing.assert_array_equal(kept.prediction.energy_mwh[0], drifted[1].energy_mwh)
    # as planned, nothing changes
    same = joint(following(case, first), **EXACT)
    assert same.solver.objective == pytest.approx(first.prediction.cost[1:].sum(), abs=5e-3)


def test_routes_are_decided_again_when_they_are_due() -> None:
    case = trade(0)
    plans = [joint(case, **EXACT, replan_routes=2)]
    for _ in range(3):
        case = following(case, plans[-1])
        plans.append(joint(case, **EXACT, replan_routes=2))
    assert [decided_at(plan) for plan in plans] == [0, 0, 2, 2]
    since = [plan.solver.note(NoteKind.BOUND_FOR_ROUTES) for plan in plans]
    assert [None if one is None else one.value for one in since] == [None, 0.0, None, 2.0]


def departing(case: Case) -> tuple[Case, Plan]:
    """The step in which the truck departs, walked to; and its plan."""
    for _ in range(5):
        plan = joint(case, **EXACT, replan_routes=100)
        if plan.position[0, 0] != case[1].position[0]:
            return case, plan
        case = following(case, plan)
    raise AssertionError("the truck stays")


def test_a_late_truck_or_an_arrival_that_failed_brings_the_next_decision_forward() -> None:
    case, plan = departing(trade(0))
    step = case[1].step
    usual = following(case, plan)
    assert decided_at(joint(usual, **EXACT, replan_routes=100)) < step + 1
    late = following(case, plan, transit_steps=usual[1].transit_steps + 1)
    again = joint(late, **EXACT, replan_routes=100)
    assert decided_at(again) == step + 1
    assert not again.p_mw[: late[1].transit_steps[0], 0].any()
    missed = following(case, plan, station=case[1].position, transit_steps=np.array([0]))
    assert decided_at(joint(missed, **EXACT, replan_routes=100)) == step + 1
    # earlier than expected is no reason
    early = following(case, plan, transit_steps=np.array([0]))
    assert decided_at(joint(early, **EXACT, replan_routes=100)) < step + 1


def test_what_it_remembers_is_json_and_all_that_it_remembers() -> None:
    case = trade(2)
    serving = controller(Joint, case[0], **EXACT)
    first = serving.plan(*case[1:])
    text = json.dumps(plan_to_json(first), allow_nan=False)
    back = plan_from_json(json.loads(text))
    assert back.memory == first.memory
    nexts = []
    for one, previous in ((serving, first), (controller(Joint, case[0], **EXACT), back)):
        _, observation, forecast = following(case, previous)
        nexts.append(one.plan(observation, forecast))
    for name in ("p_mw", "q_mvar", "position"):
        np.testing.assert_array_equal(getattr(nexts[0], name), getattr(nexts[1], name))
    assert nexts[0].memory == nexts[1].memory
    # and what it planned in between changes nothing
    again = serving.plan(*case[1:])
    np.testing.assert_array_equal(again.p_mw, first.p_mw)
    np.testing.assert_array_equal(again.position, first.position)


def test_a_correction_tightens_the_first_step_and_keeps_the_routes() -> None:
    case = trade(0)
    plan = joint(case, **EXACT)
    lowest = float(plan.prediction.v_pu[0, 3])
    low = lowest + 5e-4 - 0.9
    repaired = joint(corrected(case, plan, low=low), **EXACT)
    np.testing.assert_array_equal(repaired.position, plan.position)
    assert decided_at(repaired) == 0
    assert repaired.prediction.v_pu[0, 3] >= 0.9 + low - 1e-6
    # only there: later steps may be as low as they were
    assert repaired.prediction.v_pu[1:, 3].min() <= plan.prediction.v_pu[1:, 3].min() + 1e-4 < 0.9 + low
    assert repaired.solver.objective >= plan.solver.objective - 1e-3
    highest = float(plan.prediction.v_pu[0, 1])
    other = joint(corrected(case, plan, high=1.1 - highest + 5e-4), **EXACT)
    assert other.prediction.v_pu[0, 1] <= highest - 5e-4 + 1e-6


def test_a_correction_leaves_as_much_of_a_rating_free_as_requested() -> None:
    plant, observation, forecast = trade(0)
    limit = np.array([0.025])
    rated = replace(plant, feeders=tuple(replace(one, i_max_pu=100.0 * limit) for one in plant.feeders))
    case = rated, observation, forecast
    plan = joint(case, **EXACT)

    def current(one: Plan) -> np.ndarray:
        flow = np.hypot(one.prediction.p_branch_mw, one.prediction.q_branch_mvar)
        return flow / one.prediction.v_pu[:, [0, 2]]

    rating = 1.0 - 0.95 * current(plan)[0].max() / 2.5
    repaired = joint(corrected(case, plan, rating=rating), **EXACT)
    assert current(repaired)[0].max() <= (1.0 - rating) * 2.5 * (1 + 1e-4)
    np.testing.assert_array_equal(repaired.position, plan.position)
