"""``gridferry study`` for closed-loop studies."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table as Grid

from gridferry.sim.commands.output import print_json, print_table
from gridferry.sim.exit_codes import DEFECT, DONE, FAILED
from gridferry.sim.results.comparison import runs_of
from gridferry.sim.results.progress import study_progress
from gridferry.sim.results.report import write_comparison
from gridferry.sim.study.closed_loop import LoopResult, run_loop_study
from gridferry.sim.study.closed_loop_config import load_loop_study
from gridferry.sim.study.closed_loop_figures import RowFigures
from gridferry.sim.study.published_runs import ComparedTable

_CAPTION = (
    "cost: grid + truck + ess + res; saving: over the first row; ±: standard deviation of the paired differences\n"
    "reliability: limits of all buses and lines in AC, in whole runs and in steps; a step that diverged breaks them"
)


def loop_study_command(name: str, workers: int, overwrite: bool, as_json: bool, page: Path | None = None) -> int:
    """Run a closed-loop study, print one row per controller, and write a page of its runs if one is named."""
    study = load_loop_study(name)
    errors = Console(stderr=True, highlight=False, soft_wrap=True)
    try:
        with study_progress(study.config.name) as progress:
            result = run_loop_study(study, workers, anew=overwrite, progress=progress)
    except KeyboardInterrupt:
        errors.print("interrupted; the same command resumes it")
        return FAILED
    if page is not None:
        write_comparison(page, study.config.title or study.config.name, runs_of(result.directory))
    if as_json:
        print_json(result.as_json())
    else:
        _print(result)
    for one in result.defects:
        errors.print(f"{one.failure}: a defect of GridFerry; please report it with that file", markup=False)
    if result.defects:
        return DEFECT
    return FAILED if result.failed or any(row.figures.diverged_steps for row in result.rows) else DONE


def _print(result: LoopResult) -> None:
    console = Console(highlight=False, soft_wrap=True)
    config, currency = result.study.config, result.study.rows[0].config.currency
    grid = Grid(box=None, header_style="bold", pad_edge=False, title=escape(config.title), title_justify="left")
    grid.caption, grid.caption_justify = _CAPTION, "left"
    headed = [[("", row.label), *_cells(row.figures, currency, config.reference)] for row in result.rows]
    rows = [[cell for _, cell in row] for row in headed]
    for (heading, _), *cells in zip(headed[0], *rows, strict=True):
        width = max(len(line) for cell in (heading, *cells) for line in cell.split("\n"))
        grid.add_column(escape(heading), justify="right" if heading else "left", min_width=width)
    for row in rows:
        grid.add_row(*map(escape, row))
    print_table(grid)
    for table in result.compared:
        _print_compared(table)
    for key, cause in config.causes.items() if result.compared else ():
        console.print(f"{key}: {cause}", markup=False)
    for label, one in [(row.label, one) for row in result.rows for one in row.runs]:
        if one.failure:
            console.print(f"{label}, seed {one.seed}: {one.failure} ({one.directory})", markup=False, style="red")
    made = [one for row in result.rows for one in row.runs]
    reused = sum(one.reused for one in made)
    was = f", {reused} of {len(made)} runs from before" if reused else ""
    console.print(f"results: {result.directory}{was}", markup=False)


def _print_compared(table: ComparedTable) -> None:
    grid = Grid(box=None, header_style="bold", pad_edge=False, title=escape(table.config.title), title_justify="left")
    for heading in ("", "published", table.config.row, "difference", "unit", "cause"):
        grid.add_column(escape(heading), justify="left" if heading in ("", "unit", "cause") else "right", no_wrap=True)
    for one in table.rows:
        form = f",.{len(one.printed.partition('.')[2])}f"
        ours = _number(one.ours, form=form)
        apart = _number(None if one.ours is None else one.ours - one.published, form=form)
        verdict = ["as published", one.unit, ""] if one.agrees else [apart, one.unit, " ".join(one.cause)]
        grid.add_row(*map(escape, [one.metric, one.printed, ours, *verdict]))
    print_table(grid)


def _cells(of: RowFigures, currency: str, reference: str | None) -> list[tuple[str, str]]:
    """Headings of the columns, and the cells of a row."""
    compared = [
        (f"over {reference}\n{currency}", _number(of.excess)),
        (f"±\n{currency}", _number(of.excess_deviation)),
        (f"{reference}\nbetter", "–" if of.reference_better is None else f"{of.reference_better} of {of.pairs}"),
    ]
    return [
        ("runs", f"{of.runs} of {of.runs + of.failures}" if of.failures else str(of.runs)),
        (f"cost\n{currency}", _number(of.cost)),
        (f"controllable\n{currency}", _number(of.controllable_cost)),
        (f"saving\n{currency}", _number(of.saving)),
        ("saving\n%", _number(of.saving_share, 100.0)),
        (f"±\n{currency}", _number(of.saving_deviation)),
        *([] if reference is None else compared),
        ("reliable\nruns, %", _number(of.joint_reliability, 100.0)),
        ("reliable\nsteps, %", _number(of.step_reliability, 100.0)),
        ("violations", _number(of.violations, form="d")),
        ("diverged\nsteps", _number(of.diverged_steps, form="d")),
        ("fallbacks", _number(of.fallbacks, form="d")),
        ("deciding\nmean, s", _number(of.decision_seconds_mean, form=".3f")),
        ("deciding\nlongest, s", _number(of.decision_seconds_max, form=".3f")),
    ]


def _number(value: int | float | None, scale: float = 1, form: str = ",.2f") -> str:
    return "–" if value is None else format(scale * value, form)
