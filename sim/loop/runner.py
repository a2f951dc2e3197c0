"""Runs of a case: directory, manifest, closed loop, summary, plan."""

from __future__ import annotations

import csv
import os
import platform
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import duckdb

from gridferry.controllers.plans.plan_file import PLAN_HEADER
from gridferry.networks.faults import Fault, InputError
from gridferry.sim.case.case import Case, build_case
from gridferry.sim.case.input_files import config_files, input_files
from gridferry.sim.case.loading import load_config
from gridferry.sim.case.own_elements import own_notes
from gridferry.sim.config.loaded import LoadedConfig
from gridferry.sim.config.reading import write_config
from gridferry.sim.loop.defects import error_in_one_line, keep_traceback
from gridferry.sim.loop.failures import FELL_BACK, FailureLog, fell_back, report_count
from gridferry.sim.loop.manifest import made_from
from gridferry.sim.loop.regret import regret_of, with_foresight
from gridferry.sim.loop.resume import Resumption, resumption, unfinished
from gridferry.sim.loop.run_output import clear, new_directory, refuse_unusable
from gridferry.sim.loop.run_signals import Interrupt, ending_signals
from gridferry.sim.loop.run_summary import recorded_steps, run_summary
from gridferry.sim.loop.world import SimulationFailedError, simulate
from gridferry.sim.results.costs import operating_cost
from gridferry.sim.results.display import repeats
from gridferry.sim.results.live_state import LiveState
from gridferry.sim.results.metrics import RunFacts
from gridferry.sim.results.record_tables import CLOSED, WRITING_FAILED
from gridferry.sim.results.records import Recorder
from gridferry.sim.results.run_directory import (
    CONFIG,
    DATABASE,
    FORESIGHT,
    MANIFEST,
    PLAN,
    SUMMARY,
    Run,
    in_one_piece,
    load_run,
    read_json,
    write_json,
)
from gridferry.sim.results.run_lock import locked

__all__ = ["Run", "RunFailedError", "RunInterruptedError", "load_run", "run"]


class RunFailedError(RuntimeError):
    """The run stopped before its end; its results so far are in its directory."""

    def __init__(self, message: str, directory: Path):
        super().__init__(message)
        self.directory = directory


class ForesightFailedError(RunFailedError):
    """The run is complete, but the one with foresight failed; both directories keep their results."""


class RunDefectError(RunFailedError):
    """An unexpected exception ended the run: a defect of the package, or of Python objects given to it."""

    def __init__(self, message: str, directory: Path, traceback: Path):
        super().__init__(message, directory)
        self.traceback = traceback


class RunInterruptedError(KeyboardInterrupt):
    """Ctrl-C, SIGTERM or SIGHUP ended the run; its results so far are in its directory, ``resume`` continues it."""

    def __init__(self, directory: Path):
        super().__init__(f"interrupted; results so far: {directory}")
        self.directory = directory


