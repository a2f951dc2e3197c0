"""The networks of a run for map and heat maps: places of buses, limits, values over frames."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from gridferry.sim.results.report.source import Source, rounded


def network_data(source: Source) -> list[dict[str, Any]]:
    """Return every network for the scripts of a page: buses, branches, limits, values, an order for rows, places."""
    buses, lines = source.run.table("bus_info"), source.run.table("line_info")
    return [
        _network(source, str(name), own, lines[lines["network"] == name])
        for name, own in buses.groupby("network", sort=False)
    ]


def _network(source: Source, name: str, buses: pd.DataFrame, lines: pd.DataFrame) -> dict[str, Any]:
    bus, line = buses["bus"].tolist(), lines["line"].tolist()
    index = {one: k for k, one in enumerate(bus)}
    ends = [(index[a], index[b]) for a, b in zip(lines["from_bus"], lines["to_bus"], strict=True)]
    v_low, v_high = source.grid("bus", "v_pu", name, bus)
    rated = bool(np.isfinite(lines["i_max_ka"]).any())
    loading = source.grid("line", "loading_percent" if rated else "i_ka", name, line)[1]
    low, high, limited = _voltage_limits(buses, v_low, v_high)
    middle = (low + high)[:, None] / 2
    voltage = np.where(v_high - middle >= middle - v_low, v_high, v_low)
    limit = np.nan_to_num(lines["loading_max_percent"].to_numpy(float), nan=100.0, posinf=100.0)
    order, places = _layout(buses, ends)
    return {
        "name": name,
        "bus": bus,
        "line": line,
        "ends": ends,
        "low": low.tolist(),
        "high": high.tolist(),
        "limited": limited,
        "limit": limit.tolist(),
        "rated": rated,
        "most": float(np.nanmax(loading, initial=1e-9)),
        "unit": "%" if rated else "kA",
        "order": {"bus": order, "line": [at for k in order for at, (_, child) in enumerate(ends) if child == k]},
        "values": {"bus": [rounded(one, 6) for one in voltage], "line": [rounded(one) for one in loading]},
        **places,
    }


def _voltage_limits(buses: pd.DataFrame, v_low: np.ndarray, v_high: np.ndarray) -> tuple[np.ndarray, np.ndarray, bool]:
    """Limits of the buses; where there are none, what colours range over."""
    low, high = buses["v_min_pu"].to_numpy(float).copy(), buses["v_max_pu"].to_numpy(float).copy()
    known = np.isfinite(v_low)
    least, most = (v_low[known].min(), v_high[known].max()) if known.any() else (0.9, 1.1)
    none = ~(low > 0.0), ~np.isfinite(high)
    low[none[0]], high[none[1]] = min(least, 0.999) - 1e-3, max(most, 1.001) + 1e-3
    return low, high, not (none[0].any() or none[1].any())


def _layout(buses: pd.DataFrame, ends: list[tuple[int, int]]) -> tuple[list[int], dict[str, Any]]:
    """Order of the buses along the tree, and their places in a unit square: coordinates of their own, or the tree's."""
    children: dict[int, list[int]] = {}
    for parent, child in ends:
        children.setdefault(parent, []).append(child)
    below = {child for _, child in ends}
    order, depth, row, leaves = [], {}, {}, 0
    stack = [(k, 0) for k in reversed(range(len(buses))) if k not in below]
    while stack:
        k, deep = stack.pop()
        order.append(k)
        depth[k] = deep
        own = sorted(children.get(k, []), key=lambda one: _height(children, one), reverse=True)
        if not own:
            row[k], leaves = leaves, leaves + 1
        stack += [(one, deep + 1) for one in reversed(own)]
    for k in reversed(order):
        if k not in row:  # beside the longest branch below it, so that main lines run straight
            row[k] = row[max(children[k], key=lambda one: _height(children, one))]
    deepest = max(depth.values(), default=0) or 1
    places: dict[str, Any] = {
        "x": [depth[k] / deepest for k in range(len(buses))],
        "y": [(row[k] + 0.5) / max(leaves, 1) for k in range(len(buses))],
        "leaves": leaves,
        "deepest": deepest,
        "aspect": None,
    }
    if {"x", "y"} <= {*buses} and np.isfinite(buses[["x", "y"]].to_numpy(float)).all():
        places |= _own_places(buses["x"].to_numpy(float), buses["y"].to_numpy(float))
    return order, places


def _height(children: dict[int, list[int]], bus: int) -> int:
    """Buses in a row below one."""
    high, level = 0, [bus]
    while level := [one for k in level for one in children.get(k, [])]:
        high += 1
    return high


def _own_places(x: np.ndarray, y: np.ndarray) -> dict[str, Any]:
    width, height = float(np.ptp(x)) or 1.0, float(np.ptp(y)) or 1.0
    return {
        "x": ((x - x.min()) / width).tolist(),
        "y": ((y.max() - y) / height).tolist(),
        "aspect": height / width,
    }
