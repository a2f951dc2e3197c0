"""Directed road graph between stations: fastest paths by time of departure, with traffic.

Every edge has a free-flow time t0 and, where a capacity c is known, the volume-delay function of the Bureau of Public
Roads: ``t = t0 (1 + b (volume / c)^power)``. The congestion of a road is its traffic volume [veh/h], which changes
while a trip is on its way (`gridferry.networks.roads.search`).
"""

from __future__ import annotations

import hashlib
import math
import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Float

from gridferry.networks.faults import Fault, InputError, no_such
from gridferry.networks.read_only import immutable
from gridferry.networks.roads.files import RoadUnits, read_road_file
from gridferry.networks.roads.road import Road, RoadFile
from gridferry.networks.roads.search import RoadTimes, earliest_arrivals
from gridferry.networks.roads.travel import Roads, Rounding, Trips

_PLACE = re.compile(r"(-?\d+(?:\.\d+)?)\s*,\s*(-?\d+(?:\.\d+)?)")
_NEAR_KM = 1.0
_EARTH_KM = 6371.0
Found = tuple[Float[np.ndarray, "station station"], Float[np.ndarray, "station station"]]


@dataclass(frozen=True)
class Closure:
    """A road that is not entered for a while.

    Attributes
    ----------
    road : its name
    begin_s, end_s : from the start of the run on [s]
    """

    road: str
    begin_s: float
    end_s: float


@dataclass(frozen=True, eq=False)
class RoadGraph(Roads):
    """Road graph with stations at its nodes; congestion is the traffic on each road [veh/h].

    Attributes
    ----------
    stations : names, in the order of the axes of `Trips`
    nodes : node of each station
    roads : the directed edges
    install_min : time to connect after arrival [min]
    rounding : how minutes become steps
    ends_only : nodes that trips do not pass through
    closures : roads that are not entered for a while
    """

    stations: tuple[str, ...]
    nodes: tuple[str, ...]
    roads: tuple[Road, ...]
    install_min: float
    rounding: Rounding = Rounding.NEAREST
    ends_only: frozenset[str] = frozenset()
    closures: tuple[Closure, ...] = ()
    _known: dict[bytes, Found] = field(default_factory=dict, repr=False)

    @cached_property
    def road_names(self) -> tuple[str, ...]:
        """Nodes at both ends of each road."""
        return tuple(road.name for road in self.roads)

    @property
    def changes_by_time(self) -> bool:
        """Whether roads are closed for a while."""
        return bool(self.closures)

    @cached_property
    def base_congestion(self) -> Float[np.ndarray, " road"]:
        """Traffic that is on each road in any case [veh/h]."""
        return immutable(np.array([road.volume for road in self.roads]))

    def trips(
        self,
        congestion: Float[np.ndarray, "row road"],
        *,
        step_s: int | None = None,
        step: int = 0,
        departures: int | None = None,
    ) -> Trips:
        """Time and distance of the fastest paths.

        A station's trip to itself takes the installation time and no distance, as does one between two stations at
        the same node. Volumes below zero count as none.
        """
        volumes = np.maximum(congestion, 0.0)
        rows = range(len(volumes) if departures is None else min(departures, len(volumes)))
        met = 1 if step_s is None else self.rows_met(volumes, step_s, step)
        found = [self._fastest(volumes[row : row + met], step_s or 60, step + row) for row in rows]
        shape = (0, len(self.stations), len(self.stations))
        minutes = np.stack([one[0] for one in found]) if found else np.zeros(shape)
        km = np.stack([one[1] for one in found]) if found else np.zeros(shape)
        return Trips(minutes=minutes + self.install_min, km=km)

    def rows_met(self, congestion: Float[np.ndarray, "row road"], step_s: int, step: int = 0) -> int:
        """Rows, from that of the departure on, whose traffic a trip may meet."""
        if len(congestion) < 2:
            return 1
        # nobody is later than in the most traffic of all rows on every road; NaN is where nothing is known
        most = np.nan_to_num(np.fmax.reduce(np.maximum(congestion, 0.0), axis=0))
        longest_s = 60.0 * float(self._fastest(most[None, :], 60, None)[0].max(initial=0.0))
        closed_s = max((one.end_s for one in self.closures), default=0.0) - step * step_s
        return 1 + math.ceil((longest_s + max(closed_s, 0.0)) / step_s)

    def _fastest(self, volumes: Float[np.ndarray, "period road"], step_s: int, step: int | None) -> Found:
        """Minutes and kilometres between all stations, remembered: every step needs them.

        Parameters
        ----------
        step : of the departure, by which closures count; ``None`` without closures
        """
        ends = len(volumes)
        while ends > 1 and np.array_equal(volumes[ends - 1], volumes[ends - 2]):
            ends -= 1
        volumes = np.ascontiguousarray(volumes[:ends])
        now_s = None if step is None else step * step_s
        coming = [one for one in self.closures if now_s is not None and one.end_s > now_s]
        key = hashlib.blake2b(volumes.tobytes(), digest_size=16, salt=(step_s if ends > 1 else 0).to_bytes(8, "little"))
        key.update(str(now_s if coming else None).encode())
        if key.digest() not in self._known:
            closures: dict[int, list[tuple[float, float]]] = defaultdict(list)
            for one in sorted(coming, key=lambda closure: closure.end_s):
                assert now_s is not None
                span = ((one.begin_s - now_s) / 60.0, (one.end_s - now_s) / 60.0)
                for number, road in enumerate(self.roads):
                    if road.name == one.road:
                        closures[number].append(span)
            self._known[key.digest()] = self._search(RoadTimes(self._minutes(volumes), step_s / 60.0, closures))
        return self._known[key.digest()]

    def _minutes(self, volumes: Float[np.ndarray, "period road"]) -> Float[np.ndarray, "period road"]:
        """Travel time of each road in given traffic [min]."""
        rows = [[road.minutes_at(one) for road, one in zip(self.roads, row, strict=True)] for row in volumes.tolist()]
        return np.array(rows).reshape(volumes.shape)

    @cached_property
    def _leaving(self) -> Mapping[str, list[tuple[int, Road]]]:
        return _leaving(self.roads)

    def _search(self, times: RoadTimes) -> Found:
        n = len(self.stations)
        minutes, km = np.zeros((n, n)), np.zeros((n, n))
        for i, start in enumerate(self.nodes):
            found = earliest_arrivals(start, self._leaving, times, self.ends_only)
            for j, end in enumerate(self.nodes):
                minutes[i, j], km[i, j] = found[end]
        return immutable(minutes), immutable(km)


