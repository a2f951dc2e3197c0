"""Continuation of an earlier plan within the limits of the measured state and the roads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from gridferry.controllers.contract import Forecast, Note, NoteKind, Plan, SolverOutcome, Termination
from gridferry.controllers.schedule.repair import ScheduleRepair
from gridferry.controllers.schedule.solved_plan import plan_of_schedule


def continued(
    previous: Plan,
    forecast: Forecast,
    repair: Callable[[Forecast], ScheduleRepair],
    memory: Mapping[str, Any],
    planned_at: int,
) -> Plan:
    """Return the rest of the last plan: late trucks continue their trips, stores stay within their remaining limits.

    Nothing is optimised. Power is reduced by limits of stores and by the energy due at the end of the day, and the
    result is evaluated.

    Parameters
    ----------
    previous : the plan of the last step, with at least two rows
    repair : repairs schedules under a forecast
    memory : what the plan is to remember
    planned_at : step in which it was made
    """
    left = min(previous.steps - 1, forecast.steps)
    rows = slice(1, left + 1)
    repairs = repair(forecast.first(left))
    rest = repairs.repair(previous.position[None, rows], previous.p_mw[None, rows], previous.q_mvar[None, rows])
    notes = (Note(NoteKind.CONTINUES, float(planned_at)),)
    return plan_of_schedule(repairs, rest, SolverOutcome(termination=Termination.CONTINUED, notes=notes), memory)
