"""Whatever a controller returns or raises, the step gets a plan, and the run ends with a summary."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridferry.controllers.conformance.sample_plants import at_start, look_ahead, two_feeders
from gridferry.controllers.contract import (
    Controller,
    Forecast,
    Note,
    NoteKind,
    Observation,
    Plan,
    Prediction,
    SolverOutcome,
    hold,
)
from gridferry.controllers.plans.plan_json import plan_to_json
from gridferry.controllers.plans.returned_plan import MOST_MEMORY, ReturnedPlanError, checked_plan
from gridferry.sim.config.schema import OnFailure
from gridferry.sim.host.host import ControllerHost, ControllerStoppedError, Dispatch, Fallback
from gridferry.sim.loop.runner import run

SAMPLE = two_feeders()
PLANT = SAMPLE.plant
ROWS = 3


def forced(given: Any, **values: Any) -> Any:
    """Set fields of a frozen dataclass past its constructor, as a plug-in can that runs without our checks."""
    for name, value in values.items():
        object.__setattr__(given, name, value)
    return given


def fine() -> Plan:
    """A plan with everything in it that a plan may have."""
    expected = Prediction(
        v_pu=np.ones((ROWS, PLANT.n_bus)),
        p_branch_mw=np.zeros((ROWS, PLANT.n_branch)),
        q_branch_mvar=np.zeros((ROWS, PLANT.n_branch)),
        import_mw=np.zeros((ROWS, 2)),
        losses_mw=np.zeros((ROWS, 2)),
        energy_mwh=np.ones((ROWS + 1, len(PLANT.stores))),
        cost=np.zeros(ROWS),
        costs={"energy": np.arange(ROWS) + 0.1, "wear": -0.1 - np.arange(ROWS)},
    )
    memory = {"rows": [[1, 2.5, None], {"a": True}], "text": "ä"}
    return replace(hold(PLANT, at_start(PLANT), ROWS), prediction=expected, memory=memory)


class Returning(Controller):
    """Returns what it is told to return, or calls it."""

    made: Any

    def plan(self, observation: Observation, forecast: Forecast) -> Plan:
        return self.made() if callable(self.made) else self.made


def decided(made: Any, on_failure: OnFailure = OnFailure.IDLE, *, clip: bool = False) -> Dispatch:
    controller = Returning(PLANT, Returning.Settings())
    controller.made = made
    host = ControllerHost(PLANT, controller, on_failure, clip=clip)
    return host.decide(at_start(PLANT), look_ahead(SAMPLE, 0, 4))


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
    assert f"({__file__}, line " in done.failure
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
    (raising(UnspeakableError()), "UnspeakableError: (saying what it is raised RuntimeError)"),
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


# ---------------------------------------------------------------------------------------------------------------- fuzz

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.complex_numbers(),
    st.text(),
    st.binary(max_size=8),
    st.builds(object),
    st.sampled_from([np.int64(1), np.float32(0.5), np.bool_(True), np.nan, Plan, sys, lambda: 0, 1 << 80, ...]),
)
ARRAYS = st.builds(
    lambda shape, kind, fill: np.full(shape, fill).astype(kind),
    st.lists(st.integers(0, 6), max_size=3).map(tuple),
    st.sampled_from(["f8", "f4", ">f8", "i8", "i4", "u1", "?", "c16", "O", "S3", "U2"]),
    st.sampled_from([0, 1, 9]),
)
ANYTHING = st.recursive(
    SCALARS | ARRAYS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.tuples(inner, inner),
        st.frozensets(st.integers(), max_size=2),
        st.dictionaries(st.text(max_size=3) | st.integers() | st.none(), inner, max_size=3),
    ),
    max_leaves=6,
)
FIELDS = ("p_mw", "q_mvar", "position", "prediction", "solver", "memory")


@given(st.dictionaries(st.sampled_from(FIELDS), ANYTHING, max_size=3), st.booleans())
def test_anything_in_the_fields_of_a_plan_gives_a_plan_that_can_be_recorded(wrong: dict[str, Any], clip: bool) -> None:
    done = decided(forced(fine(), **wrong), clip=clip)
    text = json.dumps(plan_to_json(done.plan), allow_nan=False)
    assert json.loads(text)["position"]
    assert done.failure.isprintable()


@given(
    st.dictionaries(st.sampled_from(["v_pu", "import_mw", "energy_mwh", "cost", "costs"]), ANYTHING, max_size=2),
    st.dictionaries(
        st.sampled_from([one.name for one in fields(SolverOutcome)]),
        ANYTHING
        | st.builds(lambda kind, place: (forced(Note(NoteKind.ROUNDS), kind=kind, place=place),), SCALARS, SCALARS),
        max_size=2,
    ),
)
def test_anything_in_what_a_plan_predicts_and_says_gives_a_plan_that_can_be_recorded(
    expected: dict[str, Any], said: dict[str, Any]
) -> None:
    wrong = forced(fine(), solver=forced(SolverOutcome(), **said))
    forced(wrong.prediction, **expected)
    json.dumps(plan_to_json(decided(wrong).plan), allow_nan=False)


# ---------------------------------------------------------------------------------------------------------- closed loop

CASE = """
name = "odd"

