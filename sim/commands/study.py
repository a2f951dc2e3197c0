"""``gridferry study``."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table as Grid

from gridferry.sim.commands.output import print_json
from gridferry.sim.commands.study_loop import loop_study_command
from gridferry.sim.exit_codes import DONE, FAILED
from gridferry.sim.loop.run_signals import interruptible
from gridferry.sim.results.progress import study_progress
from gridferry.sim.results.report.points import write_sweeps
from gridferry.sim.results.run_directory import make_folder
from gridferry.sim.study.config import Study, StudyKind, find_study, load_study, study_kind
from gridferry.sim.study.day_ahead import Table, run_study
from gridferry.sim.study.published import METRICS, agreements, as_json, published_figures, sweeps

_CAPTION = "reliability: voltages of all buses and currents of rated branches, in AC"


@interruptible
def study_command(name: str, workers: int, overwrite: bool, as_json_wanted: bool, page: Path | None = None) -> int:
    """Run a study of either kind, print its figures, and write a page of them if one is named."""
    if page is not None:
        make_folder(page.parent, "--html")
    if study_kind(find_study(name)) is StudyKind.CLOSED_LOOP:
        return loop_study_command(name, workers, overwrite, as_json_wanted, page)
    study = load_study(name)
    with study_progress(study.config.name) as progress:
        tables = run_study(study, workers, progress)
    if page is not None:
        write_sweeps(page, study.config.title or study.config.name, sweeps(study, tables))
    if as_json_wanted:
        print_json(as_json(study, tables))
    else:
        console = Console(highlight=False)
        for table in tables:
            _print(console, study, table)
    return FAILED if any(row.figures is None for table in tables for row in table.rows) else DONE


def _print(console: Console, study: Study, table: Table) -> None:
    published = published_figures(study, table)
    here = [
        metric
        for metric in METRICS
        if metric.name in {name for one in published for name in one} or (not published and metric.ordered)
    ]
    grid = Grid(box=None, header_style="bold", pad_edge=False, title=escape(table.config.title), title_justify="left")
    grid.caption, grid.caption_justify = _CAPTION, "left"
    grid.add_column("")
    for metric in here:
        grid.add_column(metric.heading, justify="right")
        grid.add_column("published", justify="right", style="dim")
    grid.add_column("worst bus-step [%]", justify="right")
    tuned = any(row.figures is not None and row.figures.certified == row.figures.certified for row in table.rows)
    for heading in ("individual confidence [%]", "joint, certified [%]") if tuned else ():
        grid.add_column(heading, justify="right")
    for row, figures in zip(table.rows, published, strict=True):
        if row.figures is None:
            continue
        cells = [escape(row.label)]
        for metric in here:
            cells += [_number(metric.value(row.figures)), _number(figures.get(metric.name, float("nan")))]
        cells.append(_number(100.0 * row.figures.worst_bus_step))
        if tuned:
            cells += [_number(100.0 * one) for one in (row.figures.individual_confidence, row.figures.certified)]
        grid.add_row(*cells)
    console.print(grid)
    for row in table.rows:
        if row.figures is None:
            console.print(f"{escape(row.label)}: [red]no plan[/red]: ", end="")
            console.print(row.failure, markup=False)
    for one in agreements(study, table):
        pairs = "; ".join(f"{a} and {b}" for a, b in one.differing)
        message = "[green]as published[/green]" if one.agrees else f"[red]not as published[/red]: {escape(pairs)}"
        console.print(f"order by {one.metric.name.replace('_', ' ')}: {message}")
    console.print()


def _number(value: float) -> str:
    return f"{value:.2f}" if value == value else "–"
