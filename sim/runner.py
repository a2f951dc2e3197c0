"""Run a case: directory, manifest, closed loop, summary, plan. The same for a notebook, the command line and a test."""

from __future__ import annotations

import os
import platform
import shutil
import signal
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb

from controllers.plan_file import PLAN_HEADER
from networks.faults import Fault, InputError
from sim.case import Case, build_case
from sim.config_file import load_config, write_config
from sim.live_state import LiveState
from sim.loaded_config import LoadedConfig
from sim.manifest import input_hashes, versions
from sim.metrics import RunFacts, summarise
from sim.records import Recorder, other_columns, read_checkpoint
from sim.regret import FORESIGHT, controlled_cost, regret_of, with_foresight
from sim.run_directory import (
    CONFIG,
    DATABASE,
    MANIFEST,
    PLAN,
    SUMMARY,
    Run,
    beside,
    load_run,
    make_folder,
    open_results,
    read_json,
    write_json,
)
from sim.world import SimulationFailedError, Start, simulate

__all__ = ["Run", "RunFailedError", "RunInterruptedError", "load_run", "run"]


class RunFailedError(RuntimeError):
    """The run stopped before its end; what it had is in its directory."""

    def __init__(self, message: str, directory: Path):
        super().__init__(message)
        self.directory = directory


class ForesightFailedError(RunFailedError):
    """The run came to its end, but not the one with foresight; both directories keep their results."""


class RunInterruptedError(KeyboardInterrupt):
    """Ctrl-C during a run; what it had is in its directory, and ``resume`` goes on with it."""

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
    clip: bool = False,
    regret: bool = False,
    progress: Callable[[LiveState], None] | None = None,
) -> Run:
    """Run a co-simulation config in closed loop.

    Parameters
    ----------
    config : a config file, the name of one that comes with the project, or a config read already
    controller, overrides, seed : replace what the config says (``--controller``, ``--set``, ``--seed``)
    steps : simulate only the first steps of the run
    out : run directory; ``runs/<name>-<time>`` when not given
    resume : go on with the run in ``out`` (or with the newest unfinished one of this config) after its last checkpoint
    overwrite : replace a run directory that exists
    clip : leave setpoints beyond ratings to the agents, which clip and report them, instead of refusing the plan
    regret : run again into ``foresight`` in the run directory, the controller being told what will really happen, and
        add to the summary what the run cost beyond that, see `sim.regret.regret_of`
    progress : called after every step

    Raises
    ------
    InputError
        for anything wrong with the input; nothing has been written then.
    RunFailedError
        when the simulation stopped; its directory keeps the results so far. `ForesightFailedError` where only the run
        with foresight did.
    RunInterruptedError
        at Ctrl-C, after the step at hand; the directory keeps the results so far. A second Ctrl-C does not wait.
    """
    loaded = config if isinstance(config, LoadedConfig) else load_config(config, overrides, controller, seed)
    case = build_case(loaded)
    knowing = build_case(with_foresight(loaded)) if regret else None
    until = _until(case, steps)
    directory = _directory(case, out, resume, overwrite, regret)
    start = _start(case, directory, until) if resume else Start()
    done = _run(case, directory, start, until, clip, progress)
    return done if knowing is None else _with_regret(done, knowing, until, clip, resume, progress)


def _with_regret(
    done: Run,
    knowing: Case,
    until: int,
    clip: bool,
    resume: bool,
    progress: Callable[[LiveState], None] | None,
) -> Run:
    """Run the case with foresight, unless it has been, and add the regret to a run's summary."""
    directory = done.directory / FORESIGHT
    found: dict[str, Any] = {"run_cost": controlled_cost(done.summary)}
    try:
        start = _start(knowing, directory, until) if resume and (directory / CONFIG).is_file() else Start()
        found = regret_of(done, _run(knowing, directory, start, until, clip, progress))
    except RunInterruptedError:
        found["failure"] = "interrupted in the run with foresight"
        raise RunInterruptedError(done.directory) from None
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


def _directory(case: Case, out: str | Path | None, resume: bool, overwrite: bool, regret: bool) -> Path:
    if resume and overwrite:
        raise InputError(Fault("--overwrite", "", "contradicts --resume; give one of them"))
    name = case.loaded.config.name
    if out is None:
        if resume:
            return _unfinished(name, regret)
        stamp = datetime.now().strftime("%Y%m%d-%H%M%S-%f")[:-3]
        return Path("runs") / f"{name.replace(' ', '-')}-{stamp}"
    directory = Path(out)
    try:
        there = directory.exists()
        holds = sorted(one.name for one in directory.iterdir()) if there else []
    except NotADirectoryError:
        raise InputError(Fault("--out", str(directory), "exists and is no run directory; choose another")) from None
    except (OSError, ValueError) as error:
        raise InputError(Fault("--out", str(directory), f"cannot be used ({error}); choose another")) from None
    if resume:
        if MANIFEST not in holds:
            raise InputError(Fault("--resume", str(directory), "no run to go on with; leave --resume out to start one"))
    elif holds:
        if MANIFEST not in holds:
            raise InputError(Fault("--out", str(directory), "exists and is no run directory; choose another"))
        if not overwrite:
            ways = "choose another, or --resume to go on with it, or --overwrite to replace it"
            raise InputError(Fault("--out", str(directory), f"holds a run; {ways}"))
        shutil.rmtree(directory)
    return directory


