"""Host of a controller: requests a plan, checks its first step by AC, and falls back if it fails."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from time import perf_counter

from gridferry.controllers.contract import (
    AcFeedback,
    Controller,
    Forecast,
    Note,
    NoteKind,
    Observation,
    Plan,
    Plant,
    SolverOutcome,
    Termination,
    hold,
)
from gridferry.controllers.isolation.answer import Answer, answer_of
from gridferry.controllers.isolation.process import IsolatedController
from gridferry.controllers.plans.finite_forecast import parts_not_finite
from gridferry.controllers.plans.first_step import rating_faults
from gridferry.controllers.plans.shifting import shifted
from gridferry.controllers.plugins.user_code import one_line, place_of
from gridferry.controllers.schedule.ac_evaluation import Evaluation, Schedules, evaluate
from gridferry.sim.config.schema import OnFailure
from gridferry.sim.host.ac_limits import AcLimits, LimitViolation, next_feedback
from gridferry.sim.host.first_step_limits import supplied_row


class Fallback(StrEnum):
    """Kind of plan dispatched instead of the controller's own."""

    NONE = ""
    PREVIOUS_PLAN = "previous_plan"
    IDLE = "idle"


@dataclass(frozen=True)
class Dispatch:
    """Dispatch of a step: the plan, its check, and fallbacks.

    Attributes
    ----------
    plan : the plan whose row 0 is dispatched
    fallback : what replaced the controller's plan, if anything did
    failure : why, in one line; also what failed of a correction; empty without a failure
    traceback : of the exception behind a failure, if there was one
    seconds : time the decision took, corrections and checks included
    corrections : corrected plans requested
    ac_excess_pu, ac_excess_percent : by how much AC on the forecast still breaks a limit of voltage and of loading at
        most; 0 where none, NaN where it has no solution or no finite forecast [pu, %]
    """

    plan: Plan
    fallback: Fallback
    failure: str
    seconds: float
    corrections: int
    ac_excess_pu: float
    ac_excess_percent: float
    traceback: str = ""


@dataclass(frozen=True, eq=False)
class _Attempt:
    """A plan with the evaluation of its row 0 on the forecast, and its limit violations."""

    plan: Plan
    evaluation: Evaluation
    violation: LimitViolation


class ControllerStoppedError(RuntimeError):
    """The controller failed and the config says ``on_failure = "stop"``."""


def dispatch_faults(plant: Plant, plan: Plan) -> list[str]:
    """Faults that forbid the dispatch of row 0: exceeded ratings, invalid positions."""
    return rating_faults(plant, plan) + [
        f'{one.name}: may not be set to position {int(index)}, "{one.labels[index]}"'
        for one, index in zip(plant.positions, plan.position[0], strict=True)
        if int(index) not in one.choices
    ]


