"""AC power flow of all networks of a plant at many operating points."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Complex, Float

from gridferry.controllers.contract import Plant
from gridferry.networks.admittance import BranchFlows, branch_flows, supplied_mw
from gridferry.networks.droop import Solver, solve_with_droops
from gridferry.networks.feeder import Feeder
from gridferry.networks.power_flow import solve_sweep


@dataclass(frozen=True, eq=False)
class AcFlow:
    """AC power flow of every network; NaN in networks without a solution, or whose injections are not finite.

    Everything but the voltages is computed on first use.

    Attributes
    ----------
    plant : whose networks
    p_mw : net injection of every bus, generation less load [MW]
    v : voltages, complex [pu]
    """

    plant: Plant
    p_mw: Float[np.ndarray, "*batch bus"]
    v: Complex[np.ndarray, "*batch bus"]

    @cached_property
    def v_pu(self) -> Float[np.ndarray, "*batch bus"]:
        """Voltages [pu]."""
        return np.abs(self.v)

    @cached_property
    def converged(self) -> Bool[np.ndarray, "*batch network"]:
        """Networks with a solution."""
        return np.stack([np.isfinite(self.v[..., buses]).all(axis=-1) for buses in self.plant.bus_slices], axis=-1)

    @cached_property
    def import_mw(self) -> Float[np.ndarray, "*batch network"]:
        """Import of each network from the grid above, negative for export [MW]."""
        feeders = zip(self.plant.feeders, self.plant.bus_slices, strict=True)
        supplied = [
            supplied_mw(one, self.v[..., buses]) - self.p_mw[..., buses.start + one.slack] for one, buses in feeders
        ]
        return np.stack(supplied, axis=-1)

    @cached_property
    def losses_mw(self) -> Float[np.ndarray, "*batch network"]:
        """Losses of each network, in branches and shunts [MW]."""
        injected = [self.p_mw[..., buses].sum(axis=-1) for buses in self.plant.bus_slices]
        return self.import_mw + np.stack(injected, axis=-1)

    @property
    def p_branch_mw(self) -> Float[np.ndarray, "*batch branch"]:
        """Active flow into every branch at its parent end [MW]."""
        return self._of_branches(lambda feeder, flows: flows.s_parent_mva.real)

    @property
    def q_branch_mvar(self) -> Float[np.ndarray, "*batch branch"]:
        """Reactive flow into every branch at its parent end [Mvar]."""
        return self._of_branches(lambda feeder, flows: flows.s_parent_mva.imag)

    @property
    def loading(self) -> Float[np.ndarray, "*batch branch"]:
        """Current at the more loaded end of every branch, as a share of the rating; 0 where none is known."""
        return self._of_branches(
            lambda feeder, flows: np.maximum(flows.i_parent_pu, flows.i_child_pu) / feeder.i_max_pu
        )

    @property
    def cone_gap(self) -> float:
        """Largest ``ℓ w - p² - q²`` of the series impedances, ℓ from voltages and p, q from flows [pu²].

        Next to nothing in a power flow; NaN where a network has none.
        """
        gaps = [
            _cone_gap(feeder, self.v[..., buses], flows)
            for (feeder, flows), buses in zip(self._flows, self.plant.bus_slices, strict=True)
        ]
        return float(np.max(gaps))

    @cached_property
    def _flows(self) -> list[tuple[Feeder, BranchFlows]]:
        feeders = zip(self.plant.feeders, self.plant.bus_slices, strict=True)
        return [(one, branch_flows(one, self.v[..., buses])) for one, buses in feeders]

    def _of_branches(self, value: Callable[[Feeder, BranchFlows], np.ndarray]) -> Float[np.ndarray, "*batch branch"]:
        return np.concatenate([value(feeder, flows) for feeder, flows in self._flows], axis=-1)


def ac_flow(
    plant: Plant,
    p_mw: Float[np.ndarray, "*batch bus"],
    q_mvar: Float[np.ndarray, "*batch bus"],
    p_droop_mw: Float[np.ndarray, "*batch droop"],
    solvers: Sequence[Solver] | None = None,
) -> AcFlow:
    """Solve AC for every row of net injections [MW, Mvar].

    Parameters
    ----------
    p_droop_mw : P of the ports whose Q follows the voltage, which the injections have no Q of, `Plant.droop_ports` [MW]
    solvers : of each network, in the place of sweeps
    """
    parts = []
    for number, (feeder, buses) in enumerate(zip(plant.feeders, plant.bus_slices, strict=True)):
        p, q = p_mw[..., buses], q_mvar[..., buses]
        known = np.isfinite(p).all(axis=-1, keepdims=True) & np.isfinite(q).all(axis=-1, keepdims=True)
        if not known.all():
            p, q = np.where(known, p, np.nan), np.where(known, q, np.nan)
        rows = (p.reshape(-1, feeder.n_bus), q.reshape(-1, feeder.n_bus))
        solve = _sweeps(feeder) if solvers is None else solvers[number]
        _, droops = plant.droops(number, p_droop_mw.reshape(len(rows[0]), p_droop_mw.shape[-1]))
        v = solve(*rows) if droops is None else solve_with_droops(feeder, solve, *rows, droops)
        parts.append(v.reshape(p.shape))
    return AcFlow(plant, p_mw, np.concatenate(parts, axis=-1))


def _sweeps(feeder: Feeder) -> Solver:
    return lambda p, q: solve_sweep(feeder, p, q)[0]


def _cone_gap(feeder: Feeder, v: Complex[np.ndarray, "*batch bus"], flows: BranchFlows) -> float:
    w_parent = v[..., feeder.parent] / (feeder.tap_parent * np.exp(1j * np.deg2rad(feeder.shift_deg)))
    w_child = v[..., feeder.child] / feeder.tap_child
    i_sq = np.abs((w_parent - w_child) / (feeder.r_pu + 1j * feeder.x_pu)) ** 2
    w_sq = np.abs(w_parent) ** 2
    series = flows.s_parent_mva / feeder.base_mva - (feeder.g_parent_pu - 1j * feeder.b_parent_pu) * w_sq
    return float(np.max(np.abs(i_sq * w_sq - np.abs(series) ** 2), initial=0.0))
