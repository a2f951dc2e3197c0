"""Plans survive the trip through JSON text unchanged."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gridferry.controllers.contract import Note, NoteKind, Plan, Prediction, SolverOutcome, Status, Termination
from gridferry.controllers.plans.plan_json import plan_from_json, plan_to_json

any_float = st.floats(width=64)


def there_and_back(plan: Plan) -> Plan:
    text = json.dumps(plan_to_json(plan), allow_nan=False)
    return plan_from_json(json.loads(text))


def same(a: np.ndarray, b: np.ndarray) -> bool:
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    rows, devices, trucks, buses = (draw(st.integers(low, 4)) for low in (1, 0, 0, 1))

    def floats(*shape: int) -> np.ndarray:
        drawn = draw(hnp.arrays(np.float64, shape, elements=any_float))
        return np.where(np.isnan(drawn), np.nan, drawn)  # one NaN: JSON knows no payloads

    prediction = Prediction(
        v_pu=floats(rows, buses),
        p_branch_mw=floats(rows, buses - 1),
        q_branch_mvar=floats(rows, buses - 1),
        import_mw=floats(rows, 1),
        losses_mw=floats(rows, 1),
        energy_mwh=floats(rows + 1, devices),
        cost=floats(rows),
        costs={name: floats(rows) for name in draw(st.lists(st.text(), max_size=2, unique=True))},
    )
    # past the constructor: beartype looks at a random item of a tuple, and hypothesis wants nothing random here
    message: dict[str, Any] = {one.name: draw(any_float) for one in fields(SolverOutcome) if one.type == "float"}
    message |= {"status": draw(st.sampled_from(Status)), "ended": draw(st.text())}
    message |= {"termination": draw(st.sampled_from(Termination))}
    message["notes"] = tuple(
        draw(st.lists(st.builds(Note, st.sampled_from(NoteKind), any_float, st.text()), max_size=3))
    )
    solver = object.__new__(SolverOutcome)
    for name, value in message.items():
        object.__setattr__(solver, name, value)
    return Plan(
        p_mw=floats(rows, devices),
        q_mvar=floats(rows, devices),
        position=draw(hnp.arrays(np.int64, (rows, trucks))),
        prediction=draw(st.sampled_from([None, prediction])),
        solver=solver,
        memory={"numbers": [draw(st.floats(allow_nan=False, allow_infinity=False)), 3], "said": draw(st.text())},
    )


@settings(max_examples=100, deadline=None)
@given(plans())
def test_every_plan_comes_back_bit_for_bit_from_strict_json(plan: Plan) -> None:
    back = there_and_back(plan)
    assert same(plan.p_mw, back.p_mw)
    assert same(plan.q_mvar, back.q_mvar)
    assert same(plan.position, back.position)
    assert (plan.prediction is None) == (back.prediction is None)
    if plan.prediction is not None and back.prediction is not None:
        for name in (one.name for one in fields(Prediction) if one.name != "costs"):
            assert same(getattr(plan.prediction, name), getattr(back.prediction, name)), name
        assert list(plan.prediction.costs) == list(back.prediction.costs)
        for name, term in plan.prediction.costs.items():
            assert same(term, back.prediction.costs[name]), name
    for one in fields(SolverOutcome):
        before, now = getattr(plan.solver, one.name), getattr(back.solver, one.name)
        assert type(before) is type(now)
        assert before == now or repr(before) == repr(now), one.name
    assert back.memory == plan.memory


def test_a_plan_read_from_json_cannot_be_written_to() -> None:
    back = there_and_back(Plan(np.zeros((1, 2)), np.zeros((1, 2)), np.zeros((1, 1), dtype=np.int64)))
    assert not any(values.flags.writeable for values in (back.p_mw, back.q_mvar, back.position))
