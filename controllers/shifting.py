"""Move a plan forward in time: what a plan made some steps ago says about the steps to come."""

from __future__ import annotations

from dataclasses import replace

from controllers.contract import Plan, Prediction


def shifted(plan: Plan, steps: int = 1) -> Plan | None:
    """Return the rest of the plan after its first ``steps`` rows; ``None`` when nothing is left of it."""
    if plan.steps <= steps:
        return None
    prediction = plan.prediction
    if prediction is not None and len(prediction.v_pu) <= steps:
        prediction = None  # what a host adds to a rule's plan covers its first row only
    if prediction is not None:
        prediction = Prediction(
            v_pu=prediction.v_pu[steps:],
            p_branch_mw=prediction.p_branch_mw[steps:],
            q_branch_mvar=prediction.q_branch_mvar[steps:],
            import_mw=prediction.import_mw[steps:],
            losses_mw=prediction.losses_mw[steps:],
            energy_mwh=prediction.energy_mwh[steps:],
            cost=prediction.cost[steps:],
        )
    return replace(
        plan,
        p_mw=plan.p_mw[steps:],
        q_mvar=plan.q_mvar[steps:],
        destination=plan.destination[steps:],
        prediction=prediction,
    )
