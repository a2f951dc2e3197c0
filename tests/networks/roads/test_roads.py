"""Travel by distance matrix and by road graph, computed by hand and by trying all paths."""

from __future__ import annotations

from itertools import pairwise, permutations
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridferry.networks.faults import InputError
from gridferry.networks.roads.files import RoadUnits
from gridferry.networks.roads.graph import RoadGraph, load_road_graph
from gridferry.networks.roads.road import Road
from gridferry.networks.roads.travel import DistanceMatrix, Rounding, steps_of_minutes

SLOW = """from,to,km,minutes,capacity,b,power
A,B,10,12,1000,0.5,2
B,A,10,12,1000,,
A,C,4,5,,,
C,B,9,9,,,
B,C,9,9,,,
C,A,4,5,,,
"""


def graph(text: str, folder: Path, nodes: dict[str, str] | None = None, speed: float | None = None) -> RoadGraph:
    (folder / "roads.csv").write_text(text)
    return load_road_graph(
        folder / "roads.csv",
        nodes or {"S1": "A", "S2": "B"},
        RoadUnits(speed_km_h=speed),
        install_min=2.0,
        rounding=Rounding.UP,
    )


def test_published_distances_give_the_published_minutes() -> None:
    """16.87 km at 40 km/h and 5 min to install: 30.305 min without delay; with 10 min of delay 5 steps of 10 min up."""
    roads = DistanceMatrix(("S1", "S2"), np.array([[0.0, 16.87], [16.87, 0.0]]), 40.0, 5.0, Rounding.NEAREST)
    trips = roads.trips(roads.on_every_road(np.array([0.0, 10.0])))
    assert trips.minutes[:, 0, 1] == pytest.approx([30.305, 40.305])
    assert (trips.km[:, 0, 1] == 16.87).all()
    assert roads.transit_steps(roads.on_every_road(np.array([0.0, 10.0])), 600)[:, 0, 1].tolist() == [3, 4]
    up = DistanceMatrix(("S1", "S2"), roads.distance_km, 40.0, 5.0, Rounding.UP)
    assert up.transit_steps(up.on_every_road(np.array([0.0, 10.0])), 600)[:, 1, 0].tolist() == [4, 5]
    assert up.transit_steps(up.on_every_road(np.array([0.0])), 600)[0].diagonal().tolist() == [0, 0]


@given(minutes=st.floats(0.0, 1e4), step_s=st.sampled_from([60, 300, 600, 900, 3600]))
def test_steps_are_at_least_one_and_off_by_less_than_one(minutes: float, step_s: int) -> None:
    exact = minutes * 60 / step_s
    up = int(steps_of_minutes(np.array([minutes]), step_s, Rounding.UP)[0])
    nearest = int(steps_of_minutes(np.array([minutes]), step_s, Rounding.NEAREST)[0])
    assert 1 <= nearest <= up
    assert up == 1 or -1e-8 <= up - exact + 1e-8 < 1 + 1e-7
    assert nearest == 1 or abs(nearest - exact) <= 0.5 + 1e-8


def test_integral_steps_stay_integral() -> None:
    assert steps_of_minutes(np.array([20.0, 30.0, 0.1 * 3 * 100]), 600, Rounding.UP).tolist() == [2, 3, 3]
    assert steps_of_minutes(np.array([25.0]), 600, Rounding.NEAREST).tolist() == [3]


def test_traffic_slows_a_road_until_another_is_faster(tmp_path: Path) -> None:
    """A to B direct: 12 (1 + 0.5 (v / 1000)²) min and 10 km; through C: 14 min and 13 km, whatever the traffic."""
    roads = graph(SLOW, tmp_path)
    trips = roads.trips(roads.on_every_road(np.array([0.0, 500.0, 2000.0, -5.0])))
    assert trips.minutes[:, 0, 1] == pytest.approx([14.0, 12 * (1 + 0.5 * 0.25) + 2, 16.0, 14.0])
    assert trips.km[:, 0, 1].tolist() == [10.0, 10.0, 13.0, 10.0]
    # the way back has the usual coefficients: 12 (1 + 0.15 · 2⁴) = 40.8 min, so through C
    assert trips.minutes[:, 1, 0] == pytest.approx([14.0, 12 * (1 + 0.15 * 0.5**4) + 2, 16.0, 14.0])
    assert (trips.minutes[:, 0, 0] == 2.0).all()
    assert not trips.km[:, 0, 0].any()
    # 15.5 min and 14.1 min, rounded up to steps of 5 min
    assert roads.transit_steps(roads.on_every_road(np.array([500.0])), 300)[0].tolist() == [[0, 4], [3, 0]]


