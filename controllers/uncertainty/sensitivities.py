"""Voltage sensitivities: response of bus voltages to injections, from the AC Jacobian at an operating point.

With ``S = diag(v) conj(Y v)`` and constant-power injections, a small change obeys

    d conj(S) = diag(conj v) Y dv + diag(Y v) d conj(v)

which in real and imaginary parts of dv is the Jacobian of the power flow in rectangular coordinates. It is as sparse
as the feeder; the steps of a horizon are the blocks of one sparse matrix, factorised once. At the voltages without load
this is the LinDistFlow model, its resistances and reactances summed along shared paths, with shunts and taps besides.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from jaxtyping import Complex, Float
from scipy.sparse.linalg import splu

from gridferry.networks.admittance import admittance
from gridferry.networks.feeder import Feeder


def voltage_response(
    feeder: Feeder,
    v: Complex[np.ndarray, "horizon bus"],
    p_mw: Float[np.ndarray, "horizon bus source"],
    q_mvar: Float[np.ndarray, "horizon bus source"],
) -> Float[np.ndarray, "horizon bus source"]:
    """Change of all bus voltages per unit of each source, to first order; zero at the slack [pu].

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
    response = np.zeros((horizon, feeder.n_bus, sources))
    if response.size == 0 or n == 0:
        return response
    try:
        factors = splu(_jacobian(feeder, v, away))
    except RuntimeError as error:
        raise ValueError(f"{feeder.name}: the power-flow Jacobian is singular, the voltages collapse") from error
    change = np.concatenate([p_mw[:, away], -q_mvar[:, away]], axis=1) / feeder.base_mva
    dv = factors.solve(change.reshape(horizon * 2 * n, sources)).reshape(horizon, 2, n, sources)
    v_away = v[:, away, None]
    response[:, away] = (v_away.real * dv[:, 0] + v_away.imag * dv[:, 1]) / np.abs(v_away)
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
