"""Exact controller of mobile storage: routes, delays, power and power flow in one mixed-integer cone program."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from gridferry.controllers.contract import (
    Controller,
    ControllerSettings,
    Forecast,
    Note,
    NoteKind,
    Observation,
    Plan,
)
from gridferry.controllers.devices import Position
from gridferry.controllers.model.ahead import Outlook
from gridferry.controllers.model.networks import Limits, limits_of
from gridferry.controllers.model.objective import ModelOptions, stores_and_sources
from gridferry.controllers.model.solution import EXTRA_TIME, Dispatch, Solved
from gridferry.controllers.model.within_limits import plan_within_limits, refuse_violations
from gridferry.controllers.plans.finite_forecast import refuse_nonfinite
from gridferry.controllers.routes.two_time_scales import deciding_routes, on_routes
from gridferry.controllers.schedule.continuation import continued
from gridferry.controllers.schedule.repair import ScheduleRepair
from gridferry.controllers.schedule.solved_plan import plan_of
from gridferry.controllers.solve import Method, SolveOptions

_MEMORY = "mess_exact"


class MessExactSettings(ControllerSettings):
    """Settings of `mess_exact`."""

    replan_every: Annotated[int, Field(ge=1)] = 1
    """steps between two decisions about routes"""
    in_between: Literal["power", "follow"] = "power"
    """between two decisions: keep the routes and plan the power anew, or continue the plan, cut to what the
    measured state allows"""
    method: Method = Method.OUTER_APPROXIMATION
    """``outer_approximation`` or ``scip``; both exact"""
    gap: Annotated[float, Field(ge=0, le=1)] = 1e-4
    """relative gap between the cost of a plan and its proved bound at which to stop"""
    gap_abs: Annotated[float, Field(ge=0)] = 1e-3
    """the same in currency"""
    time_limit_s: Annotated[float, Field(gt=0)] = 60.0
    """time for a plan [s]; the best plan found by then is returned with its gap"""
    v_margin_pu: Annotated[float, Field(ge=0, lt=0.1)] = 0.0
    """distance kept from the voltage limits [pu]"""
    soc_at_horizon: Literal["store", "free"] | Annotated[float, Field(ge=0, le=1)] = "store"
    """least state of charge where a horizon ends inside a day: as the store has it for midnight, free, or a number"""
    on_infeasible: Literal["relax", "raise"] = "relax"
    """where no plan keeps all limits: minimise violations of voltages, currents and end-of-day energy, or fail"""


class MessExact(Controller):
    """Trucks, batteries and generators by one mixed-integer cone program with transit times; links rest.

    Every ``replan_every`` steps routes and power are planned over the horizon from the measured state. In between the
    routes are fixed, with the present delays, and the power is planned anew, which corrects deviations; or the plan is
    continued as far as the measured state allows. Equal inputs give equal plans unless the time limit is reached.
    """

    Settings: ClassVar[type[ControllerSettings]] = MessExactSettings
    settings: MessExactSettings

    def plan(self, observation: Observation, forecast: Forecast) -> Plan:
        """Return the plan with the minimum cost for the horizon.

        Raises
        ------
        InfeasibleError
            where no plan keeps all limits and ``on_infeasible`` is ``raise``.
        ControllerError
            where the forecast is not finite.
        UnboundedError, SolverTroubleError
        """
        refuse_nonfinite(forecast)
        previous = observation.previous_plan
        targets = None if previous is None or previous.steps < 2 else previous.position[1:]
        planned_at: int | None = None if previous is None else previous.memory.get(_MEMORY)
        due = planned_at is None or observation.step - planned_at >= self.settings.replan_every
        follows = self.settings.in_between == "follow" and not due
        if follows and previous is not None and targets is not None and planned_at is not None:
            repair = partial(self._repair, observation)
            return continued(previous, forecast, repair, {_MEMORY: planned_at}, planned_at)
        dispatch = self._dispatch(observation, forecast)
        decided = deciding_routes(dispatch, self._starts(observation, targets))
        kept = on_routes(decided, observation.position[None, :] if targets is None else targets)
        attempts = [decided]
        if not due and targets is not None:
            ahead = forecast.first(min(forecast.steps, len(targets)))
            horizon = self._outlook(observation, ahead)
            kept = on_routes(replace(dispatch, outlook=horizon, limits=self._limits(horizon)), targets)
            # where the old routes no longer lead anywhere, others are decided, now
            attempts = [kept, decided]
        solved = plan_within_limits(attempts, kept, relax=self.settings.on_infeasible == "relax")
        if self.settings.on_infeasible == "raise":
            refuse_violations(solved)
        return self._read(solved, planned_at)

    def _repair(self, observation: Observation, forecast: Forecast) -> ScheduleRepair:
        settings = self.settings
        return ScheduleRepair(self.plant, observation, forecast, settings.soc_at_horizon, settings.v_margin_pu)

    def _outlook(self, observation: Observation, forecast: Forecast) -> Outlook:
        return Outlook(self.plant, observation, forecast, self.settings.soc_at_horizon)

    def _limits(self, outlook: Outlook) -> Limits:
        return limits_of(self.plant, outlook.horizon, v_margin_pu=self.settings.v_margin_pu)

    def _dispatch(self, observation: Observation, forecast: Forecast) -> Dispatch:
        settings, outlook = self.settings, self._outlook(observation, forecast)
        return Dispatch(
            outlook=outlook,
            limits=self._limits(outlook),
            options=ModelOptions(plans=stores_and_sources),
            solver=SolveOptions(method=settings.method, gap=settings.gap, gap_abs=settings.gap_abs),
            deadline=time.perf_counter() + settings.time_limit_s,
            extra_s=EXTRA_TIME * settings.time_limit_s,
        )

    def _starts(self, observation: Observation, targets: np.ndarray | None) -> list[np.ndarray]:
        """Warm starts: positions of the last plan, staying, and driving to each of the other stations at once."""
        starts = [] if targets is None else [targets]
        rings = [
            _ring(position, int(at)) for position, at in zip(self.plant.positions, observation.position, strict=True)
        ]
        turns = max(map(len, rings), default=0)
        return starts + [np.array([[ring[turn % len(ring)] for ring in rings]]) for turn in range(turns)]

    def _read(self, solved: Solved, planned_at: int | None) -> Plan:
        """Make a plan of the solution, with the step of the route decision in the memory."""
        notes: tuple[Note, ...] = ()
        if solved.dispatch.search is not None:
            planned_at = solved.model.observation.step
        elif planned_at is None:
            # nothing was decided: the next step has to
            step = solved.model.observation.step
            planned_at, notes = step - self.settings.replan_every, (Note(NoteKind.BOUND_FOR_STAYING),)
        elif solved.routes_given:
            notes = (Note(NoteKind.BOUND_FOR_ROUTES, float(planned_at)),)
        return plan_of(solved, {_MEMORY: planned_at}, notes)


def _ring(position: Position, at: int) -> tuple[int, ...]:
    """Values that a position can take, its present one first."""
    every = position.choices if at in position.choices else (*position.choices, at)
    first = every.index(at)
    return every[first:] + every[:first]
