"""AC power flow of a feeder at many operating points at once, in numpy.

With constant-power injections s the voltages solve the fixed point ``v = w + Z conj(s / v)``: w are the voltages
without load and Z is the inverse of the admittances away from the slack. One pass is what a backward-forward sweep
does, with shunts and taps inside Z; all operating points share the matrix, so a pass is one matrix product. On one
line the iteration contracts up to the point of voltage collapse, ``|Z s| < |v|²``; so it does on the feeders tested.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Bool, Complex, Float, Int

from gridferry.networks.admittance import admittance
from gridferry.networks.feeder import Feeder

_ROWS = 2048
"""Operating points taken together; keeps the work arrays in the cache and bounds memory."""

_TINY = np.finfo(float).tiny
_NEAR_PU = 1e-3
"""the last pass moves a voltage by less than this, however fast the passes before seem to close in [pu]"""


@dataclass(frozen=True, eq=False)
class _Reduced:
    """Feeder reduced to the buses other than the slack bus."""

    away: np.ndarray
    no_load: np.ndarray
    z_transposed: np.ndarray


@lru_cache(maxsize=64)
def _reduced(feeder: Feeder) -> _Reduced:
    y = admittance(feeder).bus.toarray()
    away = np.flatnonzero(np.arange(feeder.n_bus) != feeder.slack)
    z = np.linalg.inv(y[np.ix_(away, away)])
    return _Reduced(away=away, no_load=-z @ y[away, feeder.slack] * feeder.slack_v_pu, z_transposed=z.T)


def reactance(feeder: Feeder, buses: Int[np.ndarray, " some"]) -> Float[np.ndarray, "some some"]:
    """Change of the voltages of some buses by Q injected at each of them, without load [pu/Mvar]; 0 at the slack."""
    reduced = _reduced(feeder)
    x = np.zeros((feeder.n_bus, feeder.n_bus))
    x[np.ix_(reduced.away, reduced.away)] = reduced.z_transposed.T.imag / feeder.base_mva
    return x[np.ix_(buses, buses)]


def solve_sweep(
    feeder: Feeder,
    p_inj_mw: Float[np.ndarray, "*batch bus"],
    q_inj_mvar: Float[np.ndarray, "*batch bus"],
    tolerance_pu: float = 1e-12,
    max_passes: int = 500,
) -> tuple[Complex[np.ndarray, "*batch bus"], Bool[np.ndarray, "*batch"]]:
    """Solve the AC power flow for every row of injections.

    Parameters
    ----------
    p_inj_mw, q_inj_mvar : net injection of every bus, generation less load [MW, Mvar]; the slack's own is not needed
    tolerance_pu : bound of the voltage error left, estimated from the last two passes [pu]
    max_passes : passes before a row counts as not converged

    Returns
    -------
    Complex voltages [pu], NaN in the rows that did not converge, and which rows converged.
    """
    reduced = _reduced(feeder)
    batch = p_inj_mw.shape[:-1]
    v = np.full((math.prod(batch), feeder.n_bus), complex(np.nan, np.nan))
    s = ((p_inj_mw + 1j * q_inj_mvar) / feeder.base_mva).reshape(v.shape)
    converged = np.zeros(len(v), dtype=bool)
    for start in range(0, len(v), _ROWS):
        rows = slice(start, start + _ROWS)
        v[rows, reduced.away], converged[rows] = _iterate(reduced, s[rows, reduced.away], tolerance_pu, max_passes)
    v[converged, feeder.slack] = feeder.slack_v_pu
    return v.reshape(*batch, feeder.n_bus), converged.reshape(batch)


def _iterate(
    reduced: _Reduced, s: np.ndarray, tolerance_pu: float, max_passes: int
) -> tuple[Complex[np.ndarray, "row away"], Bool[np.ndarray, " row"]]:
    """Iterate the rows that have not converged; the remaining error is the step times ``ratio / (1 - ratio)``.

    Rows that do not converge are NaN.
    """
    result = np.full(s.shape, complex(np.nan, np.nan))
    converged = np.zeros(len(s), dtype=bool)
    active = np.flatnonzero(np.isfinite(s).all(axis=1))
    s, v, last_step = s[active], reduced.no_load, np.full(active.size, _TINY)
    with np.errstate(all="ignore"):  # rows that run away are dropped below
        for _ in range(max_passes):
            if active.size == 0:
                break
            current = s / v
            v_next = np.conjugate(current, out=current) @ reduced.z_transposed
            v_next += reduced.no_load
            step = np.abs(v_next - v).max(axis=1, initial=0.0)
            ratio = np.minimum(step / last_step, 0.999)
            done = (step * ratio <= tolerance_pu * (1.0 - ratio)) & (step < _NEAR_PU)
            v, last_step = v_next, np.maximum(step, _TINY)
            going = ~done & np.isfinite(step)
            if not going.all():
                result[active[done]] = v[done]
                converged[active[done]] = True
                active, v, s, last_step = active[going], v[going], s[going], last_step[going]
    return result, converged