[time]
start = 2024-06-03T00:00:00
step_s = 3600
steps = 24

[[networks]]
name = "dn"
feeder = "three_bus"

[[loads]]
network = "dn"
factor = 0.5

[[stations]]
name = "A"
network = "dn"
bus = "2"

[[stations]]
name = "B"
network = "dn"
bus = "3"

[[trucks]]
name = "T"
station = "A"
energy_mwh = 4.0
p_max_mw = 1.0

[roads]
distance_km = [[0, 10], [10, 0]]
speed_km_h = 40.0

[controller]
use = "odd.py:Odd"
on_failure = "idle"
"""
ODD_CONTROLLER = '''
import sys
from dataclasses import fields, replace

import numpy as np

from gridferry.controllers import Controller, SolverOutcome, hold


def forced(given, **values):
    for name, value in values.items():
        object.__setattr__(given, name, value)
    return given


def cycle():
    loop = {}
    loop["a"] = loop
    return loop


class Odd(Controller):
    """Breaks the contract in another way in every step."""

    def plan(self, observation, forecast):
        print("{not json")
        plan = hold(self.plant, observation)
        odd = [
            lambda: forced(plan, position=plan.position.astype(float)),
            lambda: forced(plan, position=plan.position + 7),
            lambda: forced(plan, memory={"last": np.int64(1)}),
            lambda: forced(plan, memory=cycle()),
            lambda: forced(plan, memory={"a": (1, {2})}),
            lambda: forced(plan, memory={1: float("inf")}),
            lambda: forced(plan, p_mw=plan.p_mw.astype(object)),
            lambda: forced(plan, p_mw=plan.p_mw.tolist()),
            lambda: forced(plan, solver=SolverOutcome),
            lambda: forced(plan, solver=forced(SolverOutcome(), bound="low", ended=None)),
            lambda: forced(plan, prediction=plan),
            lambda: sys.exit(0),
            lambda: sys.exit("\\ud800"),
            lambda: (lambda again: again(again))(lambda again: again(again)),
            lambda: (_ for _ in ()),
            lambda: self.plant.roads.distance_km.fill(0.0),
            lambda: object.__setattr__(self.plant, "stations", ()),
            lambda: self.plant.__dict__.update(port_p_max_mw=np.full(1, 1e9)) or forced(plan, p_mw=plan.p_mw + 50.0),
            lambda: forecast.buy_price.setflags(write=True),
            lambda: np.seterr(all="raise") and plan,
        ]
        return odd[observation.step % len(odd)]()
'''


def test_a_run_under_a_controller_that_breaks_every_rule_ends_with_a_summary(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "case.toml").write_text(CASE)
    (tmp_path / "odd.py").write_text(ODD_CONTROLLER)
    done = run(tmp_path / "case.toml", out=tmp_path / "out")
    idle = run(tmp_path / "case.toml", controller="idle", out=tmp_path / "idle")
    step = done.table("step")
    assert len(step) == 24
    assert (step["fallback"] == "idle").sum() == done.summary["solver"]["fallbacks"] == 23
    assert step.loc[step["fallback"] == "idle", "failure"].str.contains(r"odd\.py, line \d+").sum() >= 20
    assert done.table("bus")["v_pu"].tolist() == idle.table("bus")["v_pu"].tolist()
    assert capsys.readouterr().out == ""
