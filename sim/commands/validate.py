"""``gridferry validate``."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from gridferry.sim.commands.output import print_json, print_tables, width
from gridferry.sim.commands.run import print_answer, report_failure, report_interrupt
from gridferry.sim.exit_codes import DONE, NOT_SO
from gridferry.sim.loop.defects import keep_traceback
from gridferry.sim.loop.execution import VerdictKind
from gridferry.sim.loop.run_signals import interruptible
from gridferry.sim.loop.runner import RunDefectError, RunFailedError, RunInterruptedError
from gridferry.sim.loop.validation import Verdict, replaying, run_validation
from gridferry.sim.results.display import run_tables
from gridferry.sim.results.progress import live_progress
from gridferry.sim.study.sampled_days import sample_days

_SHOWN = 20


@interruptible
def validate_command(
    plan: Path,
    config: str,
    settings: Sequence[str],
    steps: int | None,
    hold: bool,
    ignore_shortfall: bool,
    out: Path | None,
    overwrite: bool,
    as_json: bool,
    samples: int = 0,
    unit: str = "MW",
) -> int:
    """Replay a plan and print the verdict on it.

    Parameters
    ----------
    hold : play a plan of longer steps
    ignore_shortfall : exit by the grid's verdict alone
    samples : evaluate the plan on so many sampled days, too; they do not change the exit code
    unit : of the plan's powers
    """
    loaded = replaying(plan, config, settings, hold=hold, unit=unit, steps=steps)
    sampled = sample_days(loaded, samples, steps) if samples else None
    with tempfile.TemporaryDirectory(prefix="gridferry-") as scratch:
        directory = out or Path(scratch) / "run"
        try:
            with live_progress(loaded.config, steps, Console(stderr=True)) as progress:
                verdict = run_validation(loaded, steps=steps, out=directory, overwrite=overwrite, progress=progress)
        except RunDefectError as defect:
            if out is None:
                defect.traceback = keep_traceback(defect)
            raise
        except RunFailedError as failed:
            return report_failure(failed, as_json, kept=out is not None)
        except RunInterruptedError as interrupted:
            return report_interrupt(interrupted, as_json, kept=False)
        if as_json:
            print_json(verdict.as_json() | ({} if sampled is None else {"sampled": sampled.as_json()}))
        else:
            _print(verdict)
            if sampled is not None:
                print(sampled)
    return DONE if verdict.kind is VerdictKind.EXECUTED or (ignore_shortfall and verdict.feasible) else NOT_SO


def _print(verdict: Verdict) -> None:
    console = Console(highlight=False, soft_wrap=True)
    print_tables(run_tables([verdict.run], width()))
    _list(console, "limit violations in AC", verdict.violations)
    _list(console, "steps without a power-flow solution", verdict.diverged)
    _list(console, "setpoints that a device could not follow", verdict.shortfalls)
    for reason in verdict.reasons:
        console.print(f"not executed as planned: {reason}", markup=False)
    colour = {VerdictKind.EXECUTED: "green", VerdictKind.NOT_EXECUTED: "yellow", VerdictKind.INFEASIBLE: "red"}
    console.print(verdict.kind.value, style=colour[verdict.kind])
    print_answer(verdict.run)


def _list(console: Console, title: str, items: Sequence[object]) -> None:
    if not items:
        return
    console.print(f"{len(items)} {title}:", markup=False)
    for one in items[:_SHOWN]:
        console.print(f"  {one}", markup=False)
    if len(items) > _SHOWN:
        console.print(f"  … and {len(items) - _SHOWN} more; --json lists all", markup=False)
