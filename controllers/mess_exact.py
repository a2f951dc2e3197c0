"""Mobile storage by one exact problem: places, delays, power and power flow in a single mixed-integer cone program."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Annotated, ClassVar, Literal, cast

import cvxpy as cp
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
    Plant,
)
from gridferry.controllers.model.parts import MessOptions
from gridferry.controllers.model.solution import SolvedMess, Task, openness
from gridferry.controllers.model.storage_dispatch import MessModel
from gridferry.controllers.plans.finite_forecast import refuse_nonfinite
from gridferry.controllers.plans.shifting import first_steps
from gridferry.controllers.routes.fixed_routes import route_values, stretched
from gridferry.controllers.routes.two_time_scales import plan_nearest, plan_power, plan_routes
from gridferry.controllers.schedule.continuation import followed
from gridferry.controllers.schedule.solved_plan import plan_of
from gridferry.controllers.solve import InfeasibleError, Method, SolveOptions

_MEMORY = "mess_exact"


class MessExactSettings(ControllerSettings):
    """Settings of `mess_exact`."""

    replan_every: Annotated[int, Field(ge=1)] = 1
    """steps between two decisions about routes"""
    in_between: Literal["power", "follow"] = "power"
    """between two decisions: keep the routes and plan the power anew, or follow the whole plan, cut to what the
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
    """where no plan keeps all limits: miss voltages, currents or end-of-day energy by as little as can be, or fail"""


class MessExact(Controller):
    """Trucks and batteries by one mixed-integer cone program with transit times inside; links stay at zero.

    Every ``replan_every`` steps routes and power are decided over the whole horizon from the measured state. In between
    the routes of the last decision are kept, with the delays as they now are, and the power is planned anew, so that
    what drifted is made up for; or the whole plan is followed as far as the measured state allows. Equal
    inputs give equal plans as long as the time limit does not strike.
    """

    Settings: ClassVar[type[ControllerSettings]] = MessExactSettings

    def __init__(self, plant: Plant, settings: ControllerSettings):
        super().__init__(plant, settings)
        self._settings = cast(MessExactSettings, settings)

    def plan(self, observation: Observation, forecast: Forecast) -> Plan:
        """Return the plan of least cost for the horizon.

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
        wanted = None if previous is None or previous.steps < 2 else previous.position[1:]
        planned_at: int | None = None if previous is None else previous.memory.get(_MEMORY)
        hand = observation.position[None, :] if wanted is None else wanted
        due = planned_at is None or observation.step - planned_at >= self._settings.replan_every
        if wanted is not None and planned_at is not None and not due:
            if self._settings.in_between == "follow" and previous is not None:
                memory = {_MEMORY: planned_at}
                return followed(self.plant, observation, forecast, self._options(), previous, memory)
            kept = self._task(observation, first_steps(forecast, min(forecast.steps, len(wanted))))
            try:
                return self._read(kept, plan_power(kept, wanted), planned_at)
            except InfeasibleError:
                # the old routes no longer lead anywhere: decide anew, now
                pass
        task = self._task(observation, forecast)

        def decide(one: Task) -> SolvedMess:
            if not due and one.options.allowed is not None:
                return plan_power(one, hand)
            return plan_routes(one, lambda built: self._starts(built, observation, wanted))

        try:
            solved = decide(task)
            if openness(task, solved) > 1.0 and self._settings.on_infeasible == "relax":
                raise InfeasibleError("only losses that do not exist keep the limits")
        except InfeasibleError as error:
            if self._settings.on_infeasible == "raise":
                raise
            again = 0.5 * self._settings.time_limit_s
            late = replace(task, until=max(task.until, time.perf_counter() + again))
            solved = plan_nearest(late, hand, decide, error)
        if not solved.routes_given:
            planned_at = observation.step
        return self._read(task, solved, planned_at)

    def _task(self, observation: Observation, forecast: Forecast) -> Task:
        wish = self._settings
        asked = SolveOptions(method=wish.method, gap=wish.gap, gap_abs=wish.gap_abs)
        until = time.perf_counter() + wish.time_limit_s
        return Task(self.plant, observation, forecast, self._options(), asked, until)

    def _options(self) -> MessOptions:
        wish = self._settings
        at_horizon = wish.soc_at_horizon if isinstance(wish.soc_at_horizon, float) else None
        return MessOptions(wish.v_margin_pu, at_horizon, wish.soc_at_horizon == "store")

    def _starts(
        self, built: MessModel, observation: Observation, wanted: np.ndarray | None
    ) -> list[dict[cp.Variable, np.ndarray]]:
        """Routes worth trying first: the last plan's, staying, and going to each of the other stations at once."""
        if not built.routes:
            return []
        most = max(len(stations) for stations in built.stations)
        targets = [] if wanted is None else [stretched(wanted, built.horizon)]
        for turn in range(most):
            row = [
                stations[(stations.index(int(observation.position[k])) + turn) % len(stations)]
                for k, stations in enumerate(built.stations)
            ]
            targets.append(np.tile(np.array(row, dtype=np.int64), (built.horizon, 1)))
        starts = [route_values(self.plant, built, observation, target) for target in targets]
        flat = [used for used in built.used if used is not None]
        if flat:
            stay = starts[-most]
            starts = [start | {used: np.ones(used.shape) for used in flat} for start in starts]
            starts.append(stay | {used: np.zeros(used.shape) for used in flat})
        return starts

    def _read(self, task: Task, solved: SolvedMess, planned_at: int | None) -> Plan:
        """Turn the solution into a plan."""
        notes: tuple[Note, ...] = ()
        if planned_at is None:
            # nothing was decided: the next step has to
            planned_at, notes = task.observation.step - self._settings.replan_every, (Note(NoteKind.BOUND_FOR_STAYING),)
        elif solved.routes_given:
            notes = (Note(NoteKind.BOUND_FOR_ROUTES, float(planned_at)),)
        return plan_of(task, solved, {_MEMORY: planned_at}, notes)
