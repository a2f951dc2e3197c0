"""AC power flow of a feeder at many operating points at once.

With constant-power injections s the voltages solve the fixed point ``v = w + Z conj(s / v)``: w are the voltages
without load and Z is the inverse of the admittances away from the slack. One pass is a backward-forward sweep over the
tree (`gridferry.networks.tree_sweep`). On one line the iteration contracts up to the point of voltage collapse,
``|Z s| < |v|²``; so it does on the feeders tested.
"""

from __future__ import annotations

import math
import os
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import numpy as np
from jaxtyping import Bool, Complex, Float, Int

from gridferry.networks.feeder import Feeder
from gridferry.networks.tree_sweep import LANES, compiled_sweep, tree_of


def reactance(feeder: Feeder, buses: Int[np.ndarray, " some"]) -> Float[np.ndarray, "some some"]:
    """Change of the voltages of some buses by Q injected at each of them, without load [pu/Mvar]; 0 at the slack."""
    return _reactance(feeder, tuple(buses.tolist()))


@lru_cache(maxsize=64)
def _reactance(feeder: Feeder, buses: tuple[int, ...]) -> Float[np.ndarray, "some some"]:
    tree = tree_of(feeder)
    away, v = tree.places[0], np.zeros((feeder.n_bus, len(buses)))
    v[away] = tree.voltages((away[:, None] == np.array(buses)).astype(complex)).imag / feeder.base_mva
    return v[list(buses)]


def solve_sweep(
    feeder: Feeder,
    p_inj_mw: Float[np.ndarray, "*batch bus"],
    q_inj_mvar: Float[np.ndarray, "*batch bus"],
    tolerance_pu: float = 1e-12,
    max_passes: int = 500,
    threads: int = 1,
) -> tuple[Complex[np.ndarray, "*batch bus"], Bool[np.ndarray, "*batch"]]:
    """Solve the AC power flow for every row of injections; a row's result does not depend on the others.

    Parameters
    ----------
    p_inj_mw, q_inj_mvar : net injection of every bus, generation less load [MW, Mvar]; the slack's own is not needed
    tolerance_pu : bound of the voltage error left, estimated from the last two passes [pu]
    max_passes : passes before a row counts as not converged
    threads : that share the rows; 0 takes as many as there are processors

    Returns
    -------
    Complex voltages [pu], NaN in the rows that did not converge, and which rows converged.
    """
    tree, sweep = tree_of(feeder), compiled_sweep()
    batch = p_inj_mw.shape[:-1]
    rows = math.prod(batch)
    s = ((p_inj_mw + 1j * q_inj_mvar) / feeder.base_mva).reshape(rows, feeder.n_bus)
    v = np.full(s.shape, complex(np.nan, np.nan))

    def solve(some: slice) -> None:
        sweep(tree.places, tree.factors, s[some], tolerance_pu, max_passes, v[some])

    parts = min(threads or os.cpu_count() or 1, -(-rows // LANES))
    if parts <= 1:
        solve(slice(rows))
    else:
        share = LANES * -(-rows // (LANES * parts))
        with ThreadPoolExecutor(parts) as pool:
            list(pool.map(solve, (slice(start, start + share) for start in range(0, rows, share))))
    v[:, feeder.slack] = feeder.slack_v_pu
    converged = np.isfinite(v).all(axis=1)
    v[~converged] = complex(np.nan, np.nan)
    return v.reshape(*batch, feeder.n_bus), converged.reshape(batch)
