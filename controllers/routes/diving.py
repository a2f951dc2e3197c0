"""Good routes quickly, with a bound: read whole ways out of relaxations, one truck after another.

The relaxation of the whole problem bounds every plan. Its fractions of trucks say which ways are worth their cost: the
first truck takes the whole way that agrees with them most, the relaxation is solved again around it, the next truck
takes its way, and so on; each truck may then reconsider. What is found is a plan; nothing of the proof rests on it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import cvxpy as cp
import numpy as np
from jaxtyping import Float, Int

from gridferry.controllers.contract import SolverOutcome, Termination
from gridferry.controllers.model.routing import Route
from gridferry.controllers.model.solution import Task
from gridferry.controllers.model.storage_dispatch import MessModel, trips_left
from gridferry.controllers.routes.fixed_route_power import solve_held
from gridferry.controllers.routes.fixed_routes import way_begins
from gridferry.controllers.solve import InfeasibleError, Problem, SolverTroubleError, Values

_TRIP = 0.3
"""a trip must agree with the relaxation for this many steps more to be made"""
_ON_THE_ROAD = 2.0
"""agreement of a trip that the relaxation makes in full, in steps"""
_MOST_TRIPS = 12
"""no way with more trips in a day is looked for"""


@dataclass(frozen=True, eq=False)
class _Best:
    """The best plan so far: its routes, how it came about, and its point."""

    routes: dict[cp.Variable, np.ndarray]
    outcome: SolverOutcome
    point: Float[np.ndarray, " column"]


def search_routes(problem: Problem, built: MessModel, task: Task, tries: Sequence[Values]) -> SolverOutcome:
    """Minimise over routes and power to the gap asked for, and set the values of the model's variables.

    Reads ways out of relaxations first. Where bound and plan are still further apart than asked for, outer
    approximation goes on from there in the time that is left.

    Parameters
    ----------
    tries : binaries of routes that are likely good

    Raises
    ------
    InfeasibleError, UnboundedError, SolverTroubleError
    """
    began = time.perf_counter()
    search, bound = _Search(problem, built, task), -np.inf
    for one in tries:
        search.evaluate(dict(one))
    try:
        bound = problem.relax(time_limit_s=task.asked_in_time().time_limit_s).bound
    except SolverTroubleError:
        if search.best is None:
            raise
    else:
        search.dive({})
    while search.better and not search.within(bound) and time.perf_counter() < task.until:
        search.reconsider()
    best, ended = search.best, Termination.TIME_LIMIT
    if not search.within(bound) and time.perf_counter() < task.until:
        starts = [] if best is None else [best.routes]
        try:
            exact = problem.solve(task.asked_in_time(), starts=starts)
        except InfeasibleError:
            if best is None:
                raise
            ended = Termination.ACCURACY_EXHAUSTED  # a plan exists, so only rounding can have said this
        except SolverTroubleError:
            if best is None:
                raise
            late = time.perf_counter() > task.until
            ended = Termination.TIME_LIMIT if late else Termination.NUMERICAL_TROUBLE
        else:
            ended = exact.termination
            bound = max(bound, exact.bound)
            if best is None or exact.objective <= best.outcome.objective:
                best = _Best({}, exact, problem.point)
    if best is None:
        if time.perf_counter() > task.until:
            raise SolverTroubleError("no plan was found in time; allow more")
        raise InfeasibleError("none of the routes tried keeps all limits")
    problem.show(best.point)
    cost = best.outcome.objective
    ended = Termination.GAP_REACHED if cost - bound <= task.asked.tolerance(cost) else ended
    return replace(best.outcome, bound=min(bound, cost), termination=ended, seconds=time.perf_counter() - began)


class _Search:
    """Evaluates routes and keeps the best."""

    def __init__(self, problem: Problem, built: MessModel, task: Task):
        self._problem, self._built, self._task = problem, built, task
        self._known: set[bytes] = set()
        self.best: _Best | None = None
        self.better = True

    @property
    def _left_s(self) -> float:
        return self._task.asked_in_time().time_limit_s

    def within(self, bound: float) -> bool:
        """Whether the best plan is as near to a bound as asked for."""
        if self.best is None:
            return False
        cost = self.best.outcome.objective
        return cost - bound <= self._task.asked.tolerance(cost)

    def evaluate(self, routes: dict[cp.Variable, np.ndarray]) -> None:
        """Plan the power for whole routes."""
        by_id = sorted(routes.items(), key=lambda item: item[0].id)
        key = b"".join(np.round(values).astype(np.int8).tobytes() for _, values in by_id)
        if key in self._known:
            return
        self._known.add(key)
        try:
            outcome = solve_held(self._problem, self._built, routes, self._task)
        except (InfeasibleError, SolverTroubleError):
            return
        if self.best is None or outcome.objective < self.best.outcome.objective:
            self.best, self.better = _Best(routes, outcome, self._problem.point), True

    def dive(self, held: dict[cp.Variable, np.ndarray]) -> None:
        """Give every truck that is not held its way, from the relaxation that was solved last."""
        for truck, way in enumerate(self._built.routes):
            if way.parked in held:
                continue
            held = held | self._likeliest(truck)
            if any(other.parked not in held for other in self._built.routes):
                try:
                    self._problem.relax(held, self._left_s)
                except (InfeasibleError, SolverTroubleError):
                    return
        self.evaluate(held)

    def reconsider(self) -> None:
        """Let every truck in turn choose its way anew while the others keep theirs."""
        self.better = False
        for way in self._built.routes:
            if self.best is None or len(self._built.routes) < 2:
                return
            # by identity: cvxpy gives == another meaning
            own = (way.parked.id, way.departs.id)
            others = {one: value for one, value in self.best.routes.items() if one.id not in own}
            try:
                self._problem.relax(others, self._left_s)
            except (InfeasibleError, SolverTroubleError):
                continue
            self.dive(others)

    def _likeliest(self, truck: int) -> dict[cp.Variable, np.ndarray]:
        built, seen = self._built, self._task.observation
        way = built.routes[truck]
        start, arrives = way_begins(built, seen, truck)
        left = trips_left(self._task.plant.trucks[truck], built.day, int(seen.states[truck].trips_today))
        parked, departs = likeliest_way(way, start, arrives, built.day, left)
        return {way.parked: parked, way.departs: departs}


def likeliest_way(
    way: Route, start: int, arrives: int, day: Int[np.ndarray, " horizon"], left: Int[np.ndarray, " day"]
) -> tuple[Float[np.ndarray, "horizon place"], Float[np.ndarray, " arc"]]:
    """Return the whole way that agrees most with the fractions of a solved relaxation.

    The agreement of a way is the sum of the fractions over the places and trips that it takes; the best is found by
    dynamic programming over step, place and trips made in the day.

    Parameters
    ----------
    start, arrives : place and step at which the way begins
    day, left : number of the day of each step, and trips it may begin on each day
    """
    arcs, (horizon, places) = way.arcs, way.parked.shape
    stay, go = way.parked.value, _ON_THE_ROAD * way.departs.value - _TRIP
    parked, departs = np.zeros((horizon, places)), np.zeros(len(arcs))
    if arrives >= horizon:
        return parked, departs
    most = np.minimum(left, _MOST_TRIPS)
    leaving: dict[tuple[int, int], list[int]] = {}
    for arc, (t, s) in enumerate(zip(arcs.departure, arcs.origin, strict=True)):
        leaving.setdefault((int(t), int(s)), []).append(arc)
    worth = np.full((horizon + 1, places, int(most.max(initial=0)) + 1), -np.inf)
    worth[arrives, start, 0] = 0.0
    before: dict[tuple[int, int, int], tuple[int, int, int, int]] = {}

    def reach(t: int, s: int, n: int, value: float, source: tuple[int, int, int, int]) -> None:
        if value > worth[t, s, n]:
            worth[t, s, n] = value
            before[t, s, n] = source

    for t in range(arrives, horizon):
        for s, n in np.argwhere(np.isfinite(worth[t])).tolist():
            here = float(worth[t, s, n])
            next_day = t + 1 < horizon and day[t + 1] != day[t]
            reach(t + 1, s, 0 if next_day else n, here + float(stay[t, s]), (t, s, n, -1))
            for arc in leaving.get((t, s), []) if n < most[day[t]] else []:
                end = int(arcs.arrival[arc])
                trips = n + 1 if day[end] == day[t] else 0
                reach(end, int(arcs.target[arc]), trips, here + float(go[arc]), (t, s, n, arc))
    s, n = (int(i) for i in np.unravel_index(np.argmax(worth[horizon]), worth[horizon].shape))
    t = horizon
    while (t, s, n) in before:
        t, s, n, arc = before[t, s, n]
        if arc >= 0:
            departs[arc] = 1.0
        else:
            parked[t, s] = 1.0
    return parked, departs
