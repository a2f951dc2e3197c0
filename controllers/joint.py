"""Controller of trucks, links and batteries: routes every few steps, power every step, margins for forecast errors."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Literal

import numpy as np
from jaxtyping import Int
from pydantic import Field, model_validator

from gridferry.controllers.contract import (
    Controller,
    ControllerError,
    ControllerSettings,
    Forecast,
    Note,
    NoteKind,
    Observation,
    Plan,
    Plant,
    hold,
)
from gridferry.controllers.model.ahead import Outlook
from gridferry.controllers.model.exact_finish import plan_dispatch
from gridferry.controllers.model.networks import Limits, limits_of
from gridferry.controllers.model.objective import ModelOptions
from gridferry.controllers.model.solution import EXTRA_TIME, Dispatch, Solved
from gridferry.controllers.model.within_limits import plan_within_limits, refuse_violations
from gridferry.controllers.plans.finite_forecast import refuse_nonfinite
from gridferry.controllers.plans.injections import device_injections
from gridferry.controllers.plans.shifting import shifted
from gridferry.controllers.reliability.tuning import jointly_reliable, tuned_in_this_step
from gridferry.controllers.routes.two_time_scales import deciding_routes, on_routes, padded, transit_after
from gridferry.controllers.schedule.ac_evaluation import evaluate_rest
from gridferry.controllers.schedule.solved_plan import plan_of
from gridferry.controllers.solve import NoPlanError, SolveOptions, SolverTroubleError
from gridferry.controllers.uncertainty.ambiguity import Scenario
from gridferry.controllers.uncertainty.margin_settings import MarginMaker, MarginSettings
from gridferry.controllers.uncertainty.margins import Margins

_MEMORY = "joint"
_FIRST_MARGINS = 0.5
"""share of the time by which the plan of resting trucks must have been made, for margins without a last plan"""


class JointSettings(MarginSettings):
    """Settings of `joint`."""

    replan_routes: Annotated[int, Field(ge=1)] = 4
    """steps between two decisions about routes; a late truck or a failed arrival brings the next one forward"""
    gap_of_saving: Annotated[float, Field(ge=0, le=1)] = 0.1
    """gap between the cost of a plan and its proved bound at which to stop, as a share of the saving of the plan over
    rest"""
    gap_abs: Annotated[float, Field(ge=0)] = 1.0
    """the same in currency, for horizons in which there is little to save"""
    time_limit_s: Annotated[float, Field(gt=0)] = 30.0
    """time for a plan, corrections by AC included, for each where tuning takes several [s]; the best plan found by then
    is returned with its gap"""
    soc_at_horizon: Literal["store", "free"] | Annotated[float, Field(ge=0, le=1)] = "store"
    """least state of charge where a horizon ends inside a day: as the store has it for midnight, free, or a number"""
    on_infeasible: Literal["relax", "raise"] = "relax"
    """where no plan keeps all limits: minimise violations of voltages, currents and end-of-day energy, or fail"""

    @model_validator(mode="after")
    def _acts(self) -> JointSettings:
        if self.scenario is Scenario.NONE:
            raise ValueError('scenario "none" uses no device; choose the controller idle for that')
        return self


@dataclass(frozen=True, eq=False)
class _Fixed:
    """Fixed routes: positions from this step on, and the step of the decision."""

    targets: Int[np.ndarray, "row position"]
    decided_at: int


class Joint(Controller):
    """Controller of trucks, MVDC links and batteries by one DistFlow model of all networks.

    Every ``replan_routes`` steps, and when a truck is late or not where it was sent, routes and power are decided
    together over the horizon; in between routes are kept, with the delays as they now are, and the power of everything
    is planned anew. A plan is proved against the bound of what was decided: of all routes, or of the routes kept.
    Margins are those of `mvdc_drcc`, taken where the last plan operates the networks. Equal inputs give equal
    plans as long as the time limit does not strike.
    """

    Settings: ClassVar[type[ControllerSettings]] = JointSettings
    settings: JointSettings
    accepts_ac_feedback: ClassVar[bool] = True

    def __init__(self, plant: Plant, settings: JointSettings):
        super().__init__(plant, settings)
        self.margins = MarginMaker(plant, settings)

    def plan(self, observation: Observation, forecast: Forecast) -> Plan:
        """Return the plan with the minimum cost for the horizon.

        Raises
        ------
        InfeasibleError
            where no plan keeps all limits and ``on_infeasible`` is ``raise``.
        ControllerError
            where the forecast is not finite, or the networks have no power flow under it.
        UnboundedError, SolverTroubleError
        """
        refuse_nonfinite(forecast)
        if self.settings.joint_confidence is None:
            return self._plan(observation, forecast, self.settings.confidence)
        first: list[Plan] = []

        def at(confidence: float) -> Plan:
            # routes are decided once: the power on them is what margins change
            plan = self._plan(observation, forecast, confidence, first[0] if first else None)
            first.append(plan)
            return plan

        return jointly_reliable(self.margins, observation, forecast, at, self.plant)

    def _plan(
        self, observation: Observation, forecast: Forecast, confidence: float, decided: Plan | None = None
    ) -> Plan:
        """Return the plan with margins for an individual confidence.

        Parameters
        ----------
        decided : plan whose routes are kept, and which the margins are taken at
        """
        dispatch, staying = self._dispatch(observation, forecast, confidence, decided)
        if decided is None:
            incumbent, fixed = self._incumbent(observation), self._fixed(observation)
        else:
            incumbent, fixed = decided.position, _Fixed(decided.position, observation.step)
        anew = deciding_routes(dispatch, [incumbent])
        kept = on_routes(dispatch, incumbent if fixed is None else fixed.targets)
        # where the routes decided before cannot keep all limits, others may
        attempts = [anew] if fixed is None else [kept] if decided is not None else [kept, anew]
        try:
            solved = plan_within_limits(attempts, kept, relax=self.settings.on_infeasible == "relax")
        except SolverTroubleError as error:
            if staying is None or fixed is not None or not error.out_of_time:
                raise
            dispatch.solver.record.see(error)
            solved = staying
        if self.settings.on_infeasible == "raise":
            refuse_violations(solved)
        return self._read(solved, fixed)

    def _dispatch(
        self, observation: Observation, forecast: Forecast, confidence: float, decided: Plan | None
    ) -> tuple[Dispatch, Solved | None]:
        """Planning task: all devices, limits under margins, gap as a share of the saving over rest.

        Where the first margins take a plan of resting trucks, that one, too.
        """
        settings, feedback = self.settings, observation.ac_feedback
        spent_s = 0.0 if feedback is None or tuned_in_this_step(observation) else feedback.spent_s
        time_limit_s = settings.time_limit_s - spent_s
        if time_limit_s <= 0.0:
            raise ControllerError(f"the time of {settings.time_limit_s:g} s for a plan is used up", out_of_time=True)
        deadline = time.perf_counter() + time_limit_s
        reference = float(evaluate_rest(self.plant, observation, forecast).cost.sum())
        margins = self._margins(observation, forecast, confidence, decided)
        dispatch = Dispatch(
            outlook=Outlook(self.plant, observation, forecast, settings.soc_at_horizon),
            limits=self._limits(observation, margins),
            options=ModelOptions(),
            solver=SolveOptions(
                gap=0.0, gap_abs=settings.gap_abs, gap_of_saving=settings.gap_of_saving, reference=reference
            ),
            deadline=deadline,
            extra_s=EXTRA_TIME * time_limit_s,
        )
        previous = observation.previous_plan
        nothing_left = previous is None or shifted(previous) is None
        if decided is not None or not nothing_left or settings.scenario is Scenario.DETERMINISTIC:
            return dispatch, None
        staying = self._staying(
            replace(
                on_routes(dispatch, self._incumbent(observation)),
                deadline=deadline - (1.0 - _FIRST_MARGINS) * time_limit_s,
            )
        )
        if staying is None:
            return dispatch, None
        margins = self._margins(observation, forecast, confidence, self._read(staying))
        return replace(dispatch, limits=self._limits(observation, margins)), staying

    # --------------------------------------------------------------------------------------------------------- limits

    def _margins(
        self, observation: Observation, forecast: Forecast, confidence: float, plan: Plan | None = None
    ) -> Margins:
        """Margins at the operating point of a plan, by default of the last one."""
        horizon = forecast.steps
        rest = hold(self.plant, observation, horizon)
        p, q, station = rest.p_mw, rest.q_mvar, rest.position
        if plan is None and observation.previous_plan is not None:
            plan = shifted(observation.previous_plan)
        if plan is not None:
            rows = min(horizon, plan.steps)
            p[:rows], q[:rows] = plan.p_mw[:rows], plan.q_mvar[:rows]
            station = padded(plan.position, horizon)
        injected = device_injections(self.plant, forecast, p, q, station)
        ambiguity = self.margins.ambiguity(observation.step, forecast, confidence)
        return self.margins.margins(forecast, ambiguity, *injected)

    def _limits(self, observation: Observation, margins: Margins) -> Limits:
        """Return the limits under margins, with the AC feedback in the first step."""
        feedback, horizon = observation.ac_feedback, len(margins.lower)
        if feedback is None:
            return limits_of(self.plant, horizon, margins)
        lower, upper = margins.lower.copy(), margins.upper.copy()
        lower[0] += feedback.v_low_pu
        upper[0] += feedback.v_high_pu
        limits = limits_of(self.plant, horizon, replace(margins, upper=upper, lower=lower))
        rating = limits.rating.copy()
        rating[0] = np.maximum(rating[0] - feedback.rating, 0.0)
        return replace(limits, rating=rating)

    def _staying(self, dispatch: Dispatch) -> Solved | None:
        """Plan with resting trucks, whose operating point the first margins are taken at."""
        try:
            return plan_dispatch(dispatch)
        except NoPlanError as error:
            dispatch.solver.record.see(error)
            return None

    # --------------------------------------------------------------------------------------------------------- routes

    def _fixed(self, observation: Observation) -> _Fixed | None:
        """Return the fixed routes; ``None`` if routes are to be decided."""
        feedback, previous = observation.ac_feedback, observation.previous_plan
        if feedback is not None and feedback.plan is not None and _MEMORY in feedback.plan.memory:
            return _Fixed(feedback.plan.position, int(feedback.plan.memory[_MEMORY]["decided_at"]))
        if previous is None or previous.steps < 2 or _MEMORY not in previous.memory:
            return None
        known = previous.memory[_MEMORY]
        late = np.any(observation.transit_steps > np.array(known["transit_steps"], dtype=np.int64))
        not_arrived = np.any(observation.position != previous.position[0])
        if late or not_arrived or observation.step - known["decided_at"] >= self.settings.replan_routes:
            return None
        return _Fixed(previous.position[1:], int(known["decided_at"]))

    def _incumbent(self, observation: Observation) -> Int[np.ndarray, "row position"]:
        """Incumbent routes: those of the last plan, or staying."""
        previous = observation.previous_plan
        if previous is None or previous.steps < 2:
            return observation.position[None, :]
        return previous.position[1:]

    def _read(self, solved: Solved, fixed: _Fixed | None = None) -> Plan:
        """Make a plan of the solution, with its routes in the memory."""
        step = decided_at = solved.model.observation.step
        notes: tuple[Note, ...] = ()
        if fixed is not None and solved.routes_given:
            decided_at, notes = fixed.decided_at, (Note(NoteKind.BOUND_FOR_ROUTES, float(fixed.decided_at)),)
        elif solved.routes_given:
            # nothing was decided: the next step has to
            decided_at, notes = step - self.settings.replan_routes, (Note(NoteKind.BOUND_FOR_INCUMBENT),)
        memory = {_MEMORY: {"decided_at": decided_at, "transit_steps": transit_after(solved.model).tolist()}}
        return plan_of(solved, memory, notes)
