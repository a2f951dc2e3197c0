"""Report of a run, or of a study: one self-contained HTML page."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd
from plotly.offline import get_plotlyjs

from gridferry.sim.results.comparison import grouped, labels, unlike
from gridferry.sim.results.costs import operating_cost
from gridferry.sim.results.device_figures import device_totals
from gridferry.sim.results.display import figure_rows, repeats
from gridferry.sim.results.kind_tables import ColumnInfo, recorded_columns
from gridferry.sim.results.report_pictures import PICTURES, as_html, of_kind
from gridferry.sim.results.run_directory import FAILURES, REPORT, Run, in_one_piece, load_run, open_results

_SHOWN = 200
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem; color: #1d2733 }
h1 { font-size: 1.5rem; margin-bottom: 0 } h2 { font-size: 1.15rem; margin: 2.2rem 0 0.5rem }
p.lead { color: #5a6775; margin-top: 0.2rem } table { border-collapse: collapse }
td, th { padding: 0.15rem 1.2rem 0.15rem 0; text-align: left; border-bottom: 1px solid #e4e9ee }
td, th { white-space: pre-line; vertical-align: top }
div.wide { overflow-x: auto }
td.figure { text-align: right; font-variant-numeric: tabular-nums }
"""


def write_report(directory: str | Path) -> Path:
    """Write ``report.html`` into a run directory and return its path; raises `InputError` where it is none."""
    run = load_run(directory)
    path = run.directory / REPORT
    with in_one_piece(path) as target:
        target.write_text(page(run), encoding="utf-8")
    return path


def page(run: Run) -> str:
    """Return the self-contained HTML page of a run."""
    summary = run.summary
    title = html.escape(f"{summary['config']}: {summary['controller']}")
    lead = f"{summary['status']}, {summary['steps']} steps of {summary['step_s']} s, seed {summary['seed']}"
    if "failure" in summary:
        lead += f"; {summary['failure']}"
    lead += f"; {note}" if (note := repeats(summary)) else ""
    sections = [("Verdict", _verdict(run))] if "verdict" in summary else []
    sections.append(("Figures", _figures([summary])))
    if summary["solver"].get("failures"):
        sections.append(("Failures of the controller", _failures(run)))
    if "base_case" in summary:
        sections.append(("Base case", _base_case(summary)))
    if summary["steps"]:
        sections.append(("Requested and delivered", _delivered(run)))
        # what the local clock shows: an axis has one offset
        times = pd.to_datetime(run.table("step").set_index("step")["time"].str.slice(0, 19))
        for heading, draw in PICTURES.items():
            picture = draw(run, times)
            if picture is not None:
                sections.append((heading, as_html(picture, heading)))
        with open_results(run.directory) as results:
            kinds = recorded_columns(results)
        sections += [(table, _kind(run, times, table, columns)) for table, columns in kinds.items()]
        if not kinds and not run.table("device").empty:
            sections.append(("Devices by kind", "<p>The run was recorded by an earlier version, without them.</p>"))
    sections.append(("Limit violations in AC", _violations(run)))
    return _html(title, lead, sections)


def write_study_report(directory: Path, runs: Sequence[Run]) -> Path:
    """Write ``report.html`` into the folder of a study, from its runs, and return its path."""
    path = directory / REPORT
    groups = grouped(runs)
    names = labels([one.first for one in groups], but="seed")
    columns = [f"{name}\nmean of {one.runs}" for name, one in zip(names, groups, strict=True)]
    rows = "".join(
        f'<tr><td><a href="{html.escape(quote(f"{run.directory.relative_to(directory)}/{REPORT}"))}">'
        f"{html.escape(str(run.directory.relative_to(directory)))}</a></td>"
        + "".join(_cell(run.summary.get(key)) for key in ("status", "verdict", "steps", "seed"))
        + _cell(operating_cost(run.summary))
        + "</tr>"
        for run in runs
    )
    head = "".join(f"<th>{one}</th>" for one in ("run", "status", "verdict", "steps", "seed", "operating cost"))
    differ = unlike(runs)
    lead = f"{len(runs)} runs" + (f"; not alike in {', '.join(differ)}, so that sums do not compare" if differ else "")
    sections = [
        ("Means", _figures([one.summary for one in groups], columns)),
        (
            "Runs",
            f"<p>Pages are there of runs of which <code>gridferry report RUN</code> wrote one.</p>"
            f'<table id="runs"><tr>{head}</tr>{rows}</table>',
        ),
    ]
    with in_one_piece(path) as target:
        target.write_text(_html(html.escape(directory.resolve().name), lead, sections, plots=False), encoding="utf-8")
    return path


