"""Solve the storage model so that its plan is a power flow."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from gridferry.controllers.contract import Forecast, Note, NoteKind, Observation, Plant, SolverOutcome
from gridferry.controllers.model import storage_plan as mess_plan
from gridferry.controllers.model.parts import MessOptions
from gridferry.controllers.model.storage_dispatch import MessModel, mess_model
from gridferry.controllers.solve import InfeasibleError, SolveOptions, SolverTroubleError

MADE_UP_MW = 1e-5
"""a plan in which the open cone of a branch makes up more power is no power flow [MW]"""
LOSS_MW = 1e-6
"""a plan that counts on more converter loss than occurs is not what the devices do [MW]"""
_MISSED = 1e-7
"""less than this of a limit is rounding [pu², MWh]"""
LEAST_SECONDS = 0.05
"""what a solve is given when the time is used up [s]"""
_LOSS_PRICES = (0.01, 0.1, 1.0, 10.0)
"""prices of losses, in highest energy prices, tried in turn to close an open cone"""


@dataclass(frozen=True, eq=False)
class Task:
    """What is to be planned.

    Attributes
    ----------
    plant, observation, forecast : for whom, from where, into what
    options : how the model is set up
    asked : gaps at which to stop, and the cost that savings are counted from
    until : time, by `time.perf_counter`, after which nothing is improved any more [s]
    """

    plant: Plant
    observation: Observation
    forecast: Forecast
    options: MessOptions
    asked: SolveOptions
    until: float

    def asked_in_time(self) -> SolveOptions:
        """What is asked, in the time that is left."""
        return replace(self.asked, time_limit_s=max(self.until - time.perf_counter(), LEAST_SECONDS))


@dataclass(frozen=True, eq=False)
class SolvedMess:
    """A solved model, and what was proved about it.

    Attributes
    ----------
    outcome : objective and bound are what the plan costs, without any price of losses
    cone_gap : largest of any branch and step [pu²]
    kept_limits : no limit was widened
    routes_given : the routes were given, and the bound is for them
    wasteful : a store charges and discharges at once and, netted, would hold more than it can
    """

    built: MessModel
    outcome: SolverOutcome
    cone_gap: float
    kept_limits: bool = True
    routes_given: bool = False
    wasteful: bool = False


Run = Callable[[MessModel], SolverOutcome]
"""Solves a model that was built, and sets the values of its variables."""


def solve_mess(task: Task, run: Run) -> SolvedMess:
    """Build and solve; forbid charging while discharging where it turns out to pay."""
    one_way = np.zeros((task.forecast.steps, len(task.plant.storages)), dtype=bool)
    seconds = 0.0
    solved: SolvedMess | None = None
    while True:
        built = mess_model(task.plant, task.observation, task.forecast, task.options, one_way)
        try:
            outcome = run(built)
        except (InfeasibleError, SolverTroubleError):
            if solved is None:
                raise
            # the plan at hand is one, though a wasteful one
            return solved
        seconds += outcome.seconds
        waste = mess_plan.wasteful(task.plant, built, task.observation)
        paid = float(built.cost_per_step.value.sum() + built.penalty.value)
        bound = min(outcome.bound - built.bound_correction, paid)
        outcome = replace(outcome, objective=paid, bound=bound, seconds=seconds)
        solved = SolvedMess(built, outcome, mess_plan.cone_gap(built), wasteful=bool(waste.any()))
        if not (waste & ~one_way).any() or time.perf_counter() > task.until:
            return solved
        one_way = one_way | waste


def close_cones(task: Task, first: SolvedMess, run: Run) -> SolvedMess:
    """Price losses until cones of flows and converters are tight; the bound stays that of the unpriced problem.

    Parameters
    ----------
    run : plans the power for the routes of ``first``
    """
    best, seconds = first, first.outcome.seconds
    dear = max(float(np.abs(task.forecast.buy_price).max()), 1.0)
    for price in _LOSS_PRICES:
        if openness(task, best) <= 1.0 or time.perf_counter() > task.until:
            break
        try:
            tried = solve_mess(replace(task, options=replace(task.options, loss_price=price * dear)), run)
        except (InfeasibleError, SolverTroubleError):
            # the plan at hand is still one
            break
        seconds += tried.outcome.seconds
        if openness(task, tried) < openness(task, best):
            bound = min(first.outcome.bound, tried.outcome.objective)
            best = replace(tried, outcome=replace(tried.outcome, bound=bound))
    return replace(best, outcome=replace(best.outcome, seconds=seconds))


def openness(task: Task, solved: SolvedMess) -> float:
    """How far the cones of flows and converters are open, in what is tolerated; above 1 it is no power flow."""
    loss = mess_plan.loss_slack_mw(task.plant, solved.built, task.observation)
    return max(mess_plan.open_cones_mw(task.plant, solved.built) / MADE_UP_MW, loss / LOSS_MW)


def violations(built: MessModel) -> tuple[Note, ...]:
    """By how much a solved model that may violate limits violates each kind of them; nothing where it keeps them."""
    most: dict[NoteKind, float] = {}
    for what, one in zip(built.misses, built.slack, strict=True):
        most[what] = max(most.get(what, 0.0), float(one.value.max(initial=0.0)))
    return tuple(Note(what, value) for what, value in most.items() if value > _MISSED)
