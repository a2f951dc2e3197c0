"""Tables of a record: their columns, and comparison with those of a database."""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files

import duckdb

from gridferry.sim.results.kind_tables import Kind, column_info, kind_columns, other_versions, recorded_kinds

# a database made by somebody else must reach no other file, as its views could
CLOSED: dict[str, str | bool | int | float | list[str]] = {"enable_external_access": False, "lock_configuration": True}


WRITING_FAILED = (duckdb.IOException, duckdb.OutOfMemoryException, duckdb.FatalException)
"""what DuckDB says of a full disk, or of too little memory"""


def _read_schema() -> dict[str, dict[str, str]]:
    """Columns of the tables in ``record.sql``, with their types."""
    sql = re.sub(r"--.*", "", files(__package__).joinpath("record.sql").read_text(encoding="utf-8"))
    found = re.findall(r"CREATE TABLE (\w+) \(([^)]*)\)", sql.replace('"', ""))
    return {table: dict(column.split() for column in columns.split(",")) for table, columns in found}


_SCHEMA = _read_schema()
TABLES = {table: columns for table, columns in _SCHEMA.items() if not table.endswith("_info")}
"""Columns of the tables that grow with every step."""
INFO_TABLES = {table: columns for table, columns in _SCHEMA.items() if table.endswith("_info")}
"""Columns of the tables of constant data."""
CHECKPOINT = {"checkpoint": {"next_step": "BIGINT", "state": "VARCHAR", "digests": "VARCHAR"}}
"""The state from which the next step can start, and digests of the rows before it, by table; both as JSON."""
_LATER = ("cost", "position", "kind_info", "column_info", "network_info", "port_info", "station_info")
"""Tables that records of earlier versions do not have."""


@dataclass(frozen=True)
class DescribedColumn:
    """Column of a table of results, as the dictionary of columns has it.

    Attributes
    ----------
    name, table : of the column
    unit : from the end of its name where that has one; ``currency`` is that of the run
    meaning : what it is
    """

    table: str
    name: str
    unit: str
    meaning: str


_UNITS = {one.lower(): one for one in ("MWh", "MW", "Mvar", "MVA", "pu", "kA", "km")} | {
    "deg": "degree",
    "percent": "%",
    "seconds": "s",
}
_MONEY = re.compile(r"(^|_)(cost|price|saving|objective|bound|gap_abs)$")


def column_dictionary(kinds: Iterable[Kind]) -> list[DescribedColumn]:
    """Return what every column of results is: of common tables as ``record.sql`` says, of kinds as they say."""
    found: list[DescribedColumn] = []
    table = before = ""
    for line in files(__package__).joinpath("record.sql").read_text(encoding="utf-8").splitlines():
        if opened := re.match(r"CREATE TABLE (\w+)", line):
            table = opened[1]
        elif column := re.match(r'    "?(\w+)"? \w+,? *-- (.*)', line):
            name, meaning = column[1], before if column[2].strip() == "likewise" else column[2].strip()
            money = "currency" if _MONEY.search(name) else ""
            unit = _UNITS.get(name.rpartition("_")[2], money)
            found.append(DescribedColumn(table, name, unit, meaning))
            before = meaning
    for kind in kinds:
        first = [
            ("step", "", "number of the step"),
            ("time", "", "when it begins"),
            ("device", "", "name of the device"),
        ]
        own = [(one["column"], one["unit"], one["meaning"]) for one in column_info([kind], "currency")]
        found += [DescribedColumn(kind.table, *one) for one in (*first, *own)]
    return found


def tables_of_kinds(kinds: Sequence[Kind]) -> dict[str, dict[str, str]]:
    """Return the columns of the table of each kind."""
    return {kind.table: kind_columns(kind) for kind in kinds}


def shared_columns(kind: Kind) -> list[str]:
    """Columns that a kind names and table ``device`` has, too, by name and type."""
    own = kind_columns(kind)
    return [name for name in kind.columns if TABLES["device"].get(name) == own[name]]