def test_speed_gives_minutes_from_km_and_km_from_minutes(tmp_path: Path) -> None:
    roads = graph("from,to,km\nA,B,20\nB,A,30\n", tmp_path, speed=40.0)
    trips = roads.trips(roads.on_every_road(np.zeros(1)))
    assert trips.minutes[0].tolist() == [[2.0, 32.0], [47.0, 2.0]]
    roads = graph("from, to, minutes\nA, B, 30\nB, A, 45\n", tmp_path, speed=40.0)
    trips = roads.trips(roads.on_every_road(np.zeros(1)))
    assert trips.km[0].tolist() == [[0.0, 20.0], [30.0, 0.0]]
    assert trips.minutes[0].tolist() == [[2.0, 32.0], [47.0, 2.0]]


def test_stations_may_stand_at_one_node(tmp_path: Path) -> None:
    roads = graph(SLOW, tmp_path, {"S1": "A", "S2": "A", "S3": "C"})
    assert roads.trips(roads.on_every_road(np.zeros(1))).minutes[0, 0].tolist() == [2.0, 2.0, 7.0]
    assert roads.transit_steps(roads.on_every_road(np.zeros(1)), 600)[0, 0].tolist() == [0, 1, 1]


@given(seed=st.integers(0, 10_000))
def test_fastest_paths_are_the_best_of_all_paths(seed: int) -> None:
    rng = np.random.default_rng(seed)
    nodes = [str(one) for one in range(5)]
    ring = [(a, nodes[(i + 1) % 5]) for i, a in enumerate(nodes)]
    extra = [(a, b) for a, b in permutations(nodes, 2) if rng.random() < 0.4]
    roads = tuple(
        Road(a, b, float(rng.uniform(1, 9)), float(rng.uniform(1, 9)), float(rng.uniform(100, 900)), 0.15, 4.0)
        for a, b in [*ring, *extra]
    )
    graph = RoadGraph(("X", "Y"), ("0", "3"), roads, 0.0)
    trips = graph.trips(graph.on_every_road(np.array([0.0, 700.0])))
    for row, volume in enumerate((0.0, 700.0)):
        best: dict[tuple[str, str], tuple[float, float]] = {}
        for road in roads:
            took = road.minutes * (1 + 0.15 * (volume / road.capacity) ** 4)
            best[road.start, road.end] = min(best.get((road.start, road.end), (np.inf, 0.0)), (took, road.km))
        all_paths = nx.all_simple_paths(nx.DiGraph(best.keys()), "0", "3")
        found = min(tuple(np.sum([best[hop] for hop in pairwise(path)], axis=0)) for path in all_paths)
        assert (trips.minutes[row, 0, 1], trips.km[row, 0, 1]) == pytest.approx(found)


def test_a_long_series_is_searched_once_per_state_of_the_roads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    roads = graph(SLOW, tmp_path)
    searched = []
    search = RoadGraph._search
    monkeypatch.setattr(RoadGraph, "_search", lambda self, times: searched.append(times) or search(self, times))
    volumes = np.tile([0.0, 800.0, 1200.0], 400)
    steps = roads.transit_steps(roads.on_every_road(volumes), 300)
    assert steps.shape == (1200, 2, 2)
    # once for the most traffic, once for each traffic of the coming steps, of which the last ones differ
    assert len(searched) <= 1 + 3 + roads.rows_met(roads.on_every_road(volumes), 300)
    np.testing.assert_array_equal(steps[3:6], roads.transit_steps(roads.on_every_road(volumes[:12]), 300)[:3])
    constant = roads.on_every_road(np.full(1000, 700.0))
    before = len(searched)
    roads.transit_steps(constant, 300)
    assert len(searched) == before + 1


