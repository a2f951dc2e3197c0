"""Mobile storage by one exact problem: places, delays, power and power flow in a single mixed-integer cone program."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, ClassVar, Literal, cast

import cvxpy as cp
import numpy as np
from pydantic import Field

from controllers.blocks import mess_plan
from controllers.blocks.fixed_route import on_route, route_values, stretched
from controllers.blocks.following import followed
from controllers.blocks.mess import MessModel
from controllers.blocks.mess_parts import MessOptions
from controllers.blocks.route_search import search_routes
from controllers.blocks.solved_mess import MADE_UP_MW, SolvedMess, Task, plan_of, solve_mess
from controllers.contract import (
    Controller,
    ControllerSettings,
    Forecast,
    Observation,
    Plan,
    Plant,
    SolverOutcome,
)
from controllers.shifting import first_steps
from controllers.solve import InfeasibleError, Method, Model, Problem, SolveOptions, solve

_LOSS_PRICES = (1.0, 10.0, 100.0)
"""prices of losses, in highest energy prices, tried in turn to close an open cone"""
_LEAST_SECONDS = 1.0
"""what a solve is given when the time is used up; the routes tried first then still give a plan [s]"""
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
        UnboundedError, SolverTroubleError
        """
        until = time.perf_counter() + self._settings.time_limit_s
        previous = observation.previous_plan
        wanted = None if previous is None or previous.steps < 2 else previous.destination[1:]
        planned_at = None if previous is None else previous.memory.get(_MEMORY)
        if (
            wanted is not None
            and planned_at is not None
            and observation.step - planned_at < self._settings.replan_every
        ):
            if self._settings.in_between == "follow" and previous is not None:
                memory = {_MEMORY: planned_at}
                return followed(self.plant, observation, forecast, self._options(), previous, memory)
            kept = first_steps(forecast, min(forecast.steps, len(wanted)))
            try:
                plan = self._read(
                    observation, kept, self._solve(observation, kept, wanted, until, keep=True), planned_at
                )
            except InfeasibleError:
                # the old routes no longer lead anywhere: decide anew, now
                pass
            else:
                ended = f"{plan.solver.ended}; the bound is for the routes decided at step {planned_at}"
                return replace(plan, solver=replace(plan.solver, ended=ended))
        return self._read(observation, forecast, self._decide(observation, forecast, wanted, until), observation.step)

    def _decide(
        self, observation: Observation, forecast: Forecast, wanted: np.ndarray | None, until: float
    ) -> SolvedMess:
        """Decide about routes and power; miss limits only where nothing else is left, in half the time again."""
        again = 0.5 * self._settings.time_limit_s
        try:
            solved = self._solve(observation, forecast, wanted, until)
        except InfeasibleError:
            if self._settings.on_infeasible == "raise":
                raise
            return self._solve(observation, forecast, wanted, max(until, time.perf_counter() + again), relaxed=True)
        if mess_plan.open_cones_mw(self.plant, solved.built) > MADE_UP_MW and self._settings.on_infeasible == "relax":
            # only losses that do not exist keep the limits
            honest = self._solve(observation, forecast, wanted, max(until, time.perf_counter() + again), relaxed=True)
            return honest if honest.cone_gap < solved.cone_gap else solved
        return solved

    def _solve(
        self,
        observation: Observation,
        forecast: Forecast,
        wanted: np.ndarray | None,
        until: float,
        *,
        keep: bool = False,
        relaxed: bool = False,
    ) -> SolvedMess:
        """Solve, and close cones that stay open by pricing losses; the bound stays that of the unpriced problem."""
        first = self._once(observation, forecast, wanted, until, keep, relaxed, 0.0)
        if mess_plan.open_cones_mw(self.plant, first.built) <= MADE_UP_MW:
            return first
        dear = max(float(np.abs(forecast.buy_price).max()), 1.0)
        route = mess_plan.destinations(first.built, observation)
        best = first
        tries = [(True, price * dear) for price in _LOSS_PRICES] + ([] if keep else [(False, _LOSS_PRICES[-1] * dear)])
        for keep_route, price in tries:
            tried = self._once(observation, forecast, route, until, keep_route, relaxed, price)
            if tried.cone_gap < best.cone_gap:
                bound = min(first.outcome.bound, tried.outcome.objective)
                best = replace(tried, outcome=replace(tried.outcome, bound=bound))
            if mess_plan.open_cones_mw(self.plant, best.built) <= MADE_UP_MW or time.perf_counter() > until:
                break
        return best

    def _once(
        self,
        observation: Observation,
        forecast: Forecast,
        wanted: np.ndarray | None,
        until: float,
        keep: bool,
        relaxed: bool,
        loss_price: float,
    ) -> SolvedMess:
        """Build and solve, for the wanted routes only where they are kept."""

        def run(built: MessModel) -> SolverOutcome:
            model = built.model
            if keep and wanted is not None:
                held = on_route(self.plant, built, observation, stretched(wanted, built.horizon))
                model = replace(model, constraints=[*model.constraints, *held])
            starts = [] if keep else self._starts(built, observation, wanted)
            if self._settings.method is Method.OUTER_APPROXIMATION and built.routes and not keep:
                return search_routes(Problem(model), built, task, starts)
            return self._run(model, max(until - time.perf_counter(), _LEAST_SECONDS), starts)

        task = self._task(observation, forecast, max(until, time.perf_counter() + _LEAST_SECONDS), relaxed, loss_price)
        return solve_mess(task, run)

    def _task(
        self,
        observation: Observation,
        forecast: Forecast,
        until: float = np.inf,
        relaxed: bool = False,
        loss_price: float = 0.0,
    ) -> Task:
        asked = SolveOptions(gap=self._settings.gap, gap_abs=self._settings.gap_abs)
        return Task(self.plant, observation, forecast, self._options(relaxed, loss_price), asked, until)

    def _options(self, relaxed: bool = False, loss_price: float = 0.0) -> MessOptions:
        wish = self._settings
        at_horizon = wish.soc_at_horizon if isinstance(wish.soc_at_horizon, float) else None
        return MessOptions(wish.v_margin_pu, at_horizon, wish.soc_at_horizon == "store", relaxed, loss_price)

    def _run(
        self, model: Model, time_limit_s: float, starts: Sequence[Mapping[cp.Variable, np.ndarray]]
    ) -> SolverOutcome:
        wish = self._settings
        options = SolveOptions(method=wish.method, gap=wish.gap, gap_abs=wish.gap_abs, time_limit_s=time_limit_s)
        return solve(model, options, starts)

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
                stations[(stations.index(int(observation.station[k])) + turn) % len(stations)]
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

    def _read(self, observation: Observation, forecast: Forecast, solved: SolvedMess, planned_at: int) -> Plan:
        """Turn the solution into a plan."""
        return plan_of(self._task(observation, forecast), solved, {_MEMORY: planned_at})
