"""The day of everything that has a position: bars over time, with state of charge and power under them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd

from gridferry.sim.results.report.device_panels import charge_panel, power_panel
from gridferry.sim.results.report.source import Source

STATES = {
    "charging": ("charge", "up"),
    "discharging": ("discharge", "down"),
    "parked": ("idle", None),
    "driving": ("drive", "cross"),
    "installing": ("install", "dots"),
    "waiting": ("wait", "flat"),
}
"""States that every route has, with the fill and the hatch by which they are told apart in grey, too."""
_HATCHES = (None, "up", "down", "cross", "dots", "flat", "upright")
_RESTS_MW = 1e-6


def positions(source: Source) -> str:
    """Return the picture of positions, with SOC and power of what drives under it; empty where nothing has one."""
    if "position" not in source.tables:
        return ""
    rows = source.frame(
        "SELECT position.step, position.device, position.position, label, position.phase, device.p_mw "
        "FROM position LEFT JOIN device ON device.step = position.step AND device.device = position.position "
        "ORDER BY position.step, position.rowid"
    )
    if rows.empty:
        return ""
    alone = rows["position"] == rows["device"]
    rows["name"] = rows["position"].where(alone, rows["device"] + " " + rows["position"])
    rows["state"], rows["text"] = zip(*map(_state, rows["phase"], rows["label"], rows["p_mw"]), strict=True)
    names = list(dict.fromkeys(rows["name"]))
    states = [one for one in STATES if one in set(rows["state"])]
    states += [one for one in dict.fromkeys(rows["state"]) if one not in STATES]
    figure = {
        "type": "gantt",
        "rows": names,
        "states": [{"name": one, **look(one, k)} for k, one in enumerate(states)],
        "bars": list(_bars(rows, names, states, source.block)),
    }
    drives = list(dict.fromkeys(rows.loc[rows["phase"].notna(), "device"]))
    panels = [one for one in (charge_panel(source, drives), power_panel(source, drives)) if one]
    below = source.picture("fleet", "State of charge and power into the grid", {"type": "lines", "panels": panels})
    shown = source.picture("positions", "Where they are, and what they do", figure)
    return shown + (below if panels else "")


def _state(phase: Any, label: str, p_mw: float) -> tuple[str, str]:
    """State and text of a bar."""
    if pd.isna(phase):
        return str(label), str(label)
    if phase == "parked" and abs(p_mw) > _RESTS_MW:
        return ("discharging" if p_mw > 0 else "charging"), str(label)
    doing = {"in_transit": "driving"}.get(phase, str(phase))
    return doing, f"to {label}" if doing == "driving" else str(label)


def look(state: str, number: int) -> dict[str, str | None]:
    """Return fill and hatch of a state, which is the one of this number where it is a label of a device's own."""
    fill, hatch = STATES.get(state, (f"c{number % 8}", _HATCHES[number % len(_HATCHES)]))
    return {"fill": fill, "hatch": hatch}


def _bars(rows: pd.DataFrame, names: list[str], states: list[str], block: int) -> Iterator[tuple[Any, ...]]:
    """Row, first frame, frame after the last, state and text of each stay."""
    for name, own in rows.groupby("name", sort=False):
        what = own["state"] + "\0" + own["text"]
        stays = own.groupby(((what != what.shift()) | (own["step"].diff() != 1)).cumsum())
        for _, stay in stays:
            first, last = stay["step"].iloc[0], stay["step"].iloc[-1] + 1
            state, text = stay["state"].iloc[0], stay["text"].iloc[0]
            yield names.index(str(name)), float(first / block), float(last / block), states.index(state), text
