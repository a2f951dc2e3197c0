"""The run's record: DuckDB tables keyed by step and entity, written in transactions while the run goes on.

A step is kept in memory until its batch is full or becoming 5 s old; then the batch and the checkpoint to resume from
are committed together. So memory does not grow with the length of the run, and a run that is killed keeps every batch
committed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from gridferry.controllers.contract import Plant
from gridferry.controllers.devices import Act
from gridferry.controllers.devices.storage import Storage
from gridferry.sim.results.kind_tables import (
    Kind,
    Values,
    column_info,
    kind_columns,
    kind_info,
    other_versions,
    recorded_kinds,
)

# a database made by somebody else must reach no other file, as its views could
CLOSED: dict[str, str | bool | int | float | list[str]] = {"enable_external_access": False, "lock_configuration": True}
# what is written is not read again while the run goes on: without a bound DuckDB keeps all of it in memory
_BOUNDED = {"memory_limit": "48MB", "threads": 1, **CLOSED}
_FLUSH_S = 5.0

_TEXT, _INT, _REAL, _FLAG = "VARCHAR", "BIGINT", "DOUBLE", "BOOLEAN"

BUS_COLUMNS = {
    "p_load_mw": _REAL,
    "q_load_mvar": _REAL,
    "p_gen_mw": _REAL,
    "p_mw": _REAL,
    "q_mvar": _REAL,
    "v_pu": _REAL,
    "va_deg": _REAL,
    "v_plan_pu": _REAL,
}
LINE_COLUMNS = {
    "p_mw": _REAL,
    "q_mvar": _REAL,
    "i_ka": _REAL,
    "loading_percent": _REAL,
    "losses_mw": _REAL,
    "p_plan_mw": _REAL,
}
NETWORK_COLUMNS = {
    "converged": _FLAG,
    "import_mw": _REAL,
    "import_mvar": _REAL,
    "losses_mw": _REAL,
    "balance_error_rel": _REAL,
    "import_plan_mw": _REAL,
    "losses_plan_mw": _REAL,
}
DEVICE_COLUMNS = {
    "kind": _TEXT,
    "p_set_mw": _REAL,
    "q_set_mvar": _REAL,
    "p_mw": _REAL,
    "q_mvar": _REAL,
    "energy_start_mwh": _REAL,
    "energy_mwh": _REAL,
    "energy_plan_mwh": _REAL,
    "soc": _REAL,
    "availability": _REAL,
    "capacity": _REAL,
    "charged_mwh": _REAL,
    "discharged_mwh": _REAL,
    "loss_mwh": _REAL,
    "shortfall_mwh": _REAL,
    "cycles_today": _REAL,
    "destination": _TEXT,
    "station": _TEXT,
    "phase": _TEXT,
    "transit_steps": _INT,
    "trips_today": _INT,
    "departed": _FLAG,
    "km": _REAL,
    "truck_cost": _REAL,
    "wear_cost": _REAL,
    "clipped": _TEXT,
}
PLAN_COLUMNS = {"device": _TEXT, "p_mw": _REAL, "q_mvar": _REAL, "station": _TEXT}
STEP_COLUMNS = {
    "time": _TEXT,
    "buy_price": _REAL,
    "sell_price": _REAL,
    "congestion": _REAL,
    "res_cost": _REAL,
    "plan_cost": _REAL,
    "solver_status": _TEXT,
    "solver_termination": _TEXT,
    "solver_notes": _TEXT,
    "solver_ended": _TEXT,
    "objective": _REAL,
    "bound": _REAL,
    "gap": _REAL,
    "gap_abs": _REAL,
    "saving": _REAL,
    "gap_of_saving": _REAL,
    "cone_gap": _REAL,
    "v_plan_ac_max_pu": _REAL,
    "v_plan_ac_rms_pu": _REAL,
    "solver_seconds": _REAL,
    "decision_seconds": _REAL,
    "fallback": _TEXT,
    "failure": _TEXT,
    "ac_corrections": _INT,
    "ac_excess_pu": _REAL,
    "ac_excess_percent": _REAL,
}
TABLES: dict[str, dict[str, str]] = {
    "bus": {"step": _INT, "network": _TEXT, "bus": _TEXT, **BUS_COLUMNS},
    "line": {"step": _INT, "network": _TEXT, "line": _TEXT, **LINE_COLUMNS},
    "network": {"step": _INT, "network": _TEXT, **NETWORK_COLUMNS},
    "device": {"step": _INT, "device": _TEXT, **DEVICE_COLUMNS},
    "plan": {"step": _INT, **PLAN_COLUMNS},
    "step": {"step": _INT, **STEP_COLUMNS},
}
INFO_TABLES: dict[str, dict[str, str]] = {
    "bus_info": {"network": _TEXT, "bus": _TEXT, "v_min_pu": _REAL, "v_max_pu": _REAL},
    "line_info": {
        "network": _TEXT,
        "line": _TEXT,
        "from_bus": _TEXT,
        "to_bus": _TEXT,
        "i_max_ka": _REAL,
        "loading_max_percent": _REAL,
    },
    "kind_info": {"kind": _TEXT, "table": _TEXT, "version": _INT},
    "column_info": {"table": _TEXT, "column": _TEXT, "unit": _TEXT, "meaning": _TEXT},
    "device_info": {
        "device": _TEXT,
        "kind": _TEXT,
        "belongs_to": _TEXT,
        "s_max_mva": _REAL,
        "energy_mwh": _REAL,
        "soc_min": _REAL,
        "soc_max": _REAL,
    },
}
_ARROW = {_TEXT: pa.string(), _INT: pa.int64(), _REAL: pa.float64(), _FLAG: pa.bool_()}


@dataclass(frozen=True)
class StepRecord:
    """Everything that is written down of one step.

    Attributes
    ----------
    step : its number
    bus, line, network : columns of those tables, each a sequence over all entities of the plant
    device, plan : rows of those tables, as mappings
    kinds : rows of the table of each kind of device, by table
    row : the row of table ``step``
    checkpoint : JSON-able state from which the next step can start
    """

    step: int
    bus: Mapping[str, Sequence[float]]
    line: Mapping[str, Sequence[float]]
    network: Mapping[str, Sequence[Any]]
    device: Sequence[Mapping[str, Any]]
    plan: Sequence[Mapping[str, Any]]
    kinds: Mapping[str, Sequence[Values]]
    row: Mapping[str, Any]
    checkpoint: Mapping[str, Any]


class Recorder:
    """Writes `StepRecord` after `StepRecord` to ``results.duckdb``.

    Parameters
    ----------
    path : the database
    plant : names of networks, buses and branches come from it
    network_names : names of the networks, in the plant's order
    loading_max_percent : loading limit of each network [%]
    flush_steps : the most steps committed in one transaction
    clock : tells the time [s]
    """

    def __init__(
        self,
        path: Path,
        plant: Plant,
        network_names: Sequence[str],
        loading_max_percent: Sequence[float],
        flush_steps: int,
        clock: Callable[[], float] = monotonic,
    ):
        self._connection = duckdb.connect(str(path), config=_BOUNDED)
        self._flush_steps = flush_steps
        self._clock = clock
        self._committed = self._added = clock()
        self._pending: list[StepRecord] = []
        self._labels = {
            "bus": _labels(network_names, [feeder.bus_names for feeder in plant.feeders], "bus"),
            "line": _labels(network_names, [feeder.branch_names for feeder in plant.feeders], "line"),
            "network": {"network": _coded(network_names)},
        }
        self._kinds = _kind_tables(plant.kinds)
        # those that say what is there come first: a run that is killed in between is not taken for an older one
        for table, columns in {**INFO_TABLES, **TABLES, **self._kinds}.items():
            listed = ", ".join(f'"{name}" {kind}' for name, kind in columns.items())
            self._connection.execute(f'CREATE TABLE IF NOT EXISTS "{table}" ({listed})')
        self._connection.execute("CREATE TABLE IF NOT EXISTS checkpoint (next_step BIGINT, state VARCHAR)")
        info = {
            "bus_info": _bus_info(plant, network_names),
            "line_info": _line_info(plant, network_names, loading_max_percent),
            "kind_info": kind_info(plant.kinds),
            "column_info": column_info(plant.kinds),
            "device_info": _device_info(plant),
        }
        for table, rows in info.items():
            self._connection.execute(f'DELETE FROM "{table}"')
            self._insert(table, _rows(rows, INFO_TABLES[table]))

    def add(self, record: StepRecord) -> None:
        """Take one step; commit when the batch is full, or would be 5 s old after another step as long as this."""
        self._pending.append(record)
        now = self._clock()
        lasted, self._added = now - self._added, now
        if len(self._pending) >= self._flush_steps or now - self._committed + lasted > _FLUSH_S:
            self.flush()

    def flush(self) -> None:
        """Commit what is pending, with the checkpoint after its last step."""
        if not self._pending:
            return
        batch = self._pending
        steps = np.array([record.step for record in batch], dtype=np.int64)
        tables = {
            "bus": self._wide("bus", steps, [record.bus for record in batch], BUS_COLUMNS),
            "line": self._wide("line", steps, [record.line for record in batch], LINE_COLUMNS),
            "network": self._wide("network", steps, [record.network for record in batch], NETWORK_COLUMNS),
            "device": _long(batch, "device"),
            "plan": _long(batch, "plan"),
            "step": _rows([{"step": record.step, **record.row} for record in batch], TABLES["step"]),
            **{name: _tall(name, columns, batch) for name, columns in self._kinds.items()},
        }
        last = batch[-1]
        connection = self._connection
        connection.execute("BEGIN TRANSACTION")
        try:
            for name, table in tables.items():
                self._insert(name, table)
            connection.execute("DELETE FROM checkpoint")
            connection.execute(
                "INSERT INTO checkpoint VALUES (?, ?)", [last.step + 1, json.dumps(last.checkpoint, allow_nan=True)]
            )
            connection.execute("COMMIT")
        except BaseException:  # an interrupt, too: the batch is whole or not there, and can be written again
            connection.execute("ROLLBACK")
            raise
        self._pending = []
        self._committed = self._clock()

    def close(self) -> None:
        """Commit what is pending and close the database."""
        try:
            self.flush()
        finally:
            self._connection.close()

    def _insert(self, name: str, table: pa.Table) -> None:
        if table.num_rows:
            self._connection.register("batch", table)
            self._connection.execute(f'INSERT INTO "{name}" SELECT * FROM batch')
            self._connection.unregister("batch")

    def _wide(
        self, name: str, steps: np.ndarray, columns: Sequence[Mapping[str, Sequence[Any]]], kinds: Mapping[str, str]
    ) -> pa.Table:
        labels = self._labels[name]
        width = len(next(iter(labels.values())))
        arrays: dict[str, pa.Array] = {"step": pa.array(np.repeat(steps, width))}
        for label, coded in labels.items():
            codes = np.tile(coded.indices.to_numpy(), len(steps))
            arrays[label] = pa.DictionaryArray.from_arrays(codes, coded.dictionary)
        for key, kind in kinds.items():
            dtype = bool if kind == _FLAG else float
            values = np.array([one[key] for one in columns], dtype=dtype).ravel()
            arrays[key] = pa.array(values, type=_ARROW[kind])
        return pa.table(arrays)


def other_form(connection: duckdb.DuckDBPyConnection, kinds: Sequence[Kind]) -> list[str]:
    """Kinds of a record in other versions, tables with other columns than are written now; empty where all agree."""
    found: dict[str, list[str]] = {}
    for table, column in connection.execute(
        "SELECT table_name, column_name FROM duckdb_columns() WHERE NOT internal ORDER BY column_index"
    ).fetchall():
        found.setdefault(table, []).append(column)
    recorded = recorded_kinds(connection)
    versions = other_versions(recorded, kinds) if recorded else {}
    said = list(versions.values())
    if "step" in found and "kind_info" not in found:
        said.append("no table kind_info")
    return said + [
        f"table {table}: {', '.join(sorted(set(columns) ^ set(found[table]))) or 'another order of columns'}"
        for table, columns in {**TABLES, **INFO_TABLES, **_kind_tables(kinds)}.items()
        if table in found and table not in versions and list(columns) != found[table]
    ]


def all_tables(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Names of the tables of a record: of all runs, of its kinds of devices, and what does not change.

    Records of earlier versions have no tables of kinds.
    """
    kinds = recorded_kinds(connection)
    info = [name for name in INFO_TABLES if kinds or name not in ("kind_info", "column_info")]
    return list(dict.fromkeys([*TABLES, *kinds, *info]))


