"""Trucks, links and batteries together: routes now and then, setpoints every step, margins against forecast errors."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Literal, cast

import numpy as np
from jaxtyping import Int
from pydantic import Field, model_validator

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
from gridferry.controllers.plans.finite_forecast import refuse_nonfinite
from gridferry.controllers.plans.shifting import shifted
from gridferry.controllers.routes.fixed_routes import route_values, stretched, transit_after
from gridferry.controllers.routes.two_time_scales import plan_nearest, plan_power, plan_routes
from gridferry.controllers.schedule.ac_evaluation import evaluate_rest
from gridferry.controllers.schedule.ac_flow import device_injections
from gridferry.controllers.schedule.solved_plan import plan_of
from gridferry.controllers.solve import InfeasibleError, SolveOptions, SolverTroubleError
from gridferry.controllers.uncertainty.margin_settings import MarginMaker, MarginSettings
from gridferry.controllers.uncertainty.margins import Margins
from gridferry.controllers.uncertainty.voltage_margins import Scenario

_MEMORY = "joint"
_ONLY_ON_PAPER = "only losses that do not exist keep the limits"


class JointSettings(MarginSettings):
    """Settings of `joint`."""

    replan_routes: Annotated[int, Field(ge=1)] = 4
    """steps between two decisions about routes; a late truck or a missed arrival brings the next one forward"""
    gap_of_saving: Annotated[float, Field(ge=0, le=1)] = 0.1
    """gap between the cost of a plan and its proved bound at which to stop, as a share of what the plan saves over
    doing nothing"""
    gap_abs: Annotated[float, Field(ge=0)] = 1.0
    """the same in currency, for horizons in which there is little to save"""
    time_limit_s: Annotated[float, Field(gt=0)] = 30.0
    """time for a plan [s]; the best plan found by then is returned with its gap"""
    soc_at_horizon: Literal["store", "free"] | Annotated[float, Field(ge=0, le=1)] = "store"
    """least state of charge where a horizon ends inside a day: as the store has it for midnight, free, or a number"""
    on_infeasible: Literal["relax", "raise"] = "relax"
    """where no plan keeps all limits: miss voltages, currents or end-of-day energy by as little as can be, or fail"""

    @model_validator(mode="after")
    def _acts(self) -> JointSettings:
        if self.scenario is Scenario.NONE:
            raise ValueError('scenario "none" uses no device; choose the controller idle for that')
        return self


@dataclass(frozen=True, eq=False)
class _Kept:
    """Routes decided before: the stations wanted from this step on, and when that was."""

    wanted: Int[np.ndarray, "row truck"]
    decided_at: int


class Joint(Controller):
    """Routes and power of trucks, MVDC links and batteries on one DistFlow plan of all networks.

    Every ``replan_routes`` steps, and when a truck is late or not where it was sent, routes and power are decided
    together over the horizon; in between routes are kept, with the delays as they now are, and the power of everything
    is planned anew. A plan is proved against the bound of what was decided: of all routes, or of the routes kept.
    Voltage margins are those of `mvdc_drcc`, taken where the last plan operates the networks. Equal inputs give equal
    plans as long as the time limit does not strike.
    """

    Settings: ClassVar[type[ControllerSettings]] = JointSettings
    accepts_ac_feedback: ClassVar[bool] = True

    def __init__(self, plant: Plant, settings: ControllerSettings):
        super().__init__(plant, settings)
        self._settings = cast(JointSettings, settings)
        self.margins = MarginMaker(plant, self._settings)

    def plan(self, observation: Observation, forecast: Forecast) -> Plan:
        """Return the plan of least cost for the horizon.

        Raises
        ------
        InfeasibleError
            where no plan keeps all limits and ``on_infeasible`` is ``raise``.
        ControllerError
            where the forecast is not finite, or the networks have no power flow under it.
        UnboundedError, SolverTroubleError
        """
        refuse_nonfinite(forecast)
        wish = self._settings
        until = time.perf_counter() + wish.time_limit_s
        reference = float(evaluate_rest(self.plant, observation, forecast).cost.sum())
        asked = SolveOptions(gap=0.0, gap_abs=wish.gap_abs, gap_of_saving=wish.gap_of_saving, reference=reference)
        margins = self._margins(observation, forecast)
        task = Task(self.plant, observation, forecast, self._options(observation, forecast, margins), asked, until)
        kept = self._kept(observation)
        previous = observation.previous_plan
        nothing_left = previous is None or shifted(previous) is None
        if nothing_left and wish.scenario is not Scenario.DETERMINISTIC:
            margins = self._first_margins(task, margins)
            task = replace(task, options=self._options(observation, forecast, margins))
        return self._keep(task, kept) if kept is not None else self._decide(task)

    def _keep(self, task: Task, kept: _Kept) -> Plan:
        """Plan the power for routes decided before; where they cannot keep all limits, look whether others do."""
        try:
            solved = plan_power(task, kept.wanted)
            if self._honest(task, solved):
                return self._read(task, solved, kept)
        except (InfeasibleError, SolverTroubleError):
            # trouble, too, is mostly a problem with no or hardly any room
            if time.perf_counter() > task.until:
                raise
        try:
            solved = self._routes(task)
            if not self._honest(task, solved):
                raise InfeasibleError(_ONLY_ON_PAPER)
            return self._read(task, solved)
        except (InfeasibleError, SolverTroubleError) as error:
            if self._settings.on_infeasible == "raise":
                raise
            task = self._with_more_time(task)
            nearest = plan_nearest(task, kept.wanted, lambda one: plan_power(one, kept.wanted), error)
            return self._read(task, nearest, kept)

    def _decide(self, task: Task) -> Plan:
        """Decide about routes and power; miss limits only where nothing else is left."""
        try:
            solved = self._routes(task)
            if not self._honest(task, solved):
                raise InfeasibleError(_ONLY_ON_PAPER)
            return self._read(task, solved)
        except (InfeasibleError, SolverTroubleError) as error:
            timed_out = isinstance(error, SolverTroubleError) and time.perf_counter() > task.until
            if self._settings.on_infeasible == "raise" or timed_out:
                raise
            task = self._with_more_time(task)
            return self._read(task, plan_nearest(task, self._at_hand(task.observation), self._routes, error))

    def _with_more_time(self, task: Task) -> Task:
        """To miss limits by the least may take half the time again."""
        until = time.perf_counter() + 0.5 * self._settings.time_limit_s
        return replace(task, until=max(task.until, until))

    def _honest(self, task: Task, solved: SolvedMess) -> bool:
        """Whether a plan is a power flow, or nothing better is wanted."""
        return openness(task, solved) <= 1.0 or self._settings.on_infeasible == "raise"

    # --------------------------------------------------------------------------------------------------------- limits

    def _margins(self, observation: Observation, forecast: Forecast, plan: Plan | None = None) -> Margins:
        """Margins where a plan operates the networks; where the last plan does, if none is given."""
        horizon = forecast.steps
        p, q = np.zeros((horizon, self.plant.n_port)), np.zeros((horizon, self.plant.n_port))
        station = np.repeat(observation.position[None, :], horizon, axis=0)
        if plan is None and observation.previous_plan is not None:
            plan = shifted(observation.previous_plan)
        if plan is not None:
            rows = min(horizon, plan.steps)
            p[:rows], q[:rows] = plan.p_mw[:rows], plan.q_mvar[:rows]
            station = stretched(plan.position, horizon)
        injected = device_injections(self.plant, p, q, station)
        return self.margins.margins(forecast, self.margins.ambiguity(observation.step, forecast), *injected)

    def _options(self, observation: Observation, forecast: Forecast, margins: Margins) -> MessOptions:
        """Set the model up, with what AC asks for in the first step."""
        wish, feedback = self._settings, observation.ac_feedback
        taken = None
        if feedback is not None:
            lower, upper = margins.lower.copy(), margins.upper.copy()
            lower[0] += feedback.v_low_pu
            upper[0] += feedback.v_high_pu
            margins = Margins(upper=upper, lower=lower)
            taken = np.zeros((forecast.steps, self.plant.n_branch))
            taken[0] = feedback.rating
        return MessOptions(
            soc_at_horizon=wish.soc_at_horizon if isinstance(wish.soc_at_horizon, float) else None,
            use_store_end=wish.soc_at_horizon == "store",
            links=True,
            margins=margins,
            taken=taken,
        )

    def _first_margins(self, task: Task, margins: Margins) -> Margins:
        """Margins where the networks operate when trucks stay, for want of a last plan."""
        one = replace(task, options=self._options(task.observation, task.forecast, margins))
        try:
            solved = plan_power(one, self._at_hand(task.observation))
        except (InfeasibleError, SolverTroubleError):
            return margins
        return self._margins(task.observation, task.forecast, self._read(one, solved))

    # --------------------------------------------------------------------------------------------------------- routes

    def _kept(self, observation: Observation) -> _Kept | None:
        """Return the routes to be kept, ``None`` where they are to be decided."""
        feedback, previous = observation.ac_feedback, observation.previous_plan
        if feedback is not None and feedback.plan is not None and _MEMORY in feedback.plan.memory:
            return _Kept(feedback.plan.position, int(feedback.plan.memory[_MEMORY]["decided_at"]))
        if previous is None or previous.steps < 2 or _MEMORY not in previous.memory:
            return None
        known = previous.memory[_MEMORY]
        late = np.any(observation.transit_steps > np.array(known["transit_steps"], dtype=np.int64))
        missed = np.any(observation.position != previous.position[0])
        if late or missed or observation.step - known["decided_at"] >= self._settings.replan_routes:
            return None
        return _Kept(previous.position[1:], int(known["decided_at"]))

    def _at_hand(self, observation: Observation) -> Int[np.ndarray, "row truck"]:
        """The last plan's routes, or staying."""
        previous = observation.previous_plan
        if previous is None or previous.steps < 2:
            return observation.position[None, :]
        return previous.position[1:]

    def _routes(self, task: Task) -> SolvedMess:
        """Decide about routes and power."""
        hand = stretched(self._at_hand(task.observation), task.forecast.steps)
        if not self.plant.trucks:
            return plan_power(task, hand)
        return plan_routes(task, lambda built: [route_values(self.plant, built, task.observation, hand)])

    def _read(self, task: Task, solved: SolvedMess, kept: _Kept | None = None) -> Plan:
        """Turn the solution into a plan that remembers its routes."""
        step = decided_at = task.observation.step
        notes: tuple[Note, ...] = ()
        if kept is not None:
            decided_at, notes = kept.decided_at, (Note(NoteKind.BOUND_FOR_ROUTES, float(kept.decided_at)),)
        elif solved.routes_given:
            # nothing was decided: the next step has to
            decided_at, notes = step - self._settings.replan_routes, (Note(NoteKind.BOUND_FOR_INCUMBENT),)
        expected = transit_after(solved.built, task.observation)
        memory = {_MEMORY: {"decided_at": decided_at, "transit_steps": expected.tolist()}}
        return plan_of(task, solved, memory, notes)
