"""Flow under the plan of the last step, which an exact finish begins near."""

from __future__ import annotations

import numpy as np

from gridferry.controllers.model.dispatch_model import DispatchModel
from gridferry.controllers.model.plan import positions, setpoints
from gridferry.controllers.plans.injections import device_injections
from gridferry.controllers.solve import Values


def previous_flow(model: DispatchModel) -> Values | None:
    """Return the flow if the last plan is continued; in steps beyond it, the solution of the model is.

    ``None`` without such a plan, where it takes other routes, or where it has no flow.
    """
    plan, position = model.observation.previous_plan, positions(model)
    rows = 0 if plan is None else min(plan.steps - 1, model.horizon)
    if plan is None or rows < 1 or not np.array_equal(plan.position[1 : rows + 1], position[:rows]):
        return None
    p_mw, q_mvar = setpoints(model)
    p_last, q_last = p_mw.copy(), q_mvar.copy()
    p_last[:rows], q_last[:rows] = plan.p_mw[1 : rows + 1], plan.q_mvar[1 : rows + 1]
    (p_then, q_then), (p_now, q_now) = (
        device_injections(model.plant, model.forecast, p, q, position) for p, q in ((p_last, q_last), (p_mw, q_mvar))
    )
    return model.exact_flow(p_then - p_now, q_then - q_now)
