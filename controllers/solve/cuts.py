"""Cuts: tangent planes of second-order cones for the master problem of outer approximation."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float

from gridferry.controllers import tolerances
from gridferry.controllers.solve.form import ConicForm


class TangentCuts:
    """Tangent cuts of the cones of a form, each returned once."""

    def __init__(self, form: ConicForm):
        self._form = form
        self._given: list[Float[np.ndarray, " conerow"]] = []

    def at(
        self, x: Float[np.ndarray, " column"], least_violation: float = -np.inf
    ) -> tuple[sp.csr_array, Float[np.ndarray, " cut"]]:
        """Return rows ``G x ≤ g`` that touch each cone where ``x`` lies, or where the ray through ``x`` meets it.

        A cone ``‖u‖ ≤ t`` gives ``d'u ≤ t`` with ``d = u/‖u‖`` at the point; every point of the cone satisfies it.
        Cones violated by less than ``least_violation`` are left out.
        """
        form = self._form
        entries = form.cone_values(x)
        tails = np.where(form.is_head, 0.0, entries)
        length = np.sqrt(np.bincount(form.cone_of_row, tails**2, len(form.cone_sizes)))
        violated = (length > tolerances.CONE) & (length - entries[form.cone_starts] >= least_violation)
        direction = tails / np.maximum(length, tolerances.CONE)[form.cone_of_row]
        for old in self._given:
            distance = np.bincount(form.cone_of_row, (direction - old) ** 2, len(form.cone_sizes))
            violated &= distance > tolerances.DIRECTION**2
        chosen = np.flatnonzero(violated)
        self._given.append(np.where(violated[form.cone_of_row], direction, np.inf))
        # d'u - t ≤ 0 with (t, u) = b - A x
        weight = np.where(form.is_head, -1.0, direction)
        position = np.full(len(form.cone_sizes), -1, dtype=np.int64)
        position[chosen] = np.arange(len(chosen))
        rows = np.flatnonzero(violated[form.cone_of_row])
        combine = sp.csr_array(
            (weight[rows], (position[form.cone_of_row[rows]], rows)), shape=(len(chosen), len(form.cone_of_row))
        )
        return sp.csr_array(-(combine @ form.cone_part)), -(combine @ form.b[form.n_linear :])


def heads_nonnegative(form: ConicForm) -> tuple[sp.csr_array, Float[np.ndarray, " cut"]]:
    """Return the rows ``t ≥ 0`` of the cones' heads as ``G x ≤ g``."""
    heads = form.n_linear + form.cone_starts
    return sp.csr_array(form.a[heads]), form.b[heads]
