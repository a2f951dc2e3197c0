"""Export of a run's tables to CSV, Parquet or HDF5."""

from __future__ import annotations

import errno
from contextlib import suppress
from enum import StrEnum
from io import BytesIO
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa

from gridferry.controllers.devices.registry import BUILT_IN
from gridferry.networks.faults import Fault, InputError, no_such
from gridferry.sim.results.record_tables import INFO_TABLES, TABLES, WRITING_FAILED, all_tables
from gridferry.sim.results.run_directory import EXPORT, in_one_piece, make_folder, open_results

_HDF5 = "results.h5"
_FORMULA = r"^\s*[=+@\x{FF1D}\x{FF0B}\x{FF0D}\x{FF20}-]|^[\t\r\n]"
"""beginnings of texts that spreadsheets run, also of other widths"""


class Format(StrEnum):
    """File formats."""

    CSV = "csv"
    PARQUET = "parquet"
    HDF5 = "hdf5"


def export_run(
    directory: str | Path, to: str, out: str | Path | None = None, *, for_spreadsheets: bool = False
) -> list[Path]:
    """Write every table of a run.

    Parameters
    ----------
    directory : a run directory; of a run that was stopped, too
    to : ``csv`` or ``parquet`` (a file per table), or ``hdf5`` (one file, a group per table, a data set per column)
    out : folder to write to; ``export`` in the run directory when not given
    for_spreadsheets : put an apostrophe before texts that spreadsheets would take for formulas; in CSV

    Returns
    -------
    list of Path
        the files written

    Raises
    ------
    InputError
        for a format that is none, or a directory without results.
    """
    if to not in list(Format):
        raise InputError(Fault("gridferry export", "--format", f'"{to}": {no_such("format", to, list(Format))}'))
    if for_spreadsheets and to != Format.CSV:
        message = f"is for csv: {to} says what is text; leave it out"
        raise InputError(Fault("gridferry export", "--for-spreadsheets", message))
    target = Path(out) if out is not None else Path(directory) / EXPORT
    with open_results(Path(directory)) as connection:
        tables = all_tables(connection)
        make_folder(target, "--out")
        if to == Format.HDF5:
            return [_hdf5(connection, tables, target)]
        return [_copy(connection, table, target / f"{table}.{to}", Format(to), for_spreadsheets) for table in tables]


def export_names(directory: Path) -> list[str]:
    """Names of all files that an export of a run may have written."""
    tables = [*TABLES, *INFO_TABLES, *BUILT_IN]
    with suppress(InputError), open_results(directory) as connection:
        tables = list(dict.fromkeys([*tables, *all_tables(connection)]))
    return [f"{table}.{to}" for table in tables for to in (Format.CSV, Format.PARQUET)] + [_HDF5]


def _copy(results: duckdb.DuckDBPyConnection, table: str, path: Path, to: Format, guarded: bool) -> Path:
    """Write a table via a separate database, as that of the results may not access other files."""
    options = "FORMAT CSV, HEADER" if to is Format.CSV else "FORMAT PARQUET"
    name = str(path).replace("'", "''")
    rows = results.sql(f'SELECT * FROM "{table}" ORDER BY rowid')
    try:
        with duckdb.connect() as own, pa.RecordBatchReader.from_stream(rows) as batches:
            own.register("rows", batches)
            texts = [column for column, kind in zip(rows.columns, rows.types, strict=True) if kind == "VARCHAR"]
            cells = ", ".join(_guarded(one) for one in texts) if guarded else ""
            changed = f"REPLACE ({cells})" if cells else ""
            own.execute(f"COPY (SELECT * {changed} FROM rows) TO '{name}' ({options})")
    except WRITING_FAILED as error:
        raise OSError(errno.EIO, str(error).splitlines()[0], str(path)) from error
    return path


def _hdf5(connection: duckdb.DuckDBPyConnection, tables: list[str], target: Path) -> Path:
    try:
        import h5py
    except ImportError:
        message = "needs the package h5py; install gridferry[hdf5], or export csv or parquet"
        raise InputError(Fault("gridferry export", "--format", message)) from None
    path = target / _HDF5
    content = BytesIO()  # HDF5 ends the process where it cannot write what is on its way to a full disk
    with h5py.File(content, "w") as file:
        for table in tables:
            group = file.create_group(table)
            columns = connection.execute(f'SELECT * FROM "{table}" ORDER BY rowid').fetchnumpy()
            for name, values in columns.items():
                array = np.ma.asarray(values)
                if array.dtype.kind == "O":
                    texts = ["" if value is None else str(value) for value in array.tolist()]
                    group.create_dataset(name, data=texts, dtype=h5py.string_dtype())
                else:
                    group.create_dataset(name, data=array.filled(np.nan if array.dtype.kind == "f" else -1))
    with in_one_piece(path) as part:
        part.write_bytes(content.getbuffer())
    return path


def _guarded(column: str) -> str:
    """Return the expression for a text that begins with an apostrophe where it would be a formula."""
    name = '"' + column.replace('"', '""') + '"'
    return f"CASE WHEN regexp_matches({name}, '{_FORMULA}') THEN '''' || {name} ELSE {name} END AS {name}"
