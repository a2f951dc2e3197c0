"""Optimisers that differ in policy alone are equal where their policies are: one dispatch model stands behind all."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cases.joint_trade import ERRORS, EXACT, Case, controller, trade
from cases.parts import with_devices
from gridferry.controllers.conformance.sample_plants import Sample, at_start, look_ahead, two_feeders
from gridferry.controllers.contract import Plan, Plant, Status
from gridferry.controllers.joint import Joint
from gridferry.controllers.mess_exact import MessExact
from gridferry.controllers.mvdc_drcc import MvdcDrcc
from gridferry.sim.case.case import build_case
from gridferry.sim.case.loading import load_config
from gridferry.sim.config.reading import find_config

PROVED = 1e-7
"""gap to which both are proved [currency]"""


def shipped(config: str) -> Sample:
    """A config's plant, and what happens to it."""
    case = build_case(load_config(find_config(config)))
    return Sample(config, case.plant, case.forecaster.at(0))


def assert_equal(one: Plan, other: Plan) -> None:
    """The same optimum, and the plan that has it."""
    assert one.solver.objective == pytest.approx(other.solver.objective, rel=1e-6, abs=0.0)
    np.testing.assert_array_equal(one.position, other.position)
    np.testing.assert_allclose(one.p_mw, other.p_mw, atol=1e-6)
    np.testing.assert_allclose(one.q_mvar, other.q_mvar, atol=1e-6)
    assert one.prediction is not None
    assert other.prediction is not None
    np.testing.assert_allclose(one.prediction.v_pu, other.prediction.v_pu, atol=1e-6)


# ----------------------------------------------------------------------------------------------------------- mvdc_drcc


def links_by_both(case: Case, **wanted: Any) -> tuple[Plan, Plan]:
    """Plans of `mvdc_drcc` and `joint`.

    `joint` takes margins twice for a first plan, without devices and at the plan found so; `mvdc_drcc` is given as
    many rounds.
    """
    plant, observation, forecast = case
    part = controller(MvdcDrcc, plant, **wanted, max_rounds=1 if wanted["scenario"] == "deterministic" else 2)
    whole = controller(Joint, plant, **wanted)
    return part.plan(observation, forecast), whole.plan(observation, forecast)


@pytest.mark.parametrize("scenario", ["deterministic", "robust", "drcc"])
def test_on_mvdc_2dn_which_has_no_trucks_joint_is_mvdc_drcc(scenario: str) -> None:
    config = load_config(find_config("mvdc_2dn")).config
    own = {"errors": config.forecast.errors.model_dump(exclude_unset=True)} | config.controller.settings()
    day = shipped("mvdc_2dn")
    assert_equal(*links_by_both((day.plant, at_start(day.plant), day.day), **(own | {"scenario": scenario})))


def strained(v_min: float) -> Case:
    """The dear evening of the sample plant with two feeders, its truck left out."""
    sample = two_feeders(step_s=3600)
    feeders = tuple(one.with_limits(v_min, 1.05) for one in sample.plant.feeders)
    plant = with_devices(sample.plant, trucks=(), stations=(), roads=None, feeders=feeders)
    return plant, replace(at_start(plant), step=6), look_ahead(replace(sample, plant=plant), 6, 8)


@pytest.mark.parametrize("scenario", ["deterministic", "robust", "drcc"])
def test_where_voltage_limits_bind_joint_without_trucks_is_mvdc_drcc(scenario: str) -> None:
    part, whole = links_by_both(strained(0.996), scenario=scenario, errors=ERRORS)
    assert_equal(part, whole)
    _, loose = links_by_both(strained(0.9), scenario=scenario, errors=ERRORS)
    assert loose.solver.objective < whole.solver.objective - 1e-3, "the limits bind"


# ---------------------------------------------------------------------------------------------------------- mess_exact


def storage_by_both(case: Case) -> tuple[Plan, Plan]:
    """Plans of `mess_exact` and `joint`, proved."""
    plant, observation, forecast = case
    part = controller(MessExact, plant, gap=0.0, gap_abs=PROVED).plan(observation, forecast)
    whole = controller(Joint, plant, **(EXACT | {"gap_abs": PROVED})).plan(observation, forecast)
    for plan in (part, whole):
        assert plan.solver.objective - plan.solver.bound <= 1e-6
    return part, whole


def without_links(seed: int) -> Case:
    """A truck and a battery between sun and load."""
    plant, _, forecast = trade(seed)
    plant = with_devices(plant, links=())
    return plant, at_start(plant), forecast


@settings(max_examples=4)
@given(seed=st.integers(0, 10**6))
def test_joint_without_links_and_margins_is_mess_exact(seed: int) -> None:
    assert_equal(*storage_by_both(without_links(seed)))


def test_joint_and_mess_exact_send_a_truck_the_same_way() -> None:
    part, whole = storage_by_both(without_links(0))
    assert set(part.position[:, 0]) == {0, 1}
    assert part.solver.status is whole.solver.status is Status.OPTIMAL
    assert_equal(part, whole)


@pytest.mark.parametrize("step", [0, 36, 48])
def test_on_three_bus_which_has_no_links_joint_is_mess_exact(step: int) -> None:
    day = shipped("three_bus")
    plant: Plant = day.plant
    assert_equal(*storage_by_both((plant, replace(at_start(plant), step=step), look_ahead(day, step, 12))))
