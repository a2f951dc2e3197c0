"""All routes of trucks between two stations an hour apart, and the cost of energy on given ones, by linear programs.

The case is that of `cases.carrying`: 2 MW of sun at station 0, 2 MW of load at station 1, no export, stores of 1 MWh
and 1 MW without losses.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import scipy.optimize


def routes(horizon: int, start: int, trips: int) -> list[tuple[list[int | None], int]]:
    """All routes between two stations an hour apart: where a truck stands in each hour, and how often it drives."""
    found = []
    for leaves in itertools.chain.from_iterable(
        itertools.combinations(range(horizon - 1), count) for count in range(trips + 1)
    ):
        stands: list[int | None] = []
        at = start
        for hour in range(horizon):
            if hour in leaves:
                stands.append(None)
                at = 1 - at
            else:
                stands.append(at)
        found.append((stands, len(leaves)))
    return found


def plugged_in(stands: Sequence[Sequence[int | None]], before: Sequence[int], places: int) -> list[list[bool]]:
    """Who is plugged in, hour by hour: a queue per station."""
    horizon = len(stands[0])
    queues: list[list[int]] = [[], []]
    first = sorted(range(len(stands)), key=lambda one: -before[one])
    plugged = [[False] * horizon for _ in stands]
    for hour in range(horizon):
        for station, queue in enumerate(queues):
            queue[:] = [one for one in queue if stands[one][hour] == station]
            order = first if hour == 0 else range(len(stands))
            queue += [one for one in order if stands[one][hour] == station and one not in queue]
            for one in queue[:places]:
                plugged[one][hour] = True
    return plugged


def least_cost(
    prices: Sequence[float],
    stands: Sequence[Sequence[int | None]],
    plugged: Sequence[Sequence[bool]],
    starts: Sequence[float],
    p_max_mw: float = np.inf,
    drive_mwh: float = 0.0,
) -> float:
    """Cost of energy on given routes; infinite where a battery cannot pay a trip."""
    trucks, horizon = len(stands), len(prices)
    size = trucks * horizon
    # injection of every truck in every hour, then import of A and of B
    cost = np.concatenate([np.zeros(size), np.tile(prices, 2)])
    rows, most = [], []
    for hour in range(horizon):
        for station, load in enumerate((-2.0, 2.0)):
            row = np.zeros(len(cost))
            row[size + station * horizon + hour] = -1.0
            for truck in range(trucks):
                row[truck * horizon + hour] = -float(stands[truck][hour] == station)
            rows.append(row)
            most.append(-load)
            for sign in (1.0, -1.0) if np.isfinite(p_max_mw) else ():
                rows.append(np.where(np.arange(len(cost)) < size, -sign * row, 0.0))
                most.append(p_max_mw)
    for truck, hour in itertools.product(range(trucks), range(horizon)):
        row = np.zeros(len(cost))
        row[truck * horizon : truck * horizon + hour + 1] = 1.0
        rows += [row, -row]
        driven = drive_mwh * sum(at is None for at in stands[truck][: hour + 1])
        most += [starts[truck] - driven, 1.0 - starts[truck] + driven]
    bounds = [(-1.0, 1.0) if on else (0.0, 0.0) for one in plugged for on in one] + [(0.0, None)] * (2 * horizon)
    found = scipy.optimize.linprog(cost, A_ub=np.array(rows), b_ub=np.array(most), bounds=bounds)
    return float(found.fun) if found.success else np.inf
