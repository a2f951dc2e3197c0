"""Whatever a controller returns or raises, the step gets a plan, and the run ends with a summary."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest

from cases.returned_plans import PLANT, ROWS, WHERE, decided, fine, forced
from gridferry.controllers.conformance.sample_plants import at_start, look_ahead, two_feeders
from gridferry.controllers.contract import Controller, Forecast, Observation, Plan, SolverOutcome, hold
from gridferry.controllers.idle import Idle
from gridferry.controllers.plans.plan_json import plan_to_json
from gridferry.controllers.plans.returned_plan import MOST_MEMORY, ReturnedPlanError, checked_plan
from gridferry.sim.config.schema import OnFailure
from gridferry.sim.host.host import ControllerHost, ControllerStoppedError, Fallback


def test_a_plan_with_everything_in_it_is_accepted_as_it_is() -> None:
    done = decided(fine())
    assert done.failure == ""
    assert plan_to_json(done.plan) == plan_to_json(fine())


def test_memory_may_be_handed_on_from_the_previous_plan() -> None:
    handed = MappingProxyType({"rows": [1], "more": MappingProxyType({"a": np.float64(0.5)})})
    taken = checked_plan(PLANT, 4, replace(fine(), memory=handed)).memory
    assert json.dumps(dict(taken)) == '{"rows": [1], "more": {"a": 0.5}}'


def endless() -> list[Any]:
    loop: list[Any] = []
    loop.append(loop)
    return loop


class Subclassed(np.ndarray):
    pass


WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("lists", {"p_mw": [[0.0] * PLANT.n_port]}, "p_mw is of type list; make it a numpy array"),
    ("no rows", {"p_mw": np.zeros((0, PLANT.n_port))}, "p_mw has 0 rows for a forecast of 4 steps"),
    ("too many rows", {"p_mw": np.zeros((5, PLANT.n_port))}, "p_mw has 5 rows for a forecast of 4 steps"),
    ("one dimension", {"p_mw": np.zeros(PLANT.n_port)}, "it must have rows"),
    ("another width", {"p_mw": np.zeros((ROWS, 1))}, "p_mw has shape (3, 1)"),
    ("rows that differ", {"q_mvar": np.zeros((1, PLANT.n_port))}, "q_mvar has shape (1, "),
    ("float32", {"q_mvar": np.zeros((ROWS, PLANT.n_port), dtype=np.float32)}, "make it float64"),
    ("complex", {"p_mw": np.zeros((ROWS, PLANT.n_port), dtype=complex)}, "complex128; make it float64"),
    ("bool", {"p_mw": np.zeros((ROWS, PLANT.n_port), dtype=bool)}, "bool; make it float64"),
    ("objects", {"p_mw": np.zeros((ROWS, PLANT.n_port), dtype=object)}, "object; make it float64"),
    ("a subclass", {"p_mw": np.zeros((ROWS, PLANT.n_port)).view(Subclassed)}, "type Subclassed"),
    ("a masked array", {"p_mw": np.ma.zeros((ROWS, PLANT.n_port))}, "type MaskedArray"),
    ("NaN later on", {"p_mw": np.vstack([np.zeros((2, PLANT.n_port)), np.full(PLANT.n_port, np.nan)])}, "in row 2"),
    ("infinite", {"q_mvar": np.full((ROWS, PLANT.n_port), np.inf)}, "q_mvar is not finite in row 0"),
    ("float stations", {"position": np.zeros((ROWS, 1))}, "position is of type float64; make it int64"),
    ("no such station", {"position": np.full((ROWS, 1), 4)}, "position of T1 is 4 in row 0"),
    ("a negative station", {"position": np.full((ROWS, 1), -1)}, "0 to 3"),
    ("no prediction", {"prediction": {}}, "prediction is of type dict"),
    (
        "a short prediction",
        {"prediction": forced(fine().prediction, v_pu=np.ones((1, 2)))},
        "prediction.v_pu has shape",
    ),
    ("infinite cost", {"prediction": forced(fine().prediction, cost=np.full(ROWS, np.inf))}, "prediction.cost"),
    ("no cost terms", {"prediction": forced(fine().prediction, costs=[])}, "prediction.costs is of type list"),
    ("a number for a term", {"prediction": forced(fine().prediction, costs={3: np.zeros(ROWS)})}, "is of type int"),
    (
        "a short term",
        {"prediction": forced(fine().prediction, costs={"energy": np.zeros(1)})},
        "prediction.costs['energy'] has shape (1,)",
    ),
    (
        "a sum of other terms",
        {"prediction": forced(fine().prediction, costs={"energy": np.ones(ROWS)})},
        "prediction.cost is not the sum of prediction.costs",
    ),
    ("no outcome", {"solver": None}, "solver is of type NoneType; make it a SolverOutcome"),
    ("a text for a status", {"solver": forced(SolverOutcome(), status="optimal")}, "solver.status is of type str"),
    ("a text for a number", {"solver": forced(SolverOutcome(), gap="0.1")}, "solver.gap is of type str"),
    ("no text", {"solver": forced(SolverOutcome(), ended=3)}, "solver.ended is of type int; make it a str"),
    ("a text for a termination", {"solver": forced(SolverOutcome(), termination="rule")}, "make it a Termination"),
    ("a list of notes", {"solver": forced(SolverOutcome(), notes=[])}, "solver.notes must be a tuple of at most"),
    ("prose for a note", {"solver": forced(SolverOutcome(), notes=("late",))}, "solver.notes[0] is of type str"),
    ("surrogates", {"solver": forced(SolverOutcome(), ended="\ud800")}, "surrogates"),
    ("no memory", {"memory": None}, "memory is of type NoneType; make it a dict"),
    ("a numpy number", {"memory": {"last": np.int64(3)}}, "memory['last'] is of type int64"),
    ("a tuple", {"memory": {"a": [(1, 2)]}}, "memory['a'][0] is of type tuple"),
    ("a set", {"memory": {"a": {1}}}, "memory['a'] is of type set"),
    ("an object", {"memory": {"a": object()}}, "memory['a'] is of type object"),
    ("NaN", {"memory": {"a": float("nan")}}, "memory['a'] is nan"),
    ("a key that is no text", {"memory": {1: "a"}}, "memory has the key 1, which is no text"),
    ("a cycle", {"memory": {"a": endless()}}, "or contains itself"),
    ("too many digits", {"memory": {"a": 10**5000}}, "more than 64 bits"),
    ("too much", {"memory": {"a": "x" * MOST_MEMORY}}, "memory is larger than"),
    ("too many", {"memory": {"a": [0] * MOST_MEMORY}}, "memory is larger than"),
    ("surrogates in memory", {"memory": {"a": "\udfff"}}, "surrogates"),
]


@pytest.mark.parametrize(("wrong", "says"), [one[1:] for one in WRONG], ids=[one[0] for one in WRONG])
@pytest.mark.parametrize("clip", [False, True])
def test_a_plan_that_breaks_the_contract_is_a_failure_of_the_step(wrong: dict[str, Any], says: str, clip: bool) -> None:
    done = decided(forced(fine(), **wrong), clip=clip)
    assert says in done.failure
    assert f"({WHERE}, line " in done.failure
    assert "\n" not in done.failure
    assert done.fallback is Fallback.IDLE
    json.dumps(plan_to_json(done.plan), allow_nan=False)


def test_all_faults_are_named_but_not_more_than_a_few() -> None:
    with pytest.raises(ReturnedPlanError, match=r"q_mvar is not .*position of T1 is 9 .*solver is of"):
        nan = np.full((ROWS, PLANT.n_port), np.nan)
        checked_plan(PLANT, 4, forced(fine(), q_mvar=nan, position=np.full((ROWS, 1), 9), solver=0))


class Liar(Plan):
    """Says something else each time it is asked."""

    def __getattribute__(self, name: str) -> Any:
        value = super().__getattribute__(name)
        if name == "p_mw":
            calls = super().__getattribute__("memory")
            calls["calls"] = calls.get("calls", 0) + 1
            return value if calls["calls"] == 1 else None
        return value


def test_a_plan_is_read_once_so_that_it_cannot_change_its_mind() -> None:
    given = fine()
    done = decided(Liar(given.p_mw, given.q_mvar, given.position, memory={}))
    assert (done.failure, type(done.plan)) == ("", Plan)


class UnspeakableError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


def raising(error: BaseException) -> Callable[[], Any]:
    def made() -> Any:
        raise error

    return made


def generator() -> Iterator[Plan]:
    yield fine()


async def coroutine() -> Plan:
    return fine()


def recursion() -> Any:
    return recursion()


def noisy_numpy() -> Plan:
    np.seterr(all="raise")
    return fine()


ODD: list[tuple[Callable[[], Any], str]] = [
    (lambda: None, "plan() returned NoneType"),
    (lambda: 7, "plan() returned int"),
    (generator, "plan() returned generator"),
    (coroutine, "from a plan() without async and yield"),
    (recursion, "RecursionError"),
    (raising(MemoryError()), "the controller raised MemoryError ("),
    (raising(SystemExit(0)), "the controller raised SystemExit: 0"),
    (raising(GeneratorExit()), "GeneratorExit"),
    (raising(ValueError("two\nlines \x1b[31m \x00 \ud800")), "two lines \\x1b[31m \\x00 \\ud800"),
    (raising(ValueError("long " * 100_000)), "..."),
    (raising(UnspeakableError()), "UnspeakableError: (its text raised RuntimeError)"),
]


@pytest.mark.parametrize(("made", "says"), ODD, ids=[one[1] for one in ODD])
def test_whatever_plan_raises_is_a_failure_of_the_step(made: Callable[[], Any], says: str) -> None:
    done = decided(made)
    assert says in done.failure
    assert len(done.failure) < 5000
    assert done.failure.isprintable()
    assert done.fallback is Fallback.IDLE
    with pytest.raises(ControllerStoppedError):
        decided(made, OnFailure.STOP)


def test_an_interrupt_is_not_swallowed() -> None:
    with pytest.raises(KeyboardInterrupt):
        decided(raising(KeyboardInterrupt()))


def test_numpy_stays_as_it_was_set() -> None:
    before = np.geterr()
    assert decided(noisy_numpy).failure == ""
    assert np.geterr() == before


def test_what_a_controller_prints_goes_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    def talking() -> Plan:
        print("thinking")
        return fine()

    decided(talking)
    out, err = capsys.readouterr()
    assert (out, err) == ("", "thinking\n")


class ReadsTwo(Controller):
    """Returns a row for every step that it is given."""

    steps_read = 2

    def plan(self, observation: Observation, forecast: Forecast) -> Plan:
        assert len(forecast.congestion) == len(forecast.load_p_mw) == forecast.steps
        assert all(len(one) == forecast.steps for own in forecast.series.values() for one in own.values())
        return hold(self.plant, observation, forecast.steps)


class ReadsNothing(ReadsTwo):
    steps_read = 0


def test_a_controller_is_given_as_many_steps_as_it_reads() -> None:
    sample = two_feeders()
    for cls, steps in ((ReadsTwo, 2), (ReadsTwo, 1), (Idle, 4)):
        host = ControllerHost(sample.plant, cls(sample.plant, cls.Settings()), OnFailure.STOP)
        plan = host.decide(at_start(sample.plant), look_ahead(sample, 0, steps)).plan
        assert plan.steps == min(cls.steps_read, steps)
    host = ControllerHost(sample.plant, ReadsNothing(sample.plant, ReadsNothing.Settings()), OnFailure.STOP)
    with pytest.raises(ControllerStoppedError, match="steps_read = 0: must be a whole number from 1 on"):
        host.decide(at_start(sample.plant), look_ahead(sample, 0, 4))