def views(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Views that stand where a run has tables; what they show is not what was recorded."""
    found = connection.execute("SELECT view_name FROM duckdb_views() WHERE NOT internal").fetchall()
    return sorted({name for (name,) in found} & {*TABLES, *recorded_kinds(connection), *INFO_TABLES, "checkpoint"})


def read_checkpoint(connection: duckdb.DuckDBPyConnection) -> tuple[int, dict[str, Any]] | None:
    """Return the step to go on with and the state before it; ``None`` if nothing was committed yet."""
    known = connection.execute("SELECT count(*) FROM duckdb_tables() WHERE table_name = 'checkpoint'").fetchone()
    row = connection.execute("SELECT next_step, state FROM checkpoint").fetchone() if known and known[0] else None
    return None if row is None else (int(row[0]), json.loads(row[1]))


def _labels(networks: Sequence[str], names: Sequence[Sequence[str]], column: str) -> dict[str, pa.DictionaryArray]:
    of_network = [network for network, own in zip(networks, names, strict=True) for _ in own]
    return {"network": _coded(of_network), column: _coded([name for own in names for name in own])}


def _coded(values: Sequence[str]) -> pa.DictionaryArray:
    return pa.array(list(values), type=pa.string()).dictionary_encode()


def _long(batch: Sequence[StepRecord], name: str) -> pa.Table:
    rows = [{"step": record.step, **row} for record in batch for row in getattr(record, name)]
    return _rows(rows, TABLES[name])


def _tall(name: str, columns: Mapping[str, str], batch: Sequence[StepRecord]) -> pa.Table:
    rows = [row for record in batch for row in record.kinds.get(name, ())]
    if not rows:
        return pa.table({})
    values = zip(columns.items(), zip(*rows, strict=True), strict=True)
    return pa.table({key: pa.array(column, type=_ARROW[kind]) for (key, kind), column in values})


def _kind_tables(kinds: Sequence[Kind]) -> dict[str, dict[str, str]]:
    tables = {kind.table: kind_columns(kind) for kind in kinds}
    taken = {*TABLES, *INFO_TABLES, "checkpoint"}
    if wrong := sorted(table for table in tables if table.lower() in taken):
        raise ValueError(f"tables of the record itself cannot be those of a kind: {', '.join(wrong)}")
    return tables


def _rows(rows: Sequence[Mapping[str, Any]], kinds: Mapping[str, str]) -> pa.Table:
    return pa.table({key: pa.array([row.get(key) for row in rows], type=_ARROW[kind]) for key, kind in kinds.items()})


def _bus_info(plant: Plant, networks: Sequence[str]) -> list[dict[str, Any]]:
    return [
        {"network": network, "bus": bus, "v_min_pu": float(low), "v_max_pu": float(high)}
        for network, feeder in zip(networks, plant.feeders, strict=True)
        for bus, low, high in zip(feeder.bus_names, feeder.v_min_pu, feeder.v_max_pu, strict=True)
    ]


def _line_info(plant: Plant, networks: Sequence[str], limits: Sequence[float]) -> list[dict[str, Any]]:
    return [
        {
            "network": network,
            "line": name,
            "from_bus": feeder.bus_names[feeder.parent[branch]],
            "to_bus": feeder.bus_names[feeder.child[branch]],
            "i_max_ka": float(feeder.i_max_pu[branch] * feeder.base_current_ka[branch]),
            "loading_max_percent": float(limit),
        }
        for network, feeder, limit in zip(networks, plant.feeders, limits, strict=True)
        for branch, name in enumerate(feeder.branch_names)
    ]


def _device_info(plant: Plant) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for device in plant.devices:
        store: Storage | None = getattr(device, "storage", None)
        rated = {} if store is None else {key: getattr(store, key) for key in ("energy_mwh", "soc_min", "soc_max")}
        whose = {"kind": device.port_kind, "belongs_to": device.name}
        ports = (port for port in device.ports if port.act is not Act.FOLLOWS)
        rows += [{"device": port.name, **whose, "s_max_mva": port.s_max_mva, **rated} for port in ports]
    return rows
