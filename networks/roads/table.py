"""Reader of a road graph's CSV; every fault names its row."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gridferry.networks.faults import Fault, InputError, no_such
from gridferry.networks.roads.road import BPR_B, BPR_POWER, Road, RoadFile
from gridferry.networks.tables.text import Text, cells_of, number_of, read_text

if TYPE_CHECKING:
    from gridferry.networks.roads.files import RoadUnits

_COLUMNS = ("from", "to", "km", "minutes", "capacity", "b", "power", "volume")


def read_roads(path: Path, units: RoadUnits) -> RoadFile:
    """Read the roads of a CSV file.

    A row has kilometres, minutes or both; the speed gives the one from the other. Rows are counted as in an editor, the
    header being row 1.

    Raises
    ------
    InputError
        with every fault of the file.
    """
    source, text = str(path), _read(path)
    header = [name.strip() for name in text.columns]
    faults = _header_faults(header, source)
    if faults:
        raise InputError(faults)
    roads: list[Road] = []
    for where, row in _rows(text, header):
        parsed = _RoadRow(row, where, units.speed_km_h, source)
        faults += parsed.faults
        if not parsed.faults:
            roads.append(parsed.road())
    if not roads and not faults:
        faults.append(Fault(source, "row 2", "the file has no roads; add a row for each direction of every road"))
    if faults:
        raise InputError(faults)
    return RoadFile(tuple(roads))


def read_volumes(path: Path) -> list[tuple[str, str, str, float]]:
    """Read a CSV of traffic: place, nodes and volume [veh/h] of each road; other columns are ignored."""
    text = _read(path)
    header = [name.strip() for name in text.columns]
    missing = [one for one in ("from", "to", "volume") if one not in header]
    faults = [Fault(str(path), "row 1", f'column "{one}" is missing') for one in missing]
    found = []
    for where, row in _rows(text, header) if not faults else ():
        volume = number_of(str(row.get("volume") or ""))
        if volume is None or not (math.isfinite(volume) and volume >= 0.0):
            message = f'"{row.get("volume")}" must be a number, 0 or above'
            faults.append(Fault(str(path), f'{where}, column "volume"', message))
            continue
        found.append((where, str(row.get("from") or ""), str(row.get("to") or ""), volume))
    if faults:
        raise InputError(faults)
    return found


def _read(path: Path) -> Text:
    try:
        text = read_text(path, lambda cells: "from" in [one.strip() for one in cells])
    except (OSError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise InputError(Fault(str(path), "", f"cannot be read as CSV ({reason}); name a file with roads")) from error
    if text.fault is not None:
        raise InputError(text.fault)
    return text


def _rows(text: Text, header: Sequence[str]) -> Iterator[tuple[str, Mapping[str | None, str]]]:
    """Place and cells of each row, by column; under ``None`` those beyond the header."""
    for number, line in zip(text.numbers[1:], text.lines[1:], strict=True):
        cells = [cell.strip() for cell in cells_of(line, text.separator)]
        if any(cells):
            row: dict[str | None, str] = dict(zip(header, cells, strict=False))
            yield f"row {number}", row | ({None: ""} if len(cells) > len(header) else {})


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

    def __init__(self, row: Mapping[str | None, str], where: str, speed: float | None, source: str):
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
        self._b = BPR_B if b is None else b
        self._power = BPR_POWER if power is None else power
        self._volume = self._number("volume") or 0.0

    def road(self) -> Road:
        """Return the row as a road; call it only if there is no fault."""
        function = (self._capacity, self._b, self._power)
        return Road(self._start, self._end, self._km, self._minutes, *function, self._volume)

    def _note(self, column: str, message: str) -> None:
        key = f'{self._where}, column "{column}"' if column else self._where
        self.faults.append(Fault(self._source, key, message))

    def _cell(self, column: str) -> str:
        return self._row.get(column, "")

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
