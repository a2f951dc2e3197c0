"""Time series of a profile file, resampled to the steps of the run.

Row i of a file covers ``[t_i, t_i + d)``, d being the spacing of its times, which must be regular.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Float, Int

from gridferry.networks.faults import Fault, InputError, no_such
from gridferry.sim.case.profiles.file import ProfileFile
from gridferry.sim.case.profiles.times import TimeColumn, read_numbers, texts_of
from gridferry.sim.config.clock import Clock
from gridferry.sim.config.profile_schema import Resample

_SHOWN = 5


@dataclass(frozen=True, eq=False)
class ProfileTable:
    """Columns of a profile file, and the times of its rows on the run's clock.

    Attributes
    ----------
    file : what it was read from
    clock : steps of the run
    time_s : start of each row [s]
    spacing_s : length of every row [s]
    raw : columns as they are in the file, NaN where there is no number
    texts : per column, what stands where a number should, by row
    """

    file: ProfileFile
    clock: Clock
    time_s: Int[np.ndarray, " row"]
    spacing_s: int
    raw: Mapping[str, Float[np.ndarray, " row"]]
    texts: Mapping[str, Mapping[int, str]]
    _resampled: dict[tuple[str, Resample], np.ndarray] = field(default_factory=dict, repr=False)

    @cached_property
    def window(self) -> slice:
        """Rows within the run."""
        begin, end = self.clock.begin_s - int(self.time_s[0]), self.clock.end_s - int(self.time_s[0])
        return slice(begin // self.spacing_s, -(-end // self.spacing_s))

    def faults(self, column: str) -> list[Fault]:
        """Faults of missing, infinite and unreadable values in the rows within the run."""
        values = self.raw[column][self.window]
        bad = np.flatnonzero(~np.isfinite(values)) + self.window.start
        if not len(bad):
            return []
        row = int(bad[0])
        found = self.texts[column].get(row, "" if np.isnan(self.raw[column][row]) else str(self.raw[column][row]))
        wrong = f'"{found}" is no finite number' if found else "missing value"
        more = ", ".join(self.file.row_text(int(one)) for one in bad[1 : 1 + _SHOWN])
        others = f"; {len(bad) - 1} more: {more}{', …' if len(bad) > 1 + _SHOWN else ''}" if more else ""
        return [
            Fault(str(self.file.path), f'{self.file.row_text(row)}, column "{column}"', f"{wrong}; fill it in{others}")
        ]

    def resampled(self, column: str, how: Resample) -> Float[np.ndarray, " step"]:
        """Resample a column to the steps of the run.

        ``mean`` weighs rows by the time they share with a step; ``previous`` takes the row in which a step begins;
        ``linear`` interpolates between the times of the rows at the beginning of a step, holding the last row's value.
        """
        key = (column, how)
        if key not in self._resampled:
            values = self.resample(self.raw[column], how)
            values.setflags(write=False)
            self._resampled[key] = values
        return self._resampled[key]

    def resample(self, values: Float[np.ndarray, " row"], how: Resample) -> Float[np.ndarray, " step"]:
        """Resample values of the rows to the steps of the run."""
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


def read_profile(file: ProfileFile, requested: Sequence[str], clock: Clock) -> ProfileTable:
    """Read columns of an opened file.

    Parameters
    ----------
    requested : names of the columns; those the file does not have are left out

    Raises
    ------
    InputError
        for a file that cannot be read, and for times that are missing, unreadable, irregular, on another kind of clock
        than the run, or do not cover it.
    """
    columns, time = file.columns, file.source.time
    if time not in columns:
        raise file.fault(f'time column "{time}"', no_such("column", time, columns) + file.hint)
    present = [one for one in dict.fromkeys(requested) if one in columns and one != time]
    twice = [one for one in (time, *present) if columns.count(one) > 1]
    if twice:
        path = str(file.path)
        raise InputError([Fault(path, f'column "{one}"', "stands in the header twice; rename one") for one in twice])
    found = file.cells([time, *present])
    file.settle_decimal(found)
    both = {name: _numbers(found[name], file.decimal) for name in present}
    raw, texts = (
        {name: values for name, (values, _) in both.items()},
        {name: other for name, (_, other) in both.items()},
    )
    times = TimeColumn(file, found[time], clock)
    if time in requested:
        raw[time], texts[time] = times.seconds / 3600.0, {}
    times.check_cover()
    return ProfileTable(file, clock, times.seconds, times.spacing_s, raw, texts)


def _numbers(column: pa.ChunkedArray, decimal: str | None) -> tuple[Float[np.ndarray, " row"], dict[int, str]]:
    """Return a column as numbers, NaN for empty cells; also, by row, texts that are no numbers."""
    if decimal == "." and not (pa.types.is_boolean(column.type) or pa.types.is_temporal(column.type)):
        try:
            # a copy: arrow's memory is read-only
            return np.array(pc.cast(column, pa.float64()).to_numpy(), dtype=np.float64), {}
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            pass  # something is no number: read as text, to say what and where
    return read_numbers(texts_of(column), decimal)
