"""Exact problem of which a conic form is the relaxation, solved locally.

Open cones are replaced by their tangents first, again and again (`tangents`). Where that leads nowhere IPOPT follows
(`interior_point`). Neither has a bound, and neither proves that there is no solution.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from jaxtyping import Float

from gridferry.controllers.outcome import Termination
from gridferry.controllers.solve.errors import InfeasibleError, NoPlanFoundError
from gridferry.controllers.solve.exact.nearest import nearest
from gridferry.controllers.solve.exact.tangents import FAR, Flowing, Steps, cheaper, follow_tangents
from gridferry.controllers.solve.form import ConicForm
from gridferry.controllers.solve.options import Answer
from gridferry.controllers.solve.presolve import presolve

_IPOPT = 4000
"""most columns that IPOPT tries, as it takes minutes for more, and of problems that are begun a second time"""


def solve_exact(
    form: ConicForm,
    start: Float[np.ndarray, " column"],
    fixed: Float[np.ndarray, " column"],
    near: Float[np.ndarray, " column"] | None = None,
    flowing: Callable[[Float[np.ndarray, " column"]], Flowing | None] | None = None,
    time_limit_s: float = np.inf,
    *,
    steps: Steps = FAR,
) -> Answer:
    """Minimise locally with the cones marked `ConicForm.equal` as equations; there is no bound.

    Parameters
    ----------
    start : where the search begins, as a solution of the relaxation
    fixed : values that columns must keep, NaN where free; integers among the others are left aside
    near : a point that is likely near the solution, as an exact one of a similar problem; NaN where it is to be as near
        to the rest as its rows allow
    flowing : completes a point so that the equations of flows hold, where that is known

    Raises
    ------
    NoPlanFoundError
        where the local search found no point. That proves nothing, as others may exist for other fixed values.
    """
    began = time.perf_counter()
    try:
        small = presolve(replace(form, integer=np.zeros(form.n, dtype=bool)), fixed)
    except InfeasibleError as error:
        raise NoPlanFoundError(str(error)) from error

    def completed(x: Float[np.ndarray, " free"]) -> Flowing | None:
        found = None if flowing is None else flowing(small.back(x))
        if found is None:
            return None
        return Flowing(*(one[small.free] for one in (found.x, found.flows, found.follows)))

    start = start[small.free]
    if near is not None:
        near = nearest(small.form, near[small.free], time_limit_s)
    x, settled = follow_tangents(small.form, start, time_limit_s, completed, near, steps)
    if near is not None and not settled and small.form.n <= _IPOPT:
        left = time_limit_s - (time.perf_counter() - began)
        x = cheaper(small.form, follow_tangents(small.form, start, left, completed, steps=steps)[0], x)
    if x is None and small.form.n <= _IPOPT:
        from gridferry.controllers.solve.exact.interior_point import solve_ipopt  # casadi takes long to load

        x = solve_ipopt(small.form, start, time_limit_s - (time.perf_counter() - began))
        if x is not None and not small.form.is_exact(x):
            x = follow_tangents(small.form, x, time_limit_s - (time.perf_counter() - began), completed)[0]
    seconds = time.perf_counter() - began
    if x is None:
        late = seconds >= time_limit_s
        allow = f" within {time_limit_s:.3g} s; allow more time" if late else ""
        message = f"no solution of the exact equations was found near that of the relaxation{allow}"
        raise NoPlanFoundError(message, out_of_time=late)
    return Answer(small.back(x), small.form.objective(x), -np.inf, Termination.SOLVED, seconds)