def _unfinished(name: str, regret: bool) -> Path:
    """Directory of the newest run of a config that has not come to its end, or whose run with foresight has not."""
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


def _start(case: Case, directory: Path, until: int) -> Start:
    before = load_config(directory / CONFIG)
    if before.config != case.loaded.config:
        message = "the config is not the one this run was started with; run it into a new directory"
        raise InputError(Fault("--resume", str(directory), message))
    if not (directory / DATABASE).is_file():
        return Start()
    with open_results(directory) as connection:
        other = other_columns(connection)
        if other:
            message = f"was recorded by another version ({'; '.join(other)}); run it into a new directory"
            raise InputError(Fault("--resume", str(directory), message))
        checkpoint = read_checkpoint(connection)
    if checkpoint is None:
        return Start()
    step, state = checkpoint
    if step > until:
        raise InputError(
            Fault("--resume", str(directory), f"has {step} steps already, more than the {until} asked for")
        )
    return Start(step, state)


class _Interrupt:
    """Turns Ctrl-C into the end of the run after the step at hand, so that no transaction is torn.

    Outside the main thread, where signals do not arrive, it does nothing.
    """

    def __init__(self, steps: int, progress: Callable[[LiveState], None] | None):
        self.steps = steps
        self.asked = False
        self._progress = progress
        self._before: Any = None

    def __enter__(self) -> _Interrupt:
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._ask)
        return self

    def __exit__(self, *raised: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def _ask(self, number: int, frame: object) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True

    def after_step(self, live: LiveState) -> None:
        """Show the progress, then stop if that was asked for."""
        self.steps = live.step
        if self._progress is not None:
            self._progress(live)
        if self.asked:
            raise KeyboardInterrupt


def _run(
    case: Case,
    directory: Path,
    start: Start,
    until: int,
    clip: bool,
    progress: Callable[[LiveState], None] | None,
) -> Run:
    config = case.loaded.config
    make_folder(directory, "--out")
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
        "versions": versions(),
        "inputs": input_hashes(case.loaded),
        "machine": {"system": platform.platform(), "processor": platform.machine(), "cores": os.cpu_count()},
        "facts": vars(facts),
    }
    write_json(directory / MANIFEST, manifest)
    write_config(case.loaded.document, directory / CONFIG)
    failure = ""
    with _Interrupt(start.step, progress) as interrupt:
        recorder = Recorder(
            directory / DATABASE,
            case.plant,
            case.network_names,
            [network.loading_max_percent for network in config.networks],
            config.record.flush_steps,
        )
        try:
            if start.step < until:
                simulate(case, recorder, start=start, until_step=until, clip=clip, progress=interrupt.after_step)
        except SimulationFailedError as error:
            failure = str(error)
        except KeyboardInterrupt:
            interrupt.asked = True
        finally:
            recorder.close()
        interrupted = interrupt.asked and interrupt.steps < until
        if interrupted:
            failure = f"interrupted after {interrupt.steps} of {until} steps"
        summary = _summary(case, directory, facts, failure)
        _write_plan(directory)
        write_json(directory / SUMMARY, summary)
        manifest |= {"status": summary["status"], "ended": _now(), "failure": failure or None}
        write_json(directory / MANIFEST, manifest)
    if interrupted:
        raise RunInterruptedError(directory)
    if failure:
        raise RunFailedError(failure, directory)
    return Run(directory, summary, manifest)


def _summary(case: Case, directory: Path, facts: RunFacts, failure: str) -> dict[str, Any]:
    config = case.loaded.config
    with duckdb.connect(str(directory / DATABASE), read_only=True) as connection:
        row = connection.execute("SELECT count(*) FROM step").fetchone()
    head = {
        "status": "failed" if failure else "completed",
        "config": config.name,
        "controller": config.controller.use,
        "steps": int(row[0]) if row else 0,
        "step_s": case.plant.step_s,
        "seed": config.seed,
        "currency": config.currency,
    }
    if failure:
        head["failure"] = failure
    return head | summarise(directory / DATABASE, facts)


def _write_plan(directory: Path) -> None:
    """Write the setpoints that were dispatched, so that they can be validated anywhere; numbers read back exactly."""
    target = beside(directory / PLAN)
    with (
        duckdb.connect(str(directory / DATABASE), read_only=True) as connection,
        target.open("w", encoding="utf-8", newline="\n") as file,
    ):
        file.write(PLAN_HEADER)
        found = connection.execute('SELECT step, device, p_mw, q_mvar, station FROM "plan" ORDER BY step, rowid')
        while batch := found.fetchmany(10_000):
            file.writelines(f"{step},{name},{p!r},{q!r},{station or ''}\n" for step, name, p, q, station in batch)
    target.replace(directory / PLAN)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
