"""Map of the networks over time, with devices and trucks; heat maps of voltages and loadings."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from gridferry.sim.results.report.device_panels import injections
from gridferry.sim.results.report.source import Source, rounded


def network_map(source: Source, networks: list[dict[str, Any]]) -> str:
    """Return the map."""
    figure: dict[str, Any] = {"type": "map", "stations": [], "devices": []}
    if "port_info" in source.tables:
        where = {
            (one["name"], bus): (number, k) for number, one in enumerate(networks) for k, bus in enumerate(one["bus"])
        }
        stations = source.run.table("station_info")
        figure["stations"] = [
            dict(zip(("name", "network", "bus"), (name, *where[network, bus]), strict=True))
            for name, network, bus in stations[["station", "network", "bus"]].to_numpy()
        ]
        figure["devices"] = _devices(source, where, stations["station"].tolist())
    caption = "Buses: colour for voltage, a triangle beyond a limit. Branches: colour and width for "
    caption += "loading. Dashed outline: truck on the road. Click a bus or a branch to mark it in the pictures below."
    return source.picture("map", caption, figure)


def heat_maps(source: Source, networks: list[dict[str, Any]]) -> str:
    """Return the heat maps of all networks."""
    facts = source.run.manifest["facts"]
    shown = []
    for number, one in enumerate(networks):
        for of, what, tolerance in (
            ("bus", "voltages", facts["v_tolerance_pu"]),
            ("line", "loadings" if one["rated"] else "currents", facts["loading_tolerance_percent"]),
        ):
            unit = "pu" if of == "bus" else one["unit"]
            figure = {"type": "heat", "network": number, "of": of, "unit": unit, "tolerance": tolerance}
            shown.append(source.picture(f"{what}-{number}", f"{one['name']}: {what}, {unit}", figure))
    return "".join(shown)


def _devices(
    source: Source, where: dict[tuple[Any, Any], tuple[int, int]], stations: list[str]
) -> list[dict[str, Any]]:
    powers, charges, moves = _powers(source), _charges(source), _moves(source, stations)
    found = []
    for name, ports in source.run.table("port_info").groupby("belongs_to", sort=False):
        at = [where[one.network, one.bus] for one in ports.itertuples() if (one.network, one.bus) in where]
        own = {"name": str(name), "ports": at, "power": powers.get(str(name)), "soc": charges.get(str(name))}
        if at or str(name) in moves:
            found.append(own | moves.get(str(name), {}))
    return found


def _powers(source: Source) -> dict[str, Any]:
    """Power into the grid of every device; of what has ports in several places, that of the first."""
    first = source.frame(
        "SELECT step, belongs_to AS name, p_mw AS value FROM device JOIN (SELECT belongs_to, arg_min(device, rowid) AS "
        "device FROM device_info GROUP BY belongs_to) USING (device) ORDER BY step, device.rowid"
    )
    return {name: one["values"] for name, one in (injections(source) | source.series(first)).items()}


def _charges(source: Source) -> dict[str, Any]:
    rows = source.frame(
        "SELECT step, belongs_to AS name, soc AS value FROM device JOIN device_info USING (device) "
        "WHERE soc IS NOT NULL ORDER BY step"
    )
    return {name: one["values"] for name, one in source.series(rows).items()}


def _moves(source: Source, stations: list[str]) -> dict[str, dict[str, Any]]:
    """Where everything is that drives between stations: at or on the way to, whether away, and from where."""
    if "position" not in source.tables:
        return {}
    rows = source.run.table("position")
    rows = rows[rows["phase"].notna() & (rows["step"] % source.block == 0)]
    found = {}
    for name, own in rows.groupby("device", sort=False):
        away = (own["phase"] == "in_transit").to_numpy()
        at = pd.Index(stations).get_indexer(pd.Index(own["label"]))
        parked = pd.Series(np.where(away, np.nan, at)).ffill().to_numpy()
        found[str(name)] = {"at": at.tolist(), "away": away.tolist(), "from": rounded(parked)}
    return found
