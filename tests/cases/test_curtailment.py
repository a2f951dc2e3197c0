"""Generators that are limited: what they feed in, what that costs, and the plans that limit them.

Right values come from SCIP on the exact branch-flow equations (`cases.exact_optimum`), or by hand.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from cases.battery_day import battery_day, chain
from cases.exact_optimum import exact_optimum
from cases.joint_trade import Case
from cases.parts import seen_as
from gridferry.controllers.contract import Controller, Plan, hold
from gridferry.controllers.devices import Act, Now, Request, Stateless
from gridferry.controllers.devices.generators.config import GeneratorConfig, Reactive
from gridferry.controllers.devices.generators.device import Generator
from gridferry.controllers.joint import Joint
from gridferry.controllers.mess_exact import MessExact
from gridferry.controllers.mess_two_stage import MessTwoStage
from gridferry.controllers.mvdc_drcc import MvdcDrcc
from gridferry.controllers.rules import Rules
from gridferry.controllers.schedule.ac_evaluation import evaluate_plan
from gridferry.controllers.solve import InfeasibleError
from gridferry.sim.loop.runner import run
from gridferry.sim.loop.validation import validate

PV = Generator("pv", "pv", 0, 5, 0.0, curtailable=True)
STREET = chain((0.0077, 0.0376), *[(0.0309, 0.012)] * 4, kv=0.4, base_mva=0.25)
"""0.4 kV: a transformer, and 4 × 150 m of a 150 mm² cable, R/X 2.6"""
OPTIMISERS: list[tuple[type[Controller], dict[str, Any]]] = [
    (MvdcDrcc, {"scenario": "deterministic", "on_infeasible": "raise"}),
    (MessExact, {"on_infeasible": "raise"}),
    (MessTwoStage, {"iterations": 2, "particles": 2}),
    (Joint, {"scenario": "deterministic", "on_infeasible": "raise", "gap_of_saving": 0.001, "gap_abs": 0.001}),
]


def street(pv: Generator = PV, v_max_pu: float = 1.05, **given: Any) -> Case:
    """Sun of 0.16 MW, a load of 2 kW and a battery of 10 kW at the end of a street."""
    sun, price = [0.16, 0.15, 0.13, 0.0], [50.0] * 4
    feeder = STREET.with_limits(0.95, v_max_pu)
    plant, seen, ahead = battery_day(feeder, [0.002] * 4, price, sun, energy_mwh=0.02, p_max_mw=0.01)
    plant = replace(plant, devices=(plant.devices[0], pv), **given)
    return plant, seen_as(plant, seen), ahead


@lru_cache
def least_cost(pv: Generator) -> float:
    """What the best plan for the street costs, by SCIP."""
    return exact_optimum(street(pv), 30.0).cost


def planned(controller: tuple[type[Controller], dict[str, Any]], case: Case) -> Plan:
    kind, settings = controller
    plant, seen, ahead = case
    return kind(plant, kind.Settings(**settings)).plan(seen, ahead)


def injected_mw(case: Case, plan: Plan) -> np.ndarray:
    """What the generator injects under a plan."""
    return np.minimum(plan.p_mw[:, 1], case[2].series["generators.pv"]["p_mw"])


# --------------------------------------------------------------------------------------------------------------- device


def test_a_limit_leaves_the_rest_of_the_sun_unused_and_only_what_is_fed_in_is_paid() -> None:
    pv = replace(PV, feed_in_tariff=80.0, curtailment_cost_per_mwh=30.0)
    now = Now(0.5, series={"p_mw": 0.5})
    _, done = pv.step(Stateless(), Request((0.3,), (0.0,)), now)
    assert done.ports[0].p_mw == 0.3
    assert done.ports[0].shortfall_mwh == 0.0
    assert done.money == pytest.approx({"feed_in": 80.0 * 0.15, "curtailment": 30.0 * 0.1})
    assert done.row == pytest.approx({"available_mwh": 0.25, "curtailed_mwh": 0.1, "fed_in_mwh": 0.15})
    _, rests = pv.step(Stateless(), Request((pv.ports[0].rest_mw,), (0.0,)), now)
    assert rests.ports[0].p_mw == 0.5


def test_a_fixed_cos_phi_is_kept_at_any_power_and_within_the_rating() -> None:
    pv = replace(PV, s_max_mva=0.4, reactive=Reactive.COS_PHI, q_per_p=-math.tan(math.acos(0.8)))
    for sun, p_mw in ((0.2, 0.2), (0.5, 0.32)):
        _, done = pv.step(Stateless(), Request((1.0,), (0.3,)), Now(1.0, series={"p_mw": sun}))
        assert (done.ports[0].p_mw, done.ports[0].q_mvar) == pytest.approx((p_mw, -0.75 * p_mw))


def test_a_requested_q_is_done_before_p_where_that_can_be_curtailed_and_after_it_where_not() -> None:
    pv = replace(PV, s_max_mva=0.5, reactive=Reactive.DISPATCH)
    request, sunny = Request((0.5,), (-0.4,)), Now(1.0, series={"p_mw": 0.45})
    _, done = pv.step(Stateless(), request, sunny)
    assert (done.ports[0].p_mw, done.ports[0].q_mvar) == pytest.approx((0.3, -0.4))
    assert (done.row["curtailed_mwh"], done.ports[0].clips) == (pytest.approx(0.15), ())
    _, done = replace(pv, curtailable=False).step(Stateless(), request, sunny)
    assert (done.ports[0].p_mw, done.ports[0].q_mvar) == pytest.approx((0.45, -math.sqrt(0.0475)))
    assert done.ports[0].clips == ("rating",)


def test_q_of_a_generator_that_is_not_curtailable_can_be_requested() -> None:
    pv = replace(PV, curtailable=False, s_max_mva=0.5, reactive=Reactive.DISPATCH)
    assert (pv.ports[0].act, pv.ports[0].sets_q) == (Act.FOLLOWS, True)
    _, done = pv.step(Stateless(), Request((0.1,), (0.2,)), Now(1.0, series={"p_mw": 0.3}))
    assert (done.ports[0].p_mw, done.ports[0].q_mvar) == (0.3, 0.2)


@pytest.mark.parametrize(
    ("given", "key"),
    [
        ({"reactive": "dispatch"}, "reactive"),
        ({"reactive": "cos_phi"}, "reactive"),
        ({"reactive": "q_of_v"}, "reactive"),
        ({"cos_phi": 0.9}, "cos_phi"),
        ({"cos_phi": 0.0, "reactive": "cos_phi"}, "cos_phi"),
        ({"curtailment_cost_per_mwh": 20.0}, "curtailment_cost_per_mwh"),
        ({"reactive": "q_of_v", "q_of_v": [{"v_pu": 1.0, "q_mvar": 0.1}, {"v_pu": 0.9, "q_mvar": 0.0}]}, "q_of_v"),
    ],
)
def test_keys_that_do_not_fit_together_are_refused_by_name(given: dict[str, Any], key: str) -> None:
    plain = {"name": "pv", "network": "n", "bus": "1", "p_mw": 1.0}
    with pytest.raises(ValueError, match=f"{key}: "):
        GeneratorConfig.model_validate({**plain, **given})


# ---------------------------------------------------------------------------------------------------------------- plans


def test_without_curtailment_no_plan_keeps_the_limit_of_the_street() -> None:
    with pytest.raises(InfeasibleError, match="no plan keeps every limit"):
        planned(OPTIMISERS[0], street(replace(PV, curtailable=False)))


@pytest.mark.parametrize("controller", OPTIMISERS, ids=lambda one: one[0].__name__)
@pytest.mark.parametrize(
    "pv",
    [
        PV,
        replace(PV, feed_in_tariff=20.0, curtailment_cost_per_mwh=60.0, s_max_mva=0.18, reactive=Reactive.DISPATCH),
        replace(PV, s_max_mva=0.18, reactive=Reactive.COS_PHI, q_per_p=-0.4),
        replace(PV, reactive=Reactive.Q_OF_V, q_of_v=((1.02, 0.0), (1.06, -0.08))),
    ],
    ids=["none", "dispatch", "cos_phi", "q_of_v"],
)
def test_every_optimiser_keeps_the_limit_by_curtailing_no_more_than_it_must(
    controller: tuple[type[Controller], dict[str, Any]], pv: Generator
) -> None:
    case = street(pv)
    plan, right = planned(controller, case), least_cost(pv)
    found = evaluate_plan(case[0], plan, case[1], case[2])
    assert found.flow.v_pu[0].max() <= 1.05 + 1e-6
    assert float(found.cost.sum()) == pytest.approx(right, abs=0.02)
    curtailed = np.array([0.16, 0.15, 0.13, 0.0]) - injected_mw(case, plan)
    assert curtailed[0] > 0.005
    # nothing is limited where nothing is curtailed: more sun than forecast is fed in
    assert plan.p_mw[3, 1] == pv.ports[0].rest_mw


def test_a_plan_that_curtails_costs_by_its_devices_what_it_costs_by_its_blocks() -> None:
    case = street(replace(PV, feed_in_tariff=20.0, curtailment_cost_per_mwh=60.0))
    plan = planned(OPTIMISERS[0], case)
    costs = evaluate_plan(case[0], plan, case[1], case[2]).costs
    fed_in = float(injected_mw(case, plan).sum())
    assert float(costs["feed_in"].sum()) == pytest.approx(20.0 * fed_in)
    assert float(costs["curtailment"].sum()) == pytest.approx(60.0 * (0.44 - fed_in))
    assert plan.solver.objective == pytest.approx(sum(float(one.sum()) for one in costs.values()), abs=1e-4)


def test_nothing_is_curtailed_at_rest_and_by_rules() -> None:
    plant, seen, ahead = street()
    for plan in (hold(plant, seen, 4), Rules(plant, Rules.Settings()).plan(seen, ahead)):
        assert (plan.p_mw[:, 1] == PV.ports[0].rest_mw).all()
        done = evaluate_plan(plant, plan, seen, ahead)
        assert float(done.costs["curtailment"].sum()) == 0.0


# ---------------------------------------------------------------------------------------------------------- closed loop

CURVE = ((0.95, 0.05), (0.98, 0.0), (1.02, 0.0), (1.06, -0.08))


@pytest.mark.parametrize("engine", ["pandapower", "power-grid-model"])
def test_the_record_has_the_q_of_the_voltage_and_was_predicted(tmp_path: Path, engine: str) -> None:
    points = ", ".join(f"{{ v_pu = {v}, q_mvar = {q} }}" for v, q in CURVE)
    pv = ["curtailable=false", "curtailment_cost_per_mwh=0", "s_max_mva=0.16", f"q_of_v=[{points}]"]
    overrides = [f"generators.pv.{one}" for one in (*pv, "reactive='q_of_v'")]
    overrides += ["time.steps=14", f"grid.ac_engine='{engine}'"]
    done = run("curtailed_street", controller="rules", overrides=overrides, out=tmp_path / "run")
    bus, device = done.table("bus"), done.table("device")
    at = bus[bus["bus"] == "6"]
    pv_done = device[device["device"] == "pv"]
    v, p, q = at["v_pu"].to_numpy(), pv_done["p_mw"].to_numpy(), pv_done["q_mvar"].to_numpy()
    room = np.sqrt(0.16**2 - p**2)
    np.testing.assert_allclose(q, np.clip(np.interp(v, *np.array(CURVE).T), -room, room), atol=1e-7)
    assert q.min() < -0.06
    assert q[12] == pytest.approx(-room[12], abs=1e-7)
    np.testing.assert_allclose(at["v_plan_pu"], v, atol=1e-8)
    assert done.summary["balance_error_rel_max"] < 1e-6


def test_what_is_curtailed_is_recorded_and_neither_fed_in_nor_paid_nor_short(tmp_path: Path) -> None:
    setup = ["generators.pv.feed_in_tariff=15.0", "time.steps=12"]
    done = run("curtailed_street", overrides=setup, out=tmp_path / "run")
    assert done.summary["verdict"] == "feasible and executed"
    found = done.summary["kinds"]["generators"]
    totals, generators = found["totals"], done.table("generators")
    assert totals["available_mwh"] == pytest.approx(0.6577)
    assert totals["curtailed_mwh"] > 0.1
    assert totals["fed_in_mwh"] == pytest.approx(0.6577 - totals["curtailed_mwh"])
    assert generators["fed_in_mwh"].sum() == pytest.approx(totals["injected_mwh"])
    assert done.summary["cost"]["res"] == pytest.approx(15.0 * totals["fed_in_mwh"])
    assert found["cost"]["curtailment"] == pytest.approx(20.0 * totals["curtailed_mwh"])
    again = validate(
        done.directory / "plan.csv", "curtailed_street", overrides=setup, out=tmp_path / "again"
    ).run.summary
    assert again["kinds"]["generators"]["totals"] == pytest.approx(totals)
    assert again["verdict"] == "feasible and executed"
    # a plan without its rows leaves it as it is
    plan = pd.read_csv(done.directory / "plan.csv")
    plan[plan["device"] != "pv"].to_csv(tmp_path / "old.csv", index=False)
    rests = validate(tmp_path / "old.csv", "curtailed_street", overrides=setup, out=tmp_path / "rests").run.summary
    assert rests["kinds"]["generators"]["totals"]["curtailed_mwh"] == 0.0
