"""Fastest paths through a road graph whose travel times change: edge by edge, first in first out.

Along a road a vehicle advances by ``1 / t`` of it per minute, t being the road's travel time in the traffic of that
moment [J]. Who enters a road later therefore leaves it later, and the search of Dijkstra finds the earliest arrival.
A closed road is not entered: who comes to it waits, or goes another way; who is on it leaves it.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float

from gridferry.networks.roads.road import Road

Closures = Sequence[tuple[float, float]]
"""Spans in which a road is closed, beginning and end [min]"""


class RoadTimes:
    """Travel times of roads, constant in each of some periods; the last one lasts.

    Parameters
    ----------
    minutes : travel time of each road in each period [min]
    period_min : length of a period [min]
    closures : of some roads, by number, counted from the beginning of the first period [min]
    """

    def __init__(
        self,
        minutes: Float[np.ndarray, "period road"],
        period_min: float,
        closures: Mapping[int, Closures] | None = None,
    ):
        self._minutes, self._period_min = minutes.T.tolist(), period_min
        self._last, self._closures = len(minutes) - 1, closures or {}

    def exit(self, road: int, enter_min: float) -> float:
        """Return when a vehicle leaves a road that it comes to at some time [min]."""
        for begin, end in self._closures.get(road, ()):  # in the order of their ends
            if begin <= enter_min < end:
                enter_min = end
        left, now, minutes = 1.0, enter_min, self._minutes[road]
        period = min(int(now // self._period_min), self._last)
        while period < self._last:
            end = (period + 1) * self._period_min
            if (end - now) >= left * minutes[period]:
                break
            left -= (end - now) / minutes[period]
            now, period = end, period + 1
        return float(now + left * minutes[period])


def earliest_arrivals(
    origin: str, leaving: Mapping[str, Sequence[tuple[int, Road]]], times: RoadTimes, ends_only: frozenset[str]
) -> dict[str, tuple[float, float]]:
    """Return arrival [min] and length [km] of the fastest path to each node; of equally fast ones, the shortest.

    Parameters
    ----------
    origin : where the trips begin, at time 0
    leaving : number and data of the roads that begin at each node
    ends_only : nodes that paths do not pass through
    """
    found: dict[str, tuple[float, float]] = {}
    waiting = [(0.0, 0.0, origin)]
    while waiting:
        now, km, node = heapq.heappop(waiting)
        if node in found:
            continue
        found[node] = (now, km)
        if node in ends_only and node != origin:
            continue
        for number, road in leaving.get(node, ()):
            if road.end not in found:
                heapq.heappush(waiting, (times.exit(number, now), km + road.km, road.end))
    return found