def run(
    config: str | Path | LoadedConfig,
    *,
    controller: str | None = None,
    overrides: Sequence[str] = (),
    seed: int | None = None,
    steps: int | None = None,
    out: str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    accept_changes: bool = False,
    clip: bool = False,
    regret: bool = False,
    progress: Callable[[LiveState], None] | None = None,
    report: Callable[[str], None] | None = None,
) -> Run:
    """Run a co-simulation config in closed loop.

    Parameters
    ----------
    config : a config file, the name of one that comes with the project, or a config read already
    controller, overrides, seed : replace what the config says (``--controller``, ``--set``, ``--seed``)
    steps : simulate only the first steps of the run
    out : run directory; ``runs/<name>-<time>`` when not given
    resume : continue the run in ``out`` (or with the newest unfinished one of this config) after its last checkpoint
    overwrite : replace the run in a directory; other files stay there
    accept_changes : with ``resume``: continue although input files or versions of packages have changed since; the
        manifest then says under ``segments`` from which step on which hold
    clip : leave setpoints beyond ratings to the agents, which clip and report them, instead of refusing the plan, and
        add the base case to the summary: so a schedule is validated
    regret : run again with perfect forecasts, into ``foresight`` in the run directory, and add the cost difference to
        the summary, see `gridferry.sim.loop.regret.regret_of`
    progress : called after every step
    report : called before the first, with what the networks bring and what becomes of it, sentence by sentence

    Raises
    ------
    InputError
        for anything wrong with the input; nothing has been written then.
    RunFailedError
        when the simulation stopped; its directory keeps the results so far. `ForesightFailedError` where only the run
        with foresight did, `RunDefectError` where an exception was not expected; it has the file of the traceback.
    RunInterruptedError
        at Ctrl-C, SIGTERM or SIGHUP, after the current step; the directory keeps the results so far. A second signal
        does not wait.
    """
    loaded = config if isinstance(config, LoadedConfig) else load_config(config, overrides, controller, seed)
    case = build_case(loaded)
    if report is not None:
        for number, network in enumerate(case.networks):
            for note in own_notes(loaded, number, network):
                report(f"{loaded.config.networks[number].name}: {note}")
    knowing = build_case(with_foresight(loaded)) if regret else None
    until = _until(case, steps)
    if resume and overwrite:
        raise InputError(Fault("--overwrite", "", "contradicts --resume; give one of them"))
    if accept_changes and not resume:
        raise InputError(Fault("--accept-changes", "", "is for --resume; leave it out, or give both"))
    if out is None:
        directory = unfinished(loaded.config.name, regret) if resume else new_directory(loaded.config.name)
    else:
        directory = Path(out)
    reads = config_files(loaded) | input_files(loaded)
    foresight = directory / FORESIGHT
    check = partial(refuse_unusable, directory, resume=resume, overwrite=overwrite, regret=regret, reads=reads)
    check()
    with ExitStack() as opened:
        interrupt = Interrupt(progress)
        opened.enter_context(ending_signals(interrupt.request))
        opened.enter_context(locked(directory))
        check()  # another may have written to it before it was locked
        if regret:
            opened.enter_context(locked(foresight))
        elif overwrite and foresight.is_dir() and not foresight.is_symlink():
            with locked(foresight):  # nobody writes to what is removed
                pass
        begin = resumption(case, directory, until, accept_changes) if resume else Resumption()
        then = None
        if knowing is not None:
            goes_on = resume and (foresight / CONFIG).is_file()
            then = resumption(knowing, foresight, until, accept_changes) if goes_on else Resumption()
        try:
            if not resume:
                clear(directory)
            done = _run(case, directory, begin, until, clip, interrupt)
            if knowing is None or then is None:
                return done
            return _with_regret(done, knowing, then, until, clip, interrupt)
        except (InputError, RunFailedError, OSError, KeyboardInterrupt, SystemExit, GeneratorExit):
            raise
        except WRITING_FAILED as error:
            raise RunFailedError(error_in_one_line(error), directory) from error
        except BaseException as error:
            raise _defect(error, directory) from error


def _defect(error: BaseException, directory: Path) -> RunDefectError:
    """Write the traceback of an unexpected exception; the manifest records the failure."""
    failure, manifest = error_in_one_line(error), directory / MANIFEST
    if manifest.is_file():
        write_json(manifest, read_json(manifest) | {"status": "failed", "ended": _now(), "failure": failure})
    return RunDefectError(failure, directory, keep_traceback(error, directory))


def _with_regret(done: Run, knowing: Case, begin: Resumption, until: int, clip: bool, interrupt: Interrupt) -> Run:
    """Run the case with foresight, unless done before, and add the regret to a run's summary."""
    found: dict[str, Any] = {"run_cost": operating_cost(done.summary)}
    try:
        found = regret_of(done, _run(knowing, done.directory / FORESIGHT, begin, until, clip, interrupt))
    except RunInterruptedError:
        found["failure"] = "interrupted in the run with foresight"
        raise RunInterruptedError(done.directory) from None
    except RunDefectError as error:
        found["failure"] = f"the run with foresight failed: {error}"
        raise
    except RunFailedError as error:
        found["failure"] = f"the run with foresight failed: {error}"
        raise ForesightFailedError(found["failure"], done.directory) from error
    finally:
        done.summary["regret"] = found
        write_json(done.directory / SUMMARY, done.summary)
    return done


