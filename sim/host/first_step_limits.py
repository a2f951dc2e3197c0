"""What the devices leave of row 0 of a plan: where trucks are, what is in service, and what a store can supply."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from gridferry.controllers.contract import Forecast, Observation, Plan, Plant
from gridferry.controllers.plans.first_step import step_first_row

_ROUNDING_MW = 1e-6
"""a setpoint that is cut by less is as planned: solvers meet limits to about this much"""


def supplied_row(plant: Plant, plan: Plan, observation: Observation, forecast: Forecast) -> Plan:
    """Return a finite plan with row 0 cut to what its devices will do.

    Where availability and capacity forecast for this step are not finite, devices count as whole. What the plan
    predicted is left out where it does not hold for what is left.
    """
    done = [port for _, outcome in step_first_row(plant, plan, observation, forecast) for port in outcome.ports]
    rows_p, rows_q = plan.p_mw.copy(), plan.q_mvar.copy()
    rows_p[0] = [port.p_mw for port in done[: plant.n_device]]
    rows_q[0] = [port.q_mvar for port in done[: plant.n_device]]
    as_planned = np.allclose(rows_p[0], plan.p_mw[0], rtol=0.0, atol=_ROUNDING_MW)
    as_planned = as_planned and np.allclose(rows_q[0], plan.q_mvar[0], rtol=0.0, atol=_ROUNDING_MW)
    return replace(plan, p_mw=rows_p, q_mvar=rows_q, prediction=plan.prediction if as_planned else None)
