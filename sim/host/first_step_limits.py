"""First step of a plan within the limits of its devices."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from gridferry.controllers import tolerances
from gridferry.controllers.contract import Forecast, Observation, Plan, Plant
from gridferry.controllers.devices import Act
from gridferry.controllers.plans.first_step import step_first_row


def supplied_row(plant: Plant, plan: Plan, observation: Observation, forecast: Forecast) -> Plan:
    """Return a finite plan with row 0 limited to what its devices will do; limits stay as they are.

    Where a series of a device forecast for this step is not finite, its default holds. What the plan
    predicted is left out where it does not hold for what is left.
    """
    ports = [port for _, outcome in step_first_row(plant, plan, observation, forecast) for port in outcome.ports]
    rows_p, rows_q = plan.p_mw.copy(), plan.q_mvar.copy()
    limits = [port.act is Act.LIMIT for port in plant.ports]
    rows_p[0] = np.where(limits, plan.p_mw[0], [port.p_mw for port in ports])
    rows_q[0] = [port.q_mvar for port in ports]
    set_by_plan = list(plant.planned)
    as_planned = all(
        np.allclose(done[0, set_by_plan], requested[0, set_by_plan], rtol=0.0, atol=tolerances.POWER_MW)
        for done, requested in ((rows_p, plan.p_mw), (rows_q, plan.q_mvar))
    )
    return replace(plan, p_mw=rows_p, q_mvar=rows_q, prediction=plan.prediction if as_planned else None)
