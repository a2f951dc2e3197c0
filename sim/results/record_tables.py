"""Tables of a record: their columns, and comparison with those of a database."""

from __future__ import annotations

from collections.abc import Sequence

import duckdb

from gridferry.sim.results.kind_tables import FLAG, INT, REAL, TEXT, Kind, kind_columns, other_versions, recorded_kinds

# a database made by somebody else must reach no other file, as its views could
CLOSED: dict[str, str | bool | int | float | list[str]] = {"enable_external_access": False, "lock_configuration": True}

BUS_COLUMNS = {
    "p_load_mw": REAL,
    "q_load_mvar": REAL,
    "p_gen_mw": REAL,
    "p_mw": REAL,
    "q_mvar": REAL,
    "v_pu": REAL,
    "va_deg": REAL,
    "v_plan_pu": REAL,
}
LINE_COLUMNS = {
    "p_mw": REAL,
    "q_mvar": REAL,
    "i_ka": REAL,
    "loading_percent": REAL,
    "losses_mw": REAL,
    "p_plan_mw": REAL,
}
NETWORK_COLUMNS = {
    "converged": FLAG,
    "import_mw": REAL,
    "import_mvar": REAL,
    "losses_mw": REAL,
    "balance_error_rel": REAL,
    "import_plan_mw": REAL,
    "losses_plan_mw": REAL,
}
DEVICE_COLUMNS = {
    "kind": TEXT,
    "p_set_mw": REAL,
    "q_set_mvar": REAL,
    "p_mw": REAL,
    "q_mvar": REAL,
    "energy_start_mwh": REAL,
    "energy_mwh": REAL,
    "energy_plan_mwh": REAL,
    "soc": REAL,
    "availability": REAL,
    "usable_energy_share": REAL,
    "charged_mwh": REAL,
    "discharged_mwh": REAL,
    "loss_mwh": REAL,
    "shortfall_mwh": REAL,
    "cycles_today": REAL,
    "destination": TEXT,
    "station": TEXT,
    "phase": TEXT,
    "transit_steps": INT,
    "trips_today": INT,
    "departed": FLAG,
    "km": REAL,
    "truck_cost": REAL,
    "wear_cost": REAL,
    "clipped": TEXT,
}
_OF_ALL = (
    "kind",
    "p_set_mw",
    "q_set_mvar",
    "p_mw",
    "q_mvar",
    "loss_mwh",
    "shortfall_mwh",
    "energy_plan_mwh",
    "clipped",
)
PLAN_COLUMNS = {"device": TEXT, "p_mw": REAL, "q_mvar": REAL, "station": TEXT}
STEP_COLUMNS = {
    "time": TEXT,
    "buy_price": REAL,
    "sell_price": REAL,
    "congestion": REAL,
    "res_cost": REAL,
    "plan_cost": REAL,
    "solver_status": TEXT,
    "solver_termination": TEXT,
    "solver_notes": TEXT,
    "solver_ended": TEXT,
    "objective": REAL,
    "bound": REAL,
    "gap": REAL,
    "gap_abs": REAL,
    "saving": REAL,
    "gap_of_saving": REAL,
    "cone_gap": REAL,
    "v_plan_ac_max_pu": REAL,
    "v_plan_ac_rms_pu": REAL,
    "solver_seconds": REAL,
    "decision_seconds": REAL,
    "fallback": TEXT,
    "failure": TEXT,
    "ac_corrections": INT,
    "ac_excess_pu": REAL,
    "ac_excess_percent": REAL,
}
COST_COLUMNS = {"time": TEXT, "term": TEXT, "cost": REAL, "plan_cost": REAL}
POSITION_COLUMNS = {
    "time": TEXT,
    "device": TEXT,
    "kind": TEXT,
    "position": TEXT,
    "label": TEXT,
    "phase": TEXT,
}
TABLES: dict[str, dict[str, str]] = {
    "bus": {"step": INT, "network": TEXT, "bus": TEXT, **BUS_COLUMNS},
    "line": {"step": INT, "network": TEXT, "line": TEXT, **LINE_COLUMNS},
    "network": {"step": INT, "network": TEXT, **NETWORK_COLUMNS},
    "device": {"step": INT, "device": TEXT, **DEVICE_COLUMNS},
    "plan": {"step": INT, **PLAN_COLUMNS},
    "step": {"step": INT, **STEP_COLUMNS},
    "cost": {"step": INT, **COST_COLUMNS},
    "position": {"step": INT, **POSITION_COLUMNS},
}
INFO_TABLES: dict[str, dict[str, str]] = {
    "bus_info": {"network": TEXT, "bus": TEXT, "v_min_pu": REAL, "v_max_pu": REAL, "p_own_mw": REAL},
    "line_info": {
        "network": TEXT,
        "line": TEXT,
        "from_bus": TEXT,
        "to_bus": TEXT,
        "i_max_ka": REAL,
        "loading_max_percent": REAL,
    },
    "kind_info": {"kind": TEXT, "table": TEXT, "version": INT, "stores": FLAG},
    "column_info": {
        "table": TEXT,
        "column": TEXT,
        "unit": TEXT,
        "meaning": TEXT,
        "total": TEXT,
        "money": FLAG,
        "cost": FLAG,
    },
    "device_info": {
        "device": TEXT,
        "kind": TEXT,
        "belongs_to": TEXT,
        "s_max_mva": REAL,
        "energy_mwh": REAL,
        "soc_min": REAL,
        "soc_max": REAL,
    },
}
_LATER = ("cost", "position", "kind_info", "column_info")
"""Tables that records of earlier versions do not have."""


def tables_of_kinds(kinds: Sequence[Kind]) -> dict[str, dict[str, str]]:
    """Return the columns of the table of each kind; raises ``ValueError`` for reserved table names."""
    tables = {kind.table: kind_columns(kind) for kind in kinds}
    taken = {*TABLES, *INFO_TABLES, "checkpoint"}
    if wrong := sorted(table for table in tables if table.lower() in taken):
        raise ValueError(f"tables of the record itself cannot be those of a kind: {', '.join(wrong)}")
    return tables


def shared_columns(kind: Kind) -> list[str]:
    """Columns of a kind that table ``device`` has, too, by name and type, without those of all kinds."""
    shared = {*DEVICE_COLUMNS} - {*_OF_ALL}
    return [name for name, of in kind_columns(kind).items() if name in shared and DEVICE_COLUMNS[name] == of]


def other_form(connection: duckdb.DuckDBPyConnection, kinds: Sequence[Kind]) -> list[str]:
    """Messages about a record of another version: kinds, tables, columns; empty for the present version."""
    found = _columns(connection)
    if "step" not in found:
        return []
    if "kind_info" not in found:
        return ["no table kind_info"]
    versions = other_versions(recorded_kinds(connection), kinds)
    differences = list(versions.values())
    for table, columns in {**TABLES, **INFO_TABLES, **tables_of_kinds(kinds)}.items():
        if table not in found:
            differences += [] if table in versions else [f"no table {table}"]
        elif table not in versions and list(columns) != found[table]:
            other = ", ".join(sorted(set(columns) ^ set(found[table])))
            differences.append(f"table {table}: {other or 'another order of columns'}")
    return differences


def _columns(connection: duckdb.DuckDBPyConnection) -> dict[str, list[str]]:
    """Columns of all tables of a database."""
    found: dict[str, list[str]] = {}
    for table, column in connection.execute(
        "SELECT table_name, column_name FROM duckdb_columns() WHERE NOT internal ORDER BY column_index"
    ).fetchall():
        found.setdefault(table, []).append(column)
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
