"""Trips through traffic that changes on their way: first in first out, closures, and the best of all paths."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise, permutations

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridferry.networks.roads.graph import Closure, RoadGraph
from gridferry.networks.roads.road import Road

STEP_S = 600


def random_graph(rng: np.random.Generator, stations: tuple[str, ...] = ("0", "3")) -> RoadGraph:
    nodes = [str(one) for one in range(5)]
    ring = [(a, nodes[(i + 1) % 5]) for i, a in enumerate(nodes)]
    extra = [(a, b) for a, b in permutations(nodes, 2) if rng.random() < 0.4 and (a, b) not in ring]
    roads = tuple(
        Road(a, b, float(rng.uniform(1, 9)), float(rng.uniform(1, 15)), float(rng.uniform(100, 900)), 0.15, 4.0)
        for a, b in [*ring, *extra]
    )
    return RoadGraph(stations, stations, roads, 0.0)


def driven(graph: RoadGraph, volumes: np.ndarray, path: tuple[int, ...], leave_min: float) -> float:
    """Arrival along some roads, driven in small pieces, each at the speed of its moment."""
    now = leave_min
    for number in path:
        left = 1.0
        while left > 1e-12:
            row = min(int(now / 10 + 1e-12), len(volumes) - 1)
            minutes = graph.roads[number].minutes_at(float(volumes[row, number]))
            piece = min(left * minutes, (row + 1) * 10 - now if row + 1 < len(volumes) else np.inf)
            now, left = now + piece, left - piece / minutes
    return now


def test_who_leaves_later_does_not_arrive_earlier_when_a_jam_ends() -> None:
    """A road of 12 min takes 120 min in the first ten minutes: a twelfth of it is driven then, the rest in 11 min.

    Timed at departure it would be 120 min for who leaves at minute 0, and 12 min for who leaves at minute 10.
    """
    road = Road("A", "B", 10.0, 12.0, 100.0, 9.0, 1.0)
    graph = RoadGraph(("X", "Y"), ("A", "B"), (road, replace(road, start="B", end="A")), 0.0)
    volumes = graph.on_every_road(np.array([100.0, 0.0, 0.0]))
    minutes = graph.trips(volumes, step_s=STEP_S).minutes[:, 0, 1]
    assert minutes == pytest.approx([10.0 + (1 - 10 / 120) * 12, 12.0, 12.0], rel=1e-12)
    assert graph.trips(volumes).minutes[:, 0, 1] == pytest.approx([120.0, 12.0, 12.0])


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_trips_are_first_in_first_out_and_the_best_of_all_paths(seed: int) -> None:
    rng = np.random.default_rng(seed)
    graph = random_graph(rng)
    volumes = rng.uniform(0, 2500, (6, len(graph.roads))) * rng.integers(0, 2, (6, 1))
    minutes = graph.trips(volumes, step_s=STEP_S).minutes[:, 0, 1]
    arrivals = 10.0 * np.arange(6) + minutes
    assert (np.diff(arrivals) >= -1e-9).all()
    numbers = {(road.start, road.end): number for number, road in enumerate(graph.roads)}
    paths = [
        tuple(numbers[hop] for hop in pairwise(path))
        for path in nx.all_simple_paths(nx.DiGraph(numbers.keys()), "0", "3")
    ]
    for row in (0, 3):
        best = min(driven(graph, volumes, path, 10.0 * row) for path in paths)
        assert arrivals[row] == pytest.approx(best, rel=1e-9)
    # what a trip does not meet does not matter
    met = graph.rows_met(volumes, STEP_S)
    again = graph.trips(volumes[1 : 1 + met], step_s=STEP_S, departures=1).minutes[0, 0, 1]
    assert again == pytest.approx(minutes[1], rel=1e-12)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_closures_keep_first_in_first_out_and_only_delay(seed: int) -> None:
    rng = np.random.default_rng(seed)
    graph = random_graph(rng)
    begins = rng.uniform(0, 3600, 4)
    closed = replace(
        graph,
        closures=tuple(
            Closure(
                graph.roads[int(rng.integers(len(graph.roads)))].name,
                float(begin),
                float(begin + rng.uniform(60, 3000)),
            )
            for begin in begins
        ),
        _known={},
    )
    volumes = rng.uniform(0, 1500, (8, len(graph.roads)))
    free, held = (one.trips(volumes, step_s=STEP_S).minutes[:, 0, 1] for one in (graph, closed))
    assert (held >= free - 1e-9).all()
    assert (np.diff(10.0 * np.arange(8) + held) >= -1e-9).all()


def test_a_closed_road_is_waited_for_or_gone_around_and_left_by_who_is_on_it() -> None:
    direct, back = Road("A", "B", 10.0, 30.0), Road("B", "A", 10.0, 30.0)
    around = (Road("A", "C", 20.0, 25.0), Road("C", "B", 20.0, 25.0))
    closure = Closure("A-B", 600.0, 2400.0)  # from minute 10 to minute 40
    graph = RoadGraph(("X", "Y"), ("A", "B"), (direct, back, *around), 0.0, closures=(closure,))
    volumes = np.zeros((5, 4))
    trips = graph.trips(volumes, step_s=STEP_S)
    # at minute 0 it is entered, and left at minute 30; at minute 10 the other way takes 50 min; from 20 on one waits
    assert trips.minutes[:, 0, 1].tolist() == [30.0, 50.0, 50.0, 40.0, 30.0]
    assert trips.km[:, 0, 1].tolist() == [10.0, 40.0, 10.0, 10.0, 10.0]
    assert trips.minutes[:, 1, 0].tolist() == [30.0] * 5
    assert graph.trips(volumes, step_s=STEP_S, step=4).minutes[0, 0, 1] == 30.0
