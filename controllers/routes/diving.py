"""Diving: a primal heuristic that takes routes from relaxations, vehicle after vehicle, with a bound.

The relaxation of the full problem bounds every plan. Its fractions suggest routes: the first vehicle takes the route
that agrees with them most, the relaxation is solved again with this route fixed, the next vehicle takes its route, and
so on. In improvement passes each vehicle chooses anew. The result is a feasible plan; the bound does not depend on it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from gridferry.controllers.contract import SolverOutcome, Termination
from gridferry.controllers.devices.planning.routing import Route
from gridferry.controllers.model.dispatch_model import DispatchModel
from gridferry.controllers.model.solution import Dispatch, route_values, solve_fixed, solve_power
from gridferry.controllers.solve import InfeasibleError, Method, SolverTroubleError, Values

_TRIP = 0.3
"""a trip must agree with the relaxation for this many steps more to be made"""
_ON_THE_ROAD = 2.0
"""agreement of a trip that the relaxation makes in full, in steps"""
_MOST_TRIPS = 12
"""no route with more trips in a day is looked for"""


@dataclass(frozen=True, eq=False)
class _Incumbent:
    """Incumbent: the best plan so far, with routes, outcome and point."""

    routes: Values
    outcome: SolverOutcome
    point: Float[np.ndarray, " column"]


def search_routes(model: DispatchModel, dispatch: Dispatch) -> SolverOutcome:
    """Search routes to the gap of the settings, and set the values of the model's variables.

    Reads routes out of relaxations first (a primal heuristic). Where bound and plan are still further apart, outer
    approximation goes on from there in the time that is left.

    Raises
    ------
    InfeasibleError, UnboundedError, SolverTroubleError
    """
    if not model.routes:
        return solve_power(model, dispatch)
    began = time.perf_counter()
    problem, starts = model.problem, warm_starts(model, dispatch)
    if dispatch.solver.method is Method.SCIP:
        return problem.solve(dispatch.in_time(), warm_starts=starts)
    search, bound, record = Search(model, dispatch), -np.inf, dispatch.solver.record
    for one in starts:
        if search.best is not None and dispatch.late:
            break
        search.evaluate(one)
    try:
        bound = problem.relax(time_limit_s=dispatch.in_time().time_limit_s).bound
    except SolverTroubleError as error:
        if search.best is None:
            raise
        record.see(error)
    else:
        search.dive({})
    while search.better and not search.within(bound) and not dispatch.late:
        search.improve()
    best, ended = search.best, Termination.TIME_LIMIT
    if not search.within(bound) and not dispatch.late:
        known = [] if best is None else [best.routes]
        try:
            exact = problem.solve(dispatch.in_time(), warm_starts=known)
        except InfeasibleError:
            if best is None:
                raise
            ended = Termination.ACCURACY_EXHAUSTED  # a plan exists, so only rounding can have said this
        except SolverTroubleError:
            if best is None:
                raise
            ended = Termination.NUMERICAL_TROUBLE
        else:
            ended = exact.termination
            bound = max(bound, exact.bound)
            if best is None or exact.objective <= best.outcome.objective:
                best = _Incumbent({}, exact, problem.point)
    if best is None:
        raise SolverTroubleError("no plan was found in time; allow more", out_of_time=True)
    problem.show(best.point)
    cost = best.outcome.objective
    if record.cut:
        ended = Termination.TIME_LIMIT
    elif cost - bound <= dispatch.solver.tolerance(cost):
        ended = Termination.GAP_REACHED
    return replace(best.outcome, bound=min(bound, cost), termination=ended, seconds=time.perf_counter() - began)


def warm_starts(model: DispatchModel, dispatch: Dispatch) -> list[Values]:
    """Binaries of warm starts."""
    starts = [route_values(model, one) for one in dispatch.warm_starts]
    if not model.permits:
        return starts
    here = [route.network.stations[route.network.start] for _, route in model.routes]
    stay: Values = {}
    for (_, route), station in zip(model.routes, here, strict=True):
        stay |= route.values(np.full(model.horizon, station))
    permitted = [start | {one: np.ones(one.shape) for one in model.permits} for start in starts]
    return [*permitted, stay | {one: np.zeros(one.shape) for one in model.permits}]


class Search:
    """Search over routes: evaluates routes and keeps the incumbent."""

    def __init__(self, model: DispatchModel, dispatch: Dispatch):
        self._problem, self._model, self._dispatch = model.problem, model, dispatch
        self._known: set[bytes] = set()
        self.best: _Incumbent | None = None
        self.better = True

    @property
    def _left_s(self) -> float:
        return self._dispatch.in_time().time_limit_s

    def within(self, bound: float) -> bool:
        """Whether the gap between incumbent and bound is within the settings."""
        if self.best is None:
            return False
        cost = self.best.outcome.objective
        return cost - bound <= self._dispatch.solver.tolerance(cost)

    def evaluate(self, routes: Values) -> None:
        """Plan the power for given routes."""
        by_id = sorted(routes.items(), key=lambda item: item[0].id)
        key = b"".join(np.round(values).astype(np.int8).tobytes() for _, values in by_id)
        if key in self._known:
            return
        self._known.add(key)
        try:
            outcome = solve_fixed(self._model, routes, self._dispatch)
        except (InfeasibleError, SolverTroubleError) as error:
            self._dispatch.solver.record.see(error)
            return
        if self.best is None or outcome.objective < self.best.outcome.objective:
            self.best, self.better = _Incumbent(routes, outcome, self._problem.point), True

    def dive(self, fixed: Values) -> None:
        """Dive: choose a route for every vehicle without one, from the last relaxation."""
        left = [route for _, route in self._model.routes if not set(route.binaries) & set(fixed)]
        for number, route in enumerate(left, start=1):
            fixed = fixed | dict(zip(route.binaries, likeliest_route(route), strict=True))
            if number < len(left):
                try:
                    self._problem.relax(fixed, self._left_s)
                except (InfeasibleError, SolverTroubleError) as error:
                    self._dispatch.solver.record.see(error)
                    return
        self.evaluate(fixed)

    def improve(self) -> None:
        """Improvement pass: every vehicle in turn chooses its route anew while the others are fixed."""
        self.better = False
        for _, route in self._model.routes:
            if self.best is None or len(self._model.routes) < 2 or self._dispatch.late:
                return
            # by identity: cvxpy gives == another meaning
            own = {one.id for one in route.binaries}
            others = {one: value for one, value in self.best.routes.items() if one.id not in own}
            try:
                self._problem.relax(others, self._left_s)
            except (InfeasibleError, SolverTroubleError) as error:
                self._dispatch.solver.record.see(error)
                continue
            self.dive(others)


def likeliest_route(route: Route) -> tuple[Float[np.ndarray, "horizon place"], Float[np.ndarray, " arc"]]:
    """Return the route that agrees most with the fractions of a solved relaxation.

    The agreement of a route is the sum of the fractions over the places and trips that it takes; the best is found by
    dynamic programming over step, place and trips made in the day.
    """
    network = route.network
    start, arrives, day = network.start, network.arrives, network.day
    arcs, (horizon, places) = network.arcs, route.parked.shape
    stay, go = route.parked.value, _ON_THE_ROAD * route.departs.value - _TRIP
    parked, departs = np.zeros((horizon, places)), np.zeros(len(arcs))
    if arrives >= horizon:
        return parked, departs
    most = np.minimum(network.trips_left, _MOST_TRIPS)
    leaving: dict[tuple[int, int], list[int]] = {}
    for arc, (t, s) in enumerate(zip(arcs.departure, arcs.origin, strict=True)):
        leaving.setdefault((int(t), int(s)), []).append(arc)
    worth = np.full((horizon + 1, places, int(most.max(initial=0)) + 1), -np.inf)
    worth[arrives, start, 0] = 0.0
    before: dict[tuple[int, int, int], tuple[int, int, int, int]] = {}

    def update_label(t: int, s: int, n: int, value: float, source: tuple[int, int, int, int]) -> None:
        if value > worth[t, s, n]:
            worth[t, s, n] = value
            before[t, s, n] = source

    for t in range(arrives, horizon):
        for s, n in np.argwhere(np.isfinite(worth[t])).tolist():
            here = float(worth[t, s, n])
            next_day = t + 1 < horizon and day[t + 1] != day[t]
            update_label(t + 1, s, 0 if next_day else n, here + float(stay[t, s]), (t, s, n, -1))
            for arc in leaving.get((t, s), []) if n < most[day[t]] else []:
                end = int(arcs.arrival[arc])
                trips = n + 1 if day[end] == day[t] else 0
                update_label(end, int(arcs.target[arc]), trips, here + float(go[arc]), (t, s, n, arc))
    s, n = (int(i) for i in np.unravel_index(np.argmax(worth[horizon]), worth[horizon].shape))
    t = horizon
    while (t, s, n) in before:
        t, s, n, arc = before[t, s, n]
        if arc >= 0:
            departs[arc] = 1.0
        else:
            parked[t, s] = 1.0
    return parked, departs
