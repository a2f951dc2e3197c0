"""``gridferry run``."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from sim.cli import DONE, FAILED
from sim.config_file import load_config
from sim.display import live_progress, run_table
from sim.runner import Run, RunFailedError
from sim.runner import run as run_case


def run_command(
    config: str,
    controller: str | None,
    settings: Sequence[str],
    seed: int | None,
    steps: int | None,
    out: Path | None,
    resume: bool,
    overwrite: bool,
    as_json: bool,
) -> int:
    """Run a config and print what came of it."""
    loaded = load_config(config, settings, controller, seed)
    errors = Console(stderr=True)
    try:
        with live_progress(loaded.config, steps, errors) as progress:
            done = run_case(loaded, steps=steps, out=out, resume=resume, overwrite=overwrite, progress=progress)
    except RunFailedError as failed:
        return report_failure(failed, as_json)
    except KeyboardInterrupt:
        errors.print("interrupted; what was simulated is kept: go on with --resume", markup=False)
        return FAILED
    if as_json:
        print_json(done.summary | {"directory": str(done.directory)})
    else:
        print_run(done)
    return DONE


def report_failure(failed: RunFailedError, as_json: bool) -> int:
    """Say that a run failed and where its results are."""
    errors = Console(stderr=True, highlight=False, soft_wrap=True)
    errors.print(f"the run failed: {failed}", markup=False)
    errors.print(f"results so far: {failed.directory}", markup=False)
    if as_json:
        summary = json.loads((failed.directory / "summary.json").read_text(encoding="utf-8"))
        print_json(summary | {"directory": str(failed.directory)})
    return FAILED


def print_run(done: Run) -> None:
    """Print the figures of a run for people."""
    console = Console()
    console.print(run_table([done]))
    worst = done.violations(most=5)
    if worst:
        count = done.summary["grid"]["violations"]
        console.print(f"[red]{count} limit violations in AC[/red]; the worst:")
        for one in worst:
            console.print(f"  {one}", markup=False, highlight=False)
    if done.summary["grid"]["diverged_steps"]:
        console.print(f"[red]{done.summary['grid']['diverged_steps']} steps diverged[/red]; costs leave them out")
    console.print(f"results: {done.directory}", markup=False, highlight=False, soft_wrap=True)


def print_json(content: dict[str, Any]) -> None:
    """Print one JSON object on stdout."""
    sys.stdout.write(json.dumps(content, allow_nan=False) + "\n")
