"""Resuming runs: which one, whether its inputs are unchanged, from which step."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gridferry.controllers.devices import states_of_json
from gridferry.networks.faults import Fault, InputError
from gridferry.sim.case.case import Case
from gridferry.sim.case.loading import load_config
from gridferry.sim.loop.manifest import changes, made_from, segments
from gridferry.sim.loop.world import Start
from gridferry.sim.results.record_tables import other_form
from gridferry.sim.results.records import read_checkpoint
from gridferry.sim.results.run_directory import CONFIG, DATABASE, FORESIGHT, MANIFEST, open_results, read_json


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
        and (manifest.get("status") != "completed" or (regret and _foresight_waits(path.parent / FORESIGHT)))
    ]
    if not waiting:
        raise InputError(Fault("--resume", "", f"no unfinished run of {name} under runs/; name one with --out"))
    return max(waiting)[1]


def _foresight_waits(directory: Path) -> bool:
    manifest = directory / MANIFEST
    return manifest.is_file() and read_json(manifest).get("status") != "completed"


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
    before = load_config(directory / CONFIG)
    if before.config != case.loaded.config:
        message = "the config is not the one this run was started with; run it into a new directory"
        raise InputError(Fault("--resume", str(directory), message))
    if not (directory / DATABASE).is_file():
        return Resumption()
    with open_results(directory) as connection:
        other = other_form(connection, case.plant.kinds)
        if other:
            message = f"was recorded by another version ({'; '.join(other)}); run it into a new directory"
            raise InputError(Fault("--resume", str(directory), message))
        checkpoint = read_checkpoint(connection)
    if checkpoint is None:
        return Resumption()
    step, state = checkpoint
    try:
        states_of_json(case.plant.devices, state["state"])
    except ValueError as error:
        message = f"was recorded by another version (its checkpoint: {error}); run it into a new directory"
        raise InputError(Fault("--resume", str(directory), message)) from error
    if step > end:
        raise InputError(Fault("--resume", str(directory), f"has {step} steps already, more than the {end} requested"))
    manifest = read_json(directory / MANIFEST)
    changed = changes(manifest, case.loaded)
    if not changed:
        return Resumption(Start(step, state), manifest.get("segments", []))
    if not accept_changes:
        raise InputError(changed)
    return Resumption(Start(step, state), segments(manifest, step, made_from(case.loaded)))
