"""Violations of limits by a solution, as notes and as text; constraints that exclude each other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from gridferry.controllers import tolerances
from gridferry.controllers.contract import Note, NoteKind
from gridferry.controllers.model import distflow
from gridferry.controllers.model.dispatch_model import IMPLIED, DispatchModel
from gridferry.controllers.model.networks import Limits
from gridferry.controllers.model.objective import linear, secant
from gridferry.controllers.solve import SolveOptions, conflicts


@dataclass(frozen=True)
class Violation:
    """Violation of a limit.

    Attributes
    ----------
    note : what it is, where and when, and by how much
    words : the same for an error, with the limit
    """

    note: Note
    words: str


def violations(model: DispatchModel, limits: Limits) -> list[Violation]:
    """Return the largest violation of each kind: of voltages, the larger one first, then of ratings and devices."""
    every = [*_of_networks(model, limits), *_of_devices(model)]
    worst: dict[NoteKind, Violation] = {}
    for one in every:
        if one.note.kind not in worst or one.note.value > worst[one.note.kind].note.value:
            worst[one.note.kind] = one
    return sorted(worst.values(), key=lambda one: (_RANK[one.note.kind], -one.note.value))


_SAME = 1e-7
"""violations on the one scale that differ by less are the same"""
_NAMED = 3
"""so many constraints that exclude each other are named"""
_RANK = {
    NoteKind.VIOLATED_V_LOW: 0,
    NoteKind.VIOLATED_V_HIGH: 0,
    NoteKind.VIOLATED_LOADING: 1,
    NoteKind.VIOLATED_EXCHANGE: 1,
    NoteKind.VIOLATED_ENERGY: 2,
    NoteKind.VIOLATED_OTHER: 3,
}


def _of_networks(model: DispatchModel, limits: Limits) -> Iterator[Violation]:
    for number, name in enumerate(model.networks):
        yield from _voltages(model, limits, number, name)
        yield from _ratings(model, limits, number, name)
        yield from _exchange(model, number, name)


def _voltages(model: DispatchModel, limits: Limits, number: int, name: str) -> Iterator[Violation]:
    feeder, buses = model.plant.feeders[number], model.plant.bus_slices[number]
    others = distflow.away_from_slack(feeder)
    for key, kind in (("lower_voltage", NoteKind.VIOLATED_V_LOW), ("upper_voltage", NoteKind.VIOLATED_V_HIGH)):
        by = model.soft[f"{name}: {key}"].violation()
        if by.max(initial=0.0) <= tolerances.VOLTAGE_PU:
            continue
        low = kind is NoteKind.VIOLATED_V_LOW
        t, column = _worst(by)
        bus = int(others[column])
        edge = feeder.v_min_pu[bus] if low else feeder.v_max_pu[bus]
        limit = np.sqrt((limits.v_low_sq if low else limits.v_high_sq)[t, buses][bus])
        margin = limit - edge if low else edge - limit
        where = f"bus {feeder.bus_names[bus]} of {name} at step {model.observation.step + t}"
        words = f"{where}: the voltage stays {by[t, column]:.4g} pu {'below' if low else 'above'}"
        words += f" its limit of {edge:.4g} pu"
        if margin > tolerances.VOLTAGE_PU:
            words += f" {'raised' if low else 'lowered'} by the margin of {margin:.4g} pu"
        yield Violation(Note(kind, float(by[t, column]), where), words)


def _ratings(model: DispatchModel, limits: Limits, number: int, name: str) -> Iterator[Violation]:
    feeder, branches = model.plant.feeders[number], model.plant.branch_slices[number]
    for one in model.networks[name].currents:
        soft = model.soft[f"{name}: {one.name}"]
        over = soft.relative(soft.lacking())
        if over.max(initial=0.0) <= tolerances.LOADING:
            continue
        t, column = _worst(over)
        branch = one.branch[column]
        where = f"branch {feeder.branch_names[branch]} of {name} at step {model.observation.step + t}"
        limit = 100 * feeder.loading_max[branch]
        margin = limit - 100 * limits.rating[t, branches][branch]
        words = f"{where}: its current is {100 * over[t, column]:.3g} % above its rating"
        if limit != 100.0 or margin > 100 * tolerances.LOADING:
            words = f"{where}: its loading stays {100 * over[t, column]:.3g} % above its limit of {limit:.4g} %"
        if margin > 100 * tolerances.LOADING:
            words += f" lowered by the margin of {margin:.3g} %"
        yield Violation(Note(NoteKind.VIOLATED_LOADING, float(over[t, column]), where), words)


def _exchange(model: DispatchModel, number: int, name: str) -> Iterator[Violation]:
    feeder = model.plant.feeders[number]
    for key, most in (("import", feeder.import_max_mw), ("export", feeder.export_max_mw)):
        soft = model.soft.get(f"{name}: {key}_limit")
        if soft is None or soft.relative(soft.lacking()).max() <= tolerances.LOADING:
            continue
        by = soft.violation()
        t = int(by.argmax())
        where = f"{key} of {name} at step {model.observation.step + t}"
        words = f"{where}: it stays {by[t]:.4g} MW above its limit of {most:.4g} MW"
        yield Violation(Note(NoteKind.VIOLATED_EXCHANGE, float(by[t]), where), words)


def _of_devices(model: DispatchModel) -> Iterator[Violation]:
    for device in model.plant.devices:
        for key, one in model.blocks[device.key].soft.items():
            violated = one.violation()
            row = int(np.argmax(violated))
            by = float(violated[row])
            if by <= tolerances.ENERGY_DUE_MWH:
                continue
            at = f"at the end of step {model.observation.step + int(one.step[row])}"
            who = f"{device.port_kind} {device.name}"
            energy = one.unit == "MWh"
            kind = NoteKind.VIOLATED_ENERGY if energy else NoteKind.VIOLATED_OTHER
            place = f"{who} {at}" if energy else f"{who}, {key}{f' [{one.unit}]' if one.unit else ''}, {at}"
            size = f" by {by:.4g} {one.unit}" if one.unit else ""
            yield Violation(Note(kind, by, place), f"{who} {one.words} {at}{size}")


def _worst(by: Float[np.ndarray, "horizon column"]) -> tuple[int, int]:
    t, column = (int(i) for i in np.unravel_index(np.argmax(by), by.shape))
    return t, column


def largest_violation(model: DispatchModel) -> float:
    """Largest violation of a soft limit by a solution, on the one scale."""
    return max((float(one.relative(one.lacking()).max(initial=0.0)) for one in model.soft.values()), default=0.0)


def total_violation(model: DispatchModel, largest: float) -> float:
    """Sum of the violations by a solution, by the secants that a model has that allows violations up to the largest."""
    return sum(float((one.lacking() / secant(one, largest)).sum()) for one in model.soft.values())


def is_largest_least(model: DispatchModel) -> bool:
    """Whether linearising squares does not matter for the least largest violation that a solution has.

    That is so where the limits that bind allow the same on the one scale.
    """
    near, every = model.options.largest, list(model.soft.values())
    linearised = [near + (one.lacking() - one.lacks(near)) / linear(one, near) for one in every]
    largest = max((float(one.max(initial=0.0)) for one in linearised), default=0.0)
    binding = [
        one.relative(one.lacks(near) + linear(one, near) * (largest - near))[by >= largest - tolerances.SAME_VIOLATION]
        for one, by in zip(every, linearised, strict=True)
    ]
    allowed = np.concatenate([np.zeros(0), *binding])
    return not allowed.size or float(np.ptp(allowed)) <= _SAME


def conflicting(model: DispatchModel, options: SolveOptions | None = None) -> list[str]:
    """Name the constraints that exclude each other where a model has no solution, the worst first, with their steps."""
    laws = {name for name in model.constraints if name.split(":")[0] in model.networks}
    given = {name: part for name, part in model.constraints.items() if not name.endswith(IMPLIED)}
    found = conflicts(given, model.binaries, laws, options)[:_NAMED]
    first = model.observation.step
    at = [f" at step {first + one.row}" if one.rows == model.horizon else "" for one in found]
    return [f"{one.name}{step} by {one.by:.4g}" for one, step in zip(found, at, strict=True)]
