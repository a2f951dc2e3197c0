"""AC grid of one network: voltages by an engine; flows, loadings, losses and import from them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from jaxtyping import Complex, Float

from gridferry.networks.admittance import branch_flows, bus_injections
from gridferry.networks.droop import Droops, solve_with_droops
from gridferry.networks.feeder import Feeder
from gridferry.networks.network import Network
from gridferry.sim.config.schema import AcEngine, GridConfig


class Engine(Protocol):
    """AC engine: complex bus voltages [pu] from injections [MW, Mvar], ``None`` if diverged."""

    def solve(
        self, p_mw: Float[np.ndarray, " bus"], q_mvar: Float[np.ndarray, " bus"]
    ) -> Complex[np.ndarray, " bus"] | None:
        """Return the complex bus voltages [pu]."""


@dataclass(frozen=True, eq=False)
class AcSolution:
    """Solution of an AC power flow; NaN if it diverged.

    Attributes
    ----------
    converged : whether the engine found a solution
    vm_pu, va_deg : bus voltages [pu, degree]
    p_branch_mw, q_branch_mvar : flow into every branch at its parent end [MW, Mvar]
    i_ka : current at the more loaded end [kA]
    loading_percent : of the rating, 0 where none is known [%]
    losses_branch_mw : losses of every branch [MW]
    q_mvar : net injection of every bus, with a Q that follows the voltage [Mvar]
    import_mw, import_mvar : drawn from the grid above [MW, Mvar]
    losses_mw : losses of the network, shunts included [MW]
    balance_error : mismatch between the given injections and those of the solution, relative to the power flowing
    """

    converged: bool
    vm_pu: Float[np.ndarray, " bus"]
    va_deg: Float[np.ndarray, " bus"]
    p_branch_mw: Float[np.ndarray, " branch"]
    q_branch_mvar: Float[np.ndarray, " branch"]
    i_ka: Float[np.ndarray, " branch"]
    loading_percent: Float[np.ndarray, " branch"]
    losses_branch_mw: Float[np.ndarray, " branch"]
    q_mvar: Float[np.ndarray, " bus"]
    import_mw: float
    import_mvar: float
    losses_mw: float
    balance_error: float


class AcGrid:
    """One network and the engine that solves it.

    Parameters
    ----------
    network : the network
    settings : engine and tolerances
    slack_v_pu : voltage of the slack bus [pu], instead of the network's own
    """

    def __init__(self, network: Network, settings: GridConfig, slack_v_pu: float | None = None):
        if slack_v_pu is not None:
            network = replace(network, feeder=replace(network.feeder, slack_v_pu=float(slack_v_pu)))
        self.feeder: Feeder = network.feeder
        self._engine: Engine
        # the package of the engine in use only: pandapower takes seconds to import
        if settings.ac_engine is AcEngine.PANDAPOWER:
            from gridferry.sim.grid.pandapower_engine import PandapowerEngine

            self._engine = PandapowerEngine(network, settings.tolerance_mva, settings.max_iterations)
        elif settings.ac_engine is AcEngine.SWEEP:
            from gridferry.sim.grid.sweep_engine import SweepEngine

            self._engine = SweepEngine(network.feeder, settings.max_iterations)
        else:
            from gridferry.sim.grid.power_grid_model_engine import PowerGridModelEngine

            # its tolerance is a change of voltage, not a mismatch of power; its own default is tight
            self._engine = PowerGridModelEngine(network.feeder, max_iterations=settings.max_iterations)
        feeder = self.feeder
        base_ka = feeder.base_mva / (np.sqrt(3.0) * feeder.base_kv)
        self._base_ka = (base_ka[feeder.parent], base_ka[feeder.child])
        self._others = np.arange(feeder.n_bus) != feeder.slack
        self._nothing = _diverged(feeder)

    def solve(
        self, p_mw: Float[np.ndarray, " bus"], q_mvar: Float[np.ndarray, " bus"], droops: Droops | None = None
    ) -> AcSolution:
        """Solve the power flow under the given injections of all buses, and a Q that follows the voltage [MW, Mvar]."""
        feeder = self.feeder
        if droops is None:
            v = self._engine.solve(p_mw, q_mvar)
        else:
            (row,) = solve_with_droops(feeder, self._rows, p_mw[None], q_mvar[None], droops)
            (q_mvar,) = droops.with_q(q_mvar[None], droops.q_mvar(np.abs(row[None])))
            v = row if np.isfinite(row).all() else None
        if v is None:
            return self._nothing
        flows = branch_flows(feeder, v)
        injected = bus_injections(feeder, v)
        supply = injected[feeder.slack] - complex(p_mw[feeder.slack], q_mvar[feeder.slack])
        mismatch = np.abs(injected.real - p_mw)[self._others].sum()
        flowing = np.abs(p_mw).sum() + abs(supply.real)
        i_pu = np.maximum(flows.i_parent_pu, flows.i_child_pu)
        return AcSolution(
            converged=True,
            vm_pu=np.abs(v),
            va_deg=np.angle(v, deg=True),
            p_branch_mw=flows.s_parent_mva.real,
            q_branch_mvar=flows.s_parent_mva.imag,
            i_ka=np.maximum(
                flows.i_parent_pu / feeder.tap_parent * self._base_ka[0],
                flows.i_child_pu / feeder.tap_child * self._base_ka[1],
            ),
            loading_percent=100.0 * i_pu / feeder.i_max_pu,
            losses_branch_mw=(flows.s_parent_mva + flows.s_child_mva).real,
            q_mvar=q_mvar,
            import_mw=float(supply.real),
            import_mvar=float(supply.imag),
            losses_mw=float(injected.real.sum()),
            balance_error=float(mismatch / flowing) if flowing > 0.0 else 0.0,
        )

    def _rows(
        self, p_mw: Float[np.ndarray, "row bus"], q_mvar: Float[np.ndarray, "row bus"]
    ) -> Complex[np.ndarray, "row bus"]:
        """Voltages of some power flows, NaN where the engine finds none [pu]."""
        found = [self._engine.solve(p, q) for p, q in zip(p_mw, q_mvar, strict=True)]
        nothing = np.full(self.feeder.n_bus, complex(np.nan, np.nan))
        return np.array([nothing if v is None else v for v in found])


def _diverged(feeder: Feeder) -> AcSolution:
    bus = np.full(feeder.n_bus, np.nan)
    branch = np.full(feeder.n_branch, np.nan)
    nan = float("nan")
    return AcSolution(False, bus, bus, branch, branch, branch, branch, branch, bus, nan, nan, nan, nan)
