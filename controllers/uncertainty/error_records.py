"""Observed forecast errors from files, cut into days for `EmpiricalErrors`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float

from gridferry.networks.faults import Fault, InputError, no_such

_FLOOR, _LIMIT = 0.05, 1.0
"""errors of persistence: below this share of the largest value there is none, and none is larger than this"""


def read_errors(
    path: Path, columns: Sequence[str], steps_per_day: int, rows_per_day: int | None = None
) -> Float[np.ndarray, "day step source"]:
    """Read relative errors from a CSV file, from the first step of a day on.

    Parameters
    ----------
    columns : column of each source
    rows_per_day : rows of the file that make a day, one per step when not given; the mean of several makes a step, or
        one holds for several steps

    Raises
    ------
    InputError
        for missing columns, cells that are not finite numbers or fall below -1, and rows that are no complete days.
    """
    return _days(path, _read_columns(path, columns, -1.0, "below -1, less than nothing"), steps_per_day, rows_per_day)


def read_day_to_day_errors(
    path: Path, columns: Sequence[str], steps_per_day: int, rows_per_day: int | None = None
) -> Float[np.ndarray, "day step source"]:
    """Errors of persistence: every day of a profile is the forecast of the next.

    The error is ``(x_d - x_{d-1}) / x_{d-1}``; it is zero where the forecast is below 5 % of the largest value (a
    relative error of next to nothing means nothing), and cut at 1.

    Parameters
    ----------
    columns, rows_per_day : as of `read_errors`; values must not be negative

    Raises
    ------
    InputError
        as `read_errors`, and for negative values.
    """
    days = _days(path, _read_columns(path, columns, 0.0, "negative"), steps_per_day, rows_per_day)
    forecast, happened = days[:-1], days[1:]
    counts = (forecast > 0) & (forecast >= _FLOOR * days.max(axis=(0, 1), initial=0.0))
    errors = np.divide(happened - forecast, forecast, out=np.zeros_like(forecast), where=counts)
    return np.minimum(errors, _LIMIT)


def _read_columns(path: Path, columns: Sequence[str], lowest: float, below: str) -> Float[np.ndarray, "row source"]:
    """Read columns of finite numbers that are nowhere below ``lowest``."""
    try:
        table = pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise InputError(Fault(str(path), "", f"cannot be read: {error}")) from error
    missing = [name for name in columns if name not in table.columns]
    if missing:
        names = list(map(str, table.columns))
        raise InputError(Fault(str(path), "", f'column "{one}": {no_such("column", one, names)}') for one in missing)
    values = np.column_stack([pd.to_numeric(table[name], errors="coerce").to_numpy(dtype=float) for name in columns])
    wrong = ~(np.isfinite(values) & (values >= lowest))
    faults = []
    for row, column in zip(*np.nonzero(wrong), strict=True):
        value, name = values[row, column], columns[column]
        what = f"{value:.6g}: {below}" if np.isfinite(value) else f"{table[name].iloc[row]}: not a finite number"
        faults.append(Fault(str(path), f"line {row + 2}, column {name}", what))
    if faults:
        raise InputError(faults)
    return values


def _days(
    path: Path, values: Float[np.ndarray, "row source"], steps_per_day: int, rows_per_day: int | None
) -> Float[np.ndarray, "day step source"]:
    """Cut rows into days, and days into steps."""
    rows = rows_per_day or steps_per_day
    days, rest = divmod(len(values), rows)
    if rest or days == 0:
        message = f"{len(values)} rows are no whole days of {rows}; add or take away the odd rows"
        raise InputError(Fault(str(path), "", message))
    if rows % steps_per_day and steps_per_day % rows:
        message = f"{rows} rows a day do not make {steps_per_day} equal steps; choose a divisor or a multiple"
        raise InputError(Fault(str(path), "", message))
    per_row = np.repeat(values.reshape(days, rows, -1), max(steps_per_day // rows, 1), axis=1)
    return per_row.reshape(days, steps_per_day, -1, values.shape[1]).mean(axis=2)
