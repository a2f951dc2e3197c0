"""Road files by their format: CSV, TNTP, GeoJSON, GraphML."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from gridferry.networks.faults import Fault, InputError, no_such
from gridferry.networks.roads.road import Road, RoadFile


@dataclass(frozen=True, kw_only=True)
class RoadUnits:
    """What the numbers of a road file are.

    Attributes
    ----------
    speed_km_h : free-flow speed, for roads without a time, and for the length of those without one [km/h]
    minutes_per_unit : of times in a TNTP file [min]
    km_per_unit : of lengths in a TNTP file [km]
    volumes : file with the traffic on each road, beside that in the road file itself
    """

    speed_km_h: float | None = None
    minutes_per_unit: float = 1.0
    km_per_unit: float = 1.0
    volumes: Path | None = None


def read_road_file(path: Path, units: RoadUnits) -> RoadFile:
    """Read the roads of a CSV, ``.tntp``, ``.geojson``, ``.json`` or ``.graphml`` file.

    Raises
    ------
    InputError
        with every fault of the file, or of that of the volumes.
    """
    # each format's reader only where there is a file of it
    from gridferry.networks.roads import geo, table, tntp

    readers: Mapping[str, Callable[[Path, RoadUnits], RoadFile]] = {
        ".tntp": tntp.read_net,
        ".geojson": geo.read_geojson,
        ".json": geo.read_geojson,
        ".graphml": geo.read_graphml,
    }
    file = readers.get(path.suffix.lower(), table.read_roads)(path, units)
    return file if units.volumes is None else _with_volumes(file, units.volumes)


def _with_volumes(file: RoadFile, path: Path) -> RoadFile:
    from gridferry.networks.roads import table, tntp

    read = tntp.read_volumes if path.suffix.lower() == ".tntp" else table.read_volumes
    names = {road.name for road in file.roads}
    found: dict[str, float] = {}
    faults = []
    for where, start, end, volume in read(path):
        name = f"{start}-{end}"
        if name not in names:
            faults.append(Fault(str(path), where, f'"{name}": {no_such("road", name, sorted(names))}'))
        elif name in found:
            faults.append(Fault(str(path), where, f'"{name}" has a volume already; keep one'))
        found[name] = volume
    if faults:
        raise InputError(faults)
    return replace(file, roads=tuple(_loaded(road, found) for road in file.roads))


def _loaded(road: Road, volumes: Mapping[str, float]) -> Road:
    return replace(road, volume=volumes.get(road.name, road.volume))
