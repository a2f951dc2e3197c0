"""Directed road graph between stations: fastest paths by time of departure, with traffic.

Every edge has a free-flow time t0 and, where a capacity c is known, the volume-delay function of the Bureau of Public
Roads: ``t = t0 (1 + b (volume / c)^power)``. The congestion of a road is its traffic volume [veh/h]. A trip is timed by
the traffic at its departure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import networkx as nx
import numpy as np
from jaxtyping import Float

from gridferry.networks.faults import Fault, InputError, no_such
from gridferry.networks.read_only import immutable
from gridferry.networks.roads.table import Road, read_roads
from gridferry.networks.roads.travel import Roads, Rounding, Trips


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
    """

    stations: tuple[str, ...]
    nodes: tuple[str, ...]
    roads: tuple[Road, ...]
    install_min: float
    rounding: Rounding = Rounding.NEAREST

    @cached_property
    def road_names(self) -> tuple[str, ...]:
        """Nodes at both ends of each road."""
        return tuple(f"{road.start}-{road.end}" for road in self.roads)

    def trips(self, congestion: Float[np.ndarray, "departure road"]) -> Trips:
        """Time and distance of the fastest paths, departing under each of the given volumes of traffic [veh/h].

        A station's trip to itself takes the installation time and no distance, as does one between two stations at
        the same node. Volumes below zero count as none.
        """
        volumes, which = np.unique(np.maximum(congestion, 0.0), axis=0, return_inverse=True)
        paths = [self._fastest(tuple(row)) for row in volumes.tolist()]
        shape = (0, len(self.stations), len(self.stations))
        minutes = np.stack([one[0] for one in paths]) if paths else np.zeros(shape)
        km = np.stack([one[1] for one in paths]) if paths else np.zeros(shape)
        return Trips(minutes=minutes[which] + self.install_min, km=km[which])

    @cached_property
    def _by_volumes(self) -> dict[tuple[float, ...], tuple[np.ndarray, np.ndarray]]:
        return {}

    def _fastest(self, volumes: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray]:
        """Minutes and kilometres between all stations; cached, since every step needs them."""
        if volumes not in self._by_volumes:
            self._by_volumes[volumes] = self._search(volumes)
        return self._by_volumes[volumes]

    def _search(self, volumes: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray]:
        graph = graph_at(self.roads, volumes)
        n = len(self.stations)
        minutes, km = np.zeros((n, n)), np.zeros((n, n))
        for i, start in enumerate(self.nodes):
            times, paths = nx.single_source_dijkstra(graph, start, weight="minutes")
            for j, end in enumerate(self.nodes):
                minutes[i, j] = times[end]
                km[i, j] = sum(graph[a][b]["km"] for a, b in pairwise(paths[end]))
        return immutable(minutes), immutable(km)


def graph_at(roads: tuple[Road, ...], volumes: Sequence[float]) -> nx.DiGraph:
    """Build the graph at given traffic on each road [veh/h]; of parallel roads the fastest counts."""
    graph = nx.DiGraph()
    for road, volume in zip(roads, volumes, strict=True):
        minutes = road.minutes_at(volume)
        known = graph.get_edge_data(road.start, road.end)
        if known is None or (minutes, road.km) < (known["minutes"], known["km"]):
            graph.add_edge(road.start, road.end, minutes=minutes, km=road.km)
    return graph


def load_road_graph(
    path: Path,
    nodes: Mapping[str, str],
    speed_km_h: float | None,
    install_min: float,
    rounding: Rounding,
) -> RoadGraph:
    """Read a road graph and place the stations on it.

    Parameters
    ----------
    path : CSV with the columns ``from``, ``to``, ``km`` or ``minutes``, and optionally ``capacity``, ``b``, ``power``
    nodes : node of each station, by the station's name
    speed_km_h : free-flow speed, for rows without minutes, and for the distance of rows without kilometres [km/h]
    install_min : time to connect after arrival [min]
    rounding : how minutes become steps

    Raises
    ------
    InputError
        with every fault: columns missing, values that are no numbers or negative (with the row), nodes that are not
        in the graph, stations that cannot be reached from another.
    """
    source = str(path)
    roads = read_roads(path, speed_km_h, source)
    graph = graph_at(roads, [0.0] * len(roads))
    faults = [
        Fault(source, f"station {station}", f'"{node}": {no_such("node", node, sorted(graph))}')
        for station, node in nodes.items()
        if node not in graph
    ]
    placed = {station: node for station, node in nodes.items() if node in graph}
    for start, start_node in placed.items():
        reachable = nx.descendants(graph, start_node) | {start_node}
        faults += [
            Fault(
                source,
                f"station {end}",
                f'no road leads to it (node "{end_node}") from station {start} (node "{start_node}"); '
                "roads are one-way, so add a row for each direction",
            )
            for end, end_node in placed.items()
            if end_node not in reachable
        ]
    if faults:
        raise InputError(faults)
    return RoadGraph(tuple(nodes), tuple(nodes.values()), roads, float(install_min), rounding)
