"""Check of a returned plan against the contract: arrays, solver outcome, memory.

What passes is a plan of its own: it shares nothing with the controller, and nobody can write to it.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from dataclasses import fields
from enum import StrEnum
from typing import Any, TypeVar

import numpy as np

from gridferry.controllers.contract import Note, NoteKind, Plan, Plant, Prediction, SolverOutcome, Status, Termination
from gridferry.networks.read_only import immutable

E = TypeVar("E", bound=StrEnum)

MOST_MEMORY = 1_000_000
"""largest memory of a plan, in characters of JSON about"""
_DEEPEST = 32
_MOST_NOTES = 1000
_MOST_TERMS = 1000
_FAULTS_SHOWN = 5


class ReturnedPlanError(Exception):
    """A returned plan breaks the contract; the message lists all faults, and the way out."""


def checked_plan(plant: Plant, steps: int, returned: object) -> Plan:
    """Return the host's own copy of what a controller returned.

    Parameters
    ----------
    steps : length of the forecast that it was planned for

    Raises
    ------
    ReturnedPlanError
    """
    if not isinstance(returned, Plan):
        if inspect.iscoroutine(returned):
            returned.close()  # else Python warns that nobody waited for it
        name = type(returned).__name__
        advice = (
            ", from a plan() without async and yield" if name in ("coroutine", "generator", "async_generator") else ""
        )
        raise ReturnedPlanError(f"plan() returned {name}; return a gridferry.controllers.contract.Plan{advice}")
    check = _Check()
    given = {one.name: getattr(returned, one.name) for one in fields(Plan)}
    rows = _rows(given["p_mw"], steps)
    if isinstance(rows, str):
        raise ReturnedPlanError(rows)
    p_mw = check.reals("p_mw", given["p_mw"], (rows, plant.n_port))
    q_mvar = check.reals("q_mvar", given["q_mvar"], (rows, plant.n_port))
    position = check.positions(given["position"], rows, plant)
    prediction = check.prediction(given["prediction"], plant, rows)
    solver = check.solver(given["solver"])
    memory = check.memory(given["memory"])
    if check.faults:
        more = len(check.faults) - _FAULTS_SHOWN
        shown = [*check.faults[:_FAULTS_SHOWN], *([f"and {more} more"] if more > 0 else [])]
        raise ReturnedPlanError("; ".join(shown))
    return Plan(p_mw=p_mw, q_mvar=q_mvar, position=position, prediction=prediction, solver=solver, memory=memory)


def _rows(p_mw: object, steps: int) -> int | str:
    """Number of rows of a plan, or what is wrong with it."""
    if type(p_mw) is not np.ndarray:
        return f"p_mw is of type {type(p_mw).__name__}; make it a numpy array"
    if p_mw.ndim != 2:
        return f"p_mw has shape {p_mw.shape}; it must have rows, one for a step, and columns, one for a port"
    if not 1 <= len(p_mw) <= steps:
        return f"p_mw has {len(p_mw)} rows for a forecast of {steps} steps; return 1 to that many"
    return len(p_mw)


class _Check:
    """Checker that copies a plan's parts and collects faults; its results are valid only without faults."""

    def __init__(self) -> None:
        self.faults: list[str] = []

    def reals(self, name: str, given: object, shape: tuple[int, ...], *, nan: bool = False) -> np.ndarray:
        array = self._array(name, given, shape, "float64")
        wrong = np.isinf(array) if nan else ~np.isfinite(array)
        if wrong.any():
            row = int(np.argwhere(wrong)[0][0])
            self.faults.append(f"{name} is not finite in row {row}; raise ControllerError where there is no plan")
        return array

    def positions(self, given: object, rows: int, plant: Plant) -> np.ndarray:
        array = self._array("position", given, (rows, len(plant.positions)), "int64")
        labels = np.array([len(one.labels) for one in plant.positions], dtype=np.int64)
        wrong = (array < 0) | (array >= labels)
        if wrong.any():
            row, column = (int(one) for one in np.argwhere(wrong)[0])
            self.faults.append(
                f"position of {plant.positions[column].name} is {int(array[row, column])} in row {row}; it must be an "
                f"index into its labels, 0 to {labels[column] - 1}"
            )
        return array

    def _array(self, name: str, given: object, shape: tuple[int, ...], kind: str) -> np.ndarray:
        """Copy an array, so that later changes by its owner have no effect."""
        fault = ""
        if type(given) is not np.ndarray:
            fault = f"{name} is of type {type(given).__name__}; make it a numpy array"
        elif given.shape != shape:
            fault = f"{name} has shape {given.shape}; it must be {shape}"
        elif given.dtype != np.dtype(kind):
            fault = f"{name} is of type {given.dtype}; make it {kind}"
        else:
            return immutable(given)
        self.faults.append(fault)
        return np.zeros(shape, dtype=kind)

    def prediction(self, given: object, plant: Plant, rows: int) -> Prediction | None:
        if given is None:
            return None
        if not isinstance(given, Prediction):
            self.faults.append(f"prediction is of type {type(given).__name__}; make it a Prediction, or None")
            return None
        shapes = {
            "v_pu": (rows, plant.n_bus),
            "p_branch_mw": (rows, plant.n_branch),
            "q_branch_mvar": (rows, plant.n_branch),
            "import_mw": (rows, len(plant.feeders)),
            "losses_mw": (rows, len(plant.feeders)),
            "energy_mwh": (rows + 1, len(plant.stores)),
            "cost": (rows,),
        }
        taken = {
            name: self.reals(f"prediction.{name}", getattr(given, name), shape, nan=True)
            for name, shape in shapes.items()
        }
        return Prediction(**taken, costs=self._costs(given.costs, taken["cost"]))

    def _costs(self, given: object, cost: np.ndarray) -> Mapping[str, np.ndarray]:
        """Copy the cost terms, whose sum is the cost."""
        if not isinstance(given, Mapping):
            self.faults.append(f"prediction.costs is of type {type(given).__name__}; make it a dict")
            return {}
        if len(given) > _MOST_TERMS:
            self.faults.append(f"prediction.costs has {len(given)} terms; {_MOST_TERMS} are the most")
            return {}
        faults = [fault for name in given if (fault := _text_fault(name))]
        if faults:
            self.faults.append(f"a key of prediction.costs {faults[0]}")
            return {}
        taken = {
            str(name): self.reals(f"prediction.costs[{name!r:.40}]", one, cost.shape, nan=True)
            for name, one in given.items()
        }
        if taken and not np.allclose(np.sum(list(taken.values()), axis=0), cost, rtol=1e-9, atol=1e-9, equal_nan=True):
            self.faults.append("prediction.cost is not the sum of prediction.costs; make it that")
        return taken

    def solver(self, given: object) -> SolverOutcome:
        if not isinstance(given, SolverOutcome):
            self.faults.append(f"solver is of type {type(given).__name__}; make it a SolverOutcome")
            return SolverOutcome()
        status = self._member("solver.status", given.status, Status.RULE)
        numbers = {
            name: self._number(f"solver.{name}", getattr(given, name))
            for name in ("objective", "bound", "gap", "cone_gap", "seconds", "reference")
        }
        return SolverOutcome(
            status=status,
            ended=self._text("solver.ended", given.ended),
            termination=self._member("solver.termination", given.termination, Termination.UNKNOWN),
            notes=self._notes(given.notes),
            **numbers,
        )

    def _notes(self, given: object) -> tuple[Note, ...]:
        if not isinstance(given, tuple) or len(given) > _MOST_NOTES:
            self.faults.append(f"solver.notes must be a tuple of at most {_MOST_NOTES} notes")
            return ()
        taken = []
        for i, one in enumerate(given):
            if isinstance(one, Note):
                kind = self._member(f"solver.notes[{i}].kind", one.kind, NoteKind.ROUNDS)
                value = self._number(f"solver.notes[{i}].value", one.value)
                taken.append(Note(kind, value, self._text(f"solver.notes[{i}].place", one.place)))
            else:
                self.faults.append(f"solver.notes[{i}] is of type {type(one).__name__}; make it a Note")
        return tuple(taken)

    def _member(self, name: str, given: object, otherwise: E) -> E:
        if isinstance(given, type(otherwise)):
            return given
        self.faults.append(f"{name} is of type {type(given).__name__}; make it a {type(otherwise).__name__}")
        return otherwise

    def _number(self, name: str, given: object) -> float:
        if isinstance(given, (float, int)) and not isinstance(given, bool):
            try:
                return float(given)
            except OverflowError:
                pass
        self.faults.append(f"{name} is of type {type(given).__name__}; make it a float, NaN where it is not known")
        return math.nan

    def _text(self, name: str, given: object) -> str:
        fault = _text_fault(given)
        if fault:
            self.faults.append(f"{name} {fault}")
            return ""
        return str(given)

    def memory(self, given: object) -> Mapping[str, Any]:
        if not isinstance(given, Mapping):
            self.faults.append(f"memory is of type {type(given).__name__}; make it a dict")
            return {}
        try:
            taken: dict[str, Any] = _Plain().value("memory", given, 0)
        except ReturnedPlanError as error:
            self.faults.append(str(error))
            return {}
        return taken


