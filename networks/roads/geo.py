"""Readers of roads as map tools write them: GeoJSON, and GraphML as osmnx saves it."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree.ElementTree import ParseError

from gridferry.networks.faults import Fault, InputError
from gridferry.networks.roads.road import BPR_B, BPR_POWER, Road, RoadFile

if TYPE_CHECKING:
    from gridferry.networks.roads.files import RoadUnits

_EARTH_KM = 6371.0
_MPH = 1.609344
_NUMBER = re.compile(r"\d+(\.\d+)?")


def read_geojson(path: Path, units: RoadUnits) -> RoadFile:
    """Read the lines of a GeoJSON file as roads.

    Nodes are the properties ``u`` and ``v``, or ``from`` and ``to``, as osmnx has them; without these the ends of the
    line, by their coordinates, and the road leads both ways unless ``oneway`` says otherwise.
    """
    try:
        content = json.loads(path.read_bytes())
        features = [one for one in content["features"] if one["geometry"]["type"] == "LineString"]
        lines = [[(float(x), float(y)) for x, y, *_ in one["geometry"]["coordinates"]] for one in features]
        if any(len(line) < 2 for line in lines):
            raise ValueError("a line of one point")
        if not all(abs(x) <= 180.0 and abs(y) <= 90.0 for line in lines for x, y in line):
            raise ValueError("coordinates that are no longitude and latitude")
        if not all(isinstance(one.get("properties"), dict | None) for one in features):
            raise ValueError("properties that are no object")
    except (OSError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        message = (
            f"cannot be read as GeoJSON ({type(error).__name__}: {error}); give a FeatureCollection of LineStrings"
        )
        raise InputError(Fault(str(path), "", message)) from None
    reader = _Edges(path, units)
    for number, (feature, line) in enumerate(zip(features, lines, strict=True), start=1):
        data = feature.get("properties") or {}
        named = next(((data[a], data[b]) for a, b in (("u", "v"), ("from", "to")) if a in data and b in data), None)
        ends = tuple(map(str, named)) if named else tuple(f"{x:.6f},{y:.6f}" for x, y in (line[0], line[-1]))
        reader.add(f"feature {number}", (ends[0], ends[1]), data, line)
        if named is None and str(data.get("oneway", "")).lower() not in ("true", "yes", "1"):
            reader.add(f"feature {number}", (ends[1], ends[0]), data, line[::-1])
    return reader.file()


def read_graphml(path: Path, units: RoadUnits) -> RoadFile:
    """Read a graph as ``osmnx.save_graphml`` writes it."""
    import networkx as nx

    try:
        graph = nx.read_graphml(path, force_multigraph=True)
    except (OSError, ParseError, nx.NetworkXError, AttributeError, LookupError, TypeError, ValueError) as error:
        message = f"cannot be read as GraphML ({type(error).__name__}: {error}); write it with osmnx.save_graphml"
        raise InputError(Fault(str(path), "", message)) from None
    reader = _Edges(path, units)
    places = {str(node): _place(data) for node, data in graph.nodes(data=True)}
    edges = [*graph.edges(data=True)]
    edges += [] if graph.is_directed() else [(v, u, data) for u, v, data in edges]
    for u, v, data in edges:
        line = [one for one in (places[str(u)], places[str(v)]) if one is not None]
        reader.add(f"edge {u}-{v}", (str(u), str(v)), data, line)
    return reader.file()


def _place(data: Mapping[str, Any]) -> tuple[float, float] | None:
    x, y = _number(data.get("x")), _number(data.get("y"))
    return (x, y) if x is not None and y is not None and abs(x) <= 180.0 and abs(y) <= 90.0 else None


class _Edges:
    """Collector of edges with properties, and of their faults."""

    def __init__(self, path: Path, units: RoadUnits):
        self._path, self._units = path, units
        self._roads: list[Road] = []
        self._places: dict[str, tuple[float, float]] = {}
        self._faults: list[Fault] = []

    def add(
        self, where: str, ends: tuple[str, str], data: Mapping[str, Any], line: Sequence[tuple[float, float]]
    ) -> None:
        """Add a road with the properties ``length`` [m] and ``travel_time`` [s], or ``speed_kph`` or ``maxspeed``."""
        metres, km = _number(data.get("length")), _number(data.get("km"))
        km = metres / 1000.0 if km is None and metres is not None else km
        km = sum(_km(a, b) for a, b in pairwise(line)) if km is None and len(line) > 1 else km
        seconds, minutes = _number(data.get("travel_time")), _number(data.get("minutes"))
        minutes = seconds / 60.0 if minutes is None and seconds is not None else minutes
        speed = _number(data.get("speed_kph")) or _speed(data.get("maxspeed")) or self._units.speed_km_h
        if minutes is None and km is not None and speed:
            minutes = km / speed * 60.0
        if km is None or minutes is None or not min(km, minutes) >= 0.0:
            missing = "length, or no coordinates" if km is None else "travel_time, speed_kph or maxspeed"
            way = "give it" if km is None else "give speed_km_h under [roads]"
            self._faults.append(Fault(str(self._path), where, f"has no {missing}; {way}"))
            return
        others = {key: _number(data.get(key)) for key in ("capacity", "b", "power", "volume")}
        self._roads.append(
            Road(
                *ends,
                km,
                minutes,
                others["capacity"] or math.inf,
                BPR_B if others["b"] is None else others["b"],
                BPR_POWER if others["power"] is None else others["power"],
                others["volume"] or 0.0,
            )
        )
        if len(line) > 1:
            self._places |= {ends[0]: line[0], ends[1]: line[-1]}

    def file(self) -> RoadFile:
        """Return the roads, or raise the faults."""
        if not self._roads and not self._faults:
            self._faults.append(Fault(str(self._path), "", "has no roads"))
        if self._faults:
            raise InputError(self._faults[:50])
        return RoadFile(tuple(self._roads), places=self._places)


def _number(value: Any) -> float | None:
    """Read a number, which GraphML may have as text; ``None`` where there is none."""
    try:
        number = float(value)
    except (ArithmeticError, TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _speed(value: Any) -> float | None:
    """Read a speed limit such as ``50``, ``30 mph`` or a list of them, of which the lowest counts [km/h]."""
    found = [float(one[0]) for one in _NUMBER.finditer(str(value or ""))]
    return min(found) * (_MPH if "mph" in str(value) else 1.0) if found else None


def _km(a: tuple[float, float], b: tuple[float, float]) -> float:
    """Distance between two places on the ground [km]."""
    (x, y), (u, v) = (tuple(map(math.radians, one)) for one in (a, b))
    across = math.sin((v - y) / 2) ** 2 + math.cos(y) * math.cos(v) * math.sin((u - x) / 2) ** 2
    return 2.0 * _EARTH_KM * math.asin(min(1.0, math.sqrt(across)))