def _leaving(roads: tuple[Road, ...]) -> Mapping[str, list[tuple[int, Road]]]:
    leaving: dict[str, list[tuple[int, Road]]] = defaultdict(list)
    for number, road in enumerate(roads):
        leaving[road.start].append((number, road))
    return leaving


def load_road_graph(
    path: Path, nodes: Mapping[str, str], units: RoadUnits, install_min: float, rounding: Rounding
) -> RoadGraph:
    """Read a road graph and place the stations on it.

    Parameters
    ----------
    path : as `gridferry.networks.roads.files.read_road_file` takes it
    nodes : node of each station, by the station's name; ``"longitude, latitude"`` is the nearest one
    units : what the file's numbers are
    install_min : time to connect after arrival [min]
    rounding : how minutes become steps

    Raises
    ------
    InputError
        with every fault: columns missing, values that are no numbers or negative (with the row), nodes that are not
        in the graph, stations that cannot be reached from another.
    """
    source, file = str(path), read_road_file(path, units)
    known = {node for road in file.roads for node in (road.start, road.end)}
    placed, faults = {}, []
    for station, node in nodes.items():
        found = node if node in known else _nearest(node, file)
        if found is None:
            faults.append(Fault(source, f"station {station}", f'"{node}": {no_such("node", node, sorted(known))}'))
        else:
            placed[station] = found
    free = RoadTimes(np.array([[road.minutes for road in file.roads]]), 60.0)
    for start, start_node in placed.items():
        reached = earliest_arrivals(start_node, _leaving(file.roads), free, file.ends_only)
        faults += [
            Fault(
                source,
                f"station {end}",
                f'no road leads to it (node "{end_node}") from station {start} (node "{start_node}"); '
                "roads are one-way, so add a row for each direction",
            )
            for end, end_node in placed.items()
            if end_node not in reached
        ]
    if faults:
        raise InputError(faults)
    at = tuple(placed[station] for station in nodes)
    return RoadGraph(tuple(nodes), at, file.roads, float(install_min), rounding, file.ends_only)


def _nearest(place: str, file: RoadFile) -> str | None:
    """Node nearest to a longitude and latitude; ``None`` where the text is neither or none is near."""
    given = _PLACE.fullmatch(place.strip())
    if given is None or not file.places:
        return None
    lon, lat = math.radians(float(given[1])), math.radians(float(given[2]))

    def km(node: str) -> float:
        x, y = map(math.radians, file.places[node])
        return _EARTH_KM * math.hypot((x - lon) * math.cos((y + lat) / 2), y - lat)

    nearest = min(file.places, key=km)
    return nearest if km(nearest) <= _NEAR_KM else None
