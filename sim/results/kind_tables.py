"""The table of results that each kind of device has: what all kinds record, the kind's own columns, and its money.

For every device in every step::

    source_mwh - injected_mwh - loss_mwh = stored_change_mwh

A plug-in's kind is written and read as ours are: what a database holds is said in its table ``kind_info``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import duckdb

from gridferry.controllers.devices import Device

Kind = type[Device[Any]]
Values = tuple[float | int | str | bool | None, ...]
"""A row of a kind's table."""

_SQL: Mapping[type, str] = {float: "DOUBLE", int: "BIGINT", str: "VARCHAR", bool: "BOOLEAN"}
_BEFORE = {"step": "BIGINT", "time": "VARCHAR", "device": "VARCHAR"}
_BALANCE = {"source_mwh": "DOUBLE", "injected_mwh": "DOUBLE", "loss_mwh": "DOUBLE", "stored_change_mwh": "DOUBLE"}
# the name of a table becomes that of a file when it is exported
_NAME = re.compile(r"\w[\w-]*")


def kind_columns(kind: Kind) -> dict[str, str]:
    """Return the columns of a kind's table, with their SQL types, in their order.

    Raises
    ------
    ValueError
        where a name is used twice, or cannot be that of a table.
    """
    own = {name: _SQL[column.of] for name, column in kind.columns.items()}
    money = dict.fromkeys(kind.costs, "DOUBLE")
    names = [*_BEFORE, *own, *_BALANCE, *money]
    twice = sorted({name for name in names if [one.lower() for one in names].count(name.lower()) > 1})
    if twice:
        raise ValueError(f"{kind.__name__}: columns and costs share names with one another or all kinds: {twice}")
    if not _NAME.fullmatch(kind.table):
        raise ValueError(f"{kind.__name__}: table {kind.table!r} must be of letters, digits, _ and -")
    return {**_BEFORE, **own, **_BALANCE, **money}


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
    return [{"kind": kind.port_kind, "table": kind.table, "version": kind.version} for kind in kinds]


def column_info(kinds: Sequence[Kind]) -> list[dict[str, Any]]:
    """Return the rows of ``column_info``: what the columns that are a kind's own mean."""
    own = [(kind.table, name, one.unit, one.meaning) for kind in kinds for name, one in kind.columns.items()]
    own += [(kind.table, name, "currency", meaning) for kind in kinds for name, meaning in kind.costs.items()]
    return [dict(zip(("table", "column", "unit", "meaning"), one, strict=True)) for one in own]


def recorded_kinds(connection: duckdb.DuckDBPyConnection) -> dict[str, tuple[str, int]]:
    """Return what a database says of the kinds it holds: name and version by table; nothing if it does not say."""
    known = connection.execute("SELECT count(*) FROM duckdb_tables() WHERE table_name = 'kind_info'").fetchone()
    if not (known and known[0]):
        return {}
    rows = connection.execute('SELECT kind, "table", version FROM kind_info ORDER BY rowid').fetchall()
    return {table: (kind, version) for kind, table, version in rows if table and _NAME.fullmatch(table)}


def other_versions(recorded: Mapping[str, tuple[str, int]], kinds: Sequence[Kind]) -> dict[str, str]:
    """Say by table which kinds were recorded in another version than they have now; nothing where all agree."""
    now = {kind.table: (kind.port_kind, kind.version) for kind in kinds}
    return {
        table: f"{name} in version {recorded.get(table, ('', 'none'))[1]}, now {now.get(table, ('', 'none'))[1]}"
        for table, (name, _) in {**now, **recorded}.items()
        if recorded.get(table) != now.get(table)
    }
