"""Published two-stage method: routes and power with zero transit time, then a particle swarm with travel times."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Annotated, ClassVar, Literal

import numpy as np
from jaxtyping import Float, Int
from pydantic import Field

from gridferry.controllers import tolerances
from gridferry.controllers.contract import (
    Controller,
    ControllerSettings,
    Forecast,
    Note,
    NoteKind,
    Observation,
    Plan,
    SolverOutcome,
    Status,
    Termination,
)
from gridferry.controllers.model import plan as read
from gridferry.controllers.model.ahead import Outlook
from gridferry.controllers.model.exact_finish import plan_dispatch
from gridferry.controllers.model.networks import limits_of
from gridferry.controllers.model.objective import ModelOptions, stores_and_sources
from gridferry.controllers.model.solution import EXTRA_TIME, Dispatch, Solved, solve_dispatch, solve_model
from gridferry.controllers.model.within_limits import minimise_violation, within_violation
from gridferry.controllers.plans.finite_forecast import refuse_nonfinite
from gridferry.controllers.schedule.continuation import continued
from gridferry.controllers.schedule.particle_encoding import ScheduledPeriods
from gridferry.controllers.schedule.repair import RepairedSchedules, ScheduleRepair
from gridferry.controllers.schedule.solved_plan import plan_of_schedule
from gridferry.controllers.schedule.swarm import SwarmOptions, swarm
from gridferry.controllers.solve import InfeasibleError, Method, NoPlanError, SolveOptions, TimeRecord

_MEMORY = "mess_two_stage"
_NAN = float("nan")
_FIRST_STAGE = 0.75
"""share of the time that the first stage may take"""


class MessTwoStageSettings(ControllerSettings):
    """Settings of `mess_two_stage`; those of the swarm are the published ones."""

    replan_every: Literal["day"] | Annotated[int, Field(ge=1)] = "day"
    """steps between two plans, or ``day``: at the start of the run and at every local midnight"""
    shift_max: Annotated[int, Field(ge=0)] = 3
    """steps by which the second stage may shift a trip, either way"""
    iterations: Annotated[int, Field(ge=0)] = 500
    """moves of the swarm"""
    particles: Annotated[int, Field(ge=2)] = 10
    """particles of the swarm"""
    inertia_first: Annotated[float, Field(ge=0, le=1)] = 0.9
    """inertia of the first move; it falls linearly"""
    inertia_last: Annotated[float, Field(ge=0, le=1)] = 0.1
    """inertia of the last move"""
    cognitive: Annotated[float, Field(ge=0, le=4)] = 2.0
    """C1, pull of a particle's own best point"""
    social: Annotated[float, Field(ge=0, le=4)] = 2.0
    """C2, pull of the swarm's best point"""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    """seed of the swarm"""
    method: Method = Method.OUTER_APPROXIMATION
    """how the first stage is solved: ``outer_approximation`` or ``scip``"""
    gap: Annotated[float, Field(ge=0, le=1)] = 1e-3
    """relative gap at which the first stage stops"""
    gap_abs: Annotated[float, Field(ge=0)] = 1e-3
    """the same in currency"""
    time_limit_s: Annotated[float, Field(gt=0)] = 120.0
    """time for a plan, at most three quarters of it for the first stage [s]"""
    v_margin_pu: Annotated[float, Field(ge=0, lt=0.1)] = 0.0
    """distance kept from the voltage limits [pu]"""
    restore: bool = True
    """where the swarm's best schedule violates grid limits, plan the power for its trips anew by a cone program"""
    soc_at_horizon: Literal["store", "free"] | Annotated[float, Field(ge=0, le=1)] = "store"
    """least state of charge where a horizon ends inside a day: as the store has it for midnight, free, or a number"""


@dataclass(frozen=True, eq=False)
class _Until:
    """Deadline, by `time.perf_counter` [s], and the record of what it cut short."""

    deadline: float = float("inf")
    record: TimeRecord = field(default_factory=TimeRecord)


@dataclass(frozen=True, eq=False)
class _FirstStage:
    """First stage: routes with zero transit time, and the bound that they prove for routes with travel times."""

    periods: ScheduledPeriods
    bound: float
    termination: Termination
    notes: tuple[Note, ...]


