"""Observed forecast errors from files, cut into days for `EmpiricalErrors`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float

from gridferry.networks.faults import Fault, InputError, no_such


def read_errors(path: Path, columns: Sequence[str], steps_per_day: int) -> Float[np.ndarray, "day step source"]:
    """Read relative errors from a CSV file, one row per step, from the first step of a day on.

    Parameters
    ----------
    columns : column of each source

    Raises
    ------
    InputError
        for missing columns, cells that are not finite numbers or fall below -1, and rows that are no whole days.
    """
    values = _read_columns(path, columns)
    faults = [
        Fault(
            str(path),
            f"line {row + 2}, column {columns[column]}",
            f"{values[row, column]:.6g}: below -1, less than nothing",
        )
        for row, column in zip(*np.nonzero(values < -1.0), strict=True)
    ]
    if faults:
        raise InputError(faults)
    return _days(path, values, steps_per_day)


def read_day_to_day_errors(
    path: Path,
    columns: Sequence[str],
    steps_per_day: int,
    *,
    rows_per_day: int,
    floor: float = 0.05,
    limit: float = 1.0,
) -> Float[np.ndarray, "day step source"]:
    """Take every day of a profile as the forecast of the next: the errors of persistence.

    The error is ``(x_d - x_{d-1}) / x_{d-1}``; it is zero where the forecast is below ``floor`` times the largest value
    (a relative error of next to nothing means nothing), and cut at ``limit``.

    Parameters
    ----------
    columns : column of each source; values must not be negative
    rows_per_day : rows of the file that make a day, a multiple of ``steps_per_day``; their mean makes a step
    floor : share of the largest value below which there is no error
    limit : largest error

    Raises
    ------
    InputError
        as `read_errors`, and for negative values or rows that do not fit the steps.
    """
    values = _read_columns(path, columns)
    if rows_per_day % steps_per_day:
        raise InputError(
            Fault(str(path), "", f"{rows_per_day} rows a day do not make {steps_per_day} equal steps; choose a divisor")
        )
    if (values < 0).any():
        row, column = (int(index[0]) for index in np.nonzero(values < 0))
        raise InputError(
            Fault(str(path), f"line {row + 2}, column {columns[column]}", f"{values[row, column]:.6g}: negative")
        )
    days = _days(path, values, rows_per_day)
    days = days.reshape(len(days), steps_per_day, rows_per_day // steps_per_day, len(columns)).mean(axis=2)
    forecast, happened = days[:-1], days[1:]
    counts = (forecast > 0) & (forecast >= floor * days.max(axis=(0, 1), initial=0.0))
    errors = np.divide(happened - forecast, forecast, out=np.zeros_like(forecast), where=counts)
    return np.minimum(errors, limit)


def _read_columns(path: Path, columns: Sequence[str]) -> Float[np.ndarray, "row source"]:
    table = pd.read_csv(path)
    faults = [
        Fault(str(path), "", f'column "{name}": {no_such("column", name, map(str, table.columns))}')
        for name in columns
        if name not in table.columns
    ]
    if faults:
        raise InputError(faults)
    values = np.column_stack([pd.to_numeric(table[name], errors="coerce").to_numpy(dtype=float) for name in columns])
    faults = [
        Fault(
            str(path),
            f"line {row + 2}, column {columns[column]}",
            f"{table[columns[column]].iloc[row]}: not a finite number",
        )
        for row, column in zip(*np.nonzero(~np.isfinite(values)), strict=True)
    ]
    if faults:
        raise InputError(faults)
    return values


def _days(
    path: Path, values: Float[np.ndarray, "row source"], rows_per_day: int
) -> Float[np.ndarray, "day step source"]:
    days, rest = divmod(len(values), rows_per_day)
    if rest or days == 0:
        raise InputError(
            Fault(
                str(path), "", f"{len(values)} rows are no whole days of {rows_per_day}; add or take away the odd rows"
            )
        )
    return values.reshape(days, rows_per_day, values.shape[1])
