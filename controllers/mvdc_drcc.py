"""Controller of MVDC links and batteries under forecast errors [B, §2.4-2.5]."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Literal

import numpy as np
from jaxtyping import Float
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
    SolverOutcome,
    Status,
    Termination,
    hold,
)
from gridferry.controllers.model.ahead import Outlook
from gridferry.controllers.model.networks import limits_of
from gridferry.controllers.model.objective import ModelOptions, stands_still
from gridferry.controllers.model.plan import setpoints
from gridferry.controllers.model.solution import EXTRA_TIME, Dispatch, Solved
from gridferry.controllers.model.within_limits import plan_within_limits, refuse_violations
from gridferry.controllers.plans.finite_forecast import refuse_nonfinite
from gridferry.controllers.plans.injections import device_injections
from gridferry.controllers.reliability.tuning import jointly_reliable
from gridferry.controllers.schedule.ac_evaluation import evaluate_rest
from gridferry.controllers.schedule.solved_plan import plan_of
from gridferry.controllers.solve import SolveOptions, SolverTroubleError
from gridferry.controllers.uncertainty.ambiguity import Ambiguity, Scenario
from gridferry.controllers.uncertainty.margin_settings import MarginMaker, MarginSettings
from gridferry.controllers.uncertainty.margins import Margins

_FREE_ROUNDS = 3
"""after these, margins only grow, which ends a to and fro between plans; they then err to the safe side"""
_GAP = 1e-3
"""gap of a plan that counts as none [currency]"""


class MvdcDrccSettings(MarginSettings):
    """Settings of `mvdc_drcc`."""

    margin_tolerance_pu: Annotated[float, Field(gt=0)] = 1e-5
    """margins have settled when linearising at the plan changes none by more [pu]; those of currents, as shares of the
    ratings, where they bind"""
    max_rounds: Annotated[int, Field(ge=1, le=50)] = 8
    """most rounds of linearising and solving"""
    gap: Annotated[float, Field(ge=0, le=1)] = 1e-4
    """relative gap, where negative prices need integers"""
    time_limit_s: Annotated[float, Field(gt=0)] = 60.0
    """time for a plan [s], for each where tuning takes several; margins that have not settled by then are reported"""
    on_infeasible: Literal["raise", "relax"] = "raise"
    """where no plan keeps all limits: fail and name the tightest, or minimise violations"""


@dataclass(frozen=True, eq=False)
class _Settled:
    """Result of the last round: solution, and change of the margins."""

    solved: Solved
    rounds: int
    change_pu: float
    seconds: float


class MvdcDrcc(Controller):
    """MVDC links and batteries, day-ahead or receding, with margins of voltages and currents against forecast errors.

    The margins do not depend on the decisions but on where the sensitivities are taken: the problem is solved, the
    network linearised anew at the plan, and so on until the margins have settled. Trucks stay where they are.
    """

    Settings: ClassVar[type[ControllerSettings]] = MvdcDrccSettings
    settings: MvdcDrccSettings

    def __init__(self, plant: Plant, settings: MvdcDrccSettings):
        super().__init__(plant, settings)
        self.margins = MarginMaker(plant, settings)

    def plan(self, observation: Observation, forecast: Forecast) -> Plan:
        """Return the plan with the minimum cost for the horizon.

        Raises
        ------
        ControllerError
            where the forecast is not finite, or no plan keeps all limits; the message names the tightest bus and step.
        UnboundedError, SolverTroubleError
        """
        refuse_nonfinite(forecast)
        if self.settings.scenario is Scenario.NONE:
            found = evaluate_rest(self.plant, observation, forecast)
            paid = float(found.cost.sum())
            outcome = SolverOutcome(objective=paid, cone_gap=0.0, termination=Termination.RULE)
            return replace(hold(self.plant, observation, forecast.steps), prediction=found.prediction(), solver=outcome)

        def at(confidence: float) -> Plan:
            return self._read(self._settle(observation, forecast, confidence))

        if self.settings.joint_confidence is None:
            return at(self.settings.confidence)
        return jointly_reliable(self.margins, observation, forecast, at, self.plant)

    # -------------------------------------------------------------------------------------------------------- margins

    def _margins_at(
        self, forecast: Forecast, ambiguity: Ambiguity, p: Float[np.ndarray, "horizon port"], q: np.ndarray
    ) -> Margins:
        """Margins at the planned injections."""
        return self.margins.margins(forecast, ambiguity, *device_injections(self.plant, forecast, p, q))

    def _settle(self, observation: Observation, forecast: Forecast, confidence: float) -> _Settled:
        """Compute margins and solve in turn until the margins converge."""
        settings, horizon = self.settings, forecast.steps
        ambiguity = self.margins.ambiguity(observation.step, forecast, confidence)
        rest = hold(self.plant, observation, horizon)
        seconds, rounds = 0.0, 0
        settled: _Settled | None = None
        deadline = time.perf_counter() + settings.time_limit_s
        solver = SolveOptions(gap=settings.gap, gap_abs=_GAP)
        margins = self._margins_at(forecast, ambiguity, rest.p_mw, rest.q_mvar)
        while True:
            rounds += 1
            dispatch = Dispatch(
                outlook=Outlook(self.plant, observation, forecast),
                limits=limits_of(self.plant, horizon, margins),
                options=ModelOptions(plans=stands_still, complementarity_from_start=False),
                solver=solver,
                deadline=deadline,
                near=None if settled is None else settled.solved.model,
                extra_s=EXTRA_TIME * settings.time_limit_s,
            )
            try:
                solved = plan_within_limits([dispatch], dispatch, relax=settings.on_infeasible == "relax")
            except SolverTroubleError as error:
                if settled is None or not error.out_of_time:
                    raise
                return settled
            if settings.on_infeasible == "raise":
                refuse_violations(solved)
            seconds += solved.outcome.seconds
            updated = self._margins_at(forecast, ambiguity, *setpoints(solved.model))
            rises, falls = self._changes(margins, updated)
            change = max(rises, falls) if rounds <= _FREE_ROUNDS else rises
            settled = _Settled(solved, rounds, change, seconds)
            if change <= settings.margin_tolerance_pu or rounds == settings.max_rounds or dispatch.late:
                return settled
            margins = updated if rounds < _FREE_ROUNDS else _larger(margins, updated)

    def _changes(self, before: Margins, after: Margins) -> tuple[float, float]:
        """Largest rise and largest fall of any margin [pu, share of the rating]; of currents, of those that bind."""
        most = np.concatenate([one.loading_max for one in self.plant.feeders]) - self.settings.margin_tolerance_pu
        binding = after.loading > most - np.maximum(before.current, after.current)
        change = np.concatenate(
            [
                (after.upper - before.upper).ravel(),
                (after.lower - before.lower).ravel(),
                (after.current - before.current)[binding],
            ]
        )
        return float(change.max(initial=0.0)), float((-change).max(initial=0.0))

    # --------------------------------------------------------------------------------------------------------- reading

    def _read(self, settled: _Settled) -> Plan:
        """Make a plan of the last solution, with a note if margins have not converged."""
        notes = [Note(NoteKind.ROUNDS, float(settled.rounds))]
        unsettled = settled.change_pu > self.settings.margin_tolerance_pu
        if unsettled:
            notes.append(Note(NoteKind.MARGINS_UNSETTLED, settled.change_pu))
        plan = plan_of(settled.solved, {}, tuple(notes))
        status = Status.FEASIBLE if unsettled else plan.solver.status
        return replace(plan, solver=replace(plan.solver, status=status, seconds=settled.seconds))


def _larger(before: Margins, after: Margins) -> Margins:
    larger = {name: np.maximum(getattr(before, name), getattr(after, name)) for name in ("upper", "lower", "current")}
    return replace(after, **larger)
