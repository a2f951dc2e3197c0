"""Plans as strict JSON and back, exactly; for mosaik and for checkpoints.

Numbers are JSON numbers; the ones JSON has no word for are the strings ``"NaN"``, ``"Infinity"`` and ``"-Infinity"``,
so that every JSON reader takes the text, and ``float`` (hence numpy) reads them back. `Plan.memory` passes unchanged.
"""

from __future__ import annotations

import math
from dataclasses import fields
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from gridferry.controllers.contract import Note, NoteKind, Plan, Prediction, SolverOutcome, Status, Termination

_PREDICTED = tuple(one.name for one in fields(Prediction) if one.name != "costs")


def plan_to_json(plan: Plan) -> dict[str, Any]:
    """Return the plan as dicts, lists, numbers and strings that ``json.dumps(..., allow_nan=False)`` accepts."""
    solver = plan.solver
    return {
        "p_mw": _rows(plan.p_mw),
        "q_mvar": _rows(plan.q_mvar),
        "position": plan.position.tolist(),
        "prediction": None if plan.prediction is None else _prediction_to_json(plan.prediction),
        "solver": {
            "status": solver.status.value,
            "ended": solver.ended,
            "objective": _number(solver.objective),
            "bound": _number(solver.bound),
            "gap": _number(solver.gap),
            "cone_gap": _number(solver.cone_gap),
            "seconds": _number(solver.seconds),
            "reference": _number(solver.reference),
            "termination": solver.termination.value,
            "notes": [
                {"kind": note.kind.value, "value": _number(note.value), "place": note.place} for note in solver.notes
            ],
        },
        "memory": dict(plan.memory),
    }


def plan_from_json(data: dict[str, Any]) -> Plan:
    """Return the plan that `plan_to_json` wrote, bit for bit; its arrays are read-only."""
    prediction = data["prediction"]
    position: Int[np.ndarray, "horizon position"] = np.array(data["position"], dtype=np.int64)
    position.setflags(write=False)
    return Plan(
        p_mw=_array(data["p_mw"]),
        q_mvar=_array(data["q_mvar"]),
        position=position,
        prediction=None if prediction is None else _prediction_from_json(prediction),
        solver=outcome_from_json(data["solver"]),
        memory=dict(data["memory"]),
    )


def outcome_from_json(solver: dict[str, Any]) -> SolverOutcome:
    """Return the solver's outcome of a plan that `plan_to_json` wrote."""
    return SolverOutcome(
        status=Status(solver["status"]),
        ended=solver["ended"],
        objective=float(solver["objective"]),
        bound=float(solver["bound"]),
        gap=float(solver["gap"]),
        cone_gap=float(solver["cone_gap"]),
        seconds=float(solver["seconds"]),
        reference=float(solver["reference"]),
        termination=Termination(solver["termination"]),
        notes=tuple(Note(NoteKind(one["kind"]), float(one["value"]), one["place"]) for one in solver["notes"]),
    )


def _prediction_to_json(prediction: Prediction) -> dict[str, Any]:
    costs = {name: _rows(term) for name, term in prediction.costs.items()}
    return {**{name: _rows(getattr(prediction, name)) for name in _PREDICTED}, "costs": costs}


def _prediction_from_json(data: dict[str, Any]) -> Prediction:
    costs = {name: _array(term) for name, term in data["costs"].items()}
    return Prediction(**{name: _array(data[name]) for name in _PREDICTED}, costs=costs)


def _rows(values: Float[np.ndarray, "*axes"]) -> list[Any]:
    rows: list[Any] = values.tolist()
    return rows if np.isfinite(values).all() else _spelt(rows)


def _spelt(rows: list[Any]) -> list[Any]:
    return [_spelt(one) if isinstance(one, list) else _number(one) for one in rows]


def _number(value: float) -> float | str:
    if math.isfinite(value):
        return float(value)
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _array(rows: list[Any]) -> Float[np.ndarray, "*axes"]:
    values: Float[np.ndarray, "*axes"] = np.array(rows, dtype=np.float64)
    values.setflags(write=False)
    return values
