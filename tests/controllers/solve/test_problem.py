"""A model compiled once: relaxed, solved, solved with some of its variables held, and shown again."""

from __future__ import annotations

from dataclasses import replace

import cvxpy as cp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cases.dispatch import dispatch_model
from gridferry.controllers.conformance.sample_plants import at_start, look_ahead, two_feeders
from gridferry.controllers.contract import Status
from gridferry.controllers.model.objective import ModelOptions
from gridferry.controllers.solve import InfeasibleError, Method, Model, Problem, SolveOptions, SolverTroubleError, solve

ITEMS = 6


def facility(seed: int) -> tuple[Model, cp.Variable, cp.Variable]:
    """Open some places, each at a price, and serve a demand from them within a cone; nothing is whole by itself."""
    rng = np.random.default_rng(seed)
    opens, serves, effort = cp.Variable(ITEMS), cp.Variable(ITEMS), cp.Variable()
    constraints = [
        serves >= 0,
        serves <= cp.multiply(rng.uniform(0.5, 1.5, ITEMS), opens),
        cp.sum(serves) == 1.7,
        cp.SOC(effort, serves),
    ]
    cost = rng.uniform(1.0, 2.0, ITEMS) @ opens + rng.uniform(0.1, 0.5, ITEMS) @ serves + effort + 3.0
    return Model(cost, constraints, [opens]), opens, serves


EXACT = SolveOptions(gap=1e-7, gap_abs=1e-7)
seeds = given(seed=st.integers(0, 10**6))


@settings(max_examples=8)
@seeds
def test_relaxing_never_costs_more_than_solving(seed: int) -> None:
    model, opens, _ = facility(seed)
    problem = Problem(model)
    relaxed = problem.relax()
    fractions = opens.value.copy()
    outcome = problem.solve(EXACT)
    assert relaxed.bound <= relaxed.objective
    assert relaxed.objective <= outcome.objective + 1e-6
    assert outcome.bound <= outcome.objective
    assert np.abs(opens.value - np.round(opens.value)).max() < 1e-6
    # the same problem may be relaxed again, whatever was solved in between
    assert problem.relax().objective == pytest.approx(relaxed.objective, abs=1e-6)
    np.testing.assert_allclose(opens.value, fractions, atol=1e-4)


@settings(max_examples=12)
@given(
    seed=st.integers(0, 10**6),
    chosen=st.lists(st.sampled_from([0.0, 1.0, np.nan]), min_size=ITEMS, max_size=ITEMS),
    method=st.sampled_from(list(Method)),
)
def test_holding_variables_is_the_same_as_constraining_them(seed: int, chosen: list[float], method: Method) -> None:
    model, opens, serves = facility(seed)
    value = np.array(chosen)
    message = np.flatnonzero(~np.isnan(value))
    options = replace(EXACT, method=method)
    constrained = replace(model, constraints=[*model.constraints, *(opens[k] == value[k] for k in message)])
    try:
        expected = solve(constrained, options).objective
    except InfeasibleError:
        with pytest.raises(InfeasibleError):
            Problem(model).solve(options, fixed={opens: value})
        return
    problem = Problem(model)
    outcome = problem.solve(options, fixed={opens: value})
    assert outcome.objective == pytest.approx(expected, abs=1e-5)
    assert outcome.bound <= expected + 1e-5
    np.testing.assert_allclose(opens.value[message], value[message], atol=1e-12)
    assert float(model.cost.value) == pytest.approx(outcome.objective, abs=1e-6)
    assert all(np.abs(one.violation()).max() < 1e-5 for one in model.constraints)
    assert problem.relax({opens: value}).objective <= outcome.objective + 1e-6
    np.testing.assert_allclose(opens.value[message], value[message], atol=1e-12)
    # nothing stays held
    assert problem.solve(options).objective <= outcome.objective + 1e-5
    assert serves.value.sum() == pytest.approx(1.7, abs=1e-6)


def test_continuous_variables_may_be_fixed_too() -> None:
    model, _, serves = facility(1)
    quarter = np.array([0.4, 0.4, 0.4, 0.5, 0.0, 0.0])
    outcome = Problem(model).solve(EXACT, fixed={serves: quarter})
    np.testing.assert_array_equal(serves.value, quarter)
    expected = solve(replace(model, constraints=[*model.constraints, serves == quarter]), EXACT).objective
    assert outcome.objective == pytest.approx(expected, abs=1e-5)


