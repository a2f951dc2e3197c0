"""The exact flow of a dispatch model is the AC power flow, also of feeders with taps and shunts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gridferry.controllers.model.exact_flow import exact_flow
from gridferry.networks.admittance import branch_flows, supplied_mw
from gridferry.networks.power_flow import solve_sweep
from gridferry.networks.published import published_feeder


def test_an_exact_flow_is_the_ac_power_flow_with_taps_and_shunts() -> None:
    feeder, rng = published_feeder("ieee33"), np.random.default_rng(0)
    n = feeder.n_branch
    feeder = replace(
        feeder,
        b_parent_pu=rng.uniform(0.0, 1e-3, n),
        b_child_pu=rng.uniform(0.0, 1e-3, n),
        g_child_pu=rng.uniform(0.0, 1e-4, n),
        g_shunt_pu=rng.uniform(0.0, 1e-4, feeder.n_bus),
        b_shunt_pu=rng.uniform(0.0, 1e-3, feeder.n_bus),
        tap_parent=rng.uniform(0.99, 1.01, n),
        tap_child=rng.uniform(0.99, 1.01, n),
    )
    p, q = (rng.uniform(-0.3, 0.3, (4, feeder.n_bus)) for _ in range(2))
    p[:, feeder.slack] = q[:, feeder.slack] = 0.0
    v, _ = solve_sweep(feeder, p, q)
    found = exact_flow(feeder, p / feeder.base_mva, q / feeder.base_mva)
    assert found is not None
    np.testing.assert_allclose(np.sqrt(found.v_sq), np.abs(v), atol=1e-10)
    flows = branch_flows(feeder, v)
    np.testing.assert_allclose(feeder.base_mva * (found.p + 1j * found.q), flows.s_parent_mva, atol=1e-8)
    np.testing.assert_allclose(feeder.base_mva * found.p_import, supplied_mw(feeder, v), atol=1e-8)


def test_a_load_that_no_line_can_carry_has_no_exact_flow() -> None:
    feeder = published_feeder("ieee33")
    p = np.zeros((1, feeder.n_bus))
    p[0, -1] = -1e3
    assert exact_flow(feeder, p, 0 * p) is None


def test_a_branch_without_impedance_has_no_drop() -> None:
    feeder = published_feeder("ieee33")
    feeder = replace(feeder, r_pu=np.zeros(feeder.n_branch), x_pu=np.zeros(feeder.n_branch))
    p = np.full((2, feeder.n_bus), -0.1)
    found = exact_flow(feeder, p, p)
    assert found is not None
    assert found.v_sq == pytest.approx(feeder.slack_v_pu**2)
    assert not found.i_sq.any()
