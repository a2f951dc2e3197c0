"""Figures of devices, from the tables of their kinds: totals, stores and vehicles, energy balances."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import duckdb

from gridferry.sim.results.kind_tables import TEXT, ColumnInfo, quoted

Kinds = Mapping[str, Sequence[ColumnInfo]]
"""Columns of the kinds of a run, by table: `gridferry.sim.results.kind_tables.recorded_columns`."""

FLOOR = 1e-6
"""A relative mismatch is measured against at least this power or energy, so that an idle hour is no division by 0."""

_OF_STORES = ("energy_start_mwh", "energy_mwh", "soc", "cycles_today", "charged_mwh", "discharged_mwh")
_OF_MOVERS = ("departed", "km")
"""Columns by which the table of a kind is one of stores, or of what drives between stations."""


def kind_figures(connection: duckdb.DuckDBPyConnection, kinds: Kinds) -> dict[str, Any]:
    """Return number of devices and totals of the columns of every kind, by table.

    Returns
    -------
    ``devices`` : number of devices
    ``totals`` : sums and maxima over all devices and steps
    ``last`` : last known values, by device
    ``cost`` : sums of the cost terms [currency]
    """
    found: dict[str, Any] = {}
    for table, columns in kinds.items():
        summed = [one for one in columns if one.total in ("sum", "max")]
        chosen = ["count(DISTINCT device)", *(f"{one.total}({one.sql})" for one in summed)]
        devices, *values = connection.execute(f"SELECT {', '.join(chosen)} FROM {quoted(table)}").fetchall()[0]
        known = [(one, value) for one, value in zip(summed, values, strict=True) if value is not None]
        last = {one.name: _last(connection, table, one) for one in columns if one.total == "last"}
        found[table] = {
            "devices": devices,
            "totals": {one.name: value for one, value in known if not one.cost},
            **({"last": last} if last else {}),
            "cost": {one.name: value for one, value in known if one.cost},
        }
    return found


def device_totals(connection: duckdb.DuckDBPyConnection, table: str, columns: Sequence[ColumnInfo]) -> list[list[Any]]:
    """Return name and totals of the columns of every device of a kind, in the order of the plant."""
    chosen = [_last_sql(one) if one.total == "last" else f"{one.total}({one.sql})" for one in columns]
    rows = connection.execute(
        f"SELECT {', '.join(['device', *chosen])} FROM {quoted(table)} GROUP BY device ORDER BY min(rowid)"
    ).fetchall()
    return [list(row) for row in rows]


def fleet_figures(connection: duckdb.DuckDBPyConnection, kinds: Kinds) -> dict[str, Any]:
    """Return the figures of ``fleet`` in the summary: all stores and vehicles, whatever their kinds."""
    found: dict[str, Any] = {"trips": 0, "km": 0.0}
    if movers := _joined(kinds, _OF_MOVERS):
        found["trips"], found["km"] = connection.execute(
            f"SELECT count(*) FILTER (departed), coalesce(sum(km), 0) FROM {movers}"
        ).fetchall()[0]
    if stores := _joined(kinds, _OF_STORES):
        found |= _store_figures(connection, stores)
    found["shortfall_mwh"], found["clipped_steps"] = connection.execute(
        "SELECT coalesce(sum(shortfall_mwh), 0), count(*) FILTER (clipped <> '') FROM device"
    ).fetchall()[0]
    return found


def _store_figures(connection: duckdb.DuckDBPyConnection, stores: str) -> dict[str, Any]:
    rated = "greatest(soc, energy_start_mwh / rated_mwh)", "least(soc, energy_start_mwh / rated_mwh)"
    high, low, cycles, charged, discharged, rows = connection.execute(
        f"""
        SELECT max({rated[0]}), min({rated[1]}), max(cycles_today), coalesce(sum(charged_mwh), 0),
               coalesce(sum(discharged_mwh), 0), count(*)
        FROM {stores}
        """
    ).fetchall()[0]
    if not rows:
        return {}
    ends = connection.execute(
        f"SELECT device, soc FROM {stores} WHERE step = (SELECT max(step) FROM {stores}) ORDER BY device"
    ).fetchall()
    return {
        "cycles_max": cycles,
        "charged_mwh": charged,
        "discharged_mwh": discharged,
        "soc_min": low,
        "soc_max": high,
        "soc_end": min(soc for _, soc in ends),
        "soc_end_by_device": dict(ends),
    }


def stored_mwh(connection: duckdb.DuckDBPyConnection) -> float | None:
    """Return the change of stored energy over the run [MWh]; ``None`` without stores."""
    stores = connection.execute('SELECT "table" FROM kind_info WHERE stores ORDER BY rowid').fetchall()
    changes = [
        change
        for (table,) in stores
        for (change,) in connection.execute(f"SELECT sum(stored_change_mwh) FROM {quoted(table)}").fetchall()
        if change is not None
    ]
    return math.fsum(changes) if changes else None


def device_mismatch(connection: duckdb.DuckDBPyConnection, kinds: Kinds) -> float:
    """Return the largest relative error of the balances of devices: in every step, and of stores from step to step."""
    worst = [0.0]
    for table in kinds:
        worst += connection.execute(
            f"""
            SELECT max(abs(source_mwh - injected_mwh - loss_mwh - stored_change_mwh)
                       / greatest(coalesce(rated_mwh, 0), abs(source_mwh), abs(injected_mwh), abs(loss_mwh), {FLOOR}))
            FROM {_with_rating(table)}
            """
        ).fetchall()[0]
    if stores := _joined(kinds, _OF_STORES):
        worst += connection.execute(
            f"""
            SELECT max(abs(after.energy_start_mwh - before.energy_mwh) / before.rated_mwh)
            FROM {stores} AS before JOIN {stores} AS after
            ON before.kind = after.kind AND before.device = after.device AND before.step + 1 = after.step
            """
        ).fetchall()[0]
    return max(one for one in worst if one is not None)


def _last(connection: duckdb.DuckDBPyConnection, table: str, column: ColumnInfo) -> dict[str, Any]:
    rows = connection.execute(
        f"SELECT device, {_last_sql(column)} FROM {quoted(table)} GROUP BY device ORDER BY min(rowid)"
    ).fetchall()
    return {device: value for device, value in rows if value is not None}


def _last_sql(column: ColumnInfo) -> str:
    return f"arg_max({quoted(column.name) if column.of == TEXT else column.sql}, step)"


def _joined(kinds: Kinds, columns: Sequence[str]) -> str:
    """SQL of the rows of all kinds that have these columns; empty if none has."""
    having = [table for table, own in kinds.items() if {*columns} <= {one.name for one in own}]
    chosen = ", ".join(["kind", "step", "device", "rated_mwh", *columns])
    joined = " UNION ALL ".join(f"SELECT {chosen} FROM {_with_rating(table)}" for table in having)
    return f"({joined})" if joined else ""


def _with_rating(table: str) -> str:
    """SQL of a kind's rows with the rated energy of its stores; NULL for other devices."""
    literal = "'" + table.replace("'", "''") + "'"
    return (
        f"(SELECT rows.*, {literal} AS kind, rated.rated_mwh FROM {quoted(table)} AS rows LEFT JOIN "
        "(SELECT belongs_to, max(device_info.energy_mwh) AS rated_mwh FROM device_info JOIN kind_info USING (kind) "
        f'WHERE "table" = {literal} GROUP BY belongs_to) AS rated ON rows.device = rated.belongs_to)'
    )
