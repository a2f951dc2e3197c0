"""Violations of limits by a solution, as notes and as text; constraints that exclude each other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from gridferry.controllers import tolerances
from gridferry.controllers.contract import Note, NoteKind
from gridferry.controllers.model import distflow
from gridferry.controllers.model.dispatch_model import DispatchModel
from gridferry.controllers.model.networks import Limits
from gridferry.controllers.solve import conflicts


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


_NAMED = 3
"""so many constraints that exclude each other are named"""
_RANK = {
    NoteKind.VIOLATED_V_LOW: 0,
    NoteKind.VIOLATED_V_HIGH: 0,
    NoteKind.VIOLATED_LOADING: 1,
    NoteKind.VIOLATED_ENERGY: 2,
    NoteKind.VIOLATED_OTHER: 3,
}


def _of_networks(model: DispatchModel, limits: Limits) -> Iterator[Violation]:
    for number, name in enumerate(model.networks):
        yield from _voltages(model, limits, number, name)
        yield from _ratings(model, limits, number, name)


def _voltages(model: DispatchModel, limits: Limits, number: int, name: str) -> Iterator[Violation]:
    feeder, buses = model.plant.feeders[number], model.plant.bus_slices[number]
    others = distflow.away_from_slack(feeder)
    low_sq, high_sq = limits.v_low_sq[:, buses][:, others], limits.v_high_sq[:, buses][:, others]
    below = np.sqrt(low_sq) - np.sqrt(np.maximum(low_sq - model.soft[f"{name}: lower_voltage"].violation(), 0.0))
    above = np.sqrt(high_sq + model.soft[f"{name}: upper_voltage"].violation()) - np.sqrt(high_sq)
    for by, kind in ((below, NoteKind.VIOLATED_V_LOW), (above, NoteKind.VIOLATED_V_HIGH)):
        if by.max(initial=0.0) <= tolerances.VOLTAGE_PU:
            continue
        low = kind is NoteKind.VIOLATED_V_LOW
        t, column = _worst(by)
        bus = int(others[column])
        edge = feeder.v_min_pu[bus] if low else feeder.v_max_pu[bus]
        margin = np.sqrt(low_sq[t, column]) - edge if low else edge - np.sqrt(high_sq[t, column])
        where = f"bus {feeder.bus_names[bus]} of {name} at step {model.observation.step + t}"
        words = f"{where}: the voltage stays {by[t, column]:.4g} pu {'below' if low else 'above'}"
        words += f" its limit of {edge:.4g} pu"
        if margin > tolerances.VOLTAGE_PU:
            words += f" {'raised' if low else 'lowered'} by the margin of {margin:.4g} pu"
        yield Violation(Note(kind, float(by[t, column]), where), words)


def _ratings(model: DispatchModel, limits: Limits, number: int, name: str) -> Iterator[Violation]:
    feeder, branches = model.plant.feeders[number], model.plant.branch_slices[number]
    rating = limits.rating[:, branches]
    for one in model.networks[name].currents:
        share = rating[:, one.branch]
        violated = model.soft[f"{name}: {one.name}"].violation() / feeder.i_max_pu[one.branch] ** 2
        over = np.sqrt(share**2 + violated) - share
        if over.max(initial=0.0) <= tolerances.LOADING:
            continue
        t, column = _worst(over)
        where = f"branch {feeder.branch_names[one.branch[column]]} of {name} at step {model.observation.step + t}"
        words = f"{where}: its current is {100 * over[t, column]:.3g} % above its rating"
        yield Violation(Note(NoteKind.VIOLATED_LOADING, float(over[t, column]), where), words)


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
            place = f"{who} {at}" if energy else f"{who}, {key} [{one.unit}], {at}"
            yield Violation(Note(kind, by, place), f"{who} {one.words} {at} by {by:.4g} {one.unit}")


def _worst(by: Float[np.ndarray, "horizon column"]) -> tuple[int, int]:
    t, column = (int(i) for i in np.unravel_index(np.argmax(by), by.shape))
    return t, column


def allowed_beside(model: DispatchModel, room: float) -> dict[str, np.ndarray]:
    """Return bounds of the violation of soft limits: the violations of a solution plus a tolerance."""
    return {name: soft.violation() + room for name, soft in model.soft.items()}


def conflicting(model: DispatchModel) -> list[str]:
    """Name the constraints that exclude each other where a model has no solution, the worst first, with their steps."""
    laws = {name for name in model.constraints if name.split(":")[0] in model.networks}
    found = conflicts(model.constraints, model.binaries, laws)[:_NAMED]
    first = model.observation.step
    at = [f" at step {first + one.row}" if one.rows == model.horizon else "" for one in found]
    return [f"{one.name}{step} by {one.by:.4g}" for one, step in zip(found, at, strict=True)]
