"""``gridferry report``."""

from __future__ import annotations

import webbrowser
from pathlib import Path

from rich.console import Console

from gridferry.sim.exit_codes import DONE
from gridferry.sim.results.comparison import runs_of, study_runs
from gridferry.sim.results.report import write_report, write_study_report


def report_command(directory: Path, show: bool) -> int:
    """Write the page of a run or of a study, print its path, and open it if requested."""
    path = write_study_report(directory, runs_of(directory)) if study_runs(directory) else write_report(directory)
    Console(highlight=False, soft_wrap=True).print(f"wrote {path}", markup=False)
    if show and not webbrowser.open(path.resolve().as_uri()):
        Console(stderr=True, soft_wrap=True).print("no browser to open it with", markup=False)
    return DONE
