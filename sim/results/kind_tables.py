"""Result tables of kinds of devices: common columns, the kind's own columns, and its costs.

For every device in every step::

    source_mwh - injected_mwh - loss_mwh = stored_change_mwh

A plug-in's kind is written and read as ours are: what a database holds is said in its table ``kind_info``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb

from gridferry.controllers.devices import Device

Kind = type[Device[Any]]
Values = tuple[float | int | str | bool | None, ...]
"""A row of a kind's table."""

TEXT, INT, REAL, FLAG = "VARCHAR", "BIGINT", "DOUBLE", "BOOLEAN"
"""SQL types of the columns of a record."""

_SQL: Mapping[type, str] = {float: REAL, int: INT, str: TEXT, bool: FLAG}
_BEFORE = {"step": INT, "time": TEXT, "device": TEXT}
BALANCE = {
    "source_mwh": "sun, wind, fuel; negative for what is consumed",
    "injected_mwh": "given to the grid",
    "loss_mwh": "lost behind the ports",
    "stored_change_mwh": "what is stored after the step, less what was before it",
}
"""The columns of the energy balance, which all kinds have."""
# the name of a table becomes that of a file when it is exported
_NAME = re.compile(r"\w[\w-]*")


def kind_columns(kind: Kind) -> dict[str, str]:
    """Return the columns of a kind's table, with their SQL types, in their order."""
    own = {name: _SQL[column.of] for name, column in kind.columns.items()}
    return {**_BEFORE, **own, **dict.fromkeys((*BALANCE, *kind.costs), REAL)}


def kind_values(step: int, time: str, device: Device[Any], outcome: Mapping[str, Any], step_h: float) -> Values:
    """Return the row of a device in its kind's table.

    Parameters
    ----------
    time : when the step begins, as ISO 8601
    outcome : as the simulator of the devices gives it
    step_h : step length [h]

    Raises
    ------
    ValueError
        for a value or a cost that the kind does not name.
    """
    row, money = outcome["row"], outcome["money"]
    if not (row.keys() <= device.columns.keys() and money.keys() <= device.costs.keys()):
        unknown = sorted({*row} - {*device.columns} | {*money} - {*device.costs})
        raise ValueError(f"{device.key} records {unknown}, which {type(device).__name__} has not in columns or costs")
    injected = step_h * sum(port["p_mw"] for port in outcome["ports"])
    lost = sum(port["loss_mwh"] for port in outcome["ports"])
    balance = (outcome["source_mwh"], injected, lost, outcome["stored_change_mwh"])
    paid = (money.get(name, 0.0) for name in device.costs)
    return (step, time, device.name, *map(row.get, device.columns), *balance, *paid)


def kind_info(kinds: Sequence[Kind]) -> list[dict[str, Any]]:
    """Return the rows of ``kind_info``."""
    return [
        {"kind": kind.port_kind, "table": kind.table, "version": kind.version, "stores": kind.stores} for kind in kinds
    ]


def column_info(kinds: Sequence[Kind], currency: str) -> list[dict[str, Any]]:
    """Return the rows of ``column_info``: meaning and total of the columns of each kind's table."""
    rows: list[dict[str, Any]] = []
    for kind in kinds:
        for name, one in kind.columns.items():
            unit = currency if one.money else one.unit
            rows.append(_info(kind, name, unit, one.meaning) | {"total": one.total, "money": one.money})
        rows += [_info(kind, name, "MWh", meaning) | {"total": "sum"} for name, meaning in BALANCE.items()]
        for name, meaning in kind.costs.items():
            rows.append(_info(kind, name, currency, meaning) | {"total": "sum", "money": True, "cost": True})
    return rows


def _info(kind: Kind, column: str, unit: str, meaning: str) -> dict[str, Any]:
    return {"table": kind.table, "column": column, "unit": unit, "meaning": meaning, "money": False, "cost": False}


@dataclass(frozen=True)
class ColumnInfo:
    """Column of a kind's table, as described in a database; see `gridferry.controllers.devices.Column`.

    Attributes
    ----------
    name : of the column
    of : its SQL type
    unit, meaning, total, money : what it is, and how it is summed up
    cost : it is a cost term
    """

    name: str
    of: str
    unit: str
    meaning: str
    total: str
    money: bool
    cost: bool

    @property
    def title(self) -> str:
        """The name, with the unit if the name does not contain it."""
        return self.name if self.name.endswith(self.unit.lower()) else f"{self.name}, {self.unit}"

    @property
    def sql(self) -> str:
        """SQL of the column as a finite number, else NULL."""
        name = quoted(self.name)
        return f"CASE WHEN isfinite({name}) THEN {name} END" if self.of == REAL else f"{name}::BIGINT"


def recorded_columns(connection: duckdb.DuckDBPyConnection) -> dict[str, list[ColumnInfo]]:
    """Return the columns of the kinds in a database, by table; empty if the description is incomplete."""
    there = connection.execute(
        "SELECT table_name, column_name, data_type FROM duckdb_columns() WHERE NOT internal ORDER BY column_index"
    ).fetchall()
    if ("column_info", "cost") not in {(table, column) for table, column, _ in there}:
        return {}
    rows = connection.execute('SELECT "table", "column", unit, meaning, total, money, cost FROM column_info').fetchall()
    described = {(table, column): rest for table, column, *rest in rows}
    return {
        kind: [
            ColumnInfo(column, of, *described[table, column])
            for table, column, of in there
            if (table, column) in described and table == kind
        ]
        for kind in recorded_kinds(connection)
    }


def quoted(name: str) -> str:
    """Return a table's or column's name quoted for SQL."""
    return '"' + name.replace('"', '""') + '"'


def recorded_kinds(connection: duckdb.DuckDBPyConnection) -> dict[str, tuple[str, int]]:
    """Return the kinds in a database: name and version by table; empty if not described."""
    if not connection.execute("SELECT 1 FROM duckdb_tables() WHERE table_name = 'kind_info'").fetchall():
        return {}
    rows = connection.execute('SELECT kind, "table", version FROM kind_info ORDER BY rowid').fetchall()
    return {table: (kind, version) for kind, table, version in rows if table and _NAME.fullmatch(table)}


def other_versions(recorded: Mapping[str, tuple[str, int]], kinds: Sequence[Kind]) -> dict[str, str]:
    """Messages by table about kinds recorded in another version than the present one."""
    now = {kind.table: (kind.port_kind, kind.version) for kind in kinds}
    return {
        table: f"{name} in version {recorded.get(table, ('', 'none'))[1]}, now {now.get(table, ('', 'none'))[1]}"
        for table, (name, _) in {**now, **recorded}.items()
        if recorded.get(table) != now.get(table)
    }
