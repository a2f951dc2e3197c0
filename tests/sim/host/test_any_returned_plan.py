"""Whatever a controller returns, a plan that can be recorded is dispatched: fuzz, and a run that breaks every rule."""

from __future__ import annotations

import json
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cases.returned_plans import decided, fine, forced
from gridferry.controllers.contract import (
    Note,
    NoteKind,
    Plan,
    SolverOutcome,
)
from gridferry.controllers.plans.plan_json import plan_to_json
from gridferry.sim.loop.runner import run

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
