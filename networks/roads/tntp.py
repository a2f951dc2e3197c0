"""Reader of TNTP files, the format of the published transport test networks: networks and their flows."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from gridferry.networks.faults import Fault, InputError, no_text
from gridferry.networks.roads.road import Road, RoadFile

if TYPE_CHECKING:
    from gridferry.networks.roads.files import RoadUnits

_TAG = re.compile(r"\s*<([^>]*)>\s*(\S*)")
_COLUMNS = ("init node", "term node", "capacity", "length", "free flow time", "b", "power")


def _lines(path: Path) -> Iterator[tuple[str, str]]:
    """Lines with data: their place, and what is in them without comments."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(no_text(str(path), path.read_bytes()) or ()) from None
    except OSError as error:
        message = f"cannot be read ({error.strerror or error}); name a TNTP file"
        raise InputError(Fault(str(path), "", message)) from error
    for number, line in enumerate(text.splitlines(), start=1):
        content = line.partition("~")[0].replace(";", " ").strip()
        if content:
            yield f"row {number}", content


def _numbers(path: Path, where: str, cells: list[str], names: tuple[str, ...], faults: list[Fault]) -> list[float]:
    numbers = []
    for name, cell in zip(names, cells, strict=True):
        try:
            number = float(cell)
        except ValueError:
            number = math.nan
        if not (math.isfinite(number) and number >= 0.0):
            faults.append(Fault(str(path), f'{where}, column "{name}"', f"{cell} must be a number, 0 or above"))
        numbers.append(number)
    return numbers


def read_net(path: Path, units: RoadUnits) -> RoadFile:
    """Read a network; zones below the first node to pass through are ends of trips only."""
    roads: list[Road] = []
    faults: list[Fault] = []
    first_through = 1
    for where, line in _lines(path):
        if tag := _TAG.match(line):
            if tag[1].strip().upper() == "FIRST THRU NODE" and tag[2].isdigit():
                first_through = int(tag[2])
            continue
        cells = line.split()
        if len(cells) < len(_COLUMNS):
            faults.append(Fault(str(path), where, f"has {len(cells)} cells; a link has {', '.join(_COLUMNS)}, …"))
            continue
        before = len(faults)
        capacity, length, time, b, power = _numbers(path, where, cells[2:7], _COLUMNS[2:], faults)
        if len(faults) == before:
            road = Road(
                cells[0],
                cells[1],
                length * units.km_per_unit,
                time * units.minutes_per_unit,
                capacity or math.inf,
                b,
                power,
            )
            roads.append(road)
    if not roads and not faults:
        faults.append(Fault(str(path), "", "has no links; name a network file (…_net.tntp)"))
    if faults:
        raise InputError(faults)
    nodes = {node for road in roads for node in (road.start, road.end)}
    return RoadFile(tuple(roads), frozenset(one for one in nodes if one.isdigit() and int(one) < first_through))


def read_volumes(path: Path) -> list[tuple[str, str, str, float]]:
    """Read a file of flows: place, nodes and volume of each link."""
    found: list[tuple[str, str, str, float]] = []
    faults: list[Fault] = []
    for where, line in _lines(path):
        cells = line.replace(":", " ").split()
        if _TAG.match(line) or cells[0].lower() == "from":
            continue
        if len(cells) < 3:
            faults.append(Fault(str(path), where, f"has {len(cells)} cells; a flow has from, to, volume, cost"))
            continue
        (volume,) = _numbers(path, where, cells[2:3], ("volume",), faults)
        found.append((where, cells[0], cells[1], volume))
    if faults:
        raise InputError(faults)
    return found
