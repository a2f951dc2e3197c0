"""Pictures of a run's report."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import plotly.io
from plotly.subplots import make_subplots

from gridferry.sim.results.kind_tables import INT, REAL, ColumnInfo
from gridferry.sim.results.run_directory import Run, open_results

_COLOURS = ("#2a6fbb", "#d1662a", "#3a8f5c", "#8a5bb0", "#b08a2a", "#4aa3a8", "#b0475b", "#6b7785")
_LAYOUT: dict[str, Any] = {
    "template": "plotly_white",
    "colorway": list(_COLOURS),
    "height": 340,
    "margin": {"l": 70, "r": 20, "t": 45, "b": 40},
    "legend": {"orientation": "h", "y": 1.0, "yanchor": "bottom"},
    "hovermode": "x unified",
}


def _picture(unit: str, **layout: object) -> go.Figure:
    return go.Figure(layout={**_LAYOUT, "yaxis": {"title": unit}, **layout})


def as_html(picture: go.Figure, heading: str) -> str:
    """Return a picture as HTML that draws it, with the code of plotly on the page."""
    identifier = "plot-" + heading.lower().replace(" ", "-").replace(",", "")
    return plotly.io.to_html(
        picture, full_html=False, include_plotlyjs=False, div_id=identifier, config={"displaylogo": False}
    )


def _line(
    picture: go.Figure, times: pd.Series, steps: pd.Series, values: pd.Series, name: str, **style: object
) -> None:
    """Add a line of values that are constant over their steps, with gaps for missing values."""
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


@dataclass(frozen=True)
class _Lines:
    """Picture of a line for every ``name`` of a query, in the order in which they come; nothing of an empty one.

    Attributes
    ----------
    unit : of the values; ``{currency}`` is that of the run
    query : gives step, name and value
    axis : how values are written
    """

    unit: str
    query: str
    axis: Mapping[str, str] = field(default_factory=dict)

    def __call__(self, run: Run, times: pd.Series) -> go.Figure | None:
        """Draw it."""
        with open_results(run.directory) as results:
            rows = results.execute(self.query).df()
        if rows.empty:
            return None
        picture = _picture(self.unit.format(currency=run.summary["currency"]))
        for name, own in rows.groupby("name", sort=False):
            dash = "dot" if str(name).endswith(("planned", "requested")) else "solid"
            _line(picture, times, own["step"], own["value"], str(name), line={"shape": "hv", "dash": dash})
        return picture.update_yaxes(**self.axis)


def _positions(run: Run, times: pd.Series) -> go.Figure | None:
    """Bars over time, one per stay at a position or trip to one."""
    if "position" not in run.tables():
        return None
    rows = run.table("position")
    if rows.empty:
        return None
    phase, label = rows["phase"], rows["label"]
    rows["doing"] = phase.where(phase.notna() & (phase != "parked"), label.where(phase.isna(), "at " + label))
    alone = rows["position"] == rows["device"]
    rows["name"] = rows["position"].where(alone, rows["device"] + " " + rows["position"])
    step = pd.Timedelta(seconds=run.summary["step_s"])
    names = list(dict.fromkeys(rows["name"]))
    picture = _picture("", barmode="overlay", hovermode="closest", height=130 + 50 * len(names))
    for colour, (doing, own) in zip(_repeated(rows["doing"].nunique()), rows.groupby("doing"), strict=True):
        spans = [
            (name, times[stay["step"].iloc[0]], len(stay) * step)
            for (_, name), one in own.groupby(["kind", "name"])
            for _, stay in one.groupby((one["step"].diff() != 1).cumsum())
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


def of_kind(run: Run, times: pd.Series, table: str, columns: list[ColumnInfo]) -> go.Figure | None:
    """Return a picture of a kind's columns over time: one row per column that changes, equal ones once."""
    rows = run.table(table)
    drawn: list[ColumnInfo] = []
    for one in columns:
        if one.of in (REAL, INT) and _changes(rows[one.name]):
            drawn += [] if any(rows[one.name].equals(rows[other.name]) for other in drawn) else [one]
    if not drawn:
        return None
    titles = [one.title for one in drawn]
    picture = make_subplots(rows=len(drawn), cols=1, shared_xaxes=True, subplot_titles=titles)
    picture.update_layout(**(_LAYOUT | {"height": 120 + 110 * len(drawn)}))
    for colour, (device, own) in zip(
        _repeated(rows["device"].nunique()), rows.groupby("device", sort=False), strict=True
    ):
        for number, one in enumerate(drawn, start=1):
            values = own[one.name]
            before = values.shift()
            # a line that keeps its level needs no points there
            changes = (values != before) & ~(values.isna() & before.isna())
            changes.iloc[[0, -1]] = True
            style = {"line": {"shape": "hv", "color": colour}, "legendgroup": device, "showlegend": number == 1}
            _line(picture, times, own["step"][changes], values[changes], str(device), row=number, col=1, **style)
    return picture


def _changes(values: pd.Series) -> bool:
    known = values.dropna()
    return not known.empty and bool((known != known.iloc[0]).any())


def _repeated(number: int) -> list[str]:
    return [_COLOURS[i % len(_COLOURS)] for i in range(number)]


_IMPORT = """
    SELECT step, network || ', AC' AS name, import_mw AS value FROM network
    UNION ALL SELECT step, network || ', planned', import_plan_mw FROM network ORDER BY name, step
"""
_PRICES = """
    SELECT step, 'buying' AS name, buy_price AS value FROM step
    UNION ALL SELECT step, 'selling', sell_price FROM step ORDER BY name, step
"""
_OF_DEVICES = """
    SELECT step, device AS name, {0} AS value FROM device
    WHERE {0} IS NOT NULL AND NOT isnan({0}) ORDER BY step, rowid
"""
_POWERS = """
    SELECT step, device AS name, p_mw AS value, rowid FROM device
    UNION ALL SELECT step, device || ', requested', p_set_mw, rowid FROM device
    WHERE device IN (SELECT device FROM device WHERE abs(p_set_mw - p_mw) > 1e-6) ORDER BY step, rowid
"""
_ERRORS = """
    WITH error AS (SELECT step, abs(v_plan_pu - v_pu) AS pu FROM bus WHERE NOT isnan(v_plan_pu) AND NOT isnan(v_pu))
    SELECT step, 'largest of all buses' AS name, max(pu) AS value FROM error GROUP BY step
    UNION ALL SELECT step, 'RMS', sqrt(avg(pu ** 2)) FROM error GROUP BY step ORDER BY name DESC, step
"""
PICTURES: Mapping[str, Callable[[Run, pd.Series], go.Figure | None]] = {
    "Voltages": _voltages,
    "Import": _Lines("MW", _IMPORT),
    "Prices": _Lines("{currency}/MWh", _PRICES),
    "Positions": _positions,
    "Device power": _Lines("MW into the grid", _POWERS),
    "State of charge": _Lines("state of charge at the end of the step", _OF_DEVICES.format("soc")),
    "Plan against AC": _Lines("|V planned − V in AC|, pu", _ERRORS, {"exponentformat": "e", "rangemode": "tozero"}),
}
"""What is drawn of every run, by its heading; nothing of what a run has not."""
