"""Presolve: substitute columns that the rows of a form determine."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float, Int

from gridferry.controllers import tolerances
from gridferry.controllers.solve.errors import InfeasibleError
from gridferry.controllers.solve.form import ConicForm
from gridferry.controllers.solve.reduce import reduce_form


@dataclass(frozen=True, eq=False)
class Presolved:
    """Presolved form, with the map back to the original form.

    Attributes
    ----------
    form : what is left
    free : its columns in the form it came from
    value : values of the pinned columns, NaN where free
    """

    form: ConicForm
    free: Int[np.ndarray, " free"]
    value: Float[np.ndarray, " column"]

    def back(self, x: Float[np.ndarray, " free"]) -> Float[np.ndarray, " column"]:
        """Return the point of the original form."""
        full = self.value.copy()
        full[self.free] = x
        return full


def presolve(form: ConicForm, fixed: Float[np.ndarray, " column"] | None = None) -> Presolved:
    """Substitute determined columns, and columns fixed at a value (NaN where not fixed).

    Raises
    ------
    InfeasibleError
        where rows with a single column contradict each other.
    """
    small = reduce_form(form, fixed)
    pinned = small.value[form.integer]
    if small.conflict or np.any(np.abs(pinned - np.round(pinned)) > tolerances.WHOLE):
        raise InfeasibleError("limits contradict each other: no point satisfies the constraints")
    free, kept = np.flatnonzero(small.free), form.with_rows(small.row)
    left = replace(
        kept,
        cost=form.cost[free],
        offset=form.objective(np.where(small.free, 0.0, small.value)),
        a=sp.csr_array(kept.a[:, free]),
        b=small.b[small.row],
        integer=form.integer[free],
        columns={},
    )
    return Presolved(left, free, small.value)