def test_traffic_on_one_road_slows_that_road_alone(tmp_path: Path) -> None:
    roads = graph(SLOW, tmp_path)
    free = roads.trips(np.zeros((1, len(roads.road_names))))
    jammed = np.zeros((len(roads.road_names), len(roads.road_names)))
    np.fill_diagonal(jammed, 1e5)
    slower = roads.trips(jammed).minutes - free.minutes
    assert (slower >= 0.0).all()
    # a road slows the trips whose fastest path it was on, as far as no other path is as good
    all_jammed = roads.trips(np.full((1, len(roads.road_names)), 1e5)).minutes - free.minutes
    assert (slower <= all_jammed + 1e-9).all()
    assert slower.any()
    assert not (slower > 0.0).all(axis=(1, 2)).any()


def test_the_delay_of_one_trip_of_a_matrix_is_added_to_that_trip_alone() -> None:
    matrix = DistanceMatrix(("A", "B", "C"), np.array([[0.0, 4.0, 8.0], [4.0, 0.0, 6.0], [8.0, 6.0, 0.0]]), 60.0, 5.0)
    assert matrix.road_names == ("A-B", "A-C", "B-A", "B-C", "C-A", "C-B")
    trips = matrix.trips(np.array([[0.0, 7.0, 0.0, 0.0, 0.0, 0.0]])).minutes[0]
    assert trips.tolist() == [[5.0, 9.0, 20.0], [9.0, 5.0, 11.0], [13.0, 11.0, 5.0]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("from,km\nA,1\n", 'row 1: column "to" is missing'),
        ("from,to\nA,B\n", 'row 1: column "km" or "minutes" is missing'),
        ("from,to,km,speed\nA,B,1,1\n", 'row 1, column "speed": no such column'),
        ("from,to,km,km\nA,B,1,1\n", 'row 1, column "km": given twice'),
        ("from,to,minutes,km\nA,B,1,1\nB,A,-1,1\n", 'row 3, column "minutes": -1 must be a number, 0 or above'),
        ("from,to,minutes,km\nA,B,one,1\n", 'row 2, column "minutes": "one" is no number'),
        ("from,to,minutes,km\nA,B,nan,1\n", 'row 2, column "minutes": nan must be a number'),
        ("from,to,minutes,km\nA,,1,1\n", 'row 2, column "to": is empty'),
        ("from,to,minutes,km\nA,B,,\n", "row 2: has neither km nor minutes"),
        ("from,to,km\nA,B,3\n", 'row 2, column "km": needs speed_km_h'),
        ("from,to,minutes\nA,B,3\n", 'row 2, column "minutes": needs speed_km_h'),
        ("from,to,minutes,km,capacity\nA,B,1,1,0\n", 'row 2, column "capacity": must be above 0'),
        ("from,to,minutes,km,b\nA,B,1,1,0.2\n", 'row 2, column "capacity": is missing'),
        ("from,to,minutes,km\nA,B,1,1,7\n", "row 2: has more cells than the header"),
        ("from,to,minutes,km\n", "row 2: the file has no roads"),
        ("", 'row 1: column "from" is missing; the file has no columns'),
        ("from,to,minutes,km\nA,b,1,1\nb,A,1,1\n", 'station S2: "B": no such node'),
        ("from,to,minutes,km\nA,B,1,1\n", 'station S1: no road leads to it (node "A") from station S2'),
    ],
)
def test_faults_of_a_road_file_name_the_row(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        graph(text, tmp_path)
    assert f"{tmp_path / 'roads.csv'}: {message}" in str(caught.value)


def test_a_road_file_that_is_not_there_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        load_road_graph(tmp_path / "none.csv", {"S1": "A"}, RoadUnits(), 0.0, Rounding.UP)


def test_all_faults_of_a_road_file_come_at_once(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        graph("from,to,minutes,km\nA,,x,1\nB,A,-1,1\n", tmp_path)
    assert len(caught.value.faults) == 3
