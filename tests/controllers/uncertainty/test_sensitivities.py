"""Voltage sensitivities against finite differences of the AC power flow and against path sums."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gridferry.controllers.uncertainty.sensitivities import voltage_response
from gridferry.networks.feeder import Feeder, plain_feeder
from gridferry.networks.power_flow import solve_sweep

PARENTS = np.array([0, 1, 2, 1, 4, 4])
"""0 - 1 - 2 - 3, and 1 - 4 with 5 and 6 behind it."""
SHIFTED = {
    "tap_parent": np.array([1.02, 1.0, 0.99, 1.0, 1.0, 1.0]),
    "tap_child": np.array([1.0, 1.01, 1.0, 1.0, 1.0, 0.98]),
    "shift_deg": np.array([30.0, 0.0, 0.0, 0.0, -30.0, 0.0]),
    "b_parent_pu": np.full(6, 0.02),
    "b_child_pu": np.full(6, 0.01),
    "g_shunt_pu": np.full(7, 0.002),
    "b_shunt_pu": np.linspace(0.0, 0.05, 7),
}


def feeder_of_seven(**changes: object) -> Feeder:
    feeder = plain_feeder(
        "seven",
        base_mva=2.0,
        base_kv=10.0,
        bus_names=list("ABCDEFG"),
        p_load_mw=np.array([0.0, 0.2, 0.4, 0.3, 0.1, 0.6, 0.2]),
        q_load_mvar=np.array([0.0, 0.1, 0.2, 0.1, 0.0, 0.3, 0.1]),
        from_bus=PARENTS,
        to_bus=np.arange(1, 7),
        r_ohm=np.array([1.0, 2.0, 1.5, 0.8, 1.2, 2.5]),
        x_ohm=np.array([0.5, 1.0, 1.5, 1.8, 0.6, 0.5]),
        slack_v_pu=1.02,
    )
    return replace(feeder, **changes)


def to_every_bus(feeder: Feeder, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Response of all voltages to active and to reactive power at every bus, along the last axis."""
    unit = np.broadcast_to(np.eye(feeder.n_bus), (len(v), feeder.n_bus, feeder.n_bus))
    return voltage_response(feeder, v, unit, 0 * unit), voltage_response(feeder, v, 0 * unit, unit)


@pytest.mark.parametrize("changes", [{}, SHIFTED], ids=["lines", "taps and shunts"])
def test_sensitivities_are_the_finite_differences_of_the_power_flow(changes: dict[str, np.ndarray]) -> None:
    feeder = feeder_of_seven(**changes)
    factor = np.array([0.3, 1.0, -0.8])[:, None]
    p, q = -factor * feeder.p_load_mw, -factor * feeder.q_load_mvar
    v, _ = solve_sweep(feeder, p, q)
    to_p, to_q = to_every_bus(feeder, v)
    h = 1e-4
    for bus in range(feeder.n_bus):
        step = h * (np.arange(feeder.n_bus) == bus)
        for sensitivity, dp, dq in ((to_p, step, 0 * step), (to_q, 0 * step, step)):
            above = np.abs(solve_sweep(feeder, p + dp, q + dq)[0])
            below = np.abs(solve_sweep(feeder, p - dp, q - dq)[0])
            np.testing.assert_allclose(sensitivity[..., bus], (above - below) / (2 * h), rtol=0, atol=1e-8)


def test_response_to_a_source_is_the_sum_over_the_buses_it_injects_at() -> None:
    feeder = feeder_of_seven()
    v, _ = solve_sweep(feeder, -np.stack([feeder.p_load_mw] * 2), -np.stack([feeder.q_load_mvar] * 2))
    to_p, to_q = to_every_bus(feeder, v)
    rng = np.random.default_rng(0)
    p, q = rng.normal(size=(2, 7, 3)), rng.normal(size=(2, 7, 3))
    response = voltage_response(feeder, v, p, q)
    np.testing.assert_allclose(response, to_p @ p + to_q @ q, rtol=0, atol=1e-12)


def test_without_load_impedances_add_up_along_the_shared_path() -> None:
    """LinDistFlow: dv = (R dP + X dQ) / v."""
    feeder = feeder_of_seven()
    path = np.zeros((7, 6))
    for bus in range(1, 7):
        path[bus] = path[PARENTS[bus - 1]] + (np.arange(6) == bus - 1)
    shared_r = path @ np.diag(feeder.r_pu) @ path.T
    shared_x = path @ np.diag(feeder.x_pu) @ path.T
    to_p, to_q = to_every_bus(feeder, np.full((1, 7), 1.02 + 0j))
    np.testing.assert_allclose(to_p[0], shared_r / feeder.base_mva / 1.02, atol=1e-12)
    np.testing.assert_allclose(to_q[0], shared_x / feeder.base_mva / 1.02, atol=1e-12)


def test_the_slack_neither_moves_nor_is_felt() -> None:
    feeder = feeder_of_seven()
    v, _ = solve_sweep(feeder, -feeder.p_load_mw[None], -feeder.q_load_mvar[None])
    to_p, to_q = to_every_bus(feeder, v)
    for one in (to_p, to_q):
        assert not one[:, 0].any()
        assert not one[:, :, 0].any()


def test_a_point_that_did_not_converge_is_refused_with_its_step() -> None:
    feeder = feeder_of_seven()
    v = np.ones((4, 7), dtype=complex)
    v[2, 3] = np.nan
    with pytest.raises(ValueError, match="seven: no finite operating point at steps 2;"):
        to_every_bus(feeder, v)
