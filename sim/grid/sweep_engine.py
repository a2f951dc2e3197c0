"""AC engine by sweeps over the tree, checked by power-grid-model at intervals and wherever they do not converge."""

from __future__ import annotations

import numpy as np
from jaxtyping import Complex, Float

from gridferry.networks.feeder import Feeder
from gridferry.networks.power_flow import solve_sweep
from gridferry.sim.grid.power_grid_model_engine import PowerGridModelEngine

CHECK_EVERY = 96
"""solves, of which one is checked; the first always"""
AGREE_PU = 1e-8
"""voltages of both engines differ by no more [pu]"""


class SweepEngine:
    """Backward-forward sweeps of one feeder, the fastest engine.

    Parameters
    ----------
    feeder : the feeder to solve
    max_iterations : of power-grid-model, before a flow counts as diverged
    """

    def __init__(self, feeder: Feeder, max_iterations: int = 20):
        self._feeder, self._solves = feeder, 0
        self._other = PowerGridModelEngine(feeder, max_iterations=max_iterations)

    def solve(
        self, p_mw: Float[np.ndarray, " bus"], q_mvar: Float[np.ndarray, " bus"]
    ) -> Complex[np.ndarray, " bus"] | None:
        """Return the complex bus voltages [pu] under the given injections [MW, Mvar]; ``None`` if the flow diverged.

        Raises
        ------
        RuntimeError
            where both engines find a solution, and not the same.
        """
        v, converged = solve_sweep(self._feeder, p_mw, q_mvar)
        self._solves += 1
        if converged and self._solves % CHECK_EVERY != 1:
            return v
        other = self._other.solve(p_mw, q_mvar)
        if not converged or other is None:
            return v if converged else other
        apart = float(np.abs(v - other).max())
        if apart > AGREE_PU:
            raise RuntimeError(
                f"{self._feeder.name}: sweeps and power-grid-model differ by {apart:.1e} pu; "
                f'choose [grid] ac_engine = "pandapower"'
            )
        return v
