"""Record of a run: DuckDB tables by step and entity, written in transactions during the run.

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
from gridferry.controllers.plans.plan_file import rows_of_step
from gridferry.sim.results.info_tables import info_rows
from gridferry.sim.results.kind_tables import FLAG, INT, REAL, TEXT, Values
from gridferry.sim.results.record_tables import (
    CHECKPOINT,
    CLOSED,
    INFO_TABLES,
    TABLES,
    digests,
    tables_of_kinds,
    text_digest,
)
from gridferry.sim.results.run_directory import in_one_piece, wal_beside

# what is written is not read again while the run goes on: without a bound DuckDB keeps all of it in memory
_BOUNDED = {"memory_limit": "48MB", "threads": 1, **CLOSED}
_FLUSH_S = 5.0

_ARROW = {TEXT: pa.string(), INT: pa.int64(), REAL: pa.float64(), FLAG: pa.bool_()}


@dataclass(frozen=True)
class StepRecord:
    """Record of one step.

    Attributes
    ----------
    step : its number
    bus, line, network : columns of those tables, each a sequence over all entities of the plant
    device, plan, cost, position : rows of those tables, as mappings
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
    cost: Sequence[Mapping[str, Any]]
    position: Sequence[Mapping[str, Any]]
    kinds: Mapping[str, Sequence[Values]]
    row: Mapping[str, Any]
    checkpoint: Mapping[str, Any]