def _until(case: Case, steps: int | None) -> int:
    if steps is None:
        return case.plant.steps
    if not 1 <= steps <= case.plant.steps:
        raise InputError(Fault("--steps", "", f"{steps} lies outside the run, which has 1 to {case.plant.steps} steps"))
    return steps


def _run(case: Case, directory: Path, begin: Resumption, until: int, clip: bool, interrupt: Interrupt) -> Run:
    config, start = case.loaded.config, begin.start
    facts = RunFacts(
        step_h=case.plant.step_h,
        export_price_ratio=case.plant.export_price_ratio,
        v_tolerance_pu=config.grid.v_tolerance_pu,
        loading_tolerance_percent=config.grid.loading_tolerance_percent,
    )
    manifest: dict[str, Any] = {
        "status": "running",
        "name": config.name,
        "seed": config.seed,
        "started": _now(),
        "resumed_at_step": start.step or None,
        **made_from(case.loaded),
        **({"segments": begin.segments} if begin.segments else {}),
        "machine": {"system": platform.platform(), "processor": platform.machine(), "cores": os.cpu_count()},
        "facts": vars(facts),
    }
    write_json(directory / MANIFEST, manifest)
    with in_one_piece(directory / CONFIG) as path:
        write_config(case.loaded.document, path)
    failure = ""
    unexpected: BaseException | None = None
    recorder = Recorder(
        directory / DATABASE,
        case.plant,
        case.network_names,
        config.record.flush_steps,
    )
    log = FailureLog(directory, interrupt.after_step)
    try:
        if start.step < until:
            simulate(case, recorder, start=start, until_step=until, clip=clip, progress=log.after_step)
    except SimulationFailedError as error:
        failure = str(error)
        unexpected = error.unexpected
    except KeyboardInterrupt:
        interrupt.requested = True
    finally:
        recorder.close()
        case.close()
    with duckdb.connect(str(directory / DATABASE), read_only=True, config=CLOSED) as connection:
        steps = recorded_steps(connection)
        interrupted = interrupt.requested and steps < until
        if interrupted:
            failure = f"interrupted after {steps} of {until} steps"
        summary = run_summary(case, connection, facts, failure, clip)
        _write_plan(connection, directory, case.plant.step_s)
    manifest |= {"status": summary["status"], "ended": _now(), "failure": failure or None}
    manifest["repeats"] = not repeats(summary)
    if not failure and fell_back(summary):
        summary["status"] = FELL_BACK
    write_json(directory / SUMMARY, summary)
    write_json(directory / MANIFEST, manifest)
    report_count(directory, summary)
    if interrupted:
        raise RunInterruptedError(directory)
    if unexpected is not None:
        raise RunDefectError(failure, directory, keep_traceback(unexpected, directory)) from unexpected
    if failure:
        raise RunFailedError(failure, directory)
    return Run(directory, summary, manifest)


def _write_plan(connection: duckdb.DuckDBPyConnection, directory: Path, step_s: int) -> None:
    """Write the setpoints that were dispatched, so that they can be validated anywhere; numbers read back exactly."""
    with in_one_piece(directory / PLAN) as target, target.open("w", encoding="utf-8", newline="") as file:
        file.write(PLAN_HEADER)
        writer = csv.writer(file, lineterminator="\n")
        found = connection.execute(
            'SELECT step, device, p_mw, q_mvar, station, "time" FROM "plan" ORDER BY step, rowid'
        )
        while batch := found.fetchmany(10_000):
            writer.writerows((*row[:2], *map(repr, row[2:4]), row[4] or "", row[5], step_s) for row in batch)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
