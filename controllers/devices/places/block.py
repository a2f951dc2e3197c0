"""Optimisation block of the limits of stations.

    Σ P_s ≤ P̄_s        P_s : charging and discharging power of each vehicle at s
    Σ z_s ≤ n_s        z_s : 1 where a vehicle stands at s

So a plan sends nobody to a full station. Who stands there already, or drives there, may wait: where m > n_s do at the
start, in the order in which they come, the k-th waits as long as n_s of those before it are still there, and

    Σ z_s ≤ n_s + Σ w_k        P_s,k, |Q_s,k| ≤ (z_k - w_k) times the rating

``w_k`` follows from the trips, without further binaries: o_k is 1 until the k-th leaves for the first time, and a_k,j
is 1 where at least j of the first k have not left,

    a_k,j = a_k-1,j or (o_k and a_k-1,j-1)        w_k = o_k and a_k-1,n
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import cvxpy as cp
import numpy as np

from gridferry.controllers.devices.places.limits import StationLimits
from gridferry.controllers.devices.planning.block import AtStation, Block


def station_limits_block(limits: StationLimits, blocks: Mapping[str, Block]) -> Block:
    """Return the block of the limits of stations."""
    constraints: dict[str, list[cp.Constraint]] = {}
    binaries: list[cp.Variable] = []
    for number, station in enumerate(limits.stations):
        there = [block.stations[number] for block in blocks.values() if number in block.stations]
        if there and station.p_max_mw < math.inf:
            constraints[f"power at {station.name}"] = [sum(one.throughput for one in there) <= station.p_max_mw]
        if station.places is None or len(there) <= station.places:
            continue
        if all(one.parked.is_constant() for one in there):
            own = _given(limits, number, there)
        elif there[0].zero_transit_time:
            own, chosen = _chosen(there, station.places)
            binaries += chosen
        else:
            own = _kept_free(there, station.places)
        constraints[f"places at {station.name}"] = own
    return Block(constraints=constraints, binaries=tuple(binaries))


def _given(limits: StationLimits, number: int, there: Sequence[AtStation]) -> list[cp.Constraint]:
    """Let vehicles on fixed routes wait as they will."""
    here = np.array([one.parked.value > 0.5 for one in there])[:, None, :]
    before = [one.parked_steps if one.arrives == 0 else 0 for one in there]
    plugged = limits.plugged(np.full(here.shape, number), here, before)
    waits = (here & ~plugged).any(axis=(1, 2))
    return [
        row
        for k in np.flatnonzero(waits).tolist()
        for row in _within(there[k], cp.Constant(plugged[k, 0].astype(float)))
    ]


def _chosen(there: Sequence[AtStation], places: int) -> tuple[list[cp.Constraint], list[cp.Variable]]:
    """Choose who is plugged in, until it leaves; without transit times, to stand there does not mean to have come.

    All that vehicles can do with transit times is possible.
    """
    plugged = [cp.Variable(one.parked.shape) for one in there]
    constraints: list[cp.Constraint] = [sum(plugged) <= places]
    for one, own in zip(there, plugged, strict=True):
        constraints += [own >= 0, own <= one.parked, *_within(one, own)]
        if own.size > 1:
            constraints.append(own[1:] >= own[:-1] - one.leaves[1:])
    return constraints, plugged


def _kept_free(there: Sequence[AtStation], places: int) -> list[cp.Constraint]:
    """Send nobody to a full station; who is there at the start, or on the way there, waits in turn."""
    first = sorted((one for one in there if one.arrives is not None), key=lambda one: (one.arrives, -one.parked_steps))
    if len(first) <= places:
        return [sum(one.parked for one in there) <= places]
    constraints: list[cp.Constraint] = []
    waiting: list[cp.Expression] = []
    at_least: list[cp.Expression | None] = [None] * places
    for one in first:
        stays, full = _stays(one, constraints), at_least[-1]
        if full is not None:
            waiting.append(_both(stays, full, constraints))
            constraints += _within(one, one.parked - waiting[-1])
        joined = [stays, *(None if one is None else _both(stays, one, constraints) for one in at_least[:-1])]
        at_least = [
            new if so_far is None or new is None else _either(so_far, new, constraints)
            for so_far, new in zip(at_least, joined, strict=True)
        ]
    return [*constraints, sum(one.parked for one in there) <= places + sum(waiting)]


def _stays(one: AtStation, constraints: list[cp.Constraint]) -> cp.Expression:
    """1 from when a vehicle comes, or from the start, until it leaves for the first time."""
    came = np.arange(one.parked.shape[0]) >= (one.arrives or 0)
    gone = cp.Variable(one.parked.shape)
    constraints += [gone >= one.leaves, gone <= 1, gone[0] == one.leaves[0]]
    if gone.size > 1:
        constraints += [gone[1:] >= gone[:-1], gone[1:] <= gone[:-1] + one.leaves[1:]]
    return cp.multiply(came.astype(float), 1 - gone)


def _both(one: cp.Expression, other: cp.Expression, constraints: list[cp.Constraint]) -> cp.Expression:
    """1 where both are."""
    both = cp.Variable(one.shape)
    constraints += [both >= 0, both <= one, both <= other, both >= one + other - 1]
    return both


def _either(one: cp.Expression, other: cp.Expression, constraints: list[cp.Constraint]) -> cp.Expression:
    """1 where one of them is."""
    either = cp.Variable(one.shape)
    constraints += [either >= one, either >= other, either <= one + other, either <= 1]
    return either


def _within(one: AtStation, share: cp.Expression) -> list[cp.Constraint]:
    """Limit the power of a vehicle to a share of its ratings."""
    return [
        one.throughput <= one.p_max_mw * share,
        one.q <= one.s_max_mva * share,
        one.q >= -one.s_max_mva * share,
    ]
