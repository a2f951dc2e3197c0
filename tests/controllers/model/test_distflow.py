"""DistFlow blocks against complex power flow."""

from __future__ import annotations

from dataclasses import replace

import cvxpy as cp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridferry.controllers.model import distflow
from gridferry.controllers.model.flow_bounds import largest_flow
from gridferry.controllers.solve import InfeasibleError, Model, solve
from gridferry.networks.admittance import branch_flows, bus_injections
from gridferry.networks.feeder import Feeder, plain_feeder
from gridferry.networks.power_flow import solve_sweep


def tree(seed: int, *, plain: bool) -> tuple[Feeder, np.ndarray, np.ndarray]:
    """A random radial feeder, with shunts, charging and taps if not plain, and three steps of injections [pu]."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 8))
    feeder = plain_feeder(
        "tree",
        base_mva=2.0,
        base_kv=10.0,
        bus_names=[f"b{i}" for i in range(n)],
        p_load_mw=np.zeros(n),
        q_load_mvar=np.zeros(n),
        from_bus=np.array([int(rng.integers(0, i)) for i in range(1, n)]),
        to_bus=np.arange(1, n),
        r_ohm=rng.uniform(0.1, 1.0, n - 1),
        x_ohm=rng.uniform(0.1, 1.0, n - 1),
        slack_v_pu=1.02,
        v_min_pu=0.5,
        v_max_pu=1.5,
    )
    if not plain:
        m = n - 1
        feeder = replace(
            feeder,
            g_shunt_pu=rng.uniform(0, 0.01, n),
            b_shunt_pu=rng.uniform(-0.02, 0.02, n),
            g_parent_pu=rng.uniform(0, 0.005, m),
            b_parent_pu=rng.uniform(0, 0.02, m),
            g_child_pu=rng.uniform(0, 0.005, m),
            b_child_pu=rng.uniform(0, 0.02, m),
            tap_parent=rng.uniform(0.95, 1.05, m),
            tap_child=rng.uniform(0.95, 1.05, m),
        )
    p = rng.uniform(-0.15, 0.05, (3, n))
    return feeder, p, 0.4 * rng.uniform(-0.15, 0.05, (3, n))


def least_loss_flow(feeder: Feeder, p: np.ndarray, q: np.ndarray) -> distflow.BranchFlow:
    flow = distflow.branch_flow(feeder, cp.Constant(p), cp.Constant(q))
    solve(Model(cp.sum(flow.p_import), flow.constraints))
    return flow


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), plain=st.booleans())
def test_cheapest_branch_flow_is_the_complex_power_flow(seed: int, plain: bool) -> None:
    feeder, p, q = tree(seed, plain=plain)
    v, converged = solve_sweep(feeder, p * feeder.base_mva, q * feeder.base_mva)
    assert converged.all()
    flow = least_loss_flow(feeder, p, q)
    assert distflow.cone_gap(flow) < 1e-6
    np.testing.assert_allclose(np.sqrt(flow.v_sq.value), np.abs(v), atol=2e-6)
    exact = branch_flows(feeder, v)
    np.testing.assert_allclose(flow.p.value, exact.s_parent_mva.real / feeder.base_mva, atol=2e-6)
    np.testing.assert_allclose(flow.q.value, exact.s_parent_mva.imag / feeder.base_mva, atol=2e-6)
    # what goes in and does not come out again: branches and shunts
    losses = bus_injections(feeder, v).real.sum(axis=1) / feeder.base_mva
    np.testing.assert_allclose(flow.losses.value, losses, atol=2e-6)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), plain=st.booleans())
def test_no_power_flow_exceeds_the_largest_flow(seed: int, plain: bool) -> None:
    feeder, p, q = tree(seed, plain=plain)
    flow = least_loss_flow(feeder, p, q)
    low = float(np.sqrt(flow.v_sq.value.min())) - 1e-6
    most = largest_flow(feeder, np.abs(p), np.abs(q), low)
    assert np.all(np.abs(flow.p_import.value) <= most.exchange + 1e-6)
    assert np.all(flow.losses.value <= most.losses + 1e-6)


def test_voltage_limits_hold_at_every_bus_but_the_slack() -> None:
    feeder, p, q = tree(3, plain=True)
    helped = cp.Variable(p.shape)
    flow = distflow.branch_flow(feeder, cp.Constant(p), cp.Constant(q) + helped)
    low, high = np.full(p.shape, 0.985**2), np.full(p.shape, 1.005**2)
    limits = [left >= 0 for left in distflow.voltage_slack(feeder, flow, low, high)]
    size = cp.Variable(p.shape)
    cost = cp.sum(flow.p_import) + 0.01 * cp.sum(size)
    solve(Model(cost, [*flow.constraints, *limits, size >= helped, size >= -helped]))
    v = np.sqrt(flow.v_sq.value)
    others = np.arange(feeder.n_bus) != feeder.slack
    assert v[:, others].min() >= 0.985 - 1e-7
    assert v[:, others].max() <= 1.005 + 1e-7
    np.testing.assert_allclose(v[:, feeder.slack], 1.02, atol=1e-9)


def within_ratings(feeder: Feeder, flow: distflow.BranchFlow) -> list[cp.Constraint]:
    found = distflow.current_slack(feeder, flow, np.ones(flow.p.shape))
    slacks = [slack for one in found for slack in (one.slack, one.other_end) if slack is not None]
    return [constraint for one in found for constraint in one.constraints] + [slack >= 0 for slack in slacks]


@pytest.mark.parametrize("plain", [True, False])
def test_a_rating_is_kept_by_the_current_at_both_ends(plain: bool) -> None:
    feeder, p, q = tree(11, plain=plain)
    flow = least_loss_flow(feeder, p, q)

    def currents(of: distflow.BranchFlow) -> np.ndarray:
        ends = [(of.p, of.q, of.w_parent), (of.p_child, of.q_child, of.w_child)]
        return np.max([np.hypot(a.value, b.value) / np.sqrt(w.value) for a, b, w in ends], axis=(0, 1))

    largest = currents(flow)
    loose = replace(feeder, i_max_pu=largest * 1.001)
    again = distflow.branch_flow(loose, cp.Constant(p), cp.Constant(q))
    solve(Model(cp.sum(again.p_import), [*again.constraints, *within_ratings(loose, again)]))
    np.testing.assert_allclose(again.p_import.value, flow.p_import.value, atol=1e-6)
    tight = replace(feeder, i_max_pu=largest * 0.98)
    refused = distflow.branch_flow(tight, cp.Constant(p), cp.Constant(q))
    with pytest.raises(InfeasibleError):
        solve(Model(cp.sum(refused.p_import), [*refused.constraints, *within_ratings(tight, refused)]))
