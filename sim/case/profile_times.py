"""Times of a profile file on the clock of the run, and reading of its cells.

Times are hours from local midnight of the run's first day, or ISO time stamps with an offset where the run's start has
one or is in a time zone. All times are integers in seconds from that midnight.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Float, Int

from gridferry.networks.faults import Fault, InputError
from gridferry.sim.config.clock import Clock

MISSING = ("", "nan", "NaN", "NAN", "NA", "N/A", "n/a", "null", "NULL", "None")
"""What stands in a cell without a value."""

_HOUR_ROUNDING_S = 1e-6 * 3600
_HOURS_MAX = 1e6  # more than a century from the first day
_SHOWN = 5
_NO_TIME = "missing time; fill it in"


def is_parquet(path: Path) -> bool:
    """Whether a file is read as Parquet; everything else is CSV."""
    return path.suffix.lower() in (".parquet", ".pq")


def row_text(path: Path, row: int) -> str:
    """Place of a row in a file, as an editor counts: ``line 17`` of a CSV, ``row 16`` of a Parquet file."""
    if is_parquet(path):
        return f"row {row + 1}"
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        filled = [number for number, line in enumerate(file, start=1) if line.strip("\r\n")]
    return f"line {filled[row + 1]}"


def read_numbers(cells: Sequence[str]) -> tuple[Float[np.ndarray, " row"], dict[int, str]]:
    """Read cells as numbers, NaN for empty ones; also returns, by row, texts that are no numbers."""
    values = np.full(len(cells), np.nan)
    texts: dict[int, str] = {}
    for row, cell in enumerate(cells):
        if cell in MISSING:
            continue
        number = _number(cell)
        if number is None:
            texts[row] = cell
        else:
            values[row] = number
    return values, texts


def _number(cell: str) -> float | None:
    """Read a number; Python's digit groups ``1_000`` are refused."""
    try:
        return None if "_" in cell else float(cell)
    except ValueError:
        return None


def seconds_of(path: Path, time: str, stamps: pa.ChunkedArray, clock: Clock) -> Int[np.ndarray, " row"]:
    """Start of each row in seconds (integers) from local midnight of the run's first day."""
    if len(stamps) < 2:
        raise InputError(Fault(str(path), "", f"has {len(stamps)} rows; at least two are needed to know their length"))
    if pa.types.is_timestamp(stamps.type) or pa.types.is_date(stamps.type):
        aware = pa.types.is_timestamp(stamps.type) and stamps.type.tz is not None
        _refuse(path, time, np.flatnonzero(np.array(pc.is_null(stamps)))[:1], lambda row: _NO_TIME)
        micros = np.array(
            pc.cast(pc.cast(stamps, pa.timestamp("us", getattr(stamps.type, "tz", None)), safe=False), pa.int64())
        )
        return _from_midnight(path, time, micros, aware, clock)
    cells = ["" if one is None else str(one).strip() for one in stamps.to_pylist()]
    if _number(cells[0]) is not None:
        return _from_hours(path, time, cells)
    unreadable = (row for row, cell in enumerate(cells) if not _is_time(cell))
    no_time = "is no time; give hours, or stamps such as 2024-06-20T00:15:00+02:00"
    _refuse(path, time, unreadable, lambda row: f'"{cells[row]}" {no_time}' if cells[row] else _NO_TIME)
    moments = [datetime.fromisoformat(one) for one in cells]
    aware = moments[0].tzinfo is not None
    mixed = [row for row, one in enumerate(moments) if (one.tzinfo is not None) != aware]
    other = "differs from the rows before: give all time stamps an offset, or none"
    _refuse(path, time, mixed[:1], lambda row: f'"{cells[row]}" {other}')
    epoch = datetime.fromisoformat("1970-01-01T00:00:00+00:00" if aware else "1970-01-01T00:00:00")
    tick = timedelta(microseconds=1)
    micros = np.array([(one - epoch) // tick for one in moments], dtype=np.int64)
    return _from_midnight(path, time, micros, aware, clock)


def _refuse(path: Path, time: str, rows: Iterable[Any], wrong: Callable[[int], str]) -> None:
    """Raise `InputError` for the first of some rows, each with what is wrong with its time."""
    shown = islice(map(int, rows), _SHOWN)
    faults = [Fault(str(path), f'{row_text(path, row)}, column "{time}"', wrong(row)) for row in shown]
    if faults:
        raise InputError(faults)


def _is_time(cell: str) -> bool:
    try:
        datetime.fromisoformat(cell)
    except ValueError:
        return False
    return True


def _from_hours(path: Path, time: str, cells: Sequence[str]) -> Int[np.ndarray, " row"]:
    hours, _ = read_numbers(cells)
    seconds = hours * 3600.0
    rounded = np.round(seconds)
    with np.errstate(invalid="ignore"):
        bad = np.flatnonzero(~((np.abs(seconds - rounded) <= _HOUR_ROUNDING_S) & (np.abs(hours) <= _HOURS_MAX)))

    def wrong(row: int) -> str:
        if cells[row] in MISSING:
            return _NO_TIME
        if not abs(hours[row]) <= _HOURS_MAX:
            return f'"{cells[row]}" is no number of hours'
        return f'"{cells[row]}" hours are no whole number of seconds; give more digits, or time stamps'

    _refuse(path, time, bad, wrong)
    return rounded.astype(np.int64)


def _from_midnight(
    path: Path, time: str, micros: Int[np.ndarray, " row"], aware: bool, clock: Clock
) -> Int[np.ndarray, " row"]:
    if aware != (clock.start.tzinfo is not None):
        start = clock.start.isoformat()
        if aware:
            wrong = f"its time stamps have an offset, but [time] start = {start} has none; write it with one"
        else:
            wrong = (
                f"its time stamps have no offset, but the run has, from {start} on; add it here, or leave it out there"
            )
        raise InputError(Fault(str(path), f'column "{time}"', wrong))
    epoch = datetime(1970, 1, 1, tzinfo=UTC if aware else None)
    micros = micros - (clock.midnight - epoch) // timedelta(microseconds=1)
    odd = np.flatnonzero(micros % 1_000_000)
    _refuse(path, time, odd[:1], lambda row: "is no whole second; round the time stamps")
    return micros // 1_000_000


def spacing_of(path: Path, time: str, seconds: Int[np.ndarray, " row"]) -> int:
    """Length of every row [s]: the most frequent spacing, which all rows must have."""
    gaps = np.diff(seconds)
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
        return found + (" (if the clocks change here, give the time stamps an offset)" if changed else "")

    _refuse(path, time, bad + 1, wrong)
    return usual
