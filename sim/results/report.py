"""A run as one HTML page that needs nothing else: figures, pictures, violations."""

from __future__ import annotations

import html
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import plotly.io
from plotly.offline import get_plotlyjs

from gridferry.sim.results.display import figure_rows
from gridferry.sim.results.run_directory import REPORT, Run, in_one_piece, load_run, open_results

_SHOWN = 200
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem; color: #1d2733 }
h1 { font-size: 1.5rem; margin-bottom: 0 } h2 { font-size: 1.15rem; margin: 2.2rem 0 0.5rem }
p.lead { color: #5a6775; margin-top: 0.2rem } table { border-collapse: collapse }
td, th { padding: 0.15rem 1.2rem 0.15rem 0; text-align: left; border-bottom: 1px solid #e4e9ee }
td.figure { text-align: right; font-variant-numeric: tabular-nums }
"""
_COLOURS = ("#2a6fbb", "#d1662a", "#3a8f5c", "#8a5bb0", "#b08a2a", "#4aa3a8", "#b0475b", "#6b7785")


def write_report(directory: str | Path) -> Path:
    """Write ``report.html`` into a run directory and return its path; raises `InputError` where it is none."""
    run = load_run(directory)
    path = run.directory / REPORT
    with in_one_piece(path) as target:
        target.write_text(page(run), encoding="utf-8")
    return path


def page(run: Run) -> str:
    """Return the page: everything it shows and the code that draws it stand in it."""
    summary = run.summary
    title = html.escape(f"{summary['config']}: {summary['controller']}")
    lead = f"{summary['status']}, {summary['steps']} steps of {summary['step_s']} s, seed {summary['seed']}"
    if "failure" in summary:
        lead += f"; {summary['failure']}"
    sections = [("Figures", _figures(run))]
    if summary["steps"]:
        times = pd.to_datetime(run.table("step").set_index("step")["time"])
        for heading, draw in _PICTURES.items():
            picture = draw(run, times)
            if picture is not None:
                sections.append((heading, _html(picture, heading)))
    sections.append(("Limit violations in AC", _violations(run)))
    body = "\n".join(f"<section><h2>{heading}</h2>\n{content}</section>" for heading, content in sections)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f"<style>{_STYLE}</style>\n<script>{get_plotlyjs()}</script></head>\n"
        f'<body><h1>{title}</h1><p class="lead">{html.escape(lead)}</p>\n{body}\n</body></html>\n'
    )


# --------------------------------------------------------------------------------------------------------------- tables


def _figures(run: Run) -> str:
    rows: list[str] = []
    heading = ""
    for section, label, shown in figure_rows([run.summary]):
        first = "" if section == heading else html.escape(section)
        rows.append(f'<tr><td>{first}</td><td>{html.escape(label)}</td><td class="figure">{shown[0]}</td></tr>')
        heading = section
    return f'<table id="figures">{"".join(rows)}</table>'


def _violations(run: Run) -> str:
    found = run.violations()
    diverged = run.summary["grid"]["diverged_steps"]
    said = [f"<p>{diverged} steps have no power-flow solution.</p>"] if diverged else []
    if not found:
        return "".join([*said, "<p>None.</p>"])
    rows = [
        f"<tr><td>{one.step}</td><td>{html.escape(one.network)}</td><td>{one.kind}</td>"
        f'<td>{html.escape(one.element)}</td><td class="figure">{one.value:.6g}</td>'
        f'<td class="figure">{one.limit:.6g}</td><td class="figure">{one.excess:.3g}</td></tr>'
        for one in found[:_SHOWN]
    ]
    head = "".join(f"<th>{one}</th>" for one in ("step", "network", "kind", "bus or line", "value", "limit", "by"))
    if len(found) > _SHOWN:
        said.append(f"<p>{len(found)} in all; the worst {_SHOWN}:</p>")
    return "".join([*said, f'<table id="violations"><tr>{head}</tr>{"".join(rows)}</table>'])


# ------------------------------------------------------------------------------------------------------------- pictures


def _picture(unit: str, **layout: object) -> go.Figure:
    return go.Figure(
        layout={
            "template": "plotly_white",
            "colorway": list(_COLOURS),
            "height": 340,
            "margin": {"l": 70, "r": 20, "t": 45, "b": 40},
            "yaxis": {"title": unit},
            "legend": {"orientation": "h", "y": 1.0, "yanchor": "bottom"},
            "hovermode": "x unified",
            **layout,
        }
    )


def _html(picture: go.Figure, heading: str) -> str:
    identifier = "plot-" + heading.lower().replace(" ", "-").replace(",", "")
    return plotly.io.to_html(
        picture, full_html=False, include_plotlyjs=False, div_id=identifier, config={"displaylogo": False}
    )


def _line(
    picture: go.Figure, times: pd.Series, steps: pd.Series, values: pd.Series, name: str, **style: object
) -> None:
    """Add a line of values that hold over their steps; gaps where there is none."""
    shown = [None if not np.isfinite(one) else float(one) for one in values.to_numpy(float, na_value=np.nan)]
    x = [one.isoformat() for one in times.loc[steps]]
    picture.add_scatter(x=x, y=shown, name=name, mode="lines", **{"line": {"shape": "hv"}, **style})


def _voltages(run: Run, times: pd.Series) -> go.Figure:
    picture = _picture("pu")
    with open_results(run.directory) as results:
        # a step that diverged has NaN at every bus, and so leaves a gap
        bands = results.execute(
            "SELECT network, step, min(v_pu) AS low, max(v_pu) AS high FROM bus "
            "GROUP BY network, step ORDER BY network, step"
        ).df()
        limits = results.execute(
            "SELECT network, max(v_min_pu) AS low, min(v_max_pu) AS high FROM bus_info "
            "GROUP BY network ORDER BY network"
        ).df()
    for colour, (network, band) in zip(_repeated(len(limits)), bands.groupby("network"), strict=True):
        style = {"line": {"shape": "hv", "color": colour}, "legendgroup": network}
        _line(picture, times, band["step"], band["low"], f"{network} lowest", **style)
        _line(picture, times, band["step"], band["high"], f"{network} highest", fill="tonexty", **style)
    for level in sorted({*limits["low"], *limits["high"]}):
        if 0 < level < np.inf:
            picture.add_hline(y=level, line={"dash": "dash", "color": "#b3261e", "width": 1})
    return picture


def _import(run: Run, times: pd.Series) -> go.Figure:
    picture = _picture("MW")
    for name, rows in run.table("network").groupby("network"):
        _line(picture, times, rows["step"], rows["import_mw"], f"{name}, AC")
        _line(
            picture,
            times,
            rows["step"],
            rows["import_plan_mw"],
            f"{name}, planned",
            line={"shape": "hv", "dash": "dot"},
        )
    return picture


def _prices(run: Run, times: pd.Series) -> go.Figure:
    picture = _picture(f"{run.summary['currency']}/MWh")
    step = run.table("step")
    _line(picture, times, step["step"], step["buy_price"], "buying")
    _line(picture, times, step["step"], step["sell_price"], "selling")
    return picture


def _power(run: Run, times: pd.Series) -> go.Figure | None:
    return _by_device(run, times, "p_mw", "MW into the grid")


def _charge(run: Run, times: pd.Series) -> go.Figure | None:
    return _by_device(run, times, "soc", "state of charge at the end of the step")


def _by_device(run: Run, times: pd.Series, column: str, unit: str) -> go.Figure | None:
    known = run.table("device").dropna(subset=[column])
    if known.empty:
        return None
    picture = _picture(unit)
    for name, rows in known.groupby("device", sort=False):
        _line(picture, times, rows["step"], rows[column], str(name))
    return picture


def _trucks(run: Run, times: pd.Series) -> go.Figure | None:
    """One bar per stay at a station or trip, over the time it takes."""
    device = run.table("device")
    trucks = device[device["phase"] != "fixed"]
    if trucks.empty:
        return None
    trucks = trucks.assign(
        doing=np.where(trucks["phase"] == "parked", "at " + trucks["station"].fillna(""), trucks["phase"])
    )
    step = pd.Timedelta(seconds=run.summary["step_s"])
    names = list(dict.fromkeys(trucks["device"]))
    picture = _picture("", barmode="overlay", hovermode="closest", height=130 + 50 * len(names))
    for colour, (doing, rows) in zip(_repeated(trucks["doing"].nunique()), trucks.groupby("doing"), strict=True):
        spans = [
            (name, times[stay["step"].iloc[0]], len(stay) * step)
            for name, own in rows.groupby("device")
            for _, stay in own.groupby((own["step"].diff() != 1).cumsum())
        ]
        picture.add_bar(
            base=[begin.isoformat() for _, begin, _ in spans],
            x=[length.total_seconds() * 1000.0 for _, _, length in spans],
            y=[name for name, _, _ in spans],
            orientation="h",
            name=str(doing).replace("_", " "),
            marker={"color": colour},
        )
    picture.update_xaxes(type="date")
    return picture


def _error(run: Run, times: pd.Series) -> go.Figure | None:
    with open_results(run.directory) as results:
        error = results.execute(
            "SELECT step, max(abs(v_plan_pu - v_pu)) AS largest, sqrt(avg((v_plan_pu - v_pu) ** 2)) AS rms "
            "FROM bus WHERE NOT isnan(v_plan_pu) AND NOT isnan(v_pu) GROUP BY step ORDER BY step"
        ).df()
    if error.empty:
        return None
    picture = _picture("|V planned − V in AC|, pu")
    _line(picture, times, error["step"], error["largest"], "largest of all buses")
    _line(picture, times, error["step"], error["rms"], "RMS")
    picture.update_yaxes(exponentformat="e", rangemode="tozero")
    return picture


def _repeated(number: int) -> list[str]:
    return [_COLOURS[i % len(_COLOURS)] for i in range(number)]


_PICTURES: dict[str, Callable[[Run, pd.Series], go.Figure | None]] = {
    "Voltages": _voltages,
    "Import": _import,
    "Prices": _prices,
    "Trucks": _trucks,
    "Device power": _power,
    "State of charge": _charge,
    "Plan against AC": _error,
}
