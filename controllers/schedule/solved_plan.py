"""Plans from solved dispatch models and from repaired schedules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from gridferry.controllers.contract import Note, NoteKind, Plan, SolverOutcome, Status
from gridferry.controllers.model import plan as read
from gridferry.controllers.model.solution import Solved
from gridferry.controllers.outcome import relative_gap
from gridferry.controllers.schedule.ac_evaluation import evaluate_plan
from gridferry.controllers.schedule.repair import RepairedSchedules, ScheduleRepair


def plan_of(solved: Solved, memory: Mapping[str, Any], notes: tuple[Note, ...] = ()) -> Plan:
    """Make a plan of a solved model, and evaluate it.

    Objective and bound are those of the model; the prediction is AC.

    Parameters
    ----------
    notes : what else is to be known of the plan
    """
    model, outcome, options = solved.model, solved.outcome, solved.dispatch.solver
    plant, observation = model.plant, model.observation
    p, q = read.setpoints(model)
    objective = float(read.cost_of_plan(model).sum())
    bound = min(outcome.bound, objective) if np.isfinite(outcome.bound) else np.nan
    within = bool(objective - bound <= options.tolerance(objective)) and model.options.strict
    status = Status.LOCALLY_OPTIMAL if solved.exact and not solved.violated else Status.FEASIBLE
    plan = Plan(
        p_mw=p,
        q_mvar=q,
        position=read.positions(model),
        solver=SolverOutcome(
            status=Status.OPTIMAL if within else status,
            termination=outcome.termination,
            notes=(*notes, *solved.notes, *read.resting_notes(model)),
            objective=objective,
            bound=bound,
            gap=relative_gap(objective, bound),
            cone_gap=read.cone_gap(model),
            seconds=outcome.seconds,
            reference=options.reference,
        ),
        memory=dict(memory),
    )
    return replace(plan, prediction=evaluate_plan(plant, plan, observation, model.forecast).prediction())


def plan_of_schedule(
    repair: ScheduleRepair, given: RepairedSchedules, outcome: SolverOutcome, memory: Mapping[str, Any]
) -> Plan:
    """Make a plan of a repaired schedule, and evaluate it.

    Parameters
    ----------
    given : the schedule, the first where there are several
    outcome : how it came about, with a bound where one was proved
    """
    found = repair.evaluate(given)
    violation = float(repair.violation(given, found)[0])
    objective = float(found.cost.sum())
    bound = min(outcome.bound, objective) if np.isfinite(outcome.bound) else np.nan
    violated = (Note(NoteKind.VIOLATED_TOTAL, violation),) if violation > 0 else ()
    return Plan(
        p_mw=given.p_mw[0],
        q_mvar=given.q_mvar[0],
        position=given.position[0],
        prediction=found.prediction(),
        solver=replace(
            outcome,
            notes=(*outcome.notes, *violated),
            objective=objective,
            bound=bound,
            gap=relative_gap(objective, bound),
            cone_gap=found.flow.cone_gap,
        ),
        memory=memory,
    )
