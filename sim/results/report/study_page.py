"""Pages of several runs: of a study, and of a comparison."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from gridferry.sim.results.comparison import grouped, labels, unlike
from gridferry.sim.results.costs import operating_cost
from gridferry.sim.results.report.figures import figures_table
from gridferry.sim.results.report.markup import cell, document, table, text
from gridferry.sim.results.run_directory import REPORT, Run, in_one_piece


def write_study_report(directory: Path, runs: Sequence[Run]) -> Path:
    """Write ``report.html`` into the folder of a study, from its runs, and return its path."""
    return write_comparison(directory / REPORT, directory.resolve().name, runs)


def write_comparison(path: Path, title: str, runs: Sequence[Run]) -> Path:
    """Write a page of several runs, and return its path."""
    groups = grouped(runs)
    names = labels([one.first for one in groups], but="seed")
    columns = [f"{name}\nmean of {one.runs}" for name, one in zip(names, groups, strict=True)]
    rows = []
    for run in runs:
        place = run.directory.resolve()
        folder = path.parent.resolve()
        shown = str(place.relative_to(folder)) if place.is_relative_to(folder) else str(run.directory)
        link = f'<a href="{text(quote(f"{shown}/{REPORT}"))}">{text(shown)}</a>'
        values = (
            *(run.summary.get(key) for key in ("status", "verdict", "steps", "seed")),
            operating_cost(run.summary),
        )
        rows.append(f"<tr><td>{link}</td>{''.join(map(cell, values))}</tr>")
    differ = unlike(runs)
    lead = f"{len(runs)} runs" + (f"; not alike in {', '.join(differ)}, so that sums do not compare" if differ else "")
    written = "<p>Pages are there of runs of which <code>gridferry report RUN</code> wrote one.</p>"
    heads = ("run", "status", "verdict", "steps", "seed", "operating cost")
    sections = [
        ("means", "Means", figures_table([one.summary for one in groups], columns)),
        ("all", "Runs", written + table("runs", heads, rows)),
    ]
    head = f'<h1>{text(title)}</h1><p class="lead">{text(lead)}</p>'
    with in_one_piece(path) as target:
        target.write_text(
            document(title, head, sections, {"times": [], "networks": [], "figures": {}}), encoding="utf-8"
        )
    return path
