"""The schedule of mvdc_drcc against the full scenario formulation."""

from __future__ import annotations

import cvxpy as cp
import numpy as np
import pytest

from cases.dispatch import dispatch_model
from cases.strained import ERRORS, strained
from gridferry.controllers.model.dispatch_model import DispatchModel
from gridferry.controllers.model.networks import Limits
from gridferry.controllers.model.objective import ModelOptions
from gridferry.controllers.solve import Model, solve
from gridferry.controllers.uncertainty.error_model import Purpose
from gridferry.controllers.uncertainty.error_settings import ErrorSettings
from gridferry.controllers.uncertainty.margins import Norm, wasserstein_margin
from gridferry.controllers.uncertainty.plant_errors import plant_errors
from gridferry.controllers.uncertainty.sensitivities import operating_point, voltage_response


def chance_constraints(
    y: cp.Expression, a: np.ndarray, samples: np.ndarray, box: np.ndarray | None, beta: float, radius: float
) -> list[cp.Constraint]:
    """``sup CVaR[y + aᵀξ] ≤ 0`` over the ball in the 1-norm, its dual written out [Mohajerin Esfahani and Kuhn 2018].

    Auxiliary variables for every row of y, sample and error: τ, λ, s, γ.
    """
    rows, n = a.shape[0], len(samples)
    tau, price, s = cp.Variable(rows), cp.Variable(rows), cp.Variable((rows, n))
    spread = np.ones((1, n))
    column = cp.reshape(y - tau, (rows, 1), order="C")
    reach = column @ spread + a @ samples.T
    each = cp.reshape(price, (rows, 1), order="C") @ spread
    constraints = [price >= 0, s >= 0, tau + (radius * price + cp.sum(s, axis=1) / n) / beta <= 0]
    for source in range(a.shape[1]):
        pull: cp.Expression = cp.Constant(np.outer(a[:, source], np.ones(n)))
        if box is not None:
            up, down = cp.Variable((rows, n), nonneg=True), cp.Variable((rows, n), nonneg=True)
            reach = reach + up @ np.diag(box[1, source] - samples[:, source])
            reach = reach + down @ np.diag(samples[:, source] - box[0, source])
            pull = pull - up + down
        constraints += [pull <= each, -pull <= each]
    return [*constraints, s >= reach]


@pytest.mark.slow
@pytest.mark.parametrize("bounded", [True, False])
def test_the_schedule_costs_what_the_full_scenario_formulation_finds(bounded: bool) -> None:
    plant, observation, forecast = strained(steps=4)
    beta, radius, n = 0.1, 0.004, 12
    sources, model = plant_errors(plant, ErrorSettings(**ERRORS))
    samples = model.draw(n, 4, seed=3, purpose=Purpose.IN_SAMPLE)
    box = model.support(4)
    v = operating_point(plant, -forecast.net_load_mw(plant), -forecast.load_q_mvar)
    p_per, q_per = sources.injections(forecast)
    a = np.concatenate(
        [
            2.0 * np.abs(v[:, at, None]) * voltage_response(feeder, v[:, at], p_per[:, at], q_per[:, at])
            for feeder, at in zip(plant.feeders, plant.bus_slices, strict=True)
        ],
        axis=1,
    )
    support = box if bounded else None

    def margin(rows: np.ndarray) -> np.ndarray:
        return wasserstein_margin(rows, samples, confidence=1 - beta, radius=radius, norm=Norm.ONE, support=support)

    low, high = np.full(v.shape, 0.996**2), np.full(v.shape, 1.05**2)

    def between(low: np.ndarray, high: np.ndarray) -> DispatchModel:
        limits = Limits(v_low_sq=low, v_high_sq=high, rating=np.ones((4, plant.n_branch)))
        return dispatch_model((plant, observation, forecast), limits=limits, options=ModelOptions())

    short = solve(between(low + margin(-a), high - margin(a)).model).objective
    none = between(low, high)
    # the voltages have no limits of their own here but those inside the chance constraints
    full = between(0 * low, 4 * high)
    chances = []
    flows = [network.flow for network in full.networks.values()]
    for flow, at, feeder in zip(flows, plant.bus_slices, plant.feeders, strict=True):
        away = np.flatnonzero(np.arange(feeder.n_bus) != feeder.slack)
        for t in range(4):
            y, row = flow.v_sq[t, away], a[t, at][away]
            limits = support[:, t] if support is not None else None
            edges = low[t, at][away], high[t, at][away]
            chances += chance_constraints(edges[0] - y, -row, samples[:, t], limits, beta, radius)
            chances += chance_constraints(y - edges[1], row, samples[:, t], limits, beta, radius)
    problem = cp.Problem(cp.Minimize(full.model.cost), [*full.model.constraints, *chances])
    problem.solve(solver=cp.CLARABEL, tol_gap_rel=1e-9, tol_feas=1e-9)
    assert problem.status == cp.OPTIMAL
    assert short == pytest.approx(problem.value, rel=1e-5)
    assert short > solve(Model(none.model.cost, none.model.constraints)).objective + 1e-3
