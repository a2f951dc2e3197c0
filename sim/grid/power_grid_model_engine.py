"""AC engine by power-grid-model: second engine of the closed loop, batch engine of Monte Carlo.

The feeder is handed over in per unit: every node is given the same rated voltage, so that ohms are per unit times one
number. A branch becomes a generic branch of its series impedance with one ratio; the shunts of its ends and those of
the buses become one shunt per bus, which is exact because the ideal transformers lie outside the π section.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Complex, Float, Int
from power_grid_model import ComponentType, DatasetType, LoadGenType, PowerGridModel, initialize_array
from power_grid_model.errors import PowerGridBatchError

from gridferry.networks.admittance import branch_admittance, rounding_pu
from gridferry.networks.feeder import Feeder

_RATED_V = 1e3
"""Rated voltage of every node [V]; any value gives the same per-unit result."""
_SOURCE_SK_VA = 1e20
"""Short-circuit power of the slack source [VA]; so stiff that its voltage drop is below rounding."""


def power_grid_model_input(feeder: Feeder) -> dict[ComponentType, np.ndarray]:
    """Return the input data of a feeder; one load of constant power per bus, numbered after the nodes.

    Raises
    ------
    InputError
        for a branch without impedance.
    """
    branch_admittance(feeder)
    n_bus, n_branch = feeder.n_bus, feeder.n_branch
    ohm = _RATED_V**2 / (feeder.base_mva * 1e6)
    node = initialize_array(DatasetType.input, ComponentType.node, n_bus)
    node["id"] = np.arange(n_bus)
    node["u_rated"] = _RATED_V

    load = initialize_array(DatasetType.input, ComponentType.sym_load, n_bus)
    load["id"] = n_bus + np.arange(n_bus)
    load["node"] = node["id"]
    load["status"] = 1
    load["type"] = LoadGenType.const_power
    load["p_specified"] = 0.0
    load["q_specified"] = 0.0

    branch = initialize_array(DatasetType.input, ComponentType.generic_branch, n_branch)
    branch["id"] = 2 * n_bus + np.arange(n_branch)
    branch["from_node"] = feeder.parent
    branch["to_node"] = feeder.child
    branch["from_status"] = 1
    branch["to_status"] = 1
    branch["r1"] = feeder.r_pu * feeder.tap_child**2 * ohm
    branch["x1"] = feeder.x_pu * feeder.tap_child**2 * ohm
    branch["g1"] = 0.0
    branch["b1"] = 0.0
    branch["k"] = feeder.tap_parent / feeder.tap_child
    branch["theta"] = np.deg2rad(feeder.shift_deg)
    data = {ComponentType.node: node, ComponentType.sym_load: load, ComponentType.generic_branch: branch}

    y = feeder.g_shunt_pu + 1j * feeder.b_shunt_pu
    np.add.at(y, feeder.parent, (feeder.g_parent_pu + 1j * feeder.b_parent_pu) / feeder.tap_parent**2)
    np.add.at(y, feeder.child, (feeder.g_child_pu + 1j * feeder.b_child_pu) / feeder.tap_child**2)
    at = np.flatnonzero(y)
    if at.size:
        shunt = initialize_array(DatasetType.input, ComponentType.shunt, at.size)
        shunt["id"] = 2 * n_bus + n_branch + np.arange(at.size)
        shunt["node"] = at
        shunt["status"] = 1
        shunt["g1"] = y[at].real / ohm
        shunt["b1"] = y[at].imag / ohm
        shunt["g0"] = 0.0
        shunt["b0"] = 0.0
        data[ComponentType.shunt] = shunt

    source = initialize_array(DatasetType.input, ComponentType.source, 1)
    source["id"] = 2 * n_bus + n_branch + n_bus
    source["node"] = feeder.slack
    source["status"] = 1
    source["u_ref"] = feeder.slack_v_pu
    source["u_ref_angle"] = 0.0
    source["sk"] = _SOURCE_SK_VA
    data[ComponentType.source] = source
    return data


class PowerGridModelEngine:
    """Newton-Raphson power flow of one feeder, one operating point at a time or many.

    Parameters
    ----------
    feeder : the feeder to solve
    tolerance_pu : largest voltage change of the last iteration, if rounding does not leave more [pu]
    max_iterations : iterations before a flow counts as diverged
    threads : threads of a batch; 0 takes all there are, -1 stays in this one
    """

    def __init__(self, feeder: Feeder, tolerance_pu: float = 1e-10, max_iterations: int = 20, threads: int = -1):
        self.feeder = feeder
        # a voltage changes by about a tenth of a mismatch or less
        self._tolerance_pu = max(tolerance_pu, 0.1 * rounding_pu(feeder))
        self._max_iterations = max_iterations
        self._threads = threads
        self._model = PowerGridModel(power_grid_model_input(feeder))

    def solve(
        self, p_mw: Float[np.ndarray, " bus"], q_mvar: Float[np.ndarray, " bus"]
    ) -> Complex[np.ndarray, " bus"] | None:
        """Return the complex bus voltages [pu] under the given injections [MW, Mvar]; ``None`` if the flow diverged."""
        v, converged = self.solve_batch(p_mw[None], q_mvar[None])
        return v[0] if converged[0] else None

    def solve_batch(
        self, p_mw: Float[np.ndarray, "sample bus"], q_mvar: Float[np.ndarray, "sample bus"]
    ) -> tuple[Complex[np.ndarray, "sample bus"], Bool[np.ndarray, " sample"]]:
        """Solve many operating points.

        Parameters
        ----------
        p_mw, q_mvar : injections of every bus [MW, Mvar]

        Returns
        -------
        Complex voltages [pu], NaN in rows that diverged or were given what is not finite, and which rows converged.
        """
        v_pu, angle, converged = self.solve_polar(p_mw, q_mvar)
        v = np.empty(v_pu.shape, dtype=complex)
        np.multiply(v_pu, np.cos(angle), out=v.real)
        np.multiply(v_pu, np.sin(angle), out=v.imag)
        return v, converged

    def solve_polar(
        self, p_mw: Float[np.ndarray, "sample bus"], q_mvar: Float[np.ndarray, "sample bus"]
    ) -> tuple[Float[np.ndarray, "sample bus"], Float[np.ndarray, "sample bus"], Bool[np.ndarray, " sample"]]:
        """Solve as `solve_batch`, and return magnitudes [pu] and angles [rad] as the engine gives them."""
        # power-grid-model reads NaN in an update as "keep the old value", so such rows must not reach it
        converged = np.isfinite(p_mw).all(axis=1) & np.isfinite(q_mvar).all(axis=1)
        if not converged.all():
            v_pu, angle = np.full(p_mw.shape, np.nan), np.full(p_mw.shape, np.nan)
            kept = np.flatnonzero(converged)
            if kept.size:
                v_pu[kept], angle[kept], converged[kept] = self.solve_polar(p_mw[kept], q_mvar[kept])
            return v_pu, angle, converged
        load = {"p_specified": -1e6 * p_mw, "q_specified": -1e6 * q_mvar}
        result = self._model.calculate_power_flow(
            update_data={ComponentType.sym_load: load},
            output_component_types={ComponentType.node: ["u_pu", "u_angle"]},
            error_tolerance=self._tolerance_pu,
            max_iterations=self._max_iterations,
            threading=self._threads,
            continue_on_batch_error=True,
        )[ComponentType.node]
        v_pu, angle = result["u_pu"], result["u_angle"]
        failed = self._failed_rows()
        v_pu[failed], angle[failed], converged[failed] = np.nan, np.nan, False
        return v_pu, angle, converged

    def _failed_rows(self) -> Int[np.ndarray, " failed"]:
        error = self._model.batch_error
        if error is None:
            return np.zeros(0, dtype=np.int64)
        if not isinstance(error, PowerGridBatchError):
            raise error
        return np.asarray(error.failed_scenarios, dtype=np.int64)
