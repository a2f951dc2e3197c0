"""Time stamps as people write them: ISO, ``… UTC``, day before month or after, a given format, numbers since 1970."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import pandas as pd
from jaxtyping import Int

_EPOCHS = {"epoch": 10**6, "epoch_ms": 10**3}
"""microseconds in a unit of numbers since 1970"""
_ZONES = {" UTC": "+00:00", " GMT": "+00:00", " CET": "+01:00", " CEST": "+02:00"}
_DATES = ("%d.%m.%Y", "%d.%m.%y", "%d/%m/%Y", "%m/%d/%Y", "%d/%m/%y", "%m/%d/%y", "%d-%m-%Y", "%m-%d-%Y", "%Y/%m/%d")
_CLOCKS = ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p")
_FORMATS = tuple(date + clock for date in _DATES for clock in _CLOCKS)
_OF_DIGITS = {8: "%Y%m%d", 10: "%Y%m%d%H", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}
_HOUR_24 = " 24:00"
_MICROSECOND = timedelta(microseconds=1)
_1970 = datetime(1970, 1, 1)
_LONG_AGO_US = 10**17  # beyond the calendar
NO_TIME = "is no time; give hours, stamps such as 2024-06-20T00:15:00+02:00, or say by time_format how they are written"

Micros = Int[np.ndarray, " row"]


class StampError(Exception):
    """A time stamp is wrong.

    Attributes
    ----------
    row : which; ``None`` for the column as a whole
    message : what is wrong and the way out; empty where a cell is no time in ISO's way
    """

    def __init__(self, row: int | None, message: str):
        super().__init__(message)
        self.row, self.message = row, message


@dataclass(frozen=True, eq=False)
class Stamps:
    """Times of rows.

    Attributes
    ----------
    micros : since 1970 [µs], in UTC where ``aware``, else by the local clock
    aware : whether they are moments and not what some clock shows
    note : how they were read, where that is not as ISO has it
    """

    micros: Micros
    aware: bool
    note: str = ""


def in_format(cells: Sequence[str], time_format: str) -> Stamps:
    """Read cells in a given format: one of `datetime.strptime`, or ``epoch``, ``epoch_ms``; raises `StampError`."""
    if time_format in _EPOCHS:
        return Stamps(_since_1970(cells, _EPOCHS[time_format]), aware=True)
    if "%" not in time_format:
        raise StampError(
            None, f'time_format "{time_format}" names no parts; write such as "%d.%m.%Y %H:%M", or "epoch"'
        )
    moments = _parsed(cells, time_format)
    wrong = np.flatnonzero(moments.isna())
    if len(wrong):
        row = int(wrong[0])
        raise StampError(row, f'"{cells[row]}" is no time written as {time_format}; correct it or time_format')
    return Stamps(_micros(moments), aware="%z" in time_format)


def _parsed(cells: Sequence[str], time_format: str) -> pd.DatetimeIndex:
    """Parse cells; NaT where one is not in the format."""
    # meters write the end of a day as hour 24 of it
    late = [row for row, one in enumerate(cells) if _HOUR_24 in one]
    texts = pd.Series([one.replace(_HOUR_24, " 00:00") for one in cells])
    try:
        moments = pd.to_datetime(texts, format=time_format, errors="coerce", utc="%z" in time_format)
    except ValueError as error:
        raise StampError(None, f'time_format "{time_format}" cannot be read: {error}') from None
    moments.iloc[late] += timedelta(days=1)
    return pd.DatetimeIndex(moments)


def _micros(moments: pd.DatetimeIndex) -> Micros:
    return moments.as_unit("us").asi8.copy()


def _since_1970(cells: Sequence[str], micros: int) -> Micros:
    found = np.zeros(len(cells), dtype=np.int64)
    for row, cell in enumerate(cells):
        try:
            number = float(cell)
            found[row] = int(cell) * micros if cell.isdigit() else round(number * micros)
        except (ValueError, OverflowError):
            raise StampError(row, f'"{cell}" is no number since 1970; correct it or time_format') from None
    return found


def found_out(cells: Sequence[str], fits: Callable[[Stamps], bool]) -> Stamps:
    """Read cells in the only way that they can be read in.

    Parameters
    ----------
    fits : whether times are those of the run, which tells numbers since 1970 from dates without signs, and a day from a
        month

    Raises
    ------
    StampError
        where there is no way, or more than one.
    """
    digits = cells[0].isdigit()
    if digits:
        ways = [*_EPOCHS, *(way for length, way in _OF_DIGITS.items() if length == len(cells[0]))]
    else:
        ways = [one for one in _FORMATS if _reads(cells[0], one)]
    found: dict[str, Stamps] = {}
    for way in ways:
        try:
            one = in_format(cells, way)
        except StampError:
            continue
        if not any(np.array_equal(one.micros, other.micros) for other in found.values()):
            found[way] = one
    fitting = {way: one for way, one in found.items() if fits(one)} if digits or len(found) > 1 else found
    if len(fitting) == 1:
        ((way, one),) = fitting.items()
        return Stamps(one.micros, one.aware, f'time_format = "{way}"')
    raise _unclear(cells, found)


def _reads(cell: str, time_format: str) -> bool:
    try:
        datetime.strptime(cell.replace(_HOUR_24, " 00:00"), time_format)
    except ValueError:
        return False
    return True


def _unclear(cells: Sequence[str], found: dict[str, Stamps]) -> StampError:
    first = cells[0]
    if first.isdigit() and found:
        seen = {
            way: (_1970 + timedelta(microseconds=int(one.micros[0]))).isoformat()
            for way, one in found.items()
            if abs(int(one.micros[0])) < _LONG_AGO_US
        }
        ways = ", ".join(f'{when} by time_format = "{way}"' for way, when in seen.items())
        return StampError(0, f'"{first}" is no number of hours, and it is {ways or "no time"}, which is not in the run')
    if len(found) > 1:
        ways = " or ".join(f'time_format = "{one}"' for one in found)
        return StampError(None, f'"{first}" can be read in {len(found)} ways; say {ways}')
    return StampError(0, f'"{first}" {NO_TIME}')


def iso(cells: Sequence[str]) -> Stamps:
    """Read ISO time stamps, also with ``UTC``, ``CET`` or ``CEST`` behind them; raises `StampError`."""
    ending = next((one for one in _ZONES if cells[0].endswith(one)), "")
    texts = cells
    if ending:
        endings = tuple(_ZONES)
        texts = [
            one.rpartition(" ")[0] + _ZONES[one[one.rindex(" ") :]] if one.endswith(endings) else one for one in cells
        ]
    moments: list[datetime] = []
    for row, one in enumerate(texts):
        try:
            moments.append(datetime.fromisoformat(one))
        except ValueError:
            raise StampError(row, "") from None
    aware = moments[0].tzinfo is not None
    mixed = [row for row, one in enumerate(moments) if (one.tzinfo is not None) != aware]
    if mixed:
        other = "differs from the rows before: give all time stamps an offset, or none"
        raise StampError(mixed[0], f'"{cells[mixed[0]]}" {other}')
    epoch = datetime.fromisoformat("1970-01-01T00:00:00+00:00" if aware else "1970-01-01T00:00:00")
    micros = np.array([(one - epoch) // _MICROSECOND for one in moments], dtype=np.int64)
    return Stamps(micros, aware, f'times end in "{ending.strip()}"' if ending else "")


def in_zone(stamps: Stamps, zone: str) -> Stamps:
    """Take times without offset as those of a zone's clocks; hours that clocks show twice go by the order of rows."""
    if stamps.aware:
        return stamps
    local = pd.DatetimeIndex(stamps.micros.astype("datetime64[us]"))
    first, second = (
        local.tz_localize(zone, ambiguous=np.full(len(local), summer), nonexistent="NaT") for summer in (True, False)
    )
    skipped = np.flatnonzero(first.isna())
    if len(skipped):
        row = int(skipped[0])
        fixed = 'say by timezone which offset all have, as "Etc/GMT-1" has that of UTC+1'
        raise StampError(row, f"{local[row].isoformat()} is skipped by the clocks in {zone}; correct it, or {fixed}")
    micros, others = _micros(first.tz_convert("UTC")), _micros(second.tz_convert("UTC"))
    again = False
    for row in np.flatnonzero(micros != others).tolist():
        again = bool(row and first[row - 1] != second[row - 1] and (again or local[row] <= local[row - 1]))
        if again:
            micros[row] = others[row]
    return Stamps(micros, aware=True, note=stamps.note)
