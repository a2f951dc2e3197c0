"""Sensitivities: response of complex bus voltages to injections, from the AC Jacobian at an operating point.

With ``S = diag(v) conj(Y v)`` and constant-power injections, a small change obeys

    d conj(S) = diag(conj v) Y dv + diag(Y v) d conj(v)

which in real and imaginary parts of dv is the Jacobian of the power flow in rectangular coordinates. It is as sparse
as the feeder; the steps of a horizon are the blocks of one sparse matrix, factorised once. At the voltages without load
this is the LinDistFlow model, its resistances and reactances summed along shared paths, with shunts and taps besides.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from jaxtyping import Complex, Float, Int
from scipy.sparse.linalg import splu

from gridferry.controllers.contract import ControllerError, Forecast, Plant
from gridferry.controllers.uncertainty.error_map import ErrorMap
from gridferry.networks.admittance import admittance
from gridferry.networks.feeder import Feeder
from gridferry.networks.power_flow import solve_sweep


@dataclass(frozen=True, kw_only=True, eq=False)
class Linearisation:
    """Power flow of a plant, and its response to errors to first order.

    Attributes
    ----------
    plant : whose networks
    p_mw, q_mvar : net injections [MW, Mvar]
    p_per, q_per : their change by column of `ErrorMap.injections` [MW, Mvar]
    v, dv : complex voltages, and their change by column [pu]
    """

    plant: Plant
    p_mw: Float[np.ndarray, "horizon bus"]
    q_mvar: Float[np.ndarray, "horizon bus"]
    p_per: Float[np.ndarray, "horizon bus column"]
    q_per: Float[np.ndarray, "horizon bus column"]
    v: Complex[np.ndarray, "horizon bus"]
    dv: Complex[np.ndarray, "horizon bus column"]

    @classmethod
    def at(
        cls,
        plant: Plant,
        errors: ErrorMap,
        forecast: Forecast,
        p_mw: Float[np.ndarray, "horizon bus"],
        q_mvar: Float[np.ndarray, "horizon bus"],
    ) -> Linearisation:
        """Linearise at net injections; raises `ControllerError` or ``ValueError`` where there is no power flow."""
        v = operating_point(plant, p_mw, q_mvar)
        p_per, q_per = errors.injections(forecast)
        dv = np.zeros_like(p_per, dtype=complex)
        for feeder, buses in zip(plant.feeders, plant.bus_slices, strict=True):
            dv[:, buses] = voltage_change(feeder, v[:, buses], p_per[:, buses], q_per[:, buses])
        return cls(plant=plant, p_mw=p_mw, q_mvar=q_mvar, p_per=p_per, q_per=q_per, v=v, dv=dv)


def operating_point(
    plant: Plant, p_mw: Float[np.ndarray, "horizon bus"], q_mvar: Float[np.ndarray, "horizon bus"]
) -> Complex[np.ndarray, "horizon bus"]:
    """AC voltages of all networks under net injections [pu].

    Raises
    ------
    ControllerError
        naming the network and the steps that have no power flow.
    """
    step = np.arange(len(p_mw))
    parts = [solved(plant, k, p_mw[:, buses], q_mvar[:, buses], step) for k, buses in enumerate(plant.bus_slices)]
    return np.concatenate(parts, axis=1)


def solved(
    plant: Plant,
    number: int,
    p_mw: Float[np.ndarray, "row bus"],
    q_mvar: Float[np.ndarray, "row bus"],
    step: Int[np.ndarray, " row"],
) -> Complex[np.ndarray, "row bus"]:
    """AC voltages of one network, as `operating_point` has them [pu].

    Parameters
    ----------
    step : of the horizon that each row belongs to
    """
    feeder = plant.feeders[number]
    v, converged = solve_sweep(feeder, p_mw, q_mvar)
    if not converged.all():
        steps = ", ".join(str(one) for one in np.unique(step[~converged])[:5])
        raise ControllerError(
            f"network {number + 1} ({feeder.name}) has no power flow at steps {steps} of the horizon; the load is more "
            "than it can carry"
        )
    return v


def magnitude_change(
    v: Complex[np.ndarray, "horizon bus"], dv: Complex[np.ndarray, "horizon bus source"]
) -> Float[np.ndarray, "horizon bus source"]:
    """Change of the magnitudes of complex voltages by the change of these, to first order [pu]."""
    change: Float[np.ndarray, "horizon bus source"] = v.real[:, :, None] * dv.real + v.imag[:, :, None] * dv.imag
    return change / np.abs(v)[:, :, None]


def voltage_response(
    feeder: Feeder,
    v: Complex[np.ndarray, "horizon bus"],
    p_mw: Float[np.ndarray, "horizon bus source"],
    q_mvar: Float[np.ndarray, "horizon bus source"],
) -> Float[np.ndarray, "horizon bus source"]:
    """Change of the magnitudes of all bus voltages, as `voltage_change` has it [pu]."""
    return magnitude_change(v, voltage_change(feeder, v, p_mw, q_mvar))


def voltage_change(
    feeder: Feeder,
    v: Complex[np.ndarray, "horizon bus"],
    p_mw: Float[np.ndarray, "horizon bus source"],
    q_mvar: Float[np.ndarray, "horizon bus source"],
) -> Complex[np.ndarray, "horizon bus source"]:
    """Change of all complex bus voltages per unit of each source, to first order; zero at the slack [pu].

    A source may inject at several buses.

    Parameters
    ----------
    v : complex voltages of the operating point at every step [pu]
    p_mw, q_mvar : injection at every bus per unit of each source [MW, Mvar]

    Raises
    ------
    ValueError
        where the operating point is not finite, or so near to voltage collapse that its Jacobian is singular.
    """
    if not np.isfinite(v).all():
        raise ValueError(f"{feeder.name}: no finite operating point at steps {_first_bad(v)}; sensitivities need one")
    away = np.flatnonzero(np.arange(feeder.n_bus) != feeder.slack)
    horizon, n, sources = len(v), away.size, p_mw.shape[2]
    response = np.zeros((horizon, feeder.n_bus, sources), dtype=complex)
    if response.size == 0 or n == 0:
        return response
    try:
        factors = splu(_jacobian(feeder, v, away))
    except RuntimeError as error:
        raise ValueError(f"{feeder.name}: the power-flow Jacobian is singular, the voltages collapse") from error
    change = np.concatenate([p_mw[:, away], -q_mvar[:, away]], axis=1) / feeder.base_mva
    dv = factors.solve(change.reshape(horizon * 2 * n, sources)).reshape(horizon, 2, n, sources)
    response[:, away] = dv[:, 0] + 1j * dv[:, 1]
    return response


def _jacobian(feeder: Feeder, v: Complex[np.ndarray, "horizon bus"], away: np.ndarray) -> sp.csc_matrix:
    """Jacobian of every step as one block-diagonal matrix; within a block first the real, then the imaginary parts."""
    y = admittance(feeder).bus
    horizon, n = len(v), away.size
    reduced = y[away][:, away].tocoo()
    series = v[:, away[reduced.row]].conj() * reduced.data
    current = (y @ v.T).T[:, away]
    diagonal = np.arange(n)
    rows = np.concatenate([reduced.row, reduced.row, n + reduced.row, n + reduced.row])
    columns = np.concatenate([reduced.col, n + reduced.col, reduced.col, n + reduced.col])
    own_rows = np.concatenate([diagonal, diagonal, n + diagonal, n + diagonal])
    own_columns = np.concatenate([diagonal, n + diagonal, diagonal, n + diagonal])
    values = np.concatenate(
        [
            *(series.real, -series.imag, series.imag, series.real),
            *(current.real, current.imag, current.imag, -current.real),
        ],
        axis=1,
    )
    block = 2 * n * np.arange(horizon)[:, None]
    at_rows = (block + np.concatenate([rows, own_rows])).ravel()
    at_columns = (block + np.concatenate([columns, own_columns])).ravel()
    return sp.csc_matrix((values.ravel(), (at_rows, at_columns)), shape=(horizon * 2 * n, horizon * 2 * n))


def _first_bad(v: Complex[np.ndarray, "horizon bus"]) -> str:
    steps = np.flatnonzero(~np.isfinite(v).all(axis=1))
    return ", ".join(str(step) for step in steps[:5]) + (", …" if steps.size > 5 else "")
