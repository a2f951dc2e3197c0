"""AC power flow by pandapower, with its internal model recycled from step to step.

Only injections change from step to step, so the admittance matrix, the bus types and the start values are kept
(``recycle``) and of the results only the voltages are read; flows follow from them (`sim.ac_grid`). A recycled solve
that does not converge leaves stale results behind, so the convergence flag is read after every solve, and after a
failure the model is built anew.
"""

from __future__ import annotations

import numpy as np
import pandapower as pp
from jaxtyping import Complex, Float
from networks.network import Network
from pandapower.auxiliary import LoadflowNotConverged
from pandapower.pypower.idx_bus import VA, VM

from sim.pandapower_net import net_of_network

_RECYCLE = {"bus_pq": True, "gen": False, "trafo": False}


class PandapowerEngine:
    """Newton-Raphson power flow of one network.

    Parameters
    ----------
    network : the network to solve
    tolerance_mva : largest mismatch of a solved flow [MVA]
    max_iterations : iterations before a flow counts as diverged
    """

    def __init__(self, network: Network, tolerance_mva: float = 1e-8, max_iterations: int = 20):
        self._net, self._net_bus = net_of_network(network)
        self._tolerance_mva = tolerance_mva
        self._max_iterations = max_iterations
        self._rows: np.ndarray | None = None

    def solve(
        self, p_mw: Float[np.ndarray, " bus"], q_mvar: Float[np.ndarray, " bus"]
    ) -> Complex[np.ndarray, " bus"] | None:
        """Return the complex bus voltages [pu] under the given injections [MW, Mvar]; ``None`` if the flow diverged."""
        if not (np.isfinite(p_mw).all() and np.isfinite(q_mvar).all()):
            return None
        load = self._net.load
        load["p_mw"] = -p_mw
        load["q_mvar"] = -q_mvar
        if self._rows is not None and self._recycled():
            return self._voltages()
        self._rows = None
        if not self._fresh():
            return None
        self._rows = self._net._pd2ppc_lookups["bus"][self._net_bus]
        return self._voltages()

    def _recycled(self) -> bool:
        try:
            # the options of the first solve (tolerance, iterations, voltages only) stay in force
            pp.runpp(self._net, recycle=_RECYCLE)
        except LoadflowNotConverged:
            return False
        return bool(self._net._ppc["success"])

    def _fresh(self) -> bool:
        self._net._ppc = None
        try:
            pp.runpp(
                self._net,
                init="dc",
                recycle=_RECYCLE,
                only_v_results=True,
                tolerance_mva=self._tolerance_mva,
                max_iteration=self._max_iterations,
                calculate_voltage_angles=True,
                trafo_model="t",
                lightsim2grid=False,
                numba=True,
            )
        except LoadflowNotConverged:
            return False
        return bool(self._net._ppc["success"])

    def _voltages(self) -> Complex[np.ndarray, " bus"]:
        rows = self._net._ppc["bus"][self._rows]
        return rows[:, VM] * np.exp(1j * np.deg2rad(rows[:, VA]))
