"""``gridferry run``."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from rich.console import Console

from gridferry.sim.case.loading import load_config
from gridferry.sim.commands.output import print_json, print_tables, width
from gridferry.sim.exit_codes import DONE, FAILED
from gridferry.sim.loop.failures import FELL_BACK
from gridferry.sim.loop.run_signals import interruptible
from gridferry.sim.loop.runner import ForesightFailedError, RunDefectError, RunFailedError, RunInterruptedError
from gridferry.sim.loop.runner import run as run_case
from gridferry.sim.results.display import repeats, run_tables
from gridferry.sim.results.progress import live_progress
from gridferry.sim.results.report.verdict import answer
from gridferry.sim.results.run_directory import SUMMARY, Run, load_run, read_json


@interruptible
def run_command(
    config: str,
    controller: str | None,
    settings: Sequence[str],
    seed: int | None,
    steps: int | None,
    out: Path | None,
    resume: bool,
    overwrite: bool,
    accept_changes: bool,
    regret: bool,
    as_json: bool,
) -> int:
    """Run a config and print its figures; with ``regret`` also its cost beyond the run with foresight."""
    loaded = load_config(config, settings, controller, seed)
    errors = Console(stderr=True)
    try:
        with live_progress(loaded.config, steps, errors) as progress:
            done = run_case(
                loaded,
                steps=steps,
                out=out,
                resume=resume,
                overwrite=overwrite,
                accept_changes=accept_changes,
                regret=regret,
                progress=progress,
                report=partial(errors.print, markup=False, highlight=False, soft_wrap=True),
            )
    except RunDefectError:
        raise
    except ForesightFailedError as failed:
        if not as_json:
            print_run(load_run(failed.directory))
        return report_failure(failed, as_json)
    except RunFailedError as failed:
        return report_failure(failed, as_json)
    except RunInterruptedError as interrupted:
        return report_interrupt(interrupted, as_json)
    if as_json:
        print_json(done.summary | {"directory": str(done.directory)})
    else:
        print_run(done)
    return DONE if done.summary["status"] == "completed" else FAILED


def report_failure(failed: RunFailedError, as_json: bool, kept: bool = True) -> int:
    """Report that a run failed, and where its results are if they are kept."""
    return _report(f"the run failed: {failed}", failed.directory, as_json, kept)


def report_interrupt(interrupted: RunInterruptedError, as_json: bool, kept: bool = True) -> int:
    """Report that a run was interrupted, and how to resume it if its results are kept."""
    message = "interrupted; resume with the same command and --resume" if kept else "interrupted"
    return _report(message, interrupted.directory, as_json, kept)


def _report(message: str, directory: Path, as_json: bool, kept: bool) -> int:
    errors = Console(stderr=True, highlight=False, soft_wrap=True)
    errors.print(message, markup=False)
    if kept:
        errors.print(f"results so far: {directory}", markup=False)
    if as_json and (directory / SUMMARY).is_file():
        print_json(read_json(directory / SUMMARY) | ({"directory": str(directory)} if kept else {}))
    return FAILED


def print_run(done: Run) -> None:
    """Print the figures of a run as a table."""
    print_tables(run_tables([done], width()))
    console = Console(highlight=False, soft_wrap=True)
    worst = done.violations(most=5)
    if worst:
        console.print(f"[red]{len(done.violations())} limit violations in AC[/red]; the worst:")
        for one in worst:
            console.print(f"  {one}", markup=False)
    if done.summary["status"] == FELL_BACK:
        console.print("[red]every step fell back[/red]: no plan of the controller was dispatched")
    if diverged := done.summary["grid"]["diverged_steps"]:
        console.print(f"[red]{diverged} of {done.summary['steps']} steps diverged[/red]; no cost or energy counts them")
    if note := repeats(done.summary):
        console.print(note)
    if "failure" in done.summary.get("regret", {}):
        console.print("[red]no regret[/red]: ", end="")
        console.print(done.summary["regret"]["failure"], markup=False)
    console.print(f"results: {done.directory}", markup=False)
    print_answer(done)


def print_answer(done: Run) -> None:
    """Print whether a run held, in a line."""
    found = answer(done)
    colour = {True: "green", False: "red", None: "yellow"}[found.kept]
    console = Console(highlight=False, soft_wrap=True)
    console.print("Did it hold?", end=" ")
    console.print(f"{found.word.capitalize()}.", style=colour, end=" ")
    console.print(" ".join(found.sentences), markup=False)