def _html(title: str, lead: str, sections: Sequence[tuple[str, str]], plots: bool = True) -> str:
    body = "\n".join(f"<section><h2>{heading}</h2>\n{content}</section>" for heading, content in sections)
    script = f"<script>{get_plotlyjs()}</script>" if plots else ""
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f"<style>{_STYLE}</style>\n{script}</head>\n"
        f'<body><h1>{title}</h1><p class="lead">{html.escape(lead)}</p>\n{body}\n</body></html>\n'
    )


# --------------------------------------------------------------------------------------------------------------- tables


def _verdict(run: Run) -> str:
    reasons = "".join(f"<li>{html.escape(one)}</li>" for one in run.summary["execution"]["reasons"])
    listed = f"<p>Not executed as planned:</p><ul>{reasons}</ul>" if reasons else ""
    return f'<p id="verdict"><strong>{html.escape(run.summary["verdict"])}</strong></p>{listed}'


def _base_case(summary: Mapping[str, Any]) -> str:
    """Return figures of the run beside those of doing nothing."""
    base = summary["base_case"]
    here = {
        "operating_cost": operating_cost(summary),
        **summary.get("where_solved", summary)["grid"],
        **summary["grid"],
    }
    rows = "".join(
        f"<tr><td>{html.escape(label)}</td>{_cell(here.get(key))}{_cell(base.get(key))}</tr>"
        for key, label in (
            ("operating_cost", f"operating cost, {summary['currency']}"),
            ("import_mwh", "import, MWh"),
            ("losses_mwh", "losses, MWh"),
            ("v_min_pu", "lowest voltage, pu"),
            ("v_max_pu", "highest voltage, pu"),
            ("loading_max_percent", "highest loading, %"),
            ("violations", "limit violations"),
            ("diverged_steps", "diverged steps"),
        )
    )
    saving = f"<p>Saving: {base['saving']:,.2f} {html.escape(summary['currency'])}.</p>" if "saving" in base else ""
    return f'<table id="base-case"><tr><th></th><th>this plan</th><th>nothing done</th></tr>{rows}</table>{saving}'


def _delivered(run: Run) -> str:
    """Return requested and delivered energy of every port that a plan sets."""
    hours = run.summary["step_s"] / 3600.0
    energies = ", ".join(
        f"{hours} * sum(greatest({sign}{column}, 0))" for column in ("p_set_mw", "p_mw") for sign in ("", "-")
    )
    with open_results(run.directory) as results:
        found = results.execute(
            f"SELECT device, {energies}, sum(shortfall_mwh), {hours} * sum(abs(q_set_mvar - q_mvar)), "
            "count(*) FILTER (clipped <> ''), string_agg(DISTINCT clipped, ', ') FILTER (clipped <> '') "
            "FROM device GROUP BY device ORDER BY min(rowid)"
        ).fetchall()
    if not found:
        return "<p>No device is set by a plan.</p>"
    energies_of = ("requested given, MWh", "requested taken, MWh", "delivered given, MWh", "delivered taken, MWh")
    heads = ("device", *energies_of, "shortfall, MWh", "Q shortfall, Mvarh", "steps clipped", "because of")
    rows = "".join(
        f"<tr><td>{html.escape(device)}</td>{''.join(_cell(value) for value in values)}</tr>"
        for device, *values in found
    )
    head = "".join(f"<th>{one}</th>" for one in heads)
    return f'<div class="wide"><table id="delivered"><tr>{head}</tr>{rows}</table></div>'


