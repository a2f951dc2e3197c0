"""Power flows with a Q that follows the voltage."""

from __future__ import annotations

import numpy as np
import pytest

from cases.battery_day import chain
from gridferry.networks.droop import Droops, solve_with_droops
from gridferry.networks.power_flow import solve_sweep

FEEDER = chain((0.05, 0.12), (0.05, 0.12), kv=0.4)
STEEP = ((1.02, 0.1), (1.021, -0.1))
FLAT = ((0.96, 0.05), (0.99, 0.0), (1.01, 0.0), (1.06, -0.08))


def flow(p_mw: list[list[float]], droops: Droops) -> np.ndarray:
    p = np.array(p_mw)
    return solve_with_droops(FEEDER, lambda p, q: solve_sweep(FEEDER, p, q)[0], p, np.zeros_like(p), droops)


@pytest.mark.parametrize("points", [FLAT, STEEP], ids=["flat", "steep"])
def test_q_and_voltage_agree_as_bisection_finds_them(points: tuple[tuple[float, float], ...]) -> None:
    p = [0.0, 0.0, 0.15]
    v = flow([p, [0.0, 0.0, -0.1]], Droops(np.array([2]), [points], np.full((2, 1), np.inf)))[0]
    low, high = -0.2, 0.2
    for _ in range(60):
        q = 0.5 * (low + high)
        found = abs(solve_sweep(FEEDER, np.array([p]), np.array([[0.0, 0.0, q]]))[0][0, 2])
        low, high = (q, high) if np.interp(found, *np.array(points).T) > q else (low, q)
    assert abs(v[2]) == pytest.approx(found, abs=1e-8)


def test_two_characteristics_and_a_rating_hold_at_once() -> None:
    droops = Droops(np.array([1, 2]), [STEEP, FLAT], np.array([[np.inf, 0.02]]))
    v = flow([[0.0, 0.05, 0.2]], droops)
    (q,) = droops.q_mvar(np.abs(v))
    assert q[1] == -0.02
    again = solve_sweep(FEEDER, np.array([[0.0, 0.05, 0.2]]), np.array([[0.0, *q]]))[0]
    np.testing.assert_allclose(again, v, atol=1e-8)


def test_a_flow_that_has_no_solution_is_told_apart_from_the_others() -> None:
    v = flow([[0.0, 0.0, -9.0], [0.0, 0.0, 0.1]], Droops(np.array([2]), [FLAT], np.full((2, 1), np.inf)))
    assert np.isnan(v[0]).all()
    assert np.isfinite(v[1]).all()
