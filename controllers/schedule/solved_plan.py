"""Make a plan of a solved storage model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from gridferry.controllers.contract import Note, NoteKind, Plan, SolverOutcome, Status
from gridferry.controllers.model import storage_plan as mess_plan
from gridferry.controllers.model.solution import LOSS_MW, MADE_UP_MW, SolvedMess, Task, violations
from gridferry.controllers.schedule.ac_evaluation import evaluate_plan


def plan_of(task: Task, solved: SolvedMess, memory: Mapping[str, Any], notes: tuple[Note, ...] = ()) -> Plan:
    """Turn a solved model into a plan, and evaluate that.

    Objective and bound are those of the model, whose cones may be open; the prediction is AC.

    Parameters
    ----------
    notes : what else is to be known of the plan
    """
    plant, observation, asked = task.plant, task.observation, task.asked
    built, outcome = solved.built, solved.outcome
    p, q = mess_plan.setpoints(plant, built)
    objective = float(mess_plan.cost_per_step(plant, built, p).sum() + built.penalty.value)
    bound = min(outcome.bound, objective) if np.isfinite(outcome.bound) else np.nan
    faults = list(violations(built))
    if solved.wasteful:
        faults.append(Note(NoteKind.SIMULTANEOUS_CHARGING))
    if mess_plan.open_cones_mw(plant, built) > MADE_UP_MW:
        faults.append(Note(NoteKind.RELAXATION_GAP, solved.cone_gap))
    if (loss := mess_plan.loss_slack_mw(plant, built, observation)) > LOSS_MW:
        faults.append(Note(NoteKind.FICTITIOUS_LOSSES, loss))
    within = bool(objective - bound <= asked.tolerance(objective)) and solved.kept_limits and not faults
    plan = Plan(
        p_mw=p,
        q_mvar=q,
        position=mess_plan.destinations(built, observation),
        solver=SolverOutcome(
            status=Status.OPTIMAL if within else Status.FEASIBLE,
            termination=outcome.termination,
            notes=(*outcome.notes, *notes, *faults),
            objective=objective,
            bound=bound,
            gap=(objective - bound) / max(abs(objective), 1e-12),
            cone_gap=solved.cone_gap,
            seconds=outcome.seconds,
            reference=asked.reference,
        ),
        memory=dict(memory),
    )
    return replace(plan, prediction=evaluate_plan(plant, plan, observation, task.forecast).prediction())