class ControllerHost:
    """Host of one controller.

    Before a plan is dispatched, AC is solved on the forecast under its row 0. If that violates a limit, corrected plans
    are requested up to ``ac_corrections`` times from controllers that accept AC feedback. The plan with the smallest
    violation is dispatched.

    Parameters
    ----------
    plant : the plant
    controller : the controller
    on_failure : fallback if the controller fails
    limits : the grid's limits and their tolerances; the plant's own when not given
    ac_corrections : largest number of corrected plans requested in a step
    clip : leave setpoints beyond a rating to the agents, which clip and report them, instead of refusing the plan;
        this is how a schedule made elsewhere is validated
    """

    def __init__(
        self,
        plant: Plant,
        controller: Controller,
        on_failure: OnFailure,
        *,
        limits: AcLimits | None = None,
        ac_corrections: int = 0,
        clip: bool = False,
    ):
        self._plant = plant
        self._controller = controller
        self._on_failure = on_failure
        self._limits = limits or AcLimits(plant)
        self._ac_corrections = ac_corrections if controller.accepts_ac_feedback else 0
        self._clip = clip

    def decide(self, observation: Observation, forecast: Forecast) -> Dispatch:
        """Return the dispatch of a step; raises `ControllerStoppedError` on failure if the config says so."""
        started = perf_counter()
        unknown = parts_not_finite(forecast)
        if unknown:
            answer = Answer(failure=f"the forecast is not finite: {', '.join(unknown)}")
        else:
            answer = self._request_plan(observation, forecast)
        traceback = answer.traceback
        if answer.plan is not None:
            first = self._tried(answer.plan, observation, forecast)
            attempt, corrections, failed = self._correct(first, observation, forecast, started)
            if corrections:
                attempt = _noted(attempt, Note(NoteKind.AC_CORRECTIONS, float(corrections)))
            fallback = Fallback.NONE
            failure = f"step {observation.step}: correction {corrections}: {failed.failure}" if failed else ""
            traceback = failed.traceback if failed else ""
            if attempt.violation.unsolved and self._on_failure is not OnFailure.STOP:
                instead, other, _ = self._fall_back(observation, forecast)
                if instead.violation.relative.compared(attempt.violation.relative) < 0:
                    attempt, fallback = instead, other
                    failure = f"step {observation.step}: AC has no solution under its plan on the forecast"
        else:
            failure = f"step {observation.step}: {answer.failure}"
            if self._on_failure is OnFailure.STOP:
                raise ControllerStoppedError(failure)
            attempt, fallback, refused = self._fall_back(observation, forecast)
            attempt = _cut_short(attempt) if answer.cut else attempt
            corrections = 0
            failure = f"{failure}; {refused}" if refused else failure
        return Dispatch(
            plan=_predicted(attempt),
            fallback=fallback,
            failure=failure,
            seconds=perf_counter() - started,
            corrections=corrections,
            ac_excess_pu=attempt.violation.v_pu,
            ac_excess_percent=attempt.violation.percent,
            traceback=traceback,
        )

    def _request_plan(self, observation: Observation, forecast: Forecast) -> Answer:
        """Request a plan from the controller; none, and the reason, if it has none that may be dispatched."""
        controller = self._controller
        if isinstance(controller, IsolatedController):
            answer, where = controller.answer(observation, forecast), controller.place
        else:
            answer = answer_of(controller, self._plant, observation, forecast)
            where = place_of(type(controller), "plan")
        faults = [] if answer.plan is None or self._clip else dispatch_faults(self._plant, answer.plan)
        if not faults:
            return answer
        return Answer(failure=f"{one_line('its plan may not be dispatched: ' + '; '.join(faults))}{where}")

    def _tried(self, plan: Plan, observation: Observation, forecast: Forecast) -> _Attempt:
        row = Schedules.of_plan(plan, 1)
        found = evaluate(self._plant, row, observation, forecast)
        return _Attempt(plan, found, self._limits.violation(found.flow))

    def _correct(
        self, first: _Attempt, observation: Observation, forecast: Forecast, started: float
    ) -> tuple[_Attempt, int, Answer | None]:
        """Request corrected plans; return the one with the smallest violation, their number, and the last if it failed.

        If the time limit cut one of them short, the plan says so, whichever it is.

        Parameters
        ----------
        started : when the decision began, by `time.perf_counter` [s]
        """
        best = attempt = first
        feedback: AcFeedback | None = None
        made_so_far, failed = self._ac_corrections, None
        cut = first.plan.solver.termination is Termination.TIME_LIMIT
        for made in range(1, self._ac_corrections + 1):
            if not attempt.violation.correctable:
                made_so_far = made - 1
                break
            feedback = next_feedback(feedback, attempt.violation, attempt.plan)
            feedback = replace(feedback, spent_s=perf_counter() - started)
            answer = self._request_plan(replace(observation, ac_feedback=feedback), forecast)
            cut = cut or answer.cut
            if answer.plan is None:
                made_so_far, failed = made, answer
                break
            attempt = self._tried(answer.plan, observation, forecast)
            if attempt.violation.relative.compared(best.violation.relative) <= 0:
                best = attempt
        return _cut_short(best) if cut else best, made_so_far, failed

    def _fall_back(self, observation: Observation, forecast: Forecast) -> tuple[_Attempt, Fallback, str]:
        """Return the fallback plan, its kind, and why the previous plan was not used if it was configured."""
        previous = observation.previous_plan
        memory = previous.memory if previous is not None else {}
        idle = self._tried(replace(hold(self._plant, observation), memory=memory), observation, forecast)
        if self._on_failure is not OnFailure.PREVIOUS_PLAN:
            return idle, Fallback.IDLE, ""
        rest = shifted(previous) if previous is not None else None
        if rest is None:
            return idle, Fallback.IDLE, "nothing is left of a previous plan"
        faults = dispatch_faults(self._plant, rest)
        if faults:
            return idle, Fallback.IDLE, f"the previous plan may not be dispatched: {'; '.join(faults)}"
        rest = replace(rest, solver=SolverOutcome(termination=Termination.PREVIOUS_PLAN))
        continued = self._tried(supplied_row(self._plant, rest, observation, forecast), observation, forecast)
        if continued.violation.relative.compared(idle.violation.relative) > 0:
            return idle, Fallback.IDLE, f"the previous plan {continued.violation}, more than doing nothing"
        return continued, Fallback.PREVIOUS_PLAN, ""


def _cut_short(attempt: _Attempt) -> _Attempt:
    solver = replace(attempt.plan.solver, termination=Termination.TIME_LIMIT)
    return replace(attempt, plan=replace(attempt.plan, solver=solver))


def _noted(attempt: _Attempt, note: Note) -> _Attempt:
    solver = attempt.plan.solver
    return replace(attempt, plan=replace(attempt.plan, solver=replace(solver, notes=(*solver.notes, note))))


def _predicted(attempt: _Attempt) -> Plan:
    """Return the plan with its own prediction, or with one of its first step."""
    if attempt.plan.prediction is not None:
        return attempt.plan
    return replace(attempt.plan, prediction=attempt.evaluation.prediction())
