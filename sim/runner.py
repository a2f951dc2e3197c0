"""Run a case: directory, manifest, closed loop, summary, plan. The same for a notebook, the command line and a test."""

from __future__ import annotations

import json
import os
import platform
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd

from controllers.plan_file import PLAN_HEADER
from networks.faults import Fault, InputError
from sim.adapters.recorder import LiveState
from sim.case import Case, build_case
from sim.config_file import load_config, write_config
from sim.loaded_config import LoadedConfig
from sim.manifest import input_hashes, versions
from sim.metrics import RunFacts, Violation, summarise, violations
from sim.records import TABLES, Recorder, read_checkpoint
from sim.world import SimulationFailedError, Start, simulate

DATABASE = "results.duckdb"
SUMMARY = "summary.json"
MANIFEST = "manifest.json"
PLAN = "plan.csv"
CONFIG = "config.toml"


class RunFailedError(RuntimeError):
    """The run stopped before its end; what it had is in its directory."""

    def __init__(self, message: str, directory: Path):
        super().__init__(message)
        self.directory = directory


@dataclass(frozen=True)
class Run:
    """A run directory.

    Attributes
    ----------
    directory : where it is
    summary : the figures of ``summary.json``
    manifest : versions, seed, hashes, times and status of ``manifest.json``
    """

    directory: Path
    summary: dict[str, Any]
    manifest: dict[str, Any]

    def table(self, name: str) -> pd.DataFrame:
        """Return a table (bus, line, network, device, plan, step) ordered by step; raises ``KeyError`` for another."""
        if name not in TABLES:
            raise KeyError(f"no such table {name!r}; there is {', '.join(TABLES)}")
        with duckdb.connect(str(self.directory / DATABASE), read_only=True) as connection:
            return connection.execute(f'SELECT * FROM "{name}" ORDER BY step, rowid').df()

    def violations(self, most: int | None = None) -> list[Violation]:
        """Return the limits that the AC grid broke, worst first."""
        with duckdb.connect(str(self.directory / DATABASE), read_only=True) as connection:
            return violations(connection, RunFacts(**self.manifest["facts"]), most)


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
    progress : called after every step

    Raises
    ------
    InputError
        for anything wrong with the input; nothing has been written then.
    RunFailedError
        when the simulation stopped; its directory keeps the results so far.
    """
    loaded = config if isinstance(config, LoadedConfig) else load_config(config, overrides, controller, seed)
    case = build_case(loaded)
    until = _until(case, steps)
    case.controller()  # its settings must be right before anything is written
    directory = _directory(case, out, resume, overwrite)
    start = _start(case, directory, until) if resume else Start()
    return _run(case, directory, start, until, clip, progress)


def load_run(directory: str | Path) -> Run:
    """Open a run directory; raises `InputError` if it is none."""
    folder = Path(directory)
    parts = {}
    for name in (SUMMARY, MANIFEST):
        try:
            parts[name] = json.loads((folder / name).read_text(encoding="utf-8"))
        except FileNotFoundError:
            hint = "a run that was interrupted has none: go on with gridferry run ... --resume"
            raise InputError(Fault(str(folder), name, f"no such file; {hint}")) from None
        except (OSError, ValueError) as error:
            raise InputError(Fault(str(folder), name, f"cannot be read: {error}")) from error
    return Run(folder, parts[SUMMARY], parts[MANIFEST])


def _until(case: Case, steps: int | None) -> int:
    if steps is None:
        return case.plant.steps
    if not 1 <= steps <= case.plant.steps:
        raise InputError(Fault("--steps", "", f"{steps} lies outside the run, which has 1 to {case.plant.steps} steps"))
    return steps


def _directory(case: Case, out: str | Path | None, resume: bool, overwrite: bool) -> Path:
    name = case.loaded.config.name.replace(" ", "-")
    if out is None and resume:
        unfinished = [
            path.parent
            for path in sorted(Path("runs").glob(f"{name}-*/{MANIFEST}"))
            if json.loads(path.read_text(encoding="utf-8")).get("status") != "completed"
        ]
        if not unfinished:
            raise InputError(Fault("--resume", "", f"no unfinished run of {name} under runs/; name one with --out"))
        return unfinished[-1]
    if out is None:
        stamp = datetime.now().strftime("%Y%m%d-%H%M%S-%f")[:-3]
        return Path("runs") / f"{name}-{stamp}"
    directory = Path(out)
    if resume and not (directory / DATABASE).is_file():
        raise InputError(Fault("--resume", str(directory), "no run to go on with; leave --resume out to start one"))
    if directory.exists() and not resume:
        if not directory.is_dir() or (any(directory.iterdir()) and not (directory / MANIFEST).is_file()):
            raise InputError(Fault("--out", str(directory), "exists and is no run directory; choose another"))
        if any(directory.iterdir()):
            if not overwrite:
                ways = "choose another, or --resume to go on with it, or --overwrite to replace it"
                raise InputError(Fault("--out", str(directory), f"holds a run; {ways}"))
            shutil.rmtree(directory)
    return directory


def _start(case: Case, directory: Path, until: int) -> Start:
    before = load_config(directory / CONFIG)
    if before.config != case.loaded.config:
        message = "the config is not the one this run was started with; run it into a new directory"
        raise InputError(Fault("--resume", str(directory), message))
    checkpoint = read_checkpoint(directory / DATABASE)
    if checkpoint is None:
        return Start()
    step, state = checkpoint
    if step > until:
        raise InputError(
            Fault("--resume", str(directory), f"has {step} steps already, more than the {until} asked for")
        )
    return Start(step, state)


def _run(
    case: Case,
    directory: Path,
    start: Start,
    until: int,
    clip: bool,
    progress: Callable[[LiveState], None] | None,
) -> Run:
    config = case.loaded.config
    directory.mkdir(parents=True, exist_ok=True)
    write_config(case.loaded.document, directory / CONFIG)
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
        "inputs": input_hashes(case),
        "machine": {"system": platform.platform(), "processor": platform.machine(), "cores": os.cpu_count()},
        "facts": vars(facts),
    }
    _write_json(directory / MANIFEST, manifest)
    failure = ""
    recorder = Recorder(
        directory / DATABASE,
        case.plant,
        case.network_names,
        [network.loading_max_percent for network in config.networks],
        config.record.flush_steps,
    )
    try:
        if start.step < until:
            simulate(case, recorder, start=start, until_step=until, clip=clip, progress=progress)
    except SimulationFailedError as error:
        failure = str(error)
    finally:
        recorder.close()
    summary = _summary(case, directory, facts, failure)
    _write_plan(directory)
    _write_json(directory / SUMMARY, summary)
    manifest |= {"status": summary["status"], "ended": _now(), "failure": failure or None}
    _write_json(directory / MANIFEST, manifest)
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
    target = _beside(directory / PLAN)
    with (
        duckdb.connect(str(directory / DATABASE), read_only=True) as connection,
        target.open("w", encoding="utf-8", newline="\n") as file,
    ):
        file.write(PLAN_HEADER)
        found = connection.execute('SELECT step, device, p_mw, q_mvar, station FROM "plan" ORDER BY step, rowid')
        while batch := found.fetchmany(10_000):
            file.writelines(f"{step},{name},{p!r},{q!r},{station or ''}\n" for step, name, p, q, station in batch)
    target.replace(directory / PLAN)


def _write_json(path: Path, content: dict[str, Any]) -> None:
    target = _beside(path)
    target.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    target.replace(path)


def _beside(path: Path) -> Path:
    return path.with_name(path.name + ".part")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
