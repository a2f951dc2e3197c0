"""Margins of the currents of all rated branches of a plant at an operating point, as shares of the ratings.

A current ``I + Σ c_l ξ_l`` is limited at both ends of a branch's π section. Its magnitude is linearised at the plan:
along the phase u of I it changes by ``a_l = Re(ū c_l)``. A magnitude is the largest projection to any direction,
though, and where errors are as large as I they may turn or reverse it. So directions at an angle φ to I are looked at,
too. There the current has ``(1 - cos φ) |I|`` further to go to the rating, by which the margin in that direction is
less. The largest counts.

A magnitude lies above its tangent, and so does a current that feeds constant power at a falling voltage. With
``secant`` each direction is therefore scaled up until it meets the AC power flow at the corner of the support that is
the worst one for it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Complex, Float, Int

from gridferry.controllers.uncertainty.ambiguity import Ambiguity
from gridferry.controllers.uncertainty.sensitivities import Linearisation, solved
from gridferry.networks.admittance import section_currents

_SEEN = 1e-9
"""currents, and changes of them, that are smaller have no direction, and are not scaled [share of the rating]"""
_ANGLES = np.linspace(0.0, 2.0 * np.pi, 8, endpoint=False)
"""angles φ of the directions that are looked at [rad]"""


def current_margins(at: Linearisation, ambiguity: Ambiguity) -> Float[np.ndarray, "horizon branch"]:
    """Margins of the currents of all branches, 0 where none is rated [share of the rating].

    Raises
    ------
    ControllerError
        where, with ``secant``, the worst corner of the errors for a branch has no power flow.
    """
    margin = np.zeros((len(at.v), at.plant.n_branch))
    for number, (feeder, branches) in enumerate(zip(at.plant.feeders, at.plant.branch_slices, strict=True)):
        rated = np.flatnonzero(np.isfinite(feeder.i_max_pu))
        if rated.size:
            margin[:, branches.start + rated] = _of_network(at, ambiguity, number, rated)
    return margin


def loadings(at: Linearisation) -> Float[np.ndarray, "horizon branch"]:
    """Currents at the more loaded end of every branch, 0 where none is rated [share of the rating]."""
    found = []
    for feeder, buses in zip(at.plant.feeders, at.plant.bus_slices, strict=True):
        ends = section_currents(feeder, at.v[:, buses], np.arange(feeder.n_branch))
        found.append(np.abs(ends).max(axis=0) / feeder.i_max_pu)
    return np.concatenate(found, axis=1)


def _of_network(
    at: Linearisation, ambiguity: Ambiguity, number: int, rated: Int[np.ndarray, " rated"]
) -> Float[np.ndarray, "horizon rated"]:
    """Margins of the rated branches of a network; rows are the ends, one after the other, in each direction."""
    feeder, buses, directions = at.plant.feeders[number], at.plant.bus_slices[number], len(_ANGLES)

    def currents(v: Complex[np.ndarray, "*batch bus"]) -> Complex[np.ndarray, "*batch row"]:
        ends = section_currents(feeder, v, rated) / feeder.i_max_pu[rated]
        return np.tile(np.concatenate([*ends], axis=-1), directions)

    i = currents(at.v[:, buses])
    change = np.moveaxis(currents(np.moveaxis(at.dv[:, buses], 1, 2)), 1, 2)
    largest = np.take_along_axis(change, np.abs(change).argmax(axis=2)[:, :, None], axis=2)[:, :, 0]
    angle = np.repeat(_ANGLES, 2 * rated.size)
    toward = np.exp(-1j * (np.angle(np.where(np.abs(i) > _SEEN, i, largest)) + angle))
    further = np.abs(i) * (1.0 - np.cos(angle))
    side = (toward[:, :, None] * change).real
    corner = ambiguity.corner(side)
    if ambiguity.secant:
        by_line = np.einsum("hrs,hrs->hr", side, corner)
        there = _at_corners(at, number, corner, currents)
        reached = np.copysign(np.abs(there), (toward * there).real) - (toward * i).real
        scale = np.divide(reached, by_line, out=np.ones_like(by_line), where=by_line > _SEEN)
        side *= np.maximum(scale, 1.0)[:, :, None]
    if ambiguity.bounded:
        # no error goes further than to the corner
        side[np.einsum("hrs,hrs->hr", side, corner) <= further] = 0.0
    margin = np.maximum(ambiguity.margins(side) - further, 0.0)
    worst: Float[np.ndarray, "horizon rated"] = margin.reshape(len(i), 2 * directions, rated.size).max(axis=1)
    return worst


def _at_corners(
    at: Linearisation,
    number: int,
    corner: Float[np.ndarray, "horizon row column"],
    currents: Callable[[Complex[np.ndarray, "*batch bus"]], Complex[np.ndarray, "*batch row"]],
) -> Complex[np.ndarray, "horizon row"]:
    """Current of every row at its own corner of the errors; corners that rows share are solved once."""
    horizon, rows, columns = corner.shape
    buses = at.plant.bus_slices[number]
    each = np.column_stack([np.repeat(np.arange(horizon), rows), corner.reshape(-1, columns)])
    distinct, which = np.unique(each, axis=0, return_inverse=True)
    step, errors = distinct[:, 0].astype(np.int64), distinct[:, 1:]
    p, q = (
        given[step, buses] + np.einsum("mbs,ms->mb", per[step, buses], errors)
        for given, per in ((at.p_mw, at.p_per), (at.q_mvar, at.q_per))
    )
    found = currents(solved(at.plant, number, p, q, step))
    return found[which.reshape(horizon, rows), np.arange(rows)]