class _Plain:
    """Copier of JSON values; raises `ReturnedPlanError` for the first value that is none."""

    def __init__(self) -> None:
        self._size = 0

    def value(self, name: str, given: object, depth: int) -> Any:
        self._add(2)
        if given is None or isinstance(given, bool):
            return given
        if isinstance(given, str):
            self._add(len(given))
            if fault := _text_fault(given):
                raise ReturnedPlanError(f"{name} {fault}")
            return str(given)
        if isinstance(given, int):
            if abs(given) >= 2**63:
                raise ReturnedPlanError(f"{name} has more than 64 bits; keep it as text")
            self._add(20)
            return int(given)
        if isinstance(given, float):
            if not math.isfinite(given):
                raise ReturnedPlanError(f"{name} is {float(given)}; keep plain numbers that are finite, or None")
            self._add(20)
            return float(given)
        if depth >= _DEEPEST:
            raise ReturnedPlanError(f"memory is nested more than {_DEEPEST} deep, or contains itself; make it flatter")
        if isinstance(given, list):
            return [self.value(f"{name}[{i}]", one, depth + 1) for i, one in enumerate(given)]
        if isinstance(given, Mapping):
            return self._mapping(name, given, depth)
        way = "keep plain numbers, strings, None, lists and dicts"
        raise ReturnedPlanError(f"{name} is of type {type(given).__name__}, which JSON has no value for; {way}")

    def _mapping(self, name: str, given: Mapping[Any, Any], depth: int) -> dict[str, Any]:
        taken = {}
        for key, one in given.items():
            if type(key) is not str:
                raise ReturnedPlanError(f"{name} has the key {key!r:.40}, which is no text; use text keys")
            if fault := _text_fault(key):
                raise ReturnedPlanError(f"a key of {name} {fault}")
            self._add(len(key))
            taken[key] = self.value(f"{name}[{key!r:.40}]", one, depth + 1)
        return taken

    def _add(self, size: int) -> None:
        self._size += size
        if self._size > MOST_MEMORY:
            raise ReturnedPlanError(f"memory is larger than {MOST_MEMORY} characters; keep less")


def _text_fault(given: object) -> str:
    if not isinstance(given, str):
        return f"is of type {type(given).__name__}; make it a str"
    if len(given) > MOST_MEMORY:
        return f"is longer than {MOST_MEMORY} characters; keep less"
    try:
        given.encode("utf-8")
    except UnicodeEncodeError:
        return "is no text that UTF-8 can hold; replace its surrogates"
    return ""