class Recorder:
    """Writer of `StepRecord` rows to ``results.duckdb``.

    Parameters
    ----------
    path : the database
    plant : names of networks, buses and branches come from it
    network_names : names of the networks, in the plant's order
    flush_steps : the most steps committed in one transaction
    clock : tells the time [s]

    Attributes
    ----------
    next_step : the one after the last that was added; ``None`` before the first
    """

    def __init__(
        self,
        path: Path,
        plant: Plant,
        network_names: Sequence[str],
        flush_steps: int,
        clock: Callable[[], float] = monotonic,
    ):
        self._flush_steps = flush_steps
        self._clock = clock
        self._committed = self._added = clock()
        self._pending: list[StepRecord] = []
        self.next_step: int | None = None
        self._labels = {
            "bus": _labels(network_names, [feeder.bus_names for feeder in plant.feeders], "bus"),
            "line": _labels(network_names, [feeder.branch_names for feeder in plant.feeders], "line"),
            "network": {"network": _coded(network_names)},
        }
        self._kinds = tables_of_kinds(plant.kinds)
        info = info_rows(plant, network_names)
        begins = not path.is_file()
        if begins:
            # a run that is killed meanwhile leaves no database; one that is there has all its tables, described
            wal_beside(path).unlink(missing_ok=True)
            with in_one_piece(path) as target:
                self._connection = duckdb.connect(str(target), config=_BOUNDED)
                with self._connection:
                    for table, columns in {**INFO_TABLES, **TABLES, **self._kinds, **CHECKPOINT}.items():
                        listed = ", ".join(f'"{name}" {kind}' for name, kind in columns.items())
                        self._connection.execute(f'CREATE TABLE "{table}" ({listed})')
                    self._describe(info)
                    self._connection.execute("CHECKPOINT")  # closing would say nothing of a full disk
        self._connection = duckdb.connect(str(path), config=_BOUNDED)
        if not begins:
            self._connection.execute("BEGIN TRANSACTION")
            self._describe(info)
            self._connection.execute("COMMIT")
        kept = self._connection.execute("SELECT digests FROM checkpoint").fetchone()
        self._digests: dict[str, int] = json.loads(kept[0]) if kept else {}

    def add(self, record: StepRecord) -> None:
        """Add a step; commit if the batch is full, or would be 5 s old after another step of this duration."""
        self._pending.append(record)
        self.next_step = record.step + 1
        now = self._clock()
        lasted, self._added = now - self._added, now
        if len(self._pending) >= self._flush_steps or now - self._committed + lasted > _FLUSH_S:
            self.flush()

    def flush(self) -> None:
        """Commit what is pending, with the checkpoint after its last step."""
        if not self._pending:
            return
        batch = self._pending
        tables = {
            **{name: self._wide(name, batch) for name in ("bus", "line", "network")},
            **{name: _long(batch, name) for name in ("device", "plan", "cost", "position")},
            "step": _rows([{"step": record.step, **record.row} for record in batch], TABLES["step"]),
            **{name: _tall(name, columns, batch) for name, columns in self._kinds.items()},
        }
        last = batch[-1]
        connection = self._connection
        connection.execute("BEGIN TRANSACTION")
        try:
            for name, table in tables.items():
                self._insert(name, table)
            added = digests(connection, tables, first=batch[0].step)
            summed = {table: added[table] + self._digests.get(table, 0) for table in tables}
            state = json.dumps(last.checkpoint, allow_nan=True)
            written = json.dumps({**summed, "checkpoint": text_digest(state)})
            connection.execute("DELETE FROM checkpoint")
            connection.execute("INSERT INTO checkpoint VALUES (?, ?, ?)", [last.step + 1, state, written])
            connection.execute("COMMIT")
        except BaseException:  # also at an interrupt: the batch is complete or absent, and can be written again
            connection.execute("ROLLBACK")
            raise
        self._pending, self._digests = [], summed
        self._committed = self._clock()

    def close(self) -> None:
        """Commit what is pending and close the database."""
        try:
            self.flush()
        finally:
            self._connection.close()

    def _describe(self, info: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
        """Replace the rows of the tables of constant data."""
        for table, rows in info.items():
            self._connection.execute(f'DELETE FROM "{table}"')
            self._insert(table, _rows(rows, INFO_TABLES[table]))

    def _insert(self, name: str, table: pa.Table) -> None:
        if table.num_rows:
            self._connection.register("batch", table)
            self._connection.execute(f'INSERT INTO "{name}" SELECT * FROM batch')
            self._connection.unregister("batch")

    def _wide(self, name: str, batch: Sequence[StepRecord]) -> pa.Table:
        labels = self._labels[name]
        width = len(next(iter(labels.values())))
        steps = np.array([record.step for record in batch], dtype=np.int64)
        number = np.repeat(np.arange(len(batch), dtype=np.int32), width)
        times = pa.DictionaryArray.from_arrays(number, [record.row.get("time") for record in batch])
        arrays: dict[str, pa.Array] = {"step": pa.array(steps[number]), "time": times}
        for label, coded in labels.items():
            codes = np.tile(coded.indices.to_numpy(), len(batch))
            arrays[label] = pa.DictionaryArray.from_arrays(codes, coded.dictionary)
        for key, kind in TABLES[name].items():
            if key not in arrays:
                values = [getattr(record, name)[key] for record in batch]
                flat = np.array(values, dtype=bool if kind == FLAG else float).ravel()
                arrays[key] = pa.array(flat, type=_ARROW[kind])
        return pa.table(arrays)


def rows_per_step(plant: Plant) -> dict[str, int | None]:
    """Rows of a step, by table; ``None`` for costs, of which new terms may come up."""
    return {
        "bus": plant.n_bus,
        "line": sum(feeder.n_branch for feeder in plant.feeders),
        "network": len(plant.feeders),
        "device": len(plant.recorded),
        "plan": len(rows_of_step(plant)),
        "position": len(plant.positions),
        "step": 1,
        "cost": None,
        **{kind.table: sum(device.table == kind.table for device in plant.devices) for kind in plant.kinds},
    }


def read_checkpoint(connection: duckdb.DuckDBPyConnection) -> tuple[int, dict[str, Any]] | None:
    """Return the next step and the state before it; ``None`` if nothing was committed yet.

    Raises
    ------
    ValueError, TypeError
        for what is no checkpoint.
    """
    rows = connection.execute("SELECT next_step, state FROM checkpoint").fetchall()
    if not rows:
        return None
    ((step, text),) = rows
    state = json.loads(text)
    if not isinstance(state, dict):
        raise ValueError("no JSON object")
    return int(step), state


def _labels(networks: Sequence[str], names: Sequence[Sequence[str]], column: str) -> dict[str, pa.DictionaryArray]:
    of_network = [network for network, own in zip(networks, names, strict=True) for _ in own]
    return {"network": _coded(of_network), column: _coded([name for own in names for name in own])}


def _coded(values: Sequence[str]) -> pa.DictionaryArray:
    return pa.array(list(values), type=pa.string()).dictionary_encode()


def _long(batch: Sequence[StepRecord], name: str) -> pa.Table:
    rows = [{"step": one.step, "time": one.row.get("time"), **row} for one in batch for row in getattr(one, name)]
    return _rows(rows, TABLES[name])


def _tall(name: str, columns: Mapping[str, str], batch: Sequence[StepRecord]) -> pa.Table:
    rows = [row for record in batch for row in record.kinds.get(name, ())]
    if not rows:
        return pa.table({})
    values = zip(columns.items(), zip(*rows, strict=True), strict=True)
    return pa.table({key: pa.array(column, type=_ARROW[kind]) for (key, kind), column in values})


def _rows(rows: Sequence[Mapping[str, Any]], kinds: Mapping[str, str]) -> pa.Table:
    return pa.table({key: pa.array([row.get(key) for row in rows], type=_ARROW[kind]) for key, kind in kinds.items()})
