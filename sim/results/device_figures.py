"""Figures of a record by name, and those of devices: totals, stores and vehicles, energy balances."""

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


def figures(
    connection: duckdb.DuckDBPyConnection,
    source: str,
    expressions: Mapping[str, str],
    parameters: Mapping[str, float] | None = None,
) -> dict[str, Any]:
    """Return aggregates over a source by name, without those that are missing, infinite or no number.

    Parameters
    ----------
    source : what follows ``FROM``
    expressions : SQL of each figure, by its name
    parameters : values of the names in the SQL, such as ``$v_tolerance``
    """
    if not expressions:
        return {}
    selected = ", ".join(expressions.values())
    (values,) = connection.execute(f"SELECT {selected} FROM {source}", dict(parameters or {})).fetchall()
    return known(dict(zip(expressions, values, strict=True)))


def known(found: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out figures without a finite value."""
    return {
        name: value
        for name, value in found.items()
        if value is not None and not (isinstance(value, float) and not math.isfinite(value))
    }


def kind_figures(connection: duckdb.DuckDBPyConnection, kinds: Kinds, steps: str) -> dict[str, Any]:
    """Return number of devices and totals of the columns of every kind, by table.

    Parameters
    ----------
    steps : SQL of the steps that sums are over

    Returns
    -------
    ``devices`` : number of devices
    ``totals`` : sums over all devices and the given steps, maxima over all steps
    ``last`` : last known values, by device
    ``cost`` : sums of the cost terms [currency]
    """
    found: dict[str, Any] = {}
    for table, columns in kinds.items():
        summed = [one for one in columns if one.total in ("sum", "max")]
        over = {"sum": f" FILTER (step IN {steps})", "max": ""}
        sums = {one.name: f"{one.total}({one.sql}){over[one.total]}" for one in summed}
        totals = figures(connection, quoted(table), sums)
        costs = {one.name for one in columns if one.cost}
        last = {one.name: _last(connection, table, one) for one in columns if one.total == "last"}
        found[table] = {
            **figures(connection, quoted(table), {"devices": "count(DISTINCT device)"}),
            "totals": {name: value for name, value in totals.items() if name not in costs},
            **({"last": last} if last else {}),
            "cost": {name: value for name, value in totals.items() if name in costs},
        }
    return found


def device_totals(connection: duckdb.DuckDBPyConnection, table: str, columns: Sequence[ColumnInfo]) -> list[list[Any]]:
    """Return name and totals of the columns of every device of a kind, in the order of the plant."""
    chosen = [_last_sql(one) if one.total == "last" else f"{one.total}({one.sql})" for one in columns]
    rows = connection.execute(
        f"SELECT {', '.join(['device', *chosen])} FROM {quoted(table)} GROUP BY device ORDER BY min(rowid)"
    ).fetchall()
    return [list(row) for row in rows]


def fleet_figures(connection: duckdb.DuckDBPyConnection, kinds: Kinds, steps: str) -> dict[str, Any]:
    """Return the figures of ``fleet`` in the summary: all stores and vehicles, whatever their kinds.

    Parameters
    ----------
    steps : SQL of the steps that energies are summed over
    """
    found: dict[str, Any] = {"trips": 0, "km": 0.0}
    if movers := _joined(kinds, _OF_MOVERS):
        found |= figures(connection, movers, {"trips": "count(*) FILTER (departed)", "km": "coalesce(sum(km), 0)"})
    if stores := _joined(kinds, _OF_STORES):
        found |= _store_figures(connection, stores, steps)
    short = f"coalesce(sum(shortfall_mwh) FILTER (step IN {steps}), 0)"
    limits = {"shortfall_mwh": short, "clipped_steps": "count(*) FILTER (clipped <> '')"}
    return found | figures(connection, "device", limits)


def _store_figures(connection: duckdb.DuckDBPyConnection, stores: str, steps: str) -> dict[str, Any]:
    of_stores = {
        "cycles_max": "max(cycles_today)",
        **{name: f"coalesce(sum({name}) FILTER (step IN {steps}), 0)" for name in ("charged_mwh", "discharged_mwh")},
        "soc_min": "min(least(soc, energy_start_mwh / rated_mwh))",
        "soc_max": "max(greatest(soc, energy_start_mwh / rated_mwh))",
    }
    ends = connection.execute(
        f"SELECT device, soc FROM {stores} WHERE step = (SELECT max(step) FROM {stores}) ORDER BY device"
    ).fetchall()
    if not ends:
        return {}
    at_the_end = {"soc_end": min(soc for _, soc in ends), "soc_end_by_device": dict(ends)}
    return figures(connection, stores, of_stores) | at_the_end


def stored_mwh(connection: duckdb.DuckDBPyConnection) -> float | None:
    """Return the change of stored energy over the run [MWh]; ``None`` without stores."""
    stores = connection.execute('SELECT "table" FROM kind_info WHERE stores ORDER BY rowid').fetchall()
    change = {"change": "sum(stored_change_mwh)"}
    changes = [value for (table,) in stores for value in figures(connection, quoted(table), change).values()]
    return math.fsum(changes) if changes else None


def device_mismatch(connection: duckdb.DuckDBPyConnection, kinds: Kinds) -> float:
    """Return the largest relative error of the balances of devices: in every step, and of stores from step to step."""
    worst = [0.0]
    for table in kinds:
        size = f"greatest(coalesce(rated_mwh, 0), abs(source_mwh), abs(injected_mwh), abs(loss_mwh), {FLOOR})"
        error = f"max(abs(source_mwh - injected_mwh - loss_mwh - stored_change_mwh) / {size})"
        worst += figures(connection, _with_rating(table), {"error": error}).values()
    if stores := _joined(kinds, _OF_STORES):
        following = "before.kind = after.kind AND before.device = after.device AND before.step + 1 = after.step"
        error = "max(abs(after.energy_start_mwh - before.energy_mwh) / before.rated_mwh)"
        joined = f"{stores} AS before JOIN {stores} AS after ON {following}"
        worst += figures(connection, joined, {"error": error}).values()
    return max(worst)


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
