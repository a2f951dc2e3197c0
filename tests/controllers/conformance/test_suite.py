"""The conformance suite passes our controllers and catches each broken promise by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
from pydantic import ConfigDict

from cases.parts import of_kind
from gridferry.controllers.conformance.sample_plants import samples
from gridferry.controllers.conformance.suite import assert_conforms, check_controller
from gridferry.controllers.contract import (
    Controller,
    ControllerError,
    ControllerSettings,
    Forecast,
    Observation,
    Plan,
    Plant,
    Prediction,
    hold,
)
from gridferry.networks.faults import InputError

SHAPES = "plans have the right shapes, are finite, and keep to ratings and stations"
REPEAT = "equal inputs give equal plans"
JSON = "a plan survives JSON"
NAN = "a forecast that is not a number gives a finite plan or a ControllerError"
UNCHANGED = "inputs are left as they are"

T = TypeVar("T")
Change = Callable[[Controller, Observation, Forecast, Plan], Any]


def broken_by(change: Change) -> dict[str, str]:
    """Names of the promises that a controller breaks whose idle plan is changed so, with the first explanation."""

    class Tried(Controller):
        """Idle, but for one thing."""

        calls = 0

        def plan(self, observation: Observation, forecast: Forecast) -> Plan:
            self.calls += 1
            return change(self, observation, forecast, hold(self.plant, observation))

    found: dict[str, str] = {}
    for one in check_controller(Tried):
        if not one.passed:
            found.setdefault(one.name, one.explanation)
    return found


@pytest.mark.parametrize("name", ["idle", "rules"])
def test_built_in_rules_conform(name: str) -> None:
    assert_conforms(name, steps=48)


def test_replay_conforms(tmp_path: Path) -> None:
    (tmp_path / "plan.csv").write_text("step,device,p_mw,q_mvar,position\n")
    assert_conforms("replay", {"file": str(tmp_path / "plan.csv")})


def test_every_promise_is_tried_on_every_plant() -> None:
    findings = check_controller("idle")
    for sample in samples():
        assert {SHAPES, REPEAT, JSON, NAN, UNCHANGED} <= {f.name for f in findings if f.plant == sample.name}
    assert str(findings[0]) == "ok: settings refuse unknown keys"


def test_an_idle_plan_breaks_nothing() -> None:
    assert broken_by(lambda tried, seen, ahead, plan: plan) == {}


def forced(given: T, **values: Any) -> T:
    """Set fields of a frozen dataclass past its constructor, whose shapes the tests check."""
    for name, value in values.items():
        object.__setattr__(given, name, value)
    return given


def wider(plan: Plan) -> Plan:
    return forced(plan, p_mw=np.zeros((1, plan.p_mw.shape[1] + 1)))


def powered(plan: Plan, p: float, q: float = 0.0) -> Plan:
    return replace(plan, p_mw=np.full_like(plan.p_mw, p), q_mvar=np.full_like(plan.q_mvar, q))


def too_long(ahead: Forecast, plan: Plan) -> Plan:
    rows = ahead.steps + 1
    return Plan(*(np.repeat(one, rows, axis=0) for one in (plan.p_mw, plan.q_mvar, plan.position)))


def predicting(plan: Plan) -> Plan:
    flat = np.zeros((1, 1))
    expected = Prediction(flat, flat, flat, flat, flat, np.zeros((2, 1)), np.zeros(1))
    return replace(plan, prediction=forced(expected, v_pu=np.zeros((1, 99))))


def overwriting(ahead: Forecast, plan: Plan) -> Plan:
    ahead.buy_price[0] = 0.0
    return plan


def unlocking(ahead: Forecast, plan: Plan) -> Plan:
    ahead.buy_price.setflags(write=True)
    ahead.buy_price[0] += 1.0
    return plan


def raising(plan: Plan, error: Exception) -> Plan:
    raise error


@pytest.mark.parametrize(
    ("change", "promise", "says"),
    [
        (lambda tried, seen, ahead, plan: None, SHAPES, "return a gridferry.controllers.contract.Plan"),
        (lambda tried, seen, ahead, plan: wider(plan), SHAPES, "p_mw has shape"),
        (lambda tried, seen, ahead, plan: too_long(ahead, plan), SHAPES, "rows for a forecast of"),
        (
            lambda tried, seen, ahead, plan: replace(plan, position=plan.position.astype(np.int32)),
            SHAPES,
            "make it int64",
        ),
        (lambda tried, seen, ahead, plan: predicting(plan), SHAPES, "prediction.v_pu has shape (1, 99)"),
        (lambda tried, seen, ahead, plan: powered(plan, np.nan), SHAPES, "not finite"),
        (lambda tried, seen, ahead, plan: powered(plan, 100.0), SHAPES, "keep row 0 within the rating"),
        (lambda tried, seen, ahead, plan: powered(plan, 0.0, -100.0), SHAPES, "MVA"),
        (
            lambda tried, seen, ahead, plan: replace(plan, position=np.full_like(plan.position, 2)),
            "a truck on the road keeps its destination",
            "it may be set to",
        ),
        (
            lambda tried, seen, ahead, plan: replace(plan, position=np.zeros_like(plan.position)),
            "a truck on the road keeps its destination",
            "repeat that position",
        ),
        (lambda tried, seen, ahead, plan: powered(plan, 1e-6 * tried.calls), REPEAT, "keep nothing in the controller"),
        (
            lambda tried, seen, ahead, plan: powered(plan, 1e-6 * np.random.default_rng().random()),
            REPEAT,
            "draw with a seed",
        ),
        (lambda tried, seen, ahead, plan: replace(plan, memory={"a": np.zeros(1)}), JSON, "plain numbers"),
        (lambda tried, seen, ahead, plan: replace(plan, memory={"a": float("nan")}), JSON, "plain numbers"),
        (lambda tried, seen, ahead, plan: forced(plan, memory={1: "a"}), JSON, "use text keys"),
        (lambda tried, seen, ahead, plan: powered(plan, 1e-9 * ahead.buy_price[0]), NAN, "buy_price not a number"),
        (lambda tried, seen, ahead, plan: overwriting(ahead, plan), UNCHANGED, "copy the array first"),
        (
            lambda tried, seen, ahead, plan: raising(plan, IndexError("5")) if ahead.steps < 2 else plan,
            "a forecast of one step is enough",
            "raise ControllerError with a reason",
        ),
        (
            lambda tried, seen, ahead, plan: raising(plan, ControllerError("no")) if ahead.steps == 3 else plan,
            "the forecast may shrink at the end of the run",
            "a plan is possible here",
        ),
        (
            lambda tried, seen, ahead, plan: (
                plan if seen.previous_plan or seen.step == 0 else raising(plan, KeyError())
            ),
            "a plan needs no previous plan",
            "KeyError",
        ),
    ],
)
def test_a_broken_promise_is_caught_with_the_way_to_mend_it(change: Change, promise: str, says: str) -> None:
    found = broken_by(change)
    assert promise in found
    assert says in found[promise]


def test_a_controller_that_unlocks_and_changes_its_inputs_is_caught() -> None:
    assert UNCHANGED in broken_by(lambda tried, seen, ahead, plan: unlocking(ahead, plan))


def test_settings_that_take_anything_or_can_change_are_caught() -> None:
    class Careless(Controller):
        class Settings(ControllerSettings):
            model_config = ConfigDict(frozen=False, extra="allow")

        def plan(self, observation: Observation, forecast: Forecast) -> Plan:
            return hold(self.plant, observation)

    Careless.__doc__ = None
    names = {one.name for one in check_controller(Careless) if not one.passed}
    assert names == {"settings refuse unknown keys", "settings are frozen", "the class has a description"}
    with pytest.raises(AssertionError, match="FAILED: settings are frozen"):
        assert_conforms(Careless)


class Remembering(Controller):
    """Hands on what the last plan remembered."""

    def plan(self, observation: Observation, forecast: Forecast) -> Plan:
        previous = observation.previous_plan
        memory = {"begun": {"step": observation.step, "more": [1, 2]}} if previous is None else previous.memory
        return replace(hold(self.plant, observation), memory=memory)


def test_memory_may_be_handed_on_as_it_came() -> None:
    assert_conforms(Remembering)


class Leaving(Controller):
    """Leaves."""

    def plan(self, observation: Observation, forecast: Forecast) -> Plan:
        raise SystemExit(0)


def test_a_controller_that_exits_is_caught_with_its_line() -> None:
    found = {one.name: one.explanation for one in check_controller(Leaving)}
    assert f"raised SystemExit: 0 ({__file__}, line " in found[SHAPES]


class Choosy(Controller):
    """Serves trucks only."""

    class Settings(ControllerSettings):
        """Options."""

        refuse_all: bool = False

    def __init__(self, plant: Plant, settings: Settings):
        super().__init__(plant, settings)
        if settings.refuse_all or not of_kind(plant, "trucks"):
            raise ControllerError("no truck")

    def plan(self, observation: Observation, forecast: Forecast) -> Plan:
        return hold(self.plant, observation)


def test_a_controller_may_refuse_a_plant_but_not_all_of_them() -> None:
    tried = {one.plant for one in check_controller(Choosy)}
    assert tried == {"", "three buses, one truck", "two feeders, link, batteries, truck"}
    findings = check_controller(Choosy, {"refuse_all": True})
    assert [one.name for one in findings if not one.passed] == ["it serves at least one sample plant"]


def test_settings_that_do_not_fit_are_an_input_error() -> None:
    with pytest.raises(InputError, match=r"settings.charge_quantil: no such option"):
        check_controller("rules", {"charge_quantil": 0.1})
