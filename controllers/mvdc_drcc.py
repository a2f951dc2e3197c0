"""MVDC links and batteries under forecast errors: deterministic, robust, distributionally robust [B, §2.4-2.5]."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Literal, cast

import numpy as np
from jaxtyping import Float
from pydantic import Field

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
    SolverOutcome,
    Status,
    Termination,
    hold,
)
from gridferry.controllers.model import link_plan as mvdc_plan
from gridferry.controllers.model.link_dispatch import MvdcModel, SquaredLimits, mvdc_model, squared_limits
from gridferry.controllers.plans.finite_forecast import refuse_nonfinite
from gridferry.controllers.schedule.ac_evaluation import evaluate_plan, evaluate_rest
from gridferry.controllers.schedule.ac_flow import ac_flow, device_injections
from gridferry.controllers.solve import InfeasibleError, SolveOptions, SolverTroubleError, solve
from gridferry.controllers.uncertainty.margin_settings import MarginMaker, MarginSettings
from gridferry.controllers.uncertainty.margins import Margins
from gridferry.controllers.uncertainty.voltage_margins import Ambiguity, Scenario

_CONE_GAP = 1e-6
"""a plan with a larger cone gap is no power flow [pu²]"""
_LOSS_SLACK_MW = 1e-6
"""a plan that counts on more converter loss than occurs is not what the devices do [MW]"""
_FREE_ROUNDS = 3
"""after these, margins only grow, which ends a to and fro between plans; they then err to the safe side"""
_ROOMS = (1e-6, 1e-5, 1e-4)
"""added to what has to be missed of a limit, the next where a solver finds no room [pu², MWh]"""
_SAME_PU = 1e-6
"""voltages of a plan and of the AC flow that differ by less are the same [pu]"""
_LOSS_PRICES = (0.01, 0.1, 1.0, 10.0, 100.0)
"""prices of losses, in highest energy prices, tried in turn to close open cones of flows and of converters"""


class MvdcDrccSettings(MarginSettings):
    """Settings of `mvdc_drcc`."""

    margin_tolerance_pu: Annotated[float, Field(gt=0)] = 1e-5
    """margins have settled when linearising at the plan changes none by more [pu]"""
    max_rounds: Annotated[int, Field(ge=1, le=50)] = 8
    """most rounds of linearising and solving"""
    gap: Annotated[float, Field(ge=0, le=1)] = 1e-4
    """relative gap, where negative prices ask for integers"""
    time_limit_s: Annotated[float, Field(gt=0)] = 60.0
    """time for such a solve [s]"""
    on_infeasible: Literal["raise", "relax"] = "raise"
    """where no plan keeps all limits: fail and name the tightest, or miss them by as little as can be"""


@dataclass(frozen=True, eq=False)
class _Solved:
    """A solved model, and what was proved about it.

    Attributes
    ----------
    cone_gap : 0 where the AC flow of its setpoints has the model's voltages [pu²]
    """

    built: MvdcModel
    outcome: SolverOutcome
    cone_gap: float


@dataclass(frozen=True, eq=False)
class _Settled:
    """The last round: its solution, limits and how far the margins had settled."""

    solved: _Solved
    limits: SquaredLimits
    rounds: int
    change_pu: float
    seconds: float


class MvdcDrcc(Controller):
    """MVDC links and batteries, day-ahead or receding, with voltage margins against forecast errors.

    The margins do not depend on the decisions but on where the sensitivities are taken: the problem is solved, the
    network linearised anew at the plan, and so on until the margins have settled. Trucks stay where they are, PV
    inverters give no reactive power, and currents have no margins.
    """

    Settings: ClassVar[type[ControllerSettings]] = MvdcDrccSettings

    def __init__(self, plant: Plant, settings: ControllerSettings):
        super().__init__(plant, settings)
        wish = cast(MvdcDrccSettings, settings)
        self._settings = wish
        self.margins = MarginMaker(plant, wish)

    def plan(self, observation: Observation, forecast: Forecast) -> Plan:
        """Return the plan of least cost for the horizon.

        Raises
        ------
        ControllerError
            where the forecast is not finite, or no plan keeps all limits; the message names the tightest bus and step.
        UnboundedError, SolverTroubleError
        """
        refuse_nonfinite(forecast)
        if self._settings.scenario is Scenario.NONE:
            found = evaluate_rest(self.plant, observation, forecast)
            paid = float(found.cost.sum())
            outcome = SolverOutcome(objective=paid, cone_gap=0.0, termination=Termination.RULE)
            return replace(hold(self.plant, observation, forecast.steps), prediction=found.prediction(), solver=outcome)
        settled = self._settle(observation, forecast)
        p, q = mvdc_plan.setpoints(self.plant, settled.solved.built)
        stay = np.tile(observation.position, (forecast.steps, 1))
        plan = Plan(p_mw=p, q_mvar=q, position=stay, solver=self._outcome(observation, settled))
        return replace(plan, prediction=evaluate_plan(self.plant, plan, observation, forecast).prediction())

    # -------------------------------------------------------------------------------------------------------- margins

    def _margins_at(
        self, forecast: Forecast, ambiguity: Ambiguity, p: Float[np.ndarray, "horizon port"], q: np.ndarray
    ) -> Margins:
        """Margins where the devices inject as planned."""
        return self.margins.margins(forecast, ambiguity, *device_injections(self.plant, p, q))

    def _settle(self, observation: Observation, forecast: Forecast) -> _Settled:
        """Linearise and solve in turn until the margins hold still."""
        wish = self._settings
        ambiguity = self.margins.ambiguity(observation.step, forecast)
        nothing = np.zeros((forecast.steps, self.plant.n_port))
        seconds, rounds = 0.0, 0
        margins = self._margins_at(forecast, ambiguity, nothing, nothing)
        while True:
            rounds += 1
            limits = squared_limits(self.plant, margins)
            solved = self._solve(observation, forecast, limits)
            seconds += solved.outcome.seconds
            following = self._margins_at(forecast, ambiguity, *mvdc_plan.setpoints(self.plant, solved.built))
            rises, falls = _changes(margins, following)
            change = max(rises, falls) if rounds <= _FREE_ROUNDS else rises
            if change <= wish.margin_tolerance_pu or rounds == wish.max_rounds:
                break
            margins = following if rounds < _FREE_ROUNDS else _larger(margins, following)
        settled = _Settled(solved, limits, rounds, change, seconds)
        self._refuse_missed(observation, settled)
        return settled

    # -------------------------------------------------------------------------------------------------------- solving

    def _solve(self, observation: Observation, forecast: Forecast, limits: SquaredLimits) -> _Solved:
        """Solve; where no plan keeps the limits, find the one that misses them by least."""
        try:
            if np.any(limits.low > limits.high):
                raise InfeasibleError("the margins leave nothing between the voltage limits")
            return self._closed(observation, forecast, limits)
        except (InfeasibleError, SolverTroubleError) as error:
            trouble: ControllerError = error
            # trouble, too, is mostly a problem with no or hardly any room
            try:
                nearest = self._once(observation, forecast, limits, elastic=True)
            except InfeasibleError as hopeless:
                # not even without limits: there is no power flow
                evaluate_rest(self.plant, observation, forecast)
                raise ControllerError(f"no plan, even without voltage and current limits: {hopeless}") from hopeless
            missed = mvdc_plan.tightest(self.plant, nearest.built, limits, observation.step) is not None
            if missed and self._settings.on_infeasible == "raise":
                return nearest
            assert nearest.built.missed is not None
            least = [np.maximum(one.value, 0.0) for one in nearest.built.missed.every]
            for room in _ROOMS:
                try:
                    return self._closed(observation, forecast, limits, [one + room for one in least])
                except (InfeasibleError, SolverTroubleError) as again:
                    trouble = again
            raise trouble from None

    def _closed(
        self,
        observation: Observation,
        forecast: Forecast,
        limits: SquaredLimits,
        allowed: Sequence[np.ndarray] | None = None,
    ) -> _Solved:
        """Solve, and close cones that stay open by pricing losses; the bound stays that of the unpriced problem."""
        best = self._as_flow(forecast, self._once(observation, forecast, limits, allowed=allowed))
        dear = max(float(np.abs(forecast.buy_price).max()), 1.0)
        for price in _LOSS_PRICES:
            if self._open(best) <= 1.0:
                break
            tried = self._once(observation, forecast, limits, allowed=allowed, loss_price=price * dear)
            tried = self._as_flow(forecast, tried)
            if self._open(tried) < self._open(best):
                bound = min(best.outcome.bound, tried.outcome.objective)
                best = replace(tried, outcome=replace(tried.outcome, bound=bound))
        return best

    def _open(self, solved: _Solved) -> float:
        """How far the cones of flows and converters are open, in what is tolerated."""
        return max(solved.cone_gap / _CONE_GAP, mvdc_plan.loss_slack(self.plant, solved.built) / _LOSS_SLACK_MW)

    def _as_flow(self, forecast: Forecast, solved: _Solved) -> _Solved:
        """Count cones as closed where it shows in no voltage of the AC flow of the setpoints that they are open.

        A line of next to no impedance costs nothing when its cone stays open, so that solvers leave it open; it then
        tells nothing about whether the plan is a power flow.
        """
        if solved.cone_gap <= _CONE_GAP:
            return solved
        p, q = mvdc_plan.setpoints(self.plant, solved.built)
        p_bus, q_bus = device_injections(self.plant, p, q)
        flow = ac_flow(self.plant, p_bus - forecast.net_load_mw(self.plant), q_bus - forecast.load_q_mvar)
        if not np.abs(flow.v_pu - mvdc_plan.voltages(solved.built)).max() <= _SAME_PU:
            return solved
        return replace(solved, cone_gap=0.0)

    def _once(
        self,
        observation: Observation,
        forecast: Forecast,
        limits: SquaredLimits,
        *,
        elastic: bool = False,
        allowed: Sequence[np.ndarray] | None = None,
        loss_price: float = 0.0,
    ) -> _Solved:
        """Build and solve; forbid charging while discharging where it turns out to pay."""
        wish = self._settings
        one_way = np.zeros((forecast.steps, len(self.plant.storages)), dtype=bool)
        seconds = 0.0
        while True:
            built = mvdc_model(
                self.plant,
                observation,
                forecast,
                limits,
                elastic=elastic or allowed is not None,
                allowed=allowed,
                loss_price=loss_price,
                one_way=one_way if one_way.any() else None,
            )
            outcome = solve(built.model, SolveOptions(gap=wish.gap, time_limit_s=wish.time_limit_s))
            seconds += outcome.seconds
            waste = mvdc_plan.wasteful(self.plant, built, observation) & ~one_way
            if not waste.any():
                break
            one_way = one_way | waste
        paid = float(built.cost_per_step.value.sum())
        bound = min(outcome.bound - built.bound_correction, paid)
        outcome = replace(outcome, objective=paid, bound=bound, seconds=seconds)
        return _Solved(built, outcome, mvdc_plan.cone_gap(built))

    # --------------------------------------------------------------------------------------------------------- reading

    def _refuse_missed(self, observation: Observation, settled: _Settled) -> None:
        """Raise where limits are missed, unless that was asked for."""
        if self._settings.on_infeasible == "relax":
            return
        worst = mvdc_plan.tightest(self.plant, settled.solved.built, settled.limits, observation.step)
        if worst is not None:
            raise InfeasibleError(
                f"no plan keeps every limit; the tightest is {worst.words}. Widen that limit by as much, or lower the "
                "confidence, the radius, the errors or the load"
            )

    def _outcome(self, observation: Observation, settled: _Settled) -> SolverOutcome:
        """Report the last solve, and what is to be known of the plan."""
        wish, solved, outcome = self._settings, settled.solved, settled.solved.outcome
        notes = [Note(NoteKind.ROUNDS, float(settled.rounds))]
        if settled.change_pu > wish.margin_tolerance_pu:
            notes.append(Note(NoteKind.MARGINS_UNSETTLED, settled.change_pu))
        worst = mvdc_plan.tightest(self.plant, solved.built, settled.limits, observation.step)
        if worst is not None:
            notes.append(worst.note)
        if solved.cone_gap > _CONE_GAP:
            notes.append(Note(NoteKind.RELAXATION_GAP, solved.cone_gap))
        if (loss := mvdc_plan.loss_slack(self.plant, solved.built)) > _LOSS_SLACK_MW:
            notes.append(Note(NoteKind.FICTITIOUS_LOSSES, loss))
        within = outcome.objective - outcome.bound <= max(1e-3, wish.gap * abs(outcome.objective))
        return replace(
            outcome,
            status=Status.OPTIMAL if within and len(notes) == 1 else Status.FEASIBLE,
            notes=tuple(notes),
            gap=(outcome.objective - outcome.bound) / max(abs(outcome.objective), 1e-12),
            cone_gap=solved.cone_gap,
            seconds=settled.seconds,
        )


def _changes(before: Margins, after: Margins) -> tuple[float, float]:
    """Largest rise and largest fall of any margin [pu]."""
    change = np.stack([after.upper - before.upper, after.lower - before.lower])
    return float(change.max(initial=0.0)), float((-change).max(initial=0.0))


def _larger(before: Margins, after: Margins) -> Margins:
    return Margins(np.maximum(before.upper, after.upper), np.maximum(before.lower, after.lower))