def test_values_fixed_against_the_constraints_are_infeasible() -> None:
    model, opens, _ = facility(2)
    for work in (Problem(model).solve, Problem(model).relax):
        with pytest.raises(InfeasibleError):
            work(fixed={opens: np.zeros(ITEMS)})


@settings(max_examples=5)
@seeds
def test_a_point_shown_again_gives_the_values_it_had(seed: int) -> None:
    model, opens, serves = facility(seed)
    problem = Problem(model)
    with pytest.raises(ValueError, match="nothing was solved yet"):
        _ = problem.point
    problem.solve(EXACT)
    point, values = problem.point, (opens.value.copy(), serves.value.copy(), float(model.cost.value))
    problem.relax()
    problem.show(point)
    np.testing.assert_array_equal(problem.point, point)
    np.testing.assert_array_equal(opens.value, values[0])
    np.testing.assert_array_equal(serves.value, values[1])
    assert float(model.cost.value) == values[2]


@pytest.mark.parametrize("held", [False, True])
def test_no_plan_within_the_time_limit_is_trouble(held: bool) -> None:
    """A microsecond is too short for a cone program of two networks over a day."""
    sample = two_feeders(step_s=3600)
    case = sample.plant, at_start(sample.plant), look_ahead(sample, 0, 24)
    built = dispatch_model(case, options=ModelOptions())
    ((_, way),) = built.routes
    stays = np.zeros(way.parked.shape)
    stays[:, way.network.stations.index(1)] = 1.0
    fixed = {way.parked: stays, way.departs: np.zeros(way.departs.shape)} if held else None
    problem = Problem(built.model)
    with pytest.raises(SolverTroubleError, match="allow more time"):
        problem.solve(SolveOptions(time_limit_s=1e-6), fixed=fixed)
    with pytest.raises(SolverTroubleError, match="allow more time"):
        problem.relax(fixed, time_limit_s=1e-6)
    # and the problem is as good as new
    assert problem.relax(fixed).objective < np.inf


# --------------------------------------------------------------------------------------------------------- tolerances


def test_the_largest_of_the_requested_gaps_counts() -> None:
    """A plan of 900 that saves 100 over 1000."""
    saving = SolveOptions(gap=0.0, gap_abs=1.0, gap_of_saving=0.1, reference=1000.0)
    assert saving.tolerance(900.0) == pytest.approx(10.0)
    # little is saved: the absolute gap
    assert saving.tolerance(995.0) == 1.0
    # nothing is saved
    assert saving.tolerance(1000.0) == saving.tolerance(1200.0) == 1.0
    assert replace(saving, gap=0.02).tolerance(900.0) == pytest.approx(18.0)
    assert replace(saving, gap=0.02).tolerance(-900.0) == pytest.approx(190.0)


def test_without_a_reference_nothing_is_saved() -> None:
    assert SolveOptions(gap=0.01, gap_abs=0.5, gap_of_saving=0.5).tolerance(100.0) == 1.0
    assert SolveOptions(gap=0.0, gap_abs=0.5, gap_of_saving=0.0, reference=1e6).tolerance(100.0) == 0.5


@settings(max_examples=6)
@given(seed=st.integers(0, 10**6), share=st.sampled_from([0.02, 0.2, 1.0]))
def test_a_solve_stops_within_the_share_of_the_saving(seed: int, share: float) -> None:
    model, opens, _ = facility(seed)
    everything = Problem(model).solve(EXACT, fixed={opens: np.ones(ITEMS)}).objective
    requested = SolveOptions(gap=0.0, gap_abs=1e-6, gap_of_saving=share, reference=everything)
    outcome = Problem(model).solve(requested, warm_starts=[{opens: np.ones(ITEMS)}])
    best = solve(model, EXACT).objective
    assert outcome.status is Status.OPTIMAL
    assert outcome.objective - outcome.bound <= max(share * (everything - outcome.objective), 1e-6) + 1e-9
    assert outcome.bound <= best + 1e-6
    assert outcome.objective >= best - 1e-6
