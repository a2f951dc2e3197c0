"""User equilibrium of a network of 24 nodes and 76 one-way roads, fed in road by road, and files of other tools.

The network is our own, a grid of four by six with a trip table of its own; the equilibrium is computed here by
conjugate Frank-Wolfe steps on Beckmann's function.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra

from gridferry.networks.faults import InputError
from gridferry.networks.roads.files import RoadUnits
from gridferry.networks.roads.graph import RoadGraph, load_road_graph
from gridferry.networks.roads.travel import Rounding

NODES = [str(one) for one in range(1, 25)]
STATIONS = {f"S{node}": node for node in NODES}


@cache
def links() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """From, to (from 0 on), free-flow time [min] and capacity [veh/h] of each road."""
    rng = np.random.default_rng(1975)
    grid = nx.grid_2d_graph(4, 6)
    pairs = [(6 * a + b, 6 * c + d) for (a, b), (c, d) in grid.to_directed().edges]
    assert len(pairs) == 76
    ends = np.array(pairs)
    return ends[:, 0], ends[:, 1], rng.integers(2, 11, 76).astype(float), rng.uniform(300.0, 1500.0, 76)


def times_at(volume: np.ndarray) -> np.ndarray:
    _, _, free, capacity = links()
    return free * (1 + 0.15 * (volume / capacity) ** 4)


def shortest(times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    start, end, *_ = links()
    return dijkstra(csr_array((times, (start, end)), shape=(24, 24)), return_predecessors=True)


def all_or_nothing(times: np.ndarray, demand: np.ndarray) -> np.ndarray:
    start, end, *_ = links()
    number = {(a, b): k for k, (a, b) in enumerate(zip(start.tolist(), end.tolist(), strict=True))}
    distance, before = shortest(times)
    volume = np.zeros(76)
    for origin in range(24):
        load = demand[origin].copy()
        for node in np.argsort(distance[origin])[:0:-1].tolist():  # the farthest first, without the origin
            parent = int(before[origin, node])
            volume[number[parent, node]] += load[node]
            load[parent] += load[node]
    return volume


@cache
def equilibrium() -> np.ndarray:
    """Volumes at which nobody has a faster path, to a relative gap of 1e-4."""
    rng = np.random.default_rng(24)
    demand = rng.uniform(0.0, 40.0, (24, 24)) * (1 - np.eye(24))
    _, _, free, capacity = links()
    volume = all_or_nothing(free, demand)
    aim = volume
    for _ in range(400):
        times = times_at(volume)
        target = all_or_nothing(times, demand)
        gap = float(times @ (volume - target) / (times @ volume))
        if gap < 1e-4:
            return volume
        slope = free * 0.15 * 4 * volume**3 / capacity**4
        old, new = aim - volume, target - volume
        curved = float(old @ (slope * (new - old)))
        share = np.clip(float(old @ (slope * new)) / curved, 0.0, 0.99) if curved else 0.0
        aim = share * aim + (1 - share) * target
        if times @ (aim - volume) >= 0:
            aim = target
        step = aim - volume
        along = lambda t, at=volume, by=step: float(times_at(at + t * by) @ by)  # noqa: E731
        volume = volume + (1.0 if along(1.0) <= 0 else brentq(along, 0.0, 1.0, xtol=1e-14)) * step
    raise AssertionError("no equilibrium")


def rows(volume: np.ndarray) -> list[tuple[int, int, float, float, float]]:
    start, end, free, capacity = (one.tolist() for one in links())
    return [(a + 1, b + 1, t, c, v) for a, b, t, c, v in zip(start, end, free, capacity, volume.tolist(), strict=True)]


def loaded(path: Path, **units: object) -> RoadGraph:
    return load_road_graph(path, STATIONS, RoadUnits(**units), install_min=0.0, rounding=Rounding.UP)  # type: ignore[arg-type]


def times_of(graph: RoadGraph) -> np.ndarray:
    """Travel times of all pairs, in traffic that stays, over three hours."""
    congestion = np.tile(graph.base_congestion, (12, 1))
    trips = graph.trips(congestion, step_s=900)
    assert (trips.minutes == trips.minutes[0]).all()
    return trips.minutes[0]


def test_all_pairs_take_the_shortest_paths_at_the_equilibrium_whatever_file_it_comes_from(tmp_path: Path) -> None:
    volume = equilibrium()
    expected = shortest(times_at(volume))[0]
    csv = "from,to,km,minutes,capacity,volume\n" + "".join(
        f"{a},{b},1,{t!r},{c!r},{v!r}\n" for a, b, t, c, v in rows(volume)
    )
    (tmp_path / "roads.csv").write_text(csv)
    (tmp_path / "semicolons.csv").write_text(csv.replace(",", ";"))
    net = "<NUMBER OF NODES> 24\n<FIRST THRU NODE> 1\n<END OF METADATA>\n\n~ init, term, capacity, length, … ;\n"
    net += "".join(f"\t{a}\t{b}\t{c!r}\t1\t{t!r}\t0.15\t4\t0\t0\t1\t;\n" for a, b, t, c, _ in rows(volume))
    (tmp_path / "grid_net.tntp").write_text(net)
    (tmp_path / "grid_flow.tntp").write_text(
        "From\tTo\tVolume\tCost\n" + "".join(f"{a}\t{b}\t{v!r}\t0\n" for a, b, _, _, v in rows(volume))
    )
    (tmp_path / "volumes.csv").write_text(
        "from,to,volume\n" + "".join(f"{a},{b},{v!r}\n" for a, b, _, _, v in rows(volume))
    )
    places = {str(k + 1): (11.0 + 0.01 * (k % 6), 48.0 + 0.01 * (k // 6)) for k in range(24)}
    lines = [
        {
            "type": "Feature",
            "geometry": {"type": "LineString", "coordinates": [places[str(a)], places[str(b)]]},
            "properties": {"u": a, "v": b, "key": 0, "minutes": t, "length": 1000.0, "capacity": c, "volume": v},
        }
        for a, b, t, c, v in rows(volume)
    ]
    (tmp_path / "grid.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": lines}))
    graph = nx.MultiDiGraph()
    for node, (x, y) in places.items():
        graph.add_node(node, x=str(x), y=str(y))
    for a, b, t, c, v in rows(volume):
        graph.add_edge(
            str(a), str(b), osmid="1", length="1000.0", travel_time=repr(60 * t), capacity=repr(c), volume=repr(v)
        )
    nx.write_graphml(graph, tmp_path / "grid.graphml")
    net_path = tmp_path / "grid_net.tntp"
    graphs = [loaded(tmp_path / name) for name in ("roads.csv", "semicolons.csv", "grid.geojson", "grid.graphml")]
    graphs += [loaded(net_path, volumes=tmp_path / name) for name in ("grid_flow.tntp", "volumes.csv")]
    for one in graphs:
        assert times_of(one) == pytest.approx(expected, abs=1e-9)
    # at the equilibrium paths are not those of free roads
    assert not np.allclose(times_of(loaded(net_path)), expected, rtol=0.05)
    halved = times_of(loaded(net_path, minutes_per_unit=0.5, volumes=tmp_path / "volumes.csv"))
    assert halved == pytest.approx(expected / 2, abs=1e-9)


def test_zones_of_a_tntp_file_are_not_driven_through(tmp_path: Path) -> None:
    path = tmp_path / "zones_net.tntp"
    links = "1 3 0 1 1 0 1;\n3 1 0 1 1 0 1;\n1 2 0 1 1 0 1;\n2 1 0 1 1 0 1;\n2 3 0 1 9 0 1;\n3 2 0 1 9 0 1;\n"
    for first, minutes in ((1, 2.0), (2, 9.0)):
        path.write_text(f"<FIRST THRU NODE> {first}\n<END OF METADATA>\n{links}")
        graph = load_road_graph(path, {"A": "2", "B": "3"}, RoadUnits(), 0.0, Rounding.UP)
        assert graph.trips(np.zeros((1, 6))).minutes[0, 0, 1] == minutes


def test_lines_without_names_lead_both_ways_by_their_length_and_stations_stand_at_the_nearest_node(
    tmp_path: Path,
) -> None:
    path = tmp_path / "roads.geojson"
    lines = [[[11.0, 48.0], [11.0, 48.05], [11.0, 48.1]], [[11.0, 48.1], [11.2, 48.1]]]
    features = [
        {"type": "Feature", "geometry": {"type": "LineString", "coordinates": line}, "properties": {"maxspeed": speed}}
        for line, speed in zip(lines, ("60", "30 mph"), strict=True)
    ]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    graph = load_road_graph(path, {"A": "11.001, 48.001", "B": "11.2,48.1"}, RoadUnits(), 0.0, Rounding.UP)
    north = np.radians(0.1) * 6371.0
    east = np.radians(0.2) * 6371.0 * np.cos(np.radians(48.1))
    trips = graph.trips(np.zeros((1, 4)))
    assert trips.km[0, 0, 1] == pytest.approx(north + east, rel=1e-5)
    assert trips.minutes[0, 1, 0] == pytest.approx(north + east / 30 / 1.609344 * 60, rel=1e-5)
    with pytest.raises(InputError, match="no such node"):
        load_road_graph(path, {"A": "12.0,48.0", "B": "11.2,48.1"}, RoadUnits(), 0.0, Rounding.UP)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.tntp", "<END OF METADATA>\n1 2 3\n", "row 2: has 3 cells; a link has init node"),
        ("a.tntp", "1 2 3 4 x 0.1 4 ;\n", 'row 1, column "free flow time": x must be a number'),
        ("a.tntp", "<NUMBER OF LINKS> 0\n", "has no links"),
        ("a.geojson", "[]", "cannot be read as GeoJSON"),
        ("a.geojson", '{"features": []}', "has no roads"),
        ("a.graphml", "<graphml", "cannot be read as GraphML"),
    ],
)
def test_faults_of_files_of_other_tools_name_the_place(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError) as caught:
        load_road_graph(tmp_path / name, {"A": "1"}, RoadUnits(), 0.0, Rounding.UP)
    assert f"{name}: {message}" in str(caught.value)
