"""AC engine by pandapower, with its internal model reused from step to step.

Only injections change from step to step, so the admittance matrix, the bus types and the start values are kept
(``recycle``) and of the results only the voltages are read; flows follow from them, see
`gridferry.sim.grid.ac_grid`. The Newton steps
are those of lightsim2grid, which pandapower uses where it is installed: four times as fast a solve. A recycled solve
that does not converge leaves stale results behind, so the convergence flag is read after every solve, and after a
failure the model is built anew. Every solve starts from the voltages without load, not from those of the step before:
so a result depends on the injections alone, and a run that was interrupted goes on bit for bit.
"""

from __future__ import annotations

import numpy as np
import pandapower as pp
from jaxtyping import Complex, Float
from pandapower.auxiliary import LoadflowNotConverged
from pandapower.pypower.idx_bus import VA, VM

from gridferry.networks.admittance import rounding_pu
from gridferry.networks.network import Network
from gridferry.sim.grid.pandapower_net import net_of_network

_RECYCLE = {"bus_pq": True, "gen": False, "trafo": False}


class PandapowerEngine:
    """Newton-Raphson power flow of one network.

    Parameters
    ----------
    network : the network to solve
    tolerance_mva : largest mismatch of a solved flow, if rounding does not leave more; as ``runpp`` has it, which takes
        it per unit of the net's own base
    max_iterations : iterations before a flow counts as diverged
    """

    def __init__(self, network: Network, tolerance_mva: float = 1e-8, max_iterations: int = 20):
        self._net, self._net_bus = net_of_network(network)
        rounding_mva = network.feeder.base_mva * rounding_pu(network.feeder)
        self._tolerance = max(tolerance_mva, rounding_mva / float(self._net.sn_mva))
        self._max_iterations = max_iterations
        self._start: np.ndarray | None = None
        self._build()

    def solve(
        self, p_mw: Float[np.ndarray, " bus"], q_mvar: Float[np.ndarray, " bus"]
    ) -> Complex[np.ndarray, " bus"] | None:
        """Return the complex bus voltages [pu] under the given injections [MW, Mvar]; ``None`` if the flow diverged."""
        if not (np.isfinite(p_mw).all() and np.isfinite(q_mvar).all()):
            return None
        if self._start is None and not self._build():
            return None
        self._load(-p_mw, -q_mvar)
        self._net._ppc["bus"][:, [VM, VA]] = self._start
        if not self._runpp(recycle=_RECYCLE):
            self._start = None  # what the failure left behind must not reach the next step
            return None
        return self._voltages()

    def _build(self) -> bool:
        """Build pandapower's internal model by solving without load, the start of all later solves."""
        self._net._ppc = None
        self._load(np.zeros(len(self._net_bus)), np.zeros(len(self._net_bus)))
        solved = self._runpp(
            init="dc",
            recycle=_RECYCLE,
            only_v_results=True,
            tolerance_mva=self._tolerance,
            max_iteration=self._max_iterations,
            calculate_voltage_angles=True,
            trafo_model="t",
            voltage_depend_loads=False,  # the reader refuses such loads
            lightsim2grid=True,
            numba=False,  # it would compile for seconds what recycling builds once
        )
        self._start = self._net._ppc["bus"][:, [VM, VA]].copy() if solved else None
        return solved

    def _load(self, p_mw: Float[np.ndarray, " bus"], q_mvar: Float[np.ndarray, " bus"]) -> None:
        # into the arrays below the table; assigning a column takes ten times as long
        load = self._net.load
        load["p_mw"].values[:] = p_mw
        load["q_mvar"].values[:] = q_mvar

    def _runpp(self, **options: object) -> bool:
        # when recycling, the options of the first solve (tolerance, iterations, voltages only) stay in force
        try:
            pp.runpp(self._net, **options)
        except LoadflowNotConverged:
            return False
        return bool(self._net._ppc["success"])

    def _voltages(self) -> Complex[np.ndarray, " bus"]:
        rows = self._net._ppc["bus"][self._net._pd2ppc_lookups["bus"][self._net_bus]]
        return rows[:, VM] * np.exp(1j * np.deg2rad(rows[:, VA]))