def _figures(summaries: Sequence[Mapping[str, Any]], columns: Sequence[str] = ()) -> str:
    rows = (
        [f"<tr><th></th><th></th>{''.join(f'<th>{html.escape(one)}</th>' for one in columns)}</tr>"] if columns else []
    )
    heading = ""
    for section, label, shown in figure_rows(summaries):
        first = "" if section == heading else html.escape(section)
        rows.append(f"<tr><td>{first}</td><td>{html.escape(label)}</td>{''.join(map(_cell, shown))}</tr>")
        heading = section
    return f'<div class="wide"><table id="figures">{"".join(rows)}</table></div>'


def _violations(run: Run) -> str:
    found = run.violations()
    diverged = run.summary["grid"]["diverged_steps"]
    parts = [f"<p>{diverged} steps have no power-flow solution.</p>"] if diverged else []
    if not found:
        return "".join([*parts, "<p>None.</p>"])
    rows = [
        f"<tr><td>{one.step}</td><td>{html.escape(one.network)}</td><td>{one.kind}</td>"
        f'<td>{html.escape(one.element)}</td><td class="figure">{one.value:.6g}</td>'
        f'<td class="figure">{one.limit:.6g}</td><td class="figure">{one.excess:.3g}</td></tr>'
        for one in found[:_SHOWN]
    ]
    head = "".join(f"<th>{one}</th>" for one in ("step", "network", "kind", "bus or line", "value", "limit", "by"))
    if len(found) > _SHOWN:
        parts.append(f"<p>{len(found)} in total; the worst {_SHOWN}:</p>")
    return "".join([*parts, f'<table id="violations"><tr>{head}</tr>{"".join(rows)}</table>'])


def _failures(run: Run) -> str:
    step = run.table("step")
    failed = step[step["failure"] != ""]
    fell_back = int((failed["fallback"] != "").sum())
    lead = f"<p>In {len(failed)} of {len(step)} steps; {fell_back} fell back. Tracebacks are in {FAILURES}.</p>"
    rows = [
        f"<tr><td>{one.step}</td><td>{html.escape(str(one.fallback))}</td><td>{html.escape(str(one.failure))}</td></tr>"
        for one in failed.head(_SHOWN).itertuples()
    ]
    more = f"<p>The first {_SHOWN}:</p>" if len(failed) > _SHOWN else ""
    head = "<tr><th>step</th><th>dispatched instead</th><th>failure</th></tr>"
    return f'{lead}{more}<table id="failures">{head}{"".join(rows)}</table>'


def _kind(run: Run, times: pd.Series, table: str, columns: list[ColumnInfo]) -> str:
    """Return the section of a kind: totals of its devices, and its columns over time."""
    summed = [one for one in columns if one.total]
    with open_results(run.directory) as results:
        devices = device_totals(results, table, summed)
    rows = "".join(
        f"<tr><td>{html.escape(device)}</td>{''.join(_cell(value) for value in values)}</tr>"
        for device, *values in devices
    )
    head = "".join(f"<th>{html.escape(one)}</th>" for one in ("device", *(column.title for column in summed)))
    picture = of_kind(run, times, table, columns)
    drawn = "" if picture is None else as_html(picture, f"kind {table}")
    return f'<div class="wide"><table id="kind-{html.escape(table)}"><tr>{head}</tr>{rows}</table></div>\n{drawn}'


def _cell(value: object) -> str:
    shown = "" if value is None else f"{value:.6g}" if isinstance(value, float) else html.escape(str(value))
    return f'<td class="figure">{shown}</td>'
