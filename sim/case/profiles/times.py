"""Times of a profile file on the clock of the run, in seconds (integers) from local midnight of the run's first day.

They are hours from that midnight, or from that of 1 January, or time stamps, which need an offset or a time zone where
the run's start has one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Float, Int

from gridferry.controllers.plans.plan_times import after
from gridferry.networks.faults import Fault, InputError
from gridferry.networks.tables.stamps import NO_TIME, StampError, Stamps, found_out, in_format, in_zone, iso
from gridferry.networks.tables.text import number_of
from gridferry.sim.case.profiles.file import MISSING, ProfileFile
from gridferry.sim.config.clock import Clock
from gridferry.sim.config.profile_schema import HoursFrom
from gridferry.sim.config.profile_schema import Stamps as End

_HOUR_ROUNDING_S = 1e-6 * 3600
_HOURS_MAX = 1e6  # more than a century from the first day
_YEAR_S = 364 * 86400
_SHOWN = 5
_MISSING_TIME = "missing time; fill it in"

Seconds = Int[np.ndarray, " row"]


def read_numbers(cells: Sequence[str], decimal: str | None = ".") -> tuple[Float[np.ndarray, " row"], dict[int, str]]:
    """Read cells as numbers, NaN for empty ones; also returns, by row, texts that are no numbers."""
    values = np.full(len(cells), np.nan)
    texts: dict[int, str] = {}
    for row, cell in enumerate(cells):
        if cell in MISSING:
            continue
        number = number_of(cell, decimal)
        if number is None:
            texts[row] = cell
        else:
            values[row] = number
    return values, texts


def texts_of(column: pa.ChunkedArray) -> list[str]:
    """Cells of a column as texts; whole numbers without a point."""
    if pa.types.is_floating(column.type):
        return ["" if one is None else str(int(one)) if one.is_integer() else repr(one) for one in column.to_pylist()]
    return ["" if one is None else str(one).strip() for one in column.to_pylist()]


class TimeColumn:
    """The time column of a file.

    Attributes
    ----------
    seconds : start of each row from local midnight of the run's first day [s]
    spacing_s : length of every row [s]

    Raises
    ------
    InputError
        for times that are missing, unreadable, irregular, or on another kind of clock than the run.
    """

    def __init__(self, file: ProfileFile, column: pa.ChunkedArray, clock: Clock):
        self._file, self._clock = file, clock
        if len(column) < 2:
            raise file.fault("", f"has {len(column)} rows; at least two are needed to know their length")
        self.seconds = self._seconds(column)
        self.spacing_s = self._spacing()
        if file.source.stamps is End.END:
            self.seconds = self.seconds - self.spacing_s

    def _seconds(self, column: pa.ChunkedArray) -> Seconds:
        source = self._file.source
        if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
            zone = getattr(column.type, "tz", None)
            self._refuse(np.flatnonzero(np.array(pc.is_null(column)))[:1], lambda row: _MISSING_TIME)
            micros = np.array(pc.cast(pc.cast(column, pa.timestamp("us", zone), safe=False), pa.int64()))
            return self._from_midnight(Stamps(micros, aware=zone is not None))
        cells = texts_of(column)
        try:
            if source.time_format is not None:
                return self._from_midnight(in_format(cells, source.time_format))
            if (first := number_of(cells[0], self._file.decimal)) is not None and not first > _HOURS_MAX:
                return self._from_hours(cells)
            return self._from_midnight(self._stamps(cells))
        except StampError as error:
            self._refuse_stamp(cells, error)
            raise AssertionError from None

    def _stamps(self, cells: Sequence[str]) -> Stamps:
        """Read time stamps as ISO has them, or as they can be read in one way only."""
        try:
            return iso(cells) if not cells[0].isdigit() else found_out(cells, self._in_run)
        except StampError as error:
            if error.message:
                raise
            if error.row:
                raise StampError(error.row, f'"{cells[error.row]}" {NO_TIME}') from None
        return found_out(cells, self._in_run)

    def _refuse_stamp(self, cells: Sequence[str], error: StampError) -> None:
        if error.row is None:
            raise self._file.fault(self._key, error.message)
        empty = error.row < len(cells) and cells[error.row] in MISSING
        self._refuse([error.row], lambda row: _MISSING_TIME if empty else error.message)

    @property
    def _key(self) -> str:
        return f'column "{self._file.source.time}"'

    def _refuse(self, rows: Iterable[Any], wrong: Callable[[int], str]) -> None:
        """Raise `InputError` for the first of some rows, each with what is wrong with its time."""
        shown = islice(map(int, rows), _SHOWN)
        path = str(self._file.path)
        faults = [Fault(path, f"{self._file.row_text(row)}, {self._key}", wrong(row)) for row in shown]
        if faults:
            raise InputError(faults)

    def _from_hours(self, cells: Sequence[str]) -> Seconds:
        hours, _ = read_numbers(cells, self._file.decimal)
        seconds = hours * 3600.0
        rounded = np.round(seconds)
        with np.errstate(invalid="ignore"):
            bad = np.flatnonzero(~((np.abs(seconds - rounded) <= _HOUR_ROUNDING_S) & (np.abs(hours) <= _HOURS_MAX)))

        def wrong(row: int) -> str:
            if cells[row] in MISSING:
                return _MISSING_TIME
            if not abs(hours[row]) <= _HOURS_MAX:
                return f'"{cells[row]}" is no number of hours'
            return f'"{cells[row]}" hours are no whole number of seconds; give more digits, or time stamps'

        self._refuse(bad, wrong)
        whole = rounded.astype(np.int64)
        if self._file.source.hours_from is HoursFrom.YEAR:
            return whole + self._year_s
        if whole[0] == 0 and whole[-1] >= _YEAR_S and self._year_s < 0:
            first = "hours count from the run's first day"
            self._file.notes.append(f'{first}; hours_from = "year" counts them from 1 January')
        return whole

    @property
    def _year_s(self) -> int:
        """Local midnight of 1 January, from that of the run's first day on [s]."""
        midnight = self._clock.midnight
        first = after(midnight.replace(month=1, day=1), 0)
        if midnight.tzinfo is not None:
            midnight, first = midnight.astimezone(UTC), first.astimezone(UTC)
        return round((first - midnight).total_seconds())

    def _from_midnight(self, stamps: Stamps) -> Seconds:
        stamps = in_zone(stamps, self._file.source.timezone) if self._file.source.timezone else stamps
        if stamps.note:
            self._file.notes.append(stamps.note)
        clock = self._clock
        if stamps.aware != (clock.start.tzinfo is not None):
            start = clock.start.isoformat()
            if stamps.aware:
                wrong = (
                    f"its time stamps have an offset, but [time] start = {start} has none; write it with one, or give "
                    '[time] a timezone, such as "UTC"'
                )
            else:
                wrong = (
                    f"its time stamps have no offset, but the run has, from {start} on; say their timezone in the "
                    "profile's table, add an offset here, or leave it out there"
                )
            raise self._file.fault(self._key, wrong)
        micros = stamps.micros - self._midnight_us(stamps.aware)
        odd = np.flatnonzero(micros % 1_000_000)
        self._refuse(odd[:1], lambda row: "is no whole second; round the time stamps")
        return micros // 1_000_000

    def _midnight_us(self, aware: bool) -> int:
        epoch = datetime(1970, 1, 1, tzinfo=UTC if aware else None)
        return (self._clock.midnight - epoch) // timedelta(microseconds=1)

    def _in_run(self, stamps: Stamps) -> bool:
        """Whether stamps and the run have a moment in common."""
        midnight = self._clock.midnight.replace(tzinfo=None)
        begin = (midnight - datetime(1970, 1, 1)) // timedelta(microseconds=1)
        day = 86_400_000_000  # offsets
        last = begin + self._clock.end_s * 1_000_000
        return bool(stamps.micros.min() <= last + day and stamps.micros.max() >= begin - day)

    def _spacing(self) -> int:
        """Length of every row [s]: the most frequent spacing, which all rows must have."""
        gaps = np.diff(self.seconds)
        usual = int(np.median(gaps))
        bad = np.flatnonzero(gaps != usual) if usual > 0 else np.flatnonzero(gaps <= 0)

        def wrong(row: int) -> str:
            gap = int(gaps[row - 1])
            if gap == 0:
                found = "has the time of the row before; remove one of them"
            elif gap < 0:
                found = "is earlier than the row before; sort the rows by time"
            else:
                found = f"comes {gap} s after the row before, the others {usual} s; fill the gap or remove the row"
            changed = gap != usual and abs(gap - usual) == 3600
            ways = "if the clocks change here, say the file's timezone, or give the time stamps an offset"
            return found + (f" ({ways})" if changed else "")

        self._refuse(bad + 1, wrong)
        return usual

    def check_cover(self) -> None:
        """Raise `InputError` where the rows do not cover the run, with the reading of the times under which they do."""
        clock, source = self._clock, self._file.source
        first, last = int(self.seconds[0]), int(self.seconds[-1]) + self.spacing_s
        if first <= clock.begin_s and clock.end_s <= last:
            return
        covered = f"covers {clock.text(first)} to {clock.text(last)}"
        run = f"the run goes from {clock.text(clock.begin_s)} to {clock.text(clock.end_s)}"
        fitting = (last - clock.begin_s) // clock.step_s
        if (
            source.stamps is End.START
            and first - self.spacing_s <= clock.begin_s
            and clock.end_s <= last - self.spacing_s
        ):
            way = 'if its times are the ends of their intervals, say stamps = "end" in its table'
        elif (
            first == 0
            and self._year_s < 0
            and self._file.source.hours_from is HoursFrom.FIRST_DAY
            and clock.end_s <= last + self._year_s
        ):
            way = 'if its hours count from 1 January, say hours_from = "year" in its table'
        elif first <= clock.begin_s and fitting > 0:
            way = f"choose steps = {fitting} at most"
        else:
            way = "choose another start"
        raise self._file.fault(self._key, f"{covered}, but {run}; {way}, or extend the file")
