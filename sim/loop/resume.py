"""Resuming runs: which one, whether its inputs are unchanged, from which step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from gridferry.controllers.devices import states_of_json
from gridferry.controllers.plans.plan_json import plan_from_json
from gridferry.networks.faults import Fault, InputError
from gridferry.sim.adapters.devices import initial_state
from gridferry.sim.case.case import Case
from gridferry.sim.config.document import read_toml
from gridferry.sim.config.reading import complete
from gridferry.sim.loop.manifest import changes, made_from, same_config, segments
from gridferry.sim.loop.world import Start, grid_sizes
from gridferry.sim.results.record_tables import changed_tables, other_form, record_faults
from gridferry.sim.results.records import read_checkpoint, rows_per_step
from gridferry.sim.results.run_directory import (
    CONFIG,
    DATABASE,
    FORESIGHT,
    MANIFEST,
    SUMMARY,
    UNFINISHED,
    open_results,
    read_json,
)


@dataclass(frozen=True)
class Resumption:
    """Start of a run: its first step, or a checkpoint.

    Attributes
    ----------
    start : step and state to begin with
    segments : from which step on which versions and inputs hold, where it goes on with others than before
    """

    start: Start = field(default_factory=Start)
    segments: list[dict[str, Any]] = field(default_factory=list)


def unfinished(name: str, regret: bool) -> Path:
    """Directory of the newest unfinished run of a config, its run with foresight included."""
    found = [(path, read_json(path)) for path in sorted(Path("runs").glob(f"*/{MANIFEST}"))]
    waiting = [
        (str(manifest.get("started")), path.parent)
        for path, manifest in found
        if manifest.get("name") == name
        and (manifest.get("status") in UNFINISHED or (regret and _foresight_waits(path.parent / FORESIGHT)))
    ]
    if not waiting:
        raise InputError(Fault("--resume", "", f"no unfinished run of {name} under runs/; name one with --out"))
    return max(waiting)[1]


def _foresight_waits(directory: Path) -> bool:
    manifest = directory / MANIFEST
    return manifest.is_file() and read_json(manifest).get("status") in UNFINISHED


def resumption(case: Case, directory: Path, end: int, accept_changes: bool) -> Resumption:
    """Find the step from which the run in a directory resumes.

    Parameters
    ----------
    end : the step it is to end before
    accept_changes : go on although files or versions have changed

    Raises
    ------
    InputError
        where it was started with another config, other files or versions, or has more steps already.
    """
    manifest = read_json(directory / MANIFEST)
    if not (directory / DATABASE).is_file():
        if (directory / SUMMARY).exists():
            raise _damaged(directory, f"{DATABASE} is missing")
        return Resumption()  # killed before its first step
    if not (directory / CONFIG).is_file():
        raise _damaged(directory, f"{CONFIG} is missing")
    _refuse_other_config(case, directory, manifest)
    with open_results(directory) as connection:
        other = other_form(connection, case.plant.kinds)
        if other:
            raise _damaged(directory, "; ".join(other))
        try:
            step, state = read_checkpoint(connection) or (0, None)
            wrong = (
                record_faults(connection, step, rows_per_step(case.plant))
                or _state_faults(case, state)
                or changed_tables(connection)
            )
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise _damaged(directory, f"its checkpoint: {type(error).__name__}: {error}") from error
    if wrong:
        raise _damaged(directory, wrong)
    if step > end:
        raise InputError(Fault("--resume", str(directory), f"has {step} steps already, more than the {end} requested"))
    changed = changes(manifest, case.loaded)
    if not changed:
        return Resumption(Start(step, state), manifest.get("segments", []))
    if not accept_changes:
        raise InputError(changed)
    return Resumption(Start(step, state), segments(manifest, step, made_from(case.loaded)))


def _refuse_other_config(case: Case, directory: Path, manifest: Mapping[str, Any]) -> None:
    """Raise `InputError` where the config of a run says something else than the present one."""
    try:
        was = complete(type(case.loaded.config).model_validate(read_toml(directory / CONFIG)))
    except ValidationError:
        was = {}  # of another version, with other kinds of devices, or damaged
    now = made_from(case.loaded)["inputs"]
    if not same_config(was, manifest.get("inputs") or (), case.loaded.document, now):
        message = "the config is not the one this run was started with; run it into a new directory"
        raise InputError(Fault("--resume", str(directory), message))


def _state_faults(case: Case, checkpoint: Mapping[str, Any] | None) -> str:
    """What a checkpoint lacks to go on from; empty if nothing, or where there is none yet.

    Raises
    ------
    ValueError, TypeError, KeyError
        where it has another form.
    """
    if checkpoint is None:
        return ""
    missing = {"state", "plan", "grids", "peak_import_mw"} - set(checkpoint)
    if missing:
        return f"its checkpoint has no {', '.join(sorted(missing))}"
    plant, plan = case.plant, plan_from_json(checkpoint["plan"])
    states_of_json(plant.devices, checkpoint["state"])
    for device, fields in initial_state(plant).items():
        for name, value in fields.items():
            if isinstance(value, (int, float)) and not isinstance(checkpoint["state"][device][name], (int, float)):
                return f"its checkpoint: {device}.{name} is no number"
    if plan.p_mw.shape[1:] != (len(plant.ports),) or plan.position.shape[1:] != (len(plant.positions),):
        return "the plan of its checkpoint is for other devices"
    if np.array(checkpoint["peak_import_mw"], dtype=np.float64).shape != (len(plant.feeders),):
        return "its checkpoint has imports of other networks"
    for attr, sizes in grid_sizes(plant).items():
        if [len(one) for one in checkpoint["grids"][attr]] != sizes:
            return f"its checkpoint has {attr} of other networks"
    return ""


def _damaged(directory: Path, what: str) -> InputError:
    message = f"was recorded by another version, or is damaged ({what}); run it into a new directory"
    return InputError(Fault("--resume", str(directory), message))
