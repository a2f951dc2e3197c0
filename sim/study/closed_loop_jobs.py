"""Runs of a closed-loop study: started, resumed, or reused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from enum import Enum, auto
from pathlib import Path
from typing import Any

from gridferry.networks.faults import InputError
from gridferry.sim.case.loading import load_config
from gridferry.sim.case.plant import build_plant
from gridferry.sim.config.loaded import LoadedConfig
from gridferry.sim.loop.defects import error_in_one_line, keep_traceback
from gridferry.sim.loop.failures import FELL_BACK
from gridferry.sim.loop.manifest import changes
from gridferry.sim.loop.runner import RunDefectError, RunFailedError, run
from gridferry.sim.results.live_state import LiveState
from gridferry.sim.results.metrics import RunFacts
from gridferry.sim.results.record_tables import other_form
from gridferry.sim.results.records import read_checkpoint
from gridferry.sim.results.run_directory import (
    CONFIG,
    DATABASE,
    MANIFEST,
    UNFINISHED,
    load_run,
    open_results,
    read_json,
)
from gridferry.sim.study.closed_loop_figures import RunFigures, figures_of_run


@dataclass(frozen=True)
class Job:
    """One run of the study.

    Attributes
    ----------
    config : config file
    settings, controller, seed : what replaces its own, as `gridferry.sim.case.loading.load_config` takes them
    steps : only the first of them
    directory : where the run is, or will be
    anew : make it again even where it is complete
    """

    config: Path
    settings: tuple[str, ...]
    controller: str | None
    seed: int
    steps: int | None
    directory: Path
    anew: bool = False


@dataclass(frozen=True)
class Outcome:
    """Outcome of a run.

    Attributes
    ----------
    seed, directory : which run
    figures : ``None`` where it failed
    failure : why there are none, or why they are of no use
    reused : whether it had been made before
    defect : whether an exception that nobody expected is why there are none
    """

    seed: int
    directory: Path
    figures: RunFigures | None
    failure: str = ""
    reused: bool = False
    defect: bool = False


def make(job: Job, progress: Callable[[LiveState], None] | None = None) -> Outcome:
    """Start, resume or reuse a run; an outcome without figures has the reason of its failure.

    Parameters
    ----------
    progress : called after every step, as by `gridferry.sim.loop.runner.run`
    """
    try:
        loaded = load_config(job.config, job.settings, job.controller, job.seed)
        action = _action(job, loaded)
        if action is _Action.REUSE:
            made = load_run(job.directory)
        else:
            resume, overwrite = action is _Action.RESUME, action is _Action.REPLACE
            made = run(
                loaded, steps=job.steps, out=job.directory, resume=resume, overwrite=overwrite, progress=progress
            )
        failure = "every step fell back" if made.summary["status"] == FELL_BACK else ""
        return Outcome(job.seed, job.directory, figures_of_run(made), failure, reused=action is _Action.REUSE)
    except RunDefectError as error:
        return Outcome(job.seed, job.directory, None, f"{error}; traceback: {error.traceback}", defect=True)
    except (RunFailedError, InputError) as error:
        return Outcome(job.seed, job.directory, None, str(error))
    except OSError:
        raise
    except Exception as error:
        message = f"{error_in_one_line(error)}; traceback: {keep_traceback(error)}"
        return Outcome(job.seed, job.directory, None, message, defect=True)


class _Action(Enum):
    """Action for a run: start, resume, replace or reuse it."""

    START = auto()
    RESUME = auto()
    REUSE = auto()
    REPLACE = auto()


def _action(job: Job, loaded: LoadedConfig) -> _Action:
    if not (job.directory / MANIFEST).is_file():
        return _Action.START
    manifest = read_json(job.directory / MANIFEST)
    if job.anew or not _made_alike(job.directory, manifest, loaded):
        return _Action.REPLACE
    steps, requested = _recorded_steps(job.directory, loaded), job.steps or loaded.config.time.steps
    if steps is None or steps > requested:
        return _Action.REPLACE
    return _Action.REUSE if steps == requested and manifest["status"] not in UNFINISHED else _Action.RESUME


def _made_alike(directory: Path, manifest: dict[str, Any], loaded: LoadedConfig) -> bool:
    """Whether a run has the same config, files and versions."""
    if "segments" in manifest or not (directory / CONFIG).is_file():
        return False
    if set(manifest.get("facts", {})) != {one.name for one in fields(RunFacts)}:
        return False
    try:
        before = load_config(directory / CONFIG).config
    except InputError:  # written by an earlier version: it can be neither used nor gone on with
        return False
    return before == loaded.config and not changes(manifest, loaded)


def _recorded_steps(directory: Path, loaded: LoadedConfig) -> int | None:
    """Return the number of recorded steps; ``None`` if the tables are of another version."""
    if not (directory / DATABASE).is_file():
        return 0
    with open_results(directory) as connection:
        if other_form(connection, build_plant(loaded).plant.kinds):
            return None
        checkpoint = read_checkpoint(connection)
    return 0 if checkpoint is None else checkpoint[0]
