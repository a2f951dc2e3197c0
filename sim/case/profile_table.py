"""Time series from a CSV or Parquet file, resampled to the steps of the run.

Row i of a file covers ``[t_i, t_i + d)``, d being the spacing of its times, which must be regular.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
from jaxtyping import Float, Int

from gridferry.networks.faults import Fault, InputError, no_such, no_text
from gridferry.sim.case.profile_times import MISSING, is_parquet, read_numbers, row_text, seconds_of, spacing_of
from gridferry.sim.config.clock import Clock
from gridferry.sim.config.schema import Resample

_SHOWN = 5


@dataclass(frozen=True, eq=False)
class ProfileTable:
    """Columns of a profile file, and the times of its rows on the run's clock.

    Attributes
    ----------
    file : path, as shown to the user
    clock : steps of the run
    time_s : start of each row [s]
    spacing_s : length of every row [s]
    raw : columns as they are in the file, NaN where there is no number
    texts : per column, what stands where a number should, by row
    columns : names of all columns of the file
    """

    file: str
    clock: Clock
    time_s: Int[np.ndarray, " row"]
    spacing_s: int
    raw: Mapping[str, Float[np.ndarray, " row"]]
    texts: Mapping[str, Mapping[int, str]]
    columns: tuple[str, ...]
    _resampled: dict[tuple[str, Resample], np.ndarray] = field(default_factory=dict, repr=False)

    @cached_property
    def window(self) -> slice:
        """Rows within the run."""
        begin, end = self.clock.begin_s - int(self.time_s[0]), self.clock.end_s - int(self.time_s[0])
        return slice(begin // self.spacing_s, -(-end // self.spacing_s))

    def row_text(self, row: int) -> str:
        """Place of a row in the file, as an editor counts: ``line 17``."""
        return row_text(Path(self.file), row)

    def faults(self, column: str) -> list[Fault]:
        """Faults of missing, infinite and unreadable values in the rows within the run."""
        values = self.raw[column][self.window]
        bad = np.flatnonzero(~np.isfinite(values)) + self.window.start
        if not len(bad):
            return []
        row = int(bad[0])
        found = self.texts[column].get(row, "" if np.isnan(self.raw[column][row]) else str(self.raw[column][row]))
        wrong = f'"{found}" is no finite number' if found else "missing value"
        more = ", ".join(self.row_text(int(one)) for one in bad[1 : 1 + _SHOWN])
        others = f"; {len(bad) - 1} more: {more}{', …' if len(bad) > 1 + _SHOWN else ''}" if more else ""
        return [Fault(self.file, f'{self.row_text(row)}, column "{column}"', f"{wrong}; fill it in{others}")]

    def resampled(self, column: str, how: Resample) -> Float[np.ndarray, " step"]:
        """Resample a column to the steps of the run.

        ``mean`` weighs rows by the time they share with a step; ``previous`` takes the row in which a step begins;
        ``linear`` interpolates between the times of the rows at the beginning of a step, holding the last row's value.
        """
        key = (column, how)
        if key not in self._resampled:
            values = self._resample(self.raw[column], how)
            values.setflags(write=False)
            self._resampled[key] = values
        return self._resampled[key]

    def _resample(self, values: Float[np.ndarray, " row"], how: Resample) -> Float[np.ndarray, " step"]:
        if how is Resample.MEAN:
            total = np.zeros(self.clock.steps)
            for rows, weights in self._shares:
                total += weights * values[rows]
            return total
        starts = self.clock.begin_s + self.clock.step_s * np.arange(self.clock.steps, dtype=np.int64)
        if how is Resample.PREVIOUS:
            return values[(starts - self.time_s[0]) // self.spacing_s]
        # rows outside the window may be empty, and must not reach into it
        lying = slice(self.window.start, min(self.window.stop + 1, len(values)))
        known = np.isfinite(values[lying])
        return np.interp(starts, self.time_s[lying][known], values[lying][known])

    @cached_property
    def _shares(self) -> list[tuple[Int[np.ndarray, " step"], Float[np.ndarray, " step"]]]:
        """First, second, … row within each step, and its share of the step's time."""
        step_s, spacing = self.clock.step_s, self.spacing_s
        begin = self.clock.begin_s - int(self.time_s[0]) + step_s * np.arange(self.clock.steps, dtype=np.int64)
        first = begin // spacing
        shares = []
        for further in range(-(-(int(np.max(begin - first * spacing)) + step_s) // spacing)):
            row = first + further
            shared = np.minimum((row + 1) * spacing, begin + step_s) - np.maximum(row * spacing, begin)
            touched = shared > 0
            # a row that is not touched may lie beyond the file, or hold no number
            shares.append((np.where(touched, row, first), np.where(touched, shared, 0) / step_s))
        return shares


def read_profile(path: Path, time: str, requested: Sequence[str], clock: Clock) -> ProfileTable:
    """Read columns of a CSV or Parquet file.

    Parameters
    ----------
    time : name of the time column
    requested : names of the columns; those the file does not have are left out

    Raises
    ------
    InputError
        for a file that cannot be read, and for times that are missing, unreadable, irregular, on another kind of clock
        than the run, or do not cover it.
    """
    columns = column_names(path)
    if time not in columns:
        raise InputError(Fault(str(path), f'time column "{time}"', no_such("column", time, columns)))
    present = [one for one in dict.fromkeys(requested) if one in columns and one != time]
    twice = [one for one in (time, *present) if columns.count(one) > 1]
    if twice:
        raise InputError(
            [Fault(str(path), f'column "{one}"', "stands in the header twice; rename one") for one in twice]
        )
    found = _read(path, [time, *present])
    both = {name: _numbers(found[name]) for name in present}
    raw, texts = (
        {name: values for name, (values, _) in both.items()},
        {name: other for name, (_, other) in both.items()},
    )
    seconds = seconds_of(path, time, found[time], clock)
    if time in requested:
        raw[time], texts[time] = seconds / 3600.0, {}
    table = ProfileTable(str(path), clock, seconds, spacing_of(path, time, seconds), raw, texts, columns)
    _check_cover(table, time)
    return table


# ------------------------------------------------------------------------------------------------------------- reading


def _unreadable(path: Path, error: Exception) -> InputError:
    kind = "Parquet" if is_parquet(path) else "CSV (comma separated, one header line, UTF-8)"
    if not (isinstance(error, OSError) or is_parquet(path)) and (fault := no_text(str(path), path.read_bytes())):
        return InputError(fault)
    return InputError(Fault(str(path), "", f"cannot be read as {kind}: {' '.join(str(error).split())}"))


def column_names(path: Path) -> tuple[str, ...]:
    """Names of all columns of a CSV or Parquet file; raises `InputError` where it cannot be read."""
    try:
        if is_parquet(path):
            return tuple(pq.read_schema(path).names)
        with path.open(encoding="utf-8-sig", newline="") as file:
            return tuple(next(csv.reader(file), ()))
    except (OSError, UnicodeDecodeError, csv.Error, pa.ArrowException) as error:
        raise _unreadable(path, error) from None


def _read(path: Path, columns: list[str]) -> pa.Table:
    """Read columns as they are in a Parquet file, and as texts from a CSV file."""
    try:
        if is_parquet(path):
            return pq.read_table(path, columns=columns)
        convert = pa_csv.ConvertOptions(
            column_types=dict.fromkeys(columns, pa.string()),
            include_columns=columns,
            null_values=MISSING,
            strings_can_be_null=True,
        )
        return pa_csv.read_csv(path, read_options=pa_csv.ReadOptions(use_threads=False), convert_options=convert)
    except (OSError, UnicodeDecodeError, pa.ArrowException) as error:
        raise _unreadable(path, error) from None


def _numbers(column: pa.ChunkedArray) -> tuple[Float[np.ndarray, " row"], dict[int, str]]:
    """Return a column as numbers, NaN for empty cells; also, by row, texts that are no numbers."""
    if not (pa.types.is_boolean(column.type) or pa.types.is_temporal(column.type)):
        try:
            # a copy: arrow's memory is read-only
            return np.array(pc.cast(column, pa.float64()).to_numpy(), dtype=np.float64), {}
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            pass  # something is no number: read as text, to say what and where
    return read_numbers(["" if one is None else str(one).strip() for one in column.to_pylist()])


def _check_cover(table: ProfileTable, time: str) -> None:
    clock, first, last = table.clock, int(table.time_s[0]), int(table.time_s[-1]) + table.spacing_s
    if first <= clock.begin_s and clock.end_s <= last:
        return
    covered = f"covers {clock.text(first)} to {clock.text(last)}"
    run = f"the run goes from {clock.text(clock.begin_s)} to {clock.text(clock.end_s)}"
    fitting = (last - clock.begin_s) // clock.step_s
    way = f"choose steps = {fitting} at most" if first <= clock.begin_s and fitting > 0 else "choose another start"
    raise InputError(Fault(table.file, f'column "{time}"', f"{covered}, but {run}; {way}, or extend the file"))