def other_form(connection: duckdb.DuckDBPyConnection, kinds: Sequence[Kind]) -> list[str]:
    """Messages about a record of another version: kinds, tables, columns; empty for the present version."""
    found = _columns(connection)
    if "kind_info" not in found:
        return ["no table kind_info"]
    versions = other_versions(recorded_kinds(connection), kinds)
    differences = list(versions.values())
    for table, columns in {**TABLES, **INFO_TABLES, **tables_of_kinds(kinds), **CHECKPOINT}.items():
        if table not in found:
            differences += [] if table in versions else [f"no table {table}"]
        elif table not in versions and list(columns.items()) != list(found[table].items()):
            other = ", ".join(sorted({name for name, _ in columns.items() ^ found[table].items()}))
            differences.append(f"table {table}: {other or 'another order of columns'}")
    return differences


def record_faults(connection: duckdb.DuckDBPyConnection, steps: int, per_step: Mapping[str, int | None]) -> str:
    """Return the first table whose rows are not those of all steps up to a checkpoint; empty if all are.

    Parameters
    ----------
    per_step : rows of a step, by table; ``None`` where any number is right
    """
    for table, rows in per_step.items():
        query = f'SELECT count(*), count(DISTINCT step), coalesce(min(step), 0), coalesce(max(step), -1) FROM "{table}"'
        ((found, distinct, first, last),) = connection.execute(query).fetchall()
        if rows != 0 and (distinct, first, last) != (steps, 0, steps - 1):
            return f"table {table} has {distinct} of the {steps} steps"
        if rows is not None and found != rows * steps:
            return f"table {table} has {found} rows, and {rows * steps} belong to {steps} steps"
    return ""


def digests(connection: duckdb.DuckDBPyConnection, tables: Iterable[str], first: int = 0) -> dict[str, int]:
    """Return the sum of the hashes of all rows from a step on, by table; sums of later rows can be added to it."""
    query = 'SELECT coalesce(sum(hash(whole_row)::HUGEINT), 0) FROM "{0}" AS whole_row WHERE step >= ?'
    return {table: connection.execute(query.format(table), [first]).fetchall()[0][0] for table in tables}


def changed_tables(connection: duckdb.DuckDBPyConnection) -> str:
    """Name the tables whose values are not those that a run committed with its checkpoint; empty if there are none."""
    for state, text in connection.execute("SELECT state, digests FROM checkpoint").fetchall():
        committed = json.loads(text)
        found = {**digests(connection, committed.keys() - {"checkpoint"}), "checkpoint": text_digest(state)}
        changed = sorted(table for table, digest in found.items() if committed[table] != digest)
        if changed:
            return f"values of {', '.join(changed)} were changed after the run had written them"
    return ""


def text_digest(text: str) -> int:
    """Return a digest of a text that does not depend on the process."""
    return zlib.crc32(text.encode())


def _columns(connection: duckdb.DuckDBPyConnection) -> dict[str, dict[str, str]]:
    """Columns of all tables of a database, with their types."""
    found: dict[str, dict[str, str]] = {}
    for table, column, of in connection.execute(
        "SELECT table_name, column_name, data_type FROM duckdb_columns() WHERE NOT internal ORDER BY column_index"
    ).fetchall():
        found.setdefault(table, {})[column] = of
    return found


def all_tables(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Names of the tables of a record: common tables, tables of its kinds, tables of constant data.

    Records of earlier versions lack some.
    """
    there = _columns(connection)
    names = dict.fromkeys([*TABLES, *recorded_kinds(connection), *INFO_TABLES])
    return [name for name in names if name in there or name not in _LATER]


def views(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Views with the names of a run's tables; their content was not recorded by a run."""
    found = connection.execute("SELECT view_name FROM duckdb_views() WHERE NOT internal").fetchall()
    return sorted({name for (name,) in found} & {*TABLES, *recorded_kinds(connection), *INFO_TABLES, "checkpoint"})
