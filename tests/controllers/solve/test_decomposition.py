"""What follows from decisions, taken out of the problem: the answer is that of the whole problem."""

from __future__ import annotations

import itertools

import cvxpy as cp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridferry.controllers.solve import Model, SolveOptions, solve
from gridferry.controllers.solve.conic import solve_conic
from gridferry.controllers.solve.form import conic_form

STEPS = 4


def trade(seed: int) -> tuple[Model, cp.Variable]:
    """Energy moved between steps; what a step buys or sells follows, and only one of the two is allowed.

    Export is paid better than import, so that the choice is not convex; once fixed, it pins down the other side.
    """
    rng = np.random.default_rng(seed)
    price, load = rng.uniform(1.0, 10.0, STEPS), rng.uniform(-0.5, 1.0, STEPS)
    moved, buys = cp.Variable(STEPS), cp.Variable(STEPS)
    bought, sold, size = cp.Variable(STEPS), cp.Variable(STEPS), cp.Variable(STEPS)
    constraints = [
        moved >= -1,
        moved <= 1,
        cp.sum(moved) == 0.2,
        bought - sold == load + moved,
        bought >= 0,
        sold >= 0,
        bought <= 3 * buys,
        sold <= 3 * (1 - buys),
        cp.SOC(size, cp.vstack([moved, 0.1 * np.ones(STEPS)]), axis=0),
    ]
    cost = price @ bought - 1.5 * price @ sold + 0.2 * cp.sum(size)
    return Model(cost, constraints, [buys], [bought, sold]), buys


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_the_bound_holds_where_a_fixed_choice_determines_the_recourse(seed: int) -> None:
    model, buys = trade(seed)
    outcome = solve(model, SolveOptions(gap=1e-7, gap_abs=1e-7))
    costs = []
    for choice in itertools.product((0.0, 1.0), repeat=STEPS):
        problem = cp.Problem(cp.Minimize(model.cost), [*model.constraints, buys == np.array(choice)])
        costs.append(problem.solve(solver=cp.CLARABEL))
    assert outcome.bound <= min(costs) + 1e-5
    assert outcome.objective == pytest.approx(min(costs), abs=1e-5)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), choice=st.lists(st.sampled_from([0.0, 1.0]), min_size=STEPS, max_size=STEPS))
def test_multipliers_balance_the_cost_of_pinned_columns_too(seed: int, choice: list[float]) -> None:
    model, buys = trade(seed)
    form = conic_form(model.cost, model.constraints, model.binaries)
    fixed = np.full(form.n, np.nan)
    fixed[form.columns[buys.id]] = choice
    answer = solve_conic(form, fixed)
    if answer.y is None:
        return
    cost = form.cost if answer.x is not None else np.zeros(form.n)
    left = (cost + form.a.T @ answer.y)[np.isnan(fixed)]
    np.testing.assert_allclose(left, 0.0, atol=1e-6)
    assert answer.y[form.n_zero : form.n_linear].min() >= 0.0
