"""Reader of a road graph's CSV; every fault names its row."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gridferry.networks.faults import Fault, InputError, no_such, no_text

_COLUMNS = ("from", "to", "km", "minutes", "capacity", "b", "power")
_BPR_B, _BPR_POWER = 0.15, 4.0
"""The usual coefficients of the volume-delay function of the Bureau of Public Roads."""


@dataclass(frozen=True)
class Road:
    """A one-way road.

    Attributes
    ----------
    start, end : its nodes
    km : length [km]
    minutes : travel time without traffic [min]
    capacity : of the volume-delay function, inf where traffic does not matter [veh/h]
    b, power : its coefficients
    """

    start: str
    end: str
    km: float
    minutes: float
    capacity: float
    b: float
    power: float

    def minutes_at(self, volume: float) -> float:
        """Travel time at a volume of traffic [veh/h]: ``t0 (1 + b (volume / capacity)^power)`` [min]."""
        if volume <= 0.0 or math.isinf(self.capacity):
            return self.minutes
        return self.minutes * (1.0 + self.b * (volume / self.capacity) ** self.power)


def read_roads(path: Path, speed_km_h: float | None, source: str) -> tuple[Road, ...]:
    """Read the roads of a CSV file.

    A row has kilometres, minutes or both; the speed gives the one from the other. Rows are counted as in an editor, the
    header being row 1.

    Raises
    ------
    InputError
        with every fault of the file.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, skipinitialspace=True, strict=True)
            header = [name.strip() for name in reader.fieldnames or []]
            reader.fieldnames = header
            faults = _header_faults(header, source)
            if faults:
                raise InputError(faults)
            rows = [(reader.line_num, row) for row in reader]
    except UnicodeDecodeError:
        raise InputError(no_text(source, path.read_bytes()) or ()) from None
    except (OSError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise InputError(Fault(source, "", f"cannot be read as CSV ({reason}); name a file with roads")) from error
    roads: list[Road] = []
    faults = []
    for number, row in rows:
        parsed = _RoadRow(row, f"row {number}", speed_km_h, source)
        faults += parsed.faults
        if not parsed.faults:
            roads.append(parsed.road())
    if not rows:
        faults.append(Fault(source, "row 2", "the file has no roads; add a row for each direction of every road"))
    if faults:
        raise InputError(faults)
    return tuple(roads)


def _header_faults(header: list[str], source: str) -> list[Fault]:
    there = f"; the file has {', '.join(header) or 'no columns'}"
    faults = [
        Fault(source, "row 1", f'column "{one}" is missing{there}') for one in ("from", "to") if one not in header
    ]
    if "km" not in header and "minutes" not in header:
        faults.append(Fault(source, "row 1", f'column "km" or "minutes" is missing{there}'))
    faults += [
        Fault(source, f'row 1, column "{one}"', no_such("column", one, _COLUMNS))
        for one in header
        if one not in _COLUMNS
    ]
    faults += [
        Fault(source, f'row 1, column "{one}"', "given twice; keep one")
        for one in dict.fromkeys(header)
        if header.count(one) > 1
    ]
    return faults


class _RoadRow:
    """Reader of one row, which collects its faults."""

    def __init__(self, row: Mapping[str | None, str | list[str] | None], where: str, speed: float | None, source: str):
        self.faults: list[Fault] = []
        self._row, self._where, self._source = row, where, source
        if None in row:
            self._note("", "has more cells than the header")
        self._start, self._end = (self._cell(one) for one in ("from", "to"))
        for column, node in (("from", self._start), ("to", self._end)):
            if not node:
                self._note(column, "is empty; name a node")
        km, minutes = self._number("km"), self._number("minutes")
        has_km, has_minutes = bool(self._cell("km")), bool(self._cell("minutes"))
        if not has_km and not has_minutes:
            self._note("", "has neither km nor minutes; give one")
        if has_km != has_minutes and speed is None:
            given, other = ("km", "travel time") if has_km else ("minutes", "distance")
            self._note(given, f"needs speed_km_h under [roads] to give the {other}, or both km and minutes in the row")
        speed = 1.0 if speed is None else speed
        self._km = km if km is not None else (minutes or 0.0) / 60.0 * speed
        self._minutes = minutes if minutes is not None else self._km / speed * 60.0
        capacity, b, power = self._number("capacity"), self._number("b"), self._number("power")
        if capacity == 0.0:
            self._note("capacity", "must be above 0; leave it empty where traffic does not matter")
        if not self._cell("capacity") and (self._cell("b") or self._cell("power")):
            self._note("capacity", "is missing beside b and power; give it, or leave all three empty")
        self._capacity = math.inf if capacity is None else capacity
        self._b = _BPR_B if b is None else b
        self._power = _BPR_POWER if power is None else power

    def road(self) -> Road:
        """Return the row as a road; call it only if there is no fault."""
        return Road(self._start, self._end, self._km, self._minutes, self._capacity, self._b, self._power)

    def _note(self, column: str, message: str) -> None:
        key = f'{self._where}, column "{column}"' if column else self._where
        self.faults.append(Fault(self._source, key, message))

    def _cell(self, column: str) -> str:
        value = self._row.get(column)
        return value.strip() if isinstance(value, str) else ""

    def _number(self, column: str) -> float | None:
        text = self._cell(column)
        if not text:
            return None
        try:
            number = float(text)
        except ValueError:
            self._note(column, f'"{text}" is no number')
            return None
        if not math.isfinite(number) or number < 0.0:
            self._note(column, f"{text} must be a number, 0 or above")
            return None
        return number
