"""Pictures of devices: one panel each with what was requested, delivered and allowed; columns of kinds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from gridferry.sim.results.device_figures import device_totals
from gridferry.sim.results.kind_tables import INT, REAL, ColumnInfo, quoted, recorded_columns, recorded_kinds
from gridferry.sim.results.report.markup import cell, folded, row, table, text, words
from gridferry.sim.results.report.source import Source, limits, panel

_MOST = 60
"""devices that have a panel of their own"""
_STYLES = ("", "dash", "mixed", "dot")


def device_panels(source: Source) -> str:
    """Return a panel for every device: power, Q, state of charge, with limits; and what of it was requested."""
    rows = source.frame(
        "SELECT device.*, belongs_to FROM device JOIN device_info USING (device) ORDER BY step, device.rowid"
    )
    ports = source.run.table("port_info" if "port_info" in source.tables else "device_info")
    powers = {name: one for name, one in injections(source).items() if name not in set(rows["belongs_to"])}
    devices = list(dict.fromkeys([*rows["belongs_to"], *powers]))
    drawn = [(one, _panels(source, one, rows, ports, powers)) for one in devices]
    resting = [name for name, panels in drawn if not panels]
    shown = [
        source.picture(f"device-{name}", name, {"type": "lines", "panels": panels})
        for name, panels in [one for one in drawn if one[1]][:_MOST]
    ]
    words = f"<p>{len(devices)} devices; the first {_MOST} are drawn.</p>" if len(shown) == _MOST else ""
    words += f"<p>At rest throughout: {text(', '.join(resting))}.</p>" if resting else ""
    requested = _delivered(source) if len(rows) else "<p>No device is set by a plan.</p>"
    return f'<div class="columns">{"".join(shown)}</div>{words}{requested}'


def _panels(
    source: Source, name: str, all_rows: pd.DataFrame, ports: pd.DataFrame, powers: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Panels of a device; none of one that rests."""
    rows, own = all_rows[all_rows["belongs_to"] == name], ports[ports["belongs_to"] == name]
    several = len(own) > 1
    panels = []
    for unit, done, wanted in (("MW", "p_mw", "p_set_mw"), ("Mvar", "q_mvar", "q_set_mvar")):
        series = []
        for number, port in enumerate(own["device"]):
            of_port, label = rows[rows["device"] == port], f"{port} " if several else ""
            for column, what, style in ((wanted, "requested", "under"), (done, "delivered", "")):
                drawn = source.series(of_port, "device", column).get(str(port))
                if drawn and _moves(drawn):
                    colour = number + (style == "under")
                    series.append({"name": label + what, "colour": colour, "style": style, **drawn})
        if unit == "MW" and name in powers and _moves(powers[name]):
            series.append({"name": "delivered", "colour": 0, "style": "", **powers[name]})
        if series:
            rating = limits(*own["p_min_mw"], *own["p_max_mw"]) if unit == "MW" and "p_max_mw" in own else []
            panels.append(panel(unit, series, "into the grid", [one for one in rating if one]))
    charge = charge_panel(source, [name])
    return panels + ([charge] if charge else [])


def injections(source: Source) -> dict[str, Any]:
    """Power into the grid of every device over all its ports, by name, from the tables of kinds."""
    hours = source.run.summary["step_s"] / 3600.0
    found: dict[str, Any] = {}
    for kind in recorded_kinds(source.results):
        query = f"SELECT step, device AS name, injected_mwh / {hours} AS value FROM {quoted(kind)} ORDER BY step, rowid"
        found |= source.series(source.frame(query))
    return found


def _moves(drawn: Mapping[str, Any]) -> bool:
    return any(drawn["values"]) or any(drawn.get("low", ()))


