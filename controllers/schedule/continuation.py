"""Go on with a plan made earlier: what is left of it, as far as the measured state and the roads now allow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gridferry.controllers.contract import Forecast, Observation, Plan, Plant, SolverOutcome, Termination
from gridferry.controllers.model.ahead import SocAtHorizon
from gridferry.controllers.plans.shifting import first_steps
from gridferry.controllers.schedule.repair import ScheduleRepair


def continued(
    plant: Plant,
    observation: Observation,
    forecast: Forecast,
    previous: Plan,
    memory: Mapping[str, Any],
    *,
    soc_at_horizon: SocAtHorizon,
) -> Plan:
    """Return the rest of the last plan: a late truck drives on, stores keep to what is left of their limits.

    Nothing is optimised; power is reduced where a limit of a store or the energy due at the end of the day asks for it,
    and what is left is evaluated.

    Parameters
    ----------
    previous : the plan of the last step, with at least two rows
    memory : what the plan is to remember
    soc_at_horizon : least state of charge where the horizon ends inside a day, as for the optimisation
    """
    left = min(previous.steps - 1, forecast.steps)
    ahead = first_steps(forecast, left)
    rows = slice(1, left + 1)
    repair = ScheduleRepair(plant, observation, ahead, soc_at_horizon)
    rest = repair.repair(previous.position[None, rows], previous.p_mw[None, rows], previous.q_mvar[None, rows])
    found = repair.evaluate(rest)
    return Plan(
        p_mw=rest.p_mw[0],
        q_mvar=rest.q_mvar[0],
        position=rest.position[0],
        prediction=found.prediction(),
        solver=SolverOutcome(
            termination=Termination.CONTINUED, objective=float(found.cost.sum()), cone_gap=found.flow.cone_gap
        ),
        memory=memory,
    )
