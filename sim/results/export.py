"""Export of a run's tables to CSV, Parquet, HDF5, Excel or netCDF."""

from __future__ import annotations

import errno
from contextlib import suppress
from enum import StrEnum
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa

from gridferry.controllers.devices.registry import BUILT_IN, find_kind
from gridferry.networks.faults import Fault, InputError, no_such
from gridferry.sim.results.kind_tables import quoted
from gridferry.sim.results.record_tables import INFO_TABLES, TABLES, WRITING_FAILED, all_tables, column_dictionary
from gridferry.sim.results.run_directory import EXPORT, Run, in_one_piece, load_run, make_folder, open_results

_HDF5, _EXCEL, _NETCDF = "results.h5", "results.xlsx", "results.nc"
_MOST_ROWS = 1_048_575
"""that a sheet of Excel has below its heading"""
_FORMULA = r"^\s*[=+@\x{FF1D}\x{FF0B}\x{FF0D}\x{FF20}-]|^[\t\r\n]"
"""beginnings of texts that spreadsheets run, also of other widths"""


class Format(StrEnum):
    """File formats."""

    CSV = "csv"
    PARQUET = "parquet"
    HDF5 = "hdf5"
    EXCEL = "excel"
    NETCDF = "netcdf"


def export_run(
    directory: str | Path, to: str, out: str | Path | None = None, *, for_spreadsheets: bool = False
) -> list[Path]:
    """Write every table of a run.

    Parameters
    ----------
    directory : a run directory; of a run that was stopped, too
    to : ``csv`` or ``parquet`` (a file per table); ``hdf5`` (one file, a group per table, a data set per column);
        ``excel`` (one file, a sheet per table); ``netcdf`` (one file, a group per table, as `Run.dataset` has it)
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
        if to == Format.EXCEL:
            return [_excel(connection, tables, target / _EXCEL)]
        if to == Format.NETCDF:
            return [_netcdf(load_run(directory), tables, target / _NETCDF)]
        return [_copy(connection, table, target / f"{table}.{to}", Format(to), for_spreadsheets) for table in tables]


def export_names(directory: Path) -> list[str]:
    """Names of all files that an export of a run may have written."""
    tables = [*TABLES, *INFO_TABLES, *BUILT_IN]
    with suppress(InputError), open_results(directory) as connection:
        tables = list(dict.fromkeys([*tables, *all_tables(connection)]))
    return [f"{table}.{to}" for table in tables for to in (Format.CSV, Format.PARQUET)] + [
        _HDF5,
        _EXCEL,
        _NETCDF,
    ]


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


def _excel(connection: duckdb.DuckDBPyConnection, tables: list[str], path: Path) -> Path:
    try:
        import xlsxwriter
    except ImportError:
        message = "needs the package xlsxwriter; install gridferry[excel], or export csv"
        raise InputError(Fault("gridferry export", "--format", message)) from None
    counts = {one: connection.execute(f"SELECT count(*) FROM {quoted(one)}").fetchall()[0][0] for one in tables}
    if long := [f"{name} has {count} rows" for name, count in counts.items() if count > _MOST_ROWS]:
        message = f"a sheet has at most {_MOST_ROWS}, and {', '.join(long)}; export parquet, or csv"
        raise InputError(Fault("gridferry export", "--format excel", message))
    content = BytesIO()
    # texts that look like formulas stay texts
    with xlsxwriter.Workbook(content, {"strings_to_formulas": False, "nan_inf_to_errors": True}) as book:
        for table in tables:
            sheet = book.add_worksheet(table[:31])
            rows = connection.execute(f"SELECT * FROM {quoted(table)} ORDER BY rowid")
            sheet.write_row(0, 0, [name for name, *_ in rows.description or ()])
            sheet.freeze_panes(1, 0)
            for number, values in enumerate(rows.fetchall(), start=1):
                sheet.write_row(number, 0, ["" if value is None or value != value else value for value in values])
    with in_one_piece(path) as part:
        part.write_bytes(content.getbuffer())
    return path


def _netcdf(run: Run, tables: list[str], path: Path) -> Path:
    try:
        import h5netcdf  # noqa: F401  (xarray writes by it)
        import xarray  # noqa: F401
    except ImportError:
        message = "needs the packages xarray and h5netcdf; install gridferry[xarray], or export parquet"
        raise InputError(Fault("gridferry export", "--format", message)) from None
    with in_one_piece(path) as part:
        for number, table in enumerate(tables):
            mode: Literal["a", "w"] = "a" if number else "w"
            dataset(run, table).to_netcdf(part, mode=mode, group=table, engine="h5netcdf")
    return path


_KEYS = {"bus": ("network", "bus"), "line": ("network", "line"), "network": ("network",), "cost": ("term",)} | {
    "step": (),
    "position": ("device", "position"),
}


def dataset(run: Run, table: str) -> Any:
    """Return a table as an `xarray.Dataset` over time and what it is about, with units and meanings.

    Times are in UTC where the clock of the run has an offset. Names are joined by ``/`` where it takes two of them.
    """
    import xarray

    rows = run.table(table)
    rows = rows.astype({name: "float64" for name in rows if str(rows[name].dtype) in ("Int64", "boolean")})
    if "step" in rows:
        keys = _KEYS.get(table, ("device",))
        index: list[str] = ["time"]
        if keys:
            rows["name"] = rows[list(keys)].astype(str).agg("/".join, axis=1) if len(keys) > 1 else rows[keys[0]]
            rows = rows.drop(columns=list(keys)).rename(columns={"name": keys[-1]})
            index.append(keys[-1])
        times = pd.to_datetime(rows["time"], utc="+" in rows["time"].iloc[0][10:] or "-" in rows["time"].iloc[0][10:])
        rows["time"] = times.dt.tz_localize(None)
        rows = rows.set_index(index)
    texts = [name for name in rows if rows[name].dtype == object]
    found: xarray.Dataset = rows.fillna(dict.fromkeys(texts, "")).to_xarray()
    described = {one.name: one for one in column_dictionary(find_kind(kind) for kind in BUILT_IN) if one.table == table}
    for name in found.data_vars:
        if (one := described.get(str(name))) is not None:
            found[name].attrs = {"units": one.unit, "long_name": one.meaning}
    return found


def _guarded(column: str) -> str:
    """Return the expression for a text that begins with an apostrophe where it would be a formula."""
    name = '"' + column.replace('"', '""') + '"'
    return f"CASE WHEN regexp_matches({name}, '{_FORMULA}') THEN '''' || {name} ELSE {name} END AS {name}"
