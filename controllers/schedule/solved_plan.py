"""Plans from solved dispatch models and from repaired schedules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from gridferry.controllers.contract import Note, NoteKind, Plan, SolverOutcome, Status, Termination
from gridferry.controllers.model import plan as read
from gridferry.controllers.model.rest import permits_rest
from gridferry.controllers.model.solution import Solved
from gridferry.controllers.outcome import relative_gap
from gridferry.controllers.schedule.ac_evaluation import Schedules, evaluate
from gridferry.controllers.schedule.limit_violation import ScheduleLimits, beside_rest, rest_is_better
from gridferry.controllers.schedule.repair import ScheduleRepair


def plan_of(solved: Solved, memory: Mapping[str, Any], notes: tuple[Note, ...] = ()) -> Plan:
    """Make a plan of a solved model, and evaluate it.

    Objective and bound are those of the model; the prediction is AC.

    Parameters
    ----------
    notes : what else is to be known of the plan
    """
    model, outcome, options = solved.model, solved.outcome, solved.dispatch.solver
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
            termination=Termination.TIME_LIMIT if options.record.cut else outcome.termination,
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
    return _evaluated(plan, solved)


def _evaluated(plan: Plan, solved: Solved) -> Plan:
    """Return a plan with its prediction and what it violates in AC; or doing nothing, where that is better."""
    outlook = solved.dispatch.outlook
    plant, observation, solver = outlook.plant, outlook.observation, plan.solver
    given = beside_rest(plant, observation, Schedules.of_plan(plan, plan.steps))
    found = evaluate(plant, given, observation, outlook.forecast)
    violation = ScheduleLimits.of(solved.dispatch).violation(found)
    rests = rest_is_better(violation, found) and permits_rest(solved.dispatch)
    sample = int(rests)
    kinds = (
        NoteKind.VIOLATED_V_LOW,
        NoteKind.VIOLATED_V_HIGH,
        NoteKind.VIOLATED_LOADING,
        NoteKind.VIOLATED_EXCHANGE,
        NoteKind.VIOLATED_ENERGY,
    )
    notes = violation.notes(observation.step, sample)
    known = {(one.kind, one.place) for one in notes}
    others = tuple(one for one in solver.notes if one.kind not in kinds and (one.kind, one.place) not in known)
    solver = replace(solver, notes=(*others, *notes))
    if rests:
        plan = replace(plan, p_mw=given.p_mw[1], q_mvar=given.q_mvar[1], position=given.position[1])
        solver = resting(solver, float(found.cost[1].sum()), found.flow.cone_gap)
    return replace(plan, prediction=found.prediction(sample), solver=solver)


def resting(outcome: SolverOutcome, cost: float, cone_gap: float) -> SolverOutcome:
    """Return the outcome of planning where doing nothing is better than what was found."""
    bound = min(outcome.bound, cost) if np.isfinite(outcome.bound) else np.nan
    return replace(
        outcome,
        status=Status.FEASIBLE,
        objective=cost,
        bound=bound,
        gap=relative_gap(cost, bound),
        cone_gap=cone_gap,
        notes=(*outcome.notes, Note(NoteKind.DOES_NOTHING)),
    )


def plan_of_schedule(
    repair: ScheduleRepair, given: Schedules, outcome: SolverOutcome, memory: Mapping[str, Any]
) -> Plan:
    """Make a plan of a schedule, and evaluate it.

    Parameters
    ----------
    given : the schedule, the first where there are several
    outcome : how it came about, with a bound where one was proved
    """
    found = repair.evaluate(given)
    objective = float(found.cost.sum())
    bound = min(outcome.bound, objective) if np.isfinite(outcome.bound) else np.nan
    violated = repair.limits.violation(found).notes(repair.step)
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
