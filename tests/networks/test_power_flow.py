"""The batched power flow against the balance of the injections it was given."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridferry.networks.admittance import admittance, bus_injections
from gridferry.networks.feeder import Feeder, plain_feeder
from gridferry.networks.power_flow import solve_sweep


def line(slack_v_pu: float = 1.0) -> Feeder:
    return plain_feeder(
        "line",
        base_mva=1.0,
        base_kv=10.0,
        bus_names=["A", "B"],
        p_load_mw=np.zeros(2),
        q_load_mvar=np.zeros(2),
        from_bus=np.array([0]),
        to_bus=np.array([1]),
        r_ohm=np.array([10.0]),
        x_ohm=np.array([5.0]),
        slack_v_pu=slack_v_pu,
    )


def random_tree(seed: int, n_bus: int) -> Feeder:
    """A random tree whose slack is any bus, with every element of the branch model."""
    rng = np.random.default_rng(seed)
    feeder = plain_feeder(
        "tree",
        base_mva=5.0,
        base_kv=10.0,
        bus_names=[str(bus) for bus in range(n_bus)],
        p_load_mw=rng.uniform(0, 0.3, n_bus),
        q_load_mvar=rng.uniform(0, 0.2, n_bus),
        from_bus=np.array([rng.integers(0, bus) for bus in range(1, n_bus)]),
        to_bus=np.arange(1, n_bus),
        r_ohm=rng.uniform(0.05, 0.3, n_bus - 1),
        x_ohm=rng.uniform(0.02, 0.3, n_bus - 1),
        slack=int(rng.integers(0, n_bus)),
        slack_v_pu=float(rng.uniform(0.97, 1.05)),
    )
    return replace(
        feeder,
        tap_parent=rng.uniform(0.98, 1.02, n_bus - 1),
        shift_deg=rng.choice([0.0, 30.0], n_bus - 1),
        b_child_pu=rng.uniform(0.0, 0.02, n_bus - 1),
        b_shunt_pu=rng.uniform(0.0, 0.02, n_bus),
    )


@given(seed=st.integers(0, 10_000), n_bus=st.integers(2, 20))
@settings(max_examples=25, deadline=None)
def test_voltages_balance_every_injection(seed: int, n_bus: int) -> None:
    feeder = random_tree(seed, n_bus)
    factor = np.random.default_rng(seed + 1).uniform(-1.0, 1.0, (2, 3, 1))
    p, q = -factor * feeder.p_load_mw, -factor * feeder.q_load_mvar
    v, converged = solve_sweep(feeder, p, q)
    assert converged.shape == (2, 3)
    assert converged.all()
    away = np.arange(n_bus) != feeder.slack
    np.testing.assert_allclose(bus_injections(feeder, v)[..., away], (p + 1j * q)[..., away], rtol=0, atol=1e-9)
    assert np.all(v[..., feeder.slack] == feeder.slack_v_pu)


def test_one_line_follows_the_quadratic_of_its_voltage() -> None:
    """By hand: |v|⁴ + |v|² (2 (r p + x q) - v0²) + |z|² |s|² = 0 for a load p + jq, upper root."""
    z, p, q = 0.01 + 0.005j, 8.0, 4.0
    b = 2 * (z.real * p + z.imag * q) - 1.02**2
    upper = np.sqrt((-b + np.sqrt(b**2 - 4 * abs(z) ** 2 * (p**2 + q**2))) / 2)
    feeder = replace(line(1.02), r_pu=np.array([z.real]), x_pu=np.array([z.imag]))
    v, _ = solve_sweep(feeder, np.array([0.0, -p]), np.array([0.0, -q]))
    assert abs(v[1]) == pytest.approx(upper, abs=1e-11)


@pytest.mark.parametrize(("share", "solvable"), [(0.999, True), (1.001, False)])
def test_convergence_ends_where_the_voltage_collapses(share: float, solvable: bool) -> None:
    """By hand: a line of impedance z carries at most v0² / (2 (|z| + r)) of unity-power-factor load."""
    feeder = line()
    limit = 1.0 / (2 * (abs(0.1 + 0.05j) + 0.1))
    v, converged = solve_sweep(feeder, np.array([0.0, -share * limit]), np.zeros(2))
    assert bool(converged) is solvable
    assert bool(np.isfinite(v).all()) is solvable


def test_a_load_that_is_the_short_circuit_power_has_no_solution() -> None:
    """The first pass lands on v = 0 up to rounding, and the next ones far out and back."""
    for r, x in ((0.07, 0.02), (0.1, 0.05), (0.03, 0.09)):
        feeder = replace(line(), r_pu=np.array([r]), x_pu=np.array([x]))
        s = -1.0 / np.conj(complex(r, x))
        _, converged = solve_sweep(feeder, np.array([0.0, s.real]), np.array([0.0, s.imag]))
        assert not converged


def test_rows_do_not_depend_on_their_neighbours() -> None:
    feeder = line()
    p = np.array([[0.0, -1.0], [0.0, -9.0], [0.0, np.nan], [0.0, 0.0], [0.0, 1.5]])
    v, converged = solve_sweep(feeder, p, np.zeros_like(p))
    assert converged.tolist() == [True, False, False, True, True]
    assert np.isnan(v[[1, 2]]).all()
    for row in (0, 3, 4):
        np.testing.assert_allclose(v[row], solve_sweep(feeder, p[row], np.zeros(2))[0], rtol=0, atol=1e-12)


def test_without_injections_only_what_the_slack_feeds_into_shunts_flows() -> None:
    """No bus but the slack draws a current: Y v = 0 there, a linear system."""
    feeder = random_tree(3, 12)
    v, _ = solve_sweep(feeder, np.zeros(12), np.zeros(12))
    y, away = admittance(feeder).bus.toarray(), np.arange(12) != feeder.slack
    assert v[feeder.slack] == feeder.slack_v_pu
    expected = np.linalg.solve(y[np.ix_(away, away)], -y[away, feeder.slack] * feeder.slack_v_pu)
    np.testing.assert_allclose(v[away], expected, rtol=0, atol=1e-12)
