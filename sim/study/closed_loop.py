"""Closed-loop studies: every row with every seed, in worker processes, resumable."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gridferry.sim.loop.run_signals import ending_signals, raise_interrupt
from gridferry.sim.loop.runner import RunInterruptedError
from gridferry.sim.results.live_state import LiveState
from gridferry.sim.results.run_directory import load_run, write_json
from gridferry.sim.results.run_lock import locked
from gridferry.sim.study.closed_loop_config import LoopStudy, load_loop_study
from gridferry.sim.study.closed_loop_figures import RowFigures, RunFigures, figures_of_row
from gridferry.sim.study.closed_loop_jobs import Job, Outcome, make
from gridferry.sim.study.config import overrides
from gridferry.sim.study.published_runs import ComparedTable, compared, table_as_json
from gridferry.sim.study.workers import ending_requested, worker_pool

STUDY = "study.json"

_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "RAYON_NUM_THREADS")


@dataclass(frozen=True)
class LoopRow:
    """Row of the study: its runs in the order of the seeds, and its figures."""

    label: str
    controller: str
    set: dict[str, Any]
    runs: tuple[Outcome, ...]
    figures: RowFigures


@dataclass(frozen=True)
class LoopResult:
    """Result of a closed-loop study.

    Attributes
    ----------
    study : the study
    directory : where its runs are
    rows : one for each of the file
    compared : tables of published figures beside ours
    """

    study: LoopStudy = field(repr=False)
    directory: Path
    rows: tuple[LoopRow, ...]
    compared: tuple[ComparedTable, ...] = ()

    @property
    def failed(self) -> bool:
        """Whether any run failed, or is of no use."""
        return any(bool(one.failure) for row in self.rows for one in row.runs)

    @property
    def defects(self) -> list[Outcome]:
        """Runs that ended with an unexpected exception."""
        return [one for row in self.rows for one in row.runs if one.defect]

    def as_json(self) -> dict[str, Any]:
        """Return the result as JSON-able values, without missing figures."""
        config = self.study.config
        return {
            "study": config.name,
            "kind": config.kind,
            "config": self.study.rows[0].config.name,
            "currency": self.study.rows[0].config.currency,
            "directory": str(self.directory),
            "seeds": list(self.study.seeds),
            "steps": self.study.steps,
            **({} if config.reference is None else {"reference": config.reference}),
            "rows": [
                {
                    "label": row.label,
                    "controller": row.controller,
                    "set": list(overrides(row.set)),
                    "figures": _known(row.figures),
                }
                | {"runs": [_run_json(one) for one in row.runs]}
                for row in self.rows
            ],
            **({"tables": list(table_as_json(self.compared)), "causes": config.causes} if self.compared else {}),
        }


def run_loop_study(
    study: str | Path | LoopStudy,
    workers: int = 1,
    *,
    out: str | Path | None = None,
    anew: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> LoopResult:
    """Do all runs of a closed-loop study, and write their figures to ``study.json`` in its directory.

    A run that is complete, and was made from the same config, files and versions, is taken as it is; one that was
    stopped goes on; any other is made again in its place.

    Parameters
    ----------
    workers : processes that share the work, each on one thread
    out : directory of the study; ``runs/<name>`` when not given
    anew : make all runs again
    progress : called with the number of finished runs and their total

    Raises
    ------
    InputError
        for anything wrong with the study or its config, and where another process runs it; nothing has been run then.
    RunInterruptedError, KeyboardInterrupt
        at Ctrl-C, SIGTERM or SIGHUP, after the current steps; the same call resumes. A second signal does not wait.
    """
    loaded = study if isinstance(study, LoopStudy) else load_loop_study(study)
    directory = Path("runs") / loaded.config.name.replace(" ", "-") if out is None else Path(out)
    jobs = {
        (number, seed): Job(
            config=loaded.case,
            settings=overrides(row.set),
            controller=row.controller,
            seed=seed,
            steps=loaded.config.steps,
            directory=directory / row.folder / str(seed),
            anew=anew,
        )
        for seed in loaded.seeds
        for number, row in enumerate(loaded.config.rows)
    }
    done: dict[Job, Outcome] = {}
    outcomes = closing(_outcomes(list(jobs.values()), workers))
    key = "--out" if out is not None else "runs"
    with ending_signals(raise_interrupt), locked(directory, key), outcomes as coming:
        for job, outcome in coming:
            done[job] = outcome
            if progress is not None:
                progress(len(done), len(jobs))
        rows = [tuple(done[jobs[number, seed]] for seed in loaded.seeds) for number in range(len(loaded.rows))]
        result = LoopResult(loaded, directory, _rows(loaded, rows), _compared(loaded, rows))
        write_json(directory / STUDY, result.as_json())
    return result


def _rows(study: LoopStudy, outcomes: list[tuple[Outcome, ...]]) -> tuple[LoopRow, ...]:
    figures = [[one.figures for one in runs] for runs in outcomes]
    labels = [row.label for row in study.config.rows]
    reference = None if study.config.reference is None else figures[labels.index(study.config.reference)]
    return tuple(
        LoopRow(row.label, loaded.config.controller.use, row.set, runs, figures_of_row(own, figures[0], reference))
        for row, loaded, runs, own in zip(study.config.rows, study.rows, outcomes, figures, strict=True)
    )


def _compared(study: LoopStudy, outcomes: list[tuple[Outcome, ...]]) -> tuple[ComparedTable, ...]:
    """Compare the first run of each row with what is published of it."""
    if not study.config.tables:
        return ()
    labels = [row.label for row in study.config.rows]
    runs = {label: load_run(own[0].directory) for label, own in zip(labels, outcomes, strict=True) if own[0].figures}
    return compared(study.config.tables, study.published, runs)


def _outcomes(jobs: list[Job], workers: int) -> Generator[tuple[Job, Outcome], None, None]:
    if workers == 1:
        yield from ((job, make(job)) for job in jobs)
        return
    with _one_thread(), worker_pool(workers, finish_step=True) as pool:
        pending = {pool.submit(_make_in_worker, job): job for job in jobs}
        for one in as_completed(pending):
            job = pending[one]
            try:
                yield job, one.result()
            except BrokenProcessPool:
                message = "its process was killed (short of memory?); give fewer workers and run the study again"
                yield job, Outcome(job.seed, job.directory, None, message)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Limit new processes to one thread each, by variables that libraries read on import."""
    before = {name: os.environ.get(name) for name in _ONE_THREAD}
    os.environ.update(dict.fromkeys(_ONE_THREAD, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _make_in_worker(job: Job) -> Outcome:
    if not ending_requested():
        with suppress(RunInterruptedError):
            return make(job, _stop_if_requested)
    return Outcome(job.seed, job.directory, None, "interrupted")


def _stop_if_requested(live: LiveState) -> None:
    if ending_requested():
        raise KeyboardInterrupt


def _run_json(one: Outcome) -> dict[str, Any]:
    head = {"seed": one.seed, "directory": str(one.directory), "reused": one.reused}
    return head | ({"failure": one.failure} if one.figures is None else _known(one.figures))


def _known(figures: RowFigures | RunFigures) -> dict[str, Any]:
    return {name: value for name, value in vars(figures).items() if value is not None}