def charge_panel(source: Source, devices: Sequence[str]) -> dict[str, Any] | None:
    """Return the panel of states of charge of devices, planned and real; ``None`` if they store nothing."""
    rows = source.frame(
        "SELECT step, belongs_to, soc, energy_plan_mwh / device_info.energy_mwh AS planned, soc_min, soc_max "
        "FROM device JOIN device_info USING (device) WHERE soc IS NOT NULL ORDER BY step, device.rowid"
    )
    rows = rows[rows["belongs_to"].isin(devices)]
    if rows.empty:
        return None
    series = _each(source, rows, "belongs_to", "soc")
    if len(devices) == 1:
        planned = source.series(rows, "belongs_to", "planned").get(devices[0])
        if planned and any(planned["values"]):
            series.append({"name": "planned", "colour": 1, "style": "under", **planned})
        series[0]["name"] = "state of charge"
    return panel("", series, "state of charge, end of the step", limits(*rows["soc_min"], *rows["soc_max"]))


def power_panel(source: Source, devices: Sequence[str]) -> dict[str, Any] | None:
    """Return the panel of powers of devices; ``None`` if they have none."""
    rows = source.frame("SELECT step, belongs_to, p_mw FROM device JOIN device_info USING (device) ORDER BY step")
    rows = rows[rows["belongs_to"].isin(devices)]
    return None if rows.empty else panel("MW", _each(source, rows, "belongs_to", "p_mw"), "into the grid")


def _each(source: Source, rows: pd.DataFrame, name: str, value: str) -> list[dict[str, Any]]:
    return [
        {"name": key, "colour": k % 8, "style": _STYLES[k % 4], **drawn}
        for k, (key, drawn) in enumerate(source.series(rows, name, value).items())
    ]


def _delivered(source: Source) -> str:
    """Return requested and delivered energy of every port that a plan sets."""
    hours = source.run.summary["step_s"] / 3600.0
    energies = ", ".join(
        f"{hours} * sum(greatest({sign}{column}, 0))" for column in ("p_set_mw", "p_mw") for sign in ("", "-")
    )
    found = source.results.execute(
        f"SELECT device, {energies}, sum(shortfall_mwh), {hours} * sum(abs(q_set_mvar - q_mvar)), "
        "count(*) FILTER (clipped <> ''), string_agg(DISTINCT clipped, ', ') FILTER (clipped <> '') "
        "FROM device GROUP BY device ORDER BY min(rowid)"
    ).fetchall()
    energies_of = ("requested given, MWh", "requested taken, MWh", "delivered given, MWh", "delivered taken, MWh")
    heads = ("device", *energies_of, "shortfall, MWh", "Q shortfall, Mvarh", "steps clipped", "because of")
    return "<h3>Requested and delivered</h3>" + table(
        "delivered", heads, (row(text(name), values) for name, *values in found)
    )


def kinds(source: Source) -> str:
    """Return, for every kind of device, totals of its devices and its columns over time."""
    found = recorded_columns(source.results)
    if not found and not source.run.table("device").empty:
        return "<p>The run was recorded by an earlier version, without them.</p>"
    return "".join(_kind(source, name, columns) for name, columns in found.items())


def _kind(source: Source, kind: str, columns: list[ColumnInfo]) -> str:
    summed = [one for one in columns if one.total]
    devices = device_totals(source.results, kind, summed)
    heads = ("device", *(one.title for one in summed))
    totals = table(
        f"kind-{kind}", heads, (f"<tr><td>{text(one)}</td>{''.join(map(cell, v))}</tr>" for one, *v in devices)
    )
    meanings = table(
        f"columns-{kind}",
        ("column", "unit", "meaning"),
        (words((one.name, one.unit, one.meaning)) for one in columns),
    )
    return f"<h3>{text(kind)}</h3>{totals}" + folded(
        f"{kind}: columns over time", _over_time(source, kind, columns) + meanings
    )


def _over_time(source: Source, kind: str, columns: list[ColumnInfo]) -> str:
    """Return a picture with a panel per column that changes, equal ones once."""
    rows = source.run.table(kind)
    drawn: list[ColumnInfo] = []
    for one in columns:
        if one.of in (REAL, INT) and _changes(rows[one.name]):
            drawn += [] if any(rows[one.name].equals(rows[other.name]) for other in drawn) else [one]
    if not drawn:
        return ""
    panels = [panel(one.unit, _each(source, rows, "device", one.name), one.name) for one in drawn]
    return source.picture(f"kind-{kind}", "", {"type": "lines", "panels": panels})


def _changes(values: pd.Series) -> bool:
    known = values.dropna()
    return not known.empty and bool((known != known.iloc[0]).any())