class MessTwoStage(Controller):
    """Trucks, batteries, generators by the published two stages: MISOCP with zero transit time, then a particle swarm.

    The first stage plans stations and power with zero transit time. The second shifts the trips and changes the trucks'
    power within the scheduled periods; every particle is repaired for the travel times of the roads and evaluated by
    its own power flow. It is a day-ahead method: between two plans the schedule is continued, as far as the measured
    state allows. Links rest. Equal inputs give equal plans unless the time limit is reached.
    """

    Settings: ClassVar[type[ControllerSettings]] = MessTwoStageSettings
    settings: MessTwoStageSettings

    def plan(self, observation: Observation, forecast: Forecast) -> Plan:
        """Return the plan of the day, or the rest of it.

        Raises
        ------
        ControllerError
            where the forecast is not finite, or a solver has no answer.
        """
        refuse_nonfinite(forecast)
        previous = observation.previous_plan
        planned_at = None if previous is None else previous.memory.get(_MEMORY)
        if previous is None or planned_at is None or previous.steps < 2 or self._is_due(observation, planned_at):
            return self._plan_anew(observation, forecast)
        memory = {_MEMORY: planned_at}
        return continued(previous, forecast, partial(self._repair, observation), memory, planned_at)

    def _repair(self, observation: Observation, forecast: Forecast) -> ScheduleRepair:
        settings = self.settings
        return ScheduleRepair(self.plant, observation, forecast, settings.soc_at_horizon, settings.v_margin_pu)

    def _is_due(self, observation: Observation, planned_at: int) -> bool:
        every = self.settings.replan_every
        if every == "day":
            return self.plant.day_of(observation.step) > self.plant.day_of(observation.step - 1)
        return observation.step - planned_at >= every

    # --------------------------------------------------------------------------------------------------- planning

    def _plan_anew(self, observation: Observation, forecast: Forecast) -> Plan:
        began, limit_s = time.perf_counter(), self.settings.time_limit_s
        until = _Until(began + limit_s)
        first = self._first_stage(observation, forecast, replace(until, deadline=began + _FIRST_STAGE * limit_s))
        repair = self._repair(observation, forecast)
        best = self._second_stage(observation, forecast, repair, first.periods, until)
        schedule, notes = repair.repair(*first.periods.schedules(best[None])), first.notes
        if self.settings.restore and repair.fitness(schedule)[1][0] > 0:
            schedule, anew = self._restored(observation, forecast, repair, schedule, until)
            notes += anew
        best_known, rests = repair.better_of_rest_and(schedule)
        notes += (Note(NoteKind.DOES_NOTHING),) if rests else ()
        outcome = SolverOutcome(
            status=Status.FEASIBLE,
            bound=first.bound,
            seconds=time.perf_counter() - began,
            termination=Termination.TIME_LIMIT if until.record.cut else first.termination,
            notes=notes,
        )
        return plan_of_schedule(repair, best_known, outcome, {_MEMORY: observation.step})

    def _first_stage(self, observation: Observation, forecast: Forecast, until: _Until) -> _FirstStage:
        """Plan stations and power with zero transit time; violate limits only if no plan keeps them.

        Whoever drives can be matched by one who moves at once and rests at the far end meanwhile, at the same cost. So
        the bound of this problem holds for every schedule with delays.
        """
        notes = [Note(NoteKind.FIRST_STAGE)]
        outlook = Outlook(self.plant, observation, forecast, self.settings.soc_at_horizon, zero_transit_time=True)
        dispatch = replace(self._dispatch(outlook, until), search=solve_model)
        try:
            solved = solve_dispatch(dispatch)
            bound = solved.outcome.bound
        except InfeasibleError:
            solved, bound = self._with_least_violation(dispatch), _NAN
            notes.append(Note(NoteKind.INFEASIBLE_WITHOUT_DELAYS))
        model = solved.model
        if read.fictitious_branch_mw(model) > tolerances.BRANCH_LOSS_MW:
            notes.append(Note(NoteKind.RELAXATION_GAP, read.cone_gap(model), "first stage"))
        notes += read.resting_notes(model)
        p, q = read.setpoints(model)
        periods = ScheduledPeriods(
            vehicles=tuple((self.plant.route_of.index(column), column) for column, _ in model.routes),
            position=read.positions(model),
            start=observation.position,
            p_mw=p,
            q_mvar=q,
            p_max_mw=self.plant.port_p_max_mw,
            shift_max=self.settings.shift_max,
        )
        return _FirstStage(periods, bound, solved.outcome.termination, tuple(notes))

    def _with_least_violation(self, dispatch: Dispatch) -> Solved:
        """Plan with the minimum violation of limits."""
        deadline = time.perf_counter() + dispatch.extra_s
        dispatch = replace(dispatch, deadline=max(dispatch.deadline, deadline))
        violated = minimise_violation(dispatch)
        return within_violation(dispatch, violated) or violated

    def _second_stage(
        self,
        observation: Observation,
        forecast: Forecast,
        repair: ScheduleRepair,
        periods: ScheduledPeriods,
        until: _Until,
    ) -> Float[np.ndarray, " variable"]:
        """Search by the particle swarm, from the first stage's schedule, unchanged and with every trip begun earlier.

        Earlier by the trip's own duration, so that the truck arrives when it was to move, and by as much as is allowed.
        """
        settings = self.settings
        begin = periods.point()
        if periods.size == 0 or settings.iterations == 0:
            return begin
        rng = np.random.default_rng([settings.seed, observation.step])
        earliest = tuple(np.full_like(trips, -settings.shift_max) for trips in periods.trips)
        known = [begin, periods.point(self._earlier(observation.step, forecast, periods)), periods.point(earliest)][
            : settings.particles
        ]
        starts = np.concatenate([known, periods.around(begin, settings.particles - len(known), rng)])
        options = SwarmOptions(
            iterations=settings.iterations,
            inertia_first=settings.inertia_first,
            inertia_last=settings.inertia_last,
            cognitive=settings.cognitive,
            social=settings.social,
            seed=int(rng.integers(2**32)),
            deadline=until.deadline,
            record=until.record,
        )
        return swarm(lambda x: repair.fitness(repair.repair(*periods.schedules(x))), *periods.bounds, starts, options)

    def _restored(
        self,
        observation: Observation,
        forecast: Forecast,
        repair: ScheduleRepair,
        given: RepairedSchedules,
        until: _Until | None = None,
    ) -> tuple[RepairedSchedules, tuple[Note, ...]]:
        """Plan P and Q anew for the trips of a schedule; the schedule stays where that has no smaller violation.

        The swarm tunes active power only, and the first stage's reactive power was not meant for trucks that are late.
        """
        outlook = Outlook(self.plant, observation, forecast, self.settings.soc_at_horizon, fixed=given.position[0])
        dispatch = self._dispatch(outlook, until or _Until())
        if dispatch.late:
            return given, ()
        try:
            try:
                solved = plan_dispatch(dispatch)
            except InfeasibleError:
                solved = self._with_least_violation(dispatch)
        except NoPlanError:
            return given, ()
        p, q = (one[None] for one in read.setpoints(solved.model))
        planned = repair.repair(given.position[:1], p, q)
        if repair.fitness(planned)[1][0] >= repair.fitness(given)[1][0]:
            return given, ()
        return planned, (Note(NoteKind.POWER_PLANNED_ANEW),)

    def _dispatch(self, outlook: Outlook, until: _Until) -> Dispatch:
        settings = self.settings
        return Dispatch(
            outlook=outlook,
            limits=limits_of(self.plant, outlook.horizon, v_margin_pu=settings.v_margin_pu),
            options=ModelOptions(plans=stores_and_sources),
            solver=SolveOptions(
                method=settings.method,
                gap=settings.gap,
                gap_abs=settings.gap_abs,
                record=until.record,
            ),
            deadline=until.deadline,
            extra_s=EXTRA_TIME * settings.time_limit_s,
        )

    def _earlier(self, step: int, forecast: Forecast, periods: ScheduledPeriods) -> tuple[Int[np.ndarray, " _"], ...]:
        """Shifts of every trip by minus its own duration."""
        if self.plant.roads is None:
            return ()
        transit = self.plant.roads.transit_steps(forecast.congestion, self.plant.step_s, step=step)
        shifts = []
        for (_, at), begins in zip(periods.vehicles, periods.trips, strict=True):
            stations = np.concatenate([periods.start[at : at + 1], periods.position[:, at]])
            shifts.append(-transit[begins, stations[begins], stations[begins + 1]])
        return tuple(shifts)
