"""Reactive power that follows the voltage, Q(U): AC power flows in which both agree.

The power flow gives voltages under reactive powers, the characteristics give reactive powers at voltages. Around a
power flow voltages are about ``|v| + X (Q' - Q)``, with the X of the network without load; the Q' that agree with these
are found, and the power flow is solved again. However steep a characteristic is, what is left shrinks with every solve
by the relative error of X.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Complex, Float, Int

from gridferry.networks.feeder import Feeder
from gridferry.networks.power_flow import reactance

Solver = Callable[[Float[np.ndarray, "row bus"], Float[np.ndarray, "row bus"]], Complex[np.ndarray, "row bus"]]
"""Solves one network: complex voltages [pu] of injections P [MW] and Q [Mvar], NaN where there is no solution."""
Points = Sequence[tuple[float, float]]
"""points of a characteristic (voltage [pu], Q [Mvar]) by rising voltage and falling Q, which is constant beyond them"""

_AGREE_MVAR = 1e-9
_SOLVES, _SWEEPS = 40, 1000


@dataclass(frozen=True, eq=False)
class Droops:
    """Characteristics of one network.

    Attributes
    ----------
    bus : where each is
    points : of each
    room : largest size of its Q in every row [Mvar]
    """

    bus: Int[np.ndarray, " droop"]
    points: Sequence[Points]
    room: Float[np.ndarray, "row droop"]

    def q_mvar(self, v_pu: Float[np.ndarray, "row bus"]) -> Float[np.ndarray, "row droop"]:
        """Reactive power of each at the voltages of all buses [Mvar]."""
        own = zip(self.bus, self.points, self.room.T, strict=True)
        return np.stack([q_at(points, v_pu[:, bus], room) for bus, points, room in own], axis=1)

    def with_q(
        self, q_mvar: Float[np.ndarray, "row bus"], q: Float[np.ndarray, "row droop"]
    ) -> Float[np.ndarray, "row bus"]:
        """Add the reactive power of each to that of all buses [Mvar]."""
        found = q_mvar.copy()
        for k, bus in enumerate(self.bus):
            found[:, bus] += q[:, k]
        return found

    def rows(self, rows: Int[np.ndarray, " some"]) -> Droops:
        """Return those of some rows."""
        return Droops(self.bus, self.points, self.room[rows])

    def agreeing(
        self, v_pu: Float[np.ndarray, "row bus"], q: Float[np.ndarray, "row droop"], x: Float[np.ndarray, "droop droop"]
    ) -> Float[np.ndarray, "row droop"]:
        """Reactive powers that agree with voltages ``|v| + X (Q' - Q)``, one after the other [Mvar]."""
        found, v = q.copy(), v_pu[:, self.bus] - q @ x
        for _ in range(_SWEEPS):
            before = found.copy()
            for k, points in enumerate(self.points):
                v_points, q_points = np.array(points).T
                others = v[:, k] + found @ x[k] - found[:, k] * x[k, k]
                # without its own Q; a Q that the room limits is the room
                own = np.interp(others, v_points - x[k, k] * q_points, q_points)
                found[:, k] = np.clip(own, -self.room[:, k], self.room[:, k])
            if np.abs(found - before).max(initial=0.0) <= 0.1 * _AGREE_MVAR:
                break
        return found


def q_at(points: Points, v_pu: Float[np.ndarray, " row"], room: Float[np.ndarray, " row"]) -> Float[np.ndarray, " row"]:
    """Reactive power of a characteristic at voltages, NaN where they are [Mvar]."""
    return np.clip(np.interp(v_pu, *np.array(points).T), -room, room) + 0.0 * v_pu


def slope_at(points: Points, v_pu: Float[np.ndarray, " row"]) -> Float[np.ndarray, " row"]:
    """Slope of a characteristic at voltages; 0 beyond its points [Mvar/pu]."""
    v, q = np.array(points).T
    return np.concatenate([[0.0], np.diff(q) / np.diff(v), [0.0]])[np.searchsorted(v, v_pu)]


def solve_with_droops(
    feeder: Feeder,
    solve: Solver,
    p_mw: Float[np.ndarray, "row bus"],
    q_mvar: Float[np.ndarray, "row bus"],
    droops: Droops,
) -> Complex[np.ndarray, "row bus"]:
    """Solve power flows in which every characteristic has the Q of its voltage; NaN where there is no solution [pu].

    Parameters
    ----------
    p_mw, q_mvar : net injection of every bus, without the Q of the characteristics [MW, Mvar]
    """
    x = reactance(feeder, droops.bus)
    q = np.zeros(droops.room.shape)
    v = solve(p_mw, q_mvar)
    agree = np.zeros(len(q), dtype=bool)
    for _ in range(_SOLVES):
        agree = np.abs(q - droops.q_mvar(np.abs(v))).max(axis=1, initial=0.0) <= _AGREE_MVAR
        left = np.flatnonzero(~agree & np.isfinite(v).all(axis=1))
        if not len(left):
            break
        some = droops.rows(left)
        q[left] = some.agreeing(np.abs(v[left]), q[left], x)
        v[left] = solve(p_mw[left], some.with_q(q_mvar[left], q[left]))
    v[~agree] = complex(np.nan, np.nan)
    return v
