"""Backward-forward sweeps over a tree, operating points side by side, compiled.

One pass takes the currents that the injections draw at the voltages of the last pass to the root, and the voltages that
follow back to the leaves. Each bus carries an admittance that stands for the shunts of all buses behind it, so that
shunts, charging and taps are exact in every pass and only the injections are iterated. Series impedances may be zero.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from inspect import unwrap

import numpy as np
from jaxtyping import Complex, Int

from gridferry.networks.feeder import Feeder

LANES = 8
"""operating points side by side: one vector register of the newest processors, two of most, and little memory"""
_NEAR_PU = 1e-3
"""the last pass moves a voltage by less than this, however fast the passes before seem to close in [pu]"""
_TINY = float(np.finfo(float).tiny)


@dataclass(frozen=True, eq=False)
class Tree:
    """A feeder without its slack bus, parents before children; the slack's place comes after the last.

    Attributes
    ----------
    places : bus of each place, and the place of its parent
    factors : of each place, nothing at the slack's: the share of its current that is handed to the parent; of the
        parent's voltage and of its own current [pu] that is its voltage; its voltage without injections [pu]
    """

    places: Int[np.ndarray, "2 away"]
    factors: Complex[np.ndarray, "4 place"]

    def voltages(self, current: Complex[np.ndarray, "away column"]) -> Complex[np.ndarray, "away column"]:
        """Voltages of currents injected at the places, with the slack at 0 [pu]."""
        c = np.vstack([current, np.zeros((1, current.shape[1]))])
        v, (up, down, own, _) = np.zeros_like(c), self.factors
        for k, parent in reversed(list(enumerate(self.places[1]))):
            c[parent] += up[k] * c[k]
        for k, parent in enumerate(self.places[1]):
            v[k] = own[k] * c[k] + down[k] * v[parent]
        return v[:-1]


@lru_cache(maxsize=64)
def tree_of(feeder: Feeder) -> Tree:
    """Reduce a feeder to its tree."""
    branches: list[list[int]] = [[] for _ in range(feeder.n_bus)]
    for branch, parent in enumerate(feeder.parent):
        branches[parent].append(branch)
    order = list(branches[feeder.slack])
    for branch in order:  # grows as it goes
        order += branches[feeder.child[branch]]
    bus, n = feeder.child[order], len(order)
    place = np.full(feeder.n_bus, n)
    place[bus] = np.arange(n)
    parent = place[feeder.parent[order]]
    z = (feeder.r_pu + 1j * feeder.x_pu)[order]
    tap_parent = (feeder.tap_parent * np.exp(1j * np.deg2rad(feeder.shift_deg)))[order]
    tap_child = feeder.tap_child[order]
    at_parent = (feeder.g_parent_pu + 1j * feeder.b_parent_pu)[order]
    at_child = (feeder.g_child_pu + 1j * feeder.b_child_pu)[order]
    behind = (feeder.g_shunt_pu + 1j * feeder.b_shunt_pu)[np.append(bus, feeder.slack)]
    divided = np.ones(n, dtype=complex)
    for k in reversed(range(n)):
        admittance = at_child[k] + behind[k] * tap_child[k] ** 2
        divided[k] = 1.0 / (1.0 + z[k] * admittance)
        behind[parent[k]] += (at_parent[k] + admittance * divided[k]) / np.abs(tap_parent[k]) ** 2
    factors = np.zeros((4, n + 1), dtype=complex)
    up, down, own, no_load = factors
    up[:n], down[:n] = tap_child / tap_parent.conj() * divided, tap_child / tap_parent * divided
    own[:n], no_load[n] = tap_child**2 * z * divided, feeder.slack_v_pu
    for k in range(n):
        no_load[k] = down[k] * no_load[parent[k]]
    return Tree(np.stack([bus, parent]), factors)


@lru_cache(maxsize=1)
def compiled_sweep() -> Callable[[np.ndarray, np.ndarray, np.ndarray, float, int, np.ndarray], None]:
    """Return the sweep as compiled code, which numba keeps on disk where it can.

    It takes `Tree.places` and `Tree.factors`, the power injected at every bus ``(row, bus)`` [pu], the bound of the
    error left [pu] and the most passes; it writes the voltages of the rows that converge into the last [pu].
    """
    from numba import njit  # nothing that only reads a feeder has a use for it

    options = {"nogil": True, "error_model": "numpy", "fastmath": {"contract"}}
    try:
        return njit(unwrap(_sweep), cache=True, **options)
    except RuntimeError:  # no folder that it may write
        return njit(unwrap(_sweep), **options)


def _sweep(
    places: Int[np.ndarray, "2 away"],
    factors: Complex[np.ndarray, "4 place"],
    injected: Complex[np.ndarray, "row bus"],
    tolerance: float,
    passes: int,
    v: Complex[np.ndarray, "row bus"],
) -> None:
    bus, parent = places
    up, down, own, no_load = factors
    n, rows = len(bus), len(injected)
    vr, vi = np.empty((n + 1, LANES)), np.empty((n + 1, LANES))
    cr, ci = np.empty((n + 1, LANES)), np.empty((n + 1, LANES))
    sr, si = np.zeros((n, LANES)), np.zeros((n, LANES))
    moved, last = np.empty(LANES), np.empty(LANES)
    going = np.zeros(LANES, dtype=np.bool_)
    for start in range(0, rows, LANES):
        count = min(LANES, rows - start)
        left = count
        for k in range(n):
            for j in range(count):
                s = injected[start + j, bus[k]]
                sr[k, j], si[k, j] = s.real, s.imag
        for j in range(LANES):
            going[j], last[j] = j < count, _TINY
            for k in range(n + 1):
                vr[k, j], vi[k, j], cr[k, j], ci[k, j] = no_load[k].real, no_load[k].imag, 0.0, 0.0
        for _ in range(passes):
            if left == 0:
                break
            for k in range(n - 1, -1, -1):
                to, a, b = parent[k], up[k].real, up[k].imag
                for j in range(LANES):
                    share = 1.0 / (vr[k, j] * vr[k, j] + vi[k, j] * vi[k, j])
                    r = cr[k, j] + (sr[k, j] * vr[k, j] + si[k, j] * vi[k, j]) * share
                    i = ci[k, j] + (sr[k, j] * vi[k, j] - si[k, j] * vr[k, j]) * share
                    cr[k, j], ci[k, j] = r, i
                    cr[to, j] += a * r - b * i
                    ci[to, j] += a * i + b * r
            for j in range(LANES):
                moved[j] = 0.0
            for k in range(n):
                of, a, b, c, d = parent[k], down[k].real, down[k].imag, own[k].real, own[k].imag
                for j in range(LANES):
                    r = a * vr[of, j] - b * vi[of, j] + c * cr[k, j] - d * ci[k, j]
                    i = a * vi[of, j] + b * vr[of, j] + c * ci[k, j] + d * cr[k, j]
                    square = (r - vr[k, j]) ** 2 + (i - vi[k, j]) ** 2
                    vr[k, j], vi[k, j], cr[k, j], ci[k, j] = r, i, 0.0, 0.0
                    if not square <= moved[j]:  # what is no number is the largest, and stays
                        moved[j] = square
            for j in range(count):
                if going[j]:
                    step = np.sqrt(moved[j])
                    # what is left is the step times ratio / (1 - ratio)
                    ratio = min(step / last[j], 0.999)
                    done = step * ratio <= tolerance * (1.0 - ratio) and step < _NEAR_PU
                    last[j] = max(step, _TINY)
                    if done or not np.isfinite(step):
                        going[j] = False
                        left -= 1
                        if done:
                            for k in range(n):
                                v[start + j, bus[k]] = complex(vr[k, j], vi[k, j])
