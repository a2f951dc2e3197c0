"""Shift plans in time."""

from __future__ import annotations

from dataclasses import replace

from gridferry.controllers.contract import Plan, Prediction


def shifted(plan: Plan) -> Plan | None:
    """Return the rest of the plan after its first row; ``None`` when nothing is left of it."""
    if plan.steps <= 1:
        return None
    prediction = plan.prediction
    if prediction is not None and len(prediction.v_pu) <= 1:
        prediction = None  # what a host adds to a rule's plan covers its first row only
    if prediction is not None:
        prediction = Prediction(
            v_pu=prediction.v_pu[1:],
            p_branch_mw=prediction.p_branch_mw[1:],
            q_branch_mvar=prediction.q_branch_mvar[1:],
            import_mw=prediction.import_mw[1:],
            losses_mw=prediction.losses_mw[1:],
            energy_mwh=prediction.energy_mwh[1:],
            cost=prediction.cost[1:],
            costs={name: term[1:] for name, term in prediction.costs.items()},
        )
    return replace(
        plan,
        p_mw=plan.p_mw[1:],
        q_mvar=plan.q_mvar[1:],
        position=plan.position[1:],
        prediction=prediction,
    )
