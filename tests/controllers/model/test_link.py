"""The link block: what converters can do, worked out by hand and by the simulated device."""

from __future__ import annotations

import cvxpy as cp
import numpy as np
import pytest

from cases.device_steps import Setpoint, step_link
from gridferry.controllers.devices import Now
from gridferry.controllers.devices.links.block import converter_loss, link_power, loss_slack_mw
from gridferry.controllers.devices.links.device import Link, Terminal


def link(*ratings: float, loss: float = 0.03, balancing: int = 0) -> Link:
    return Link("L", tuple(Terminal(f"L-{k}", k, k, s, loss) for k, s in enumerate(ratings)), balancing)


def best(one: Link, worth: np.ndarray, q: np.ndarray | None = None):
    power = link_power(one, len(worth))
    fixed = [] if q is None else [power.q == q]
    problem = cp.Problem(cp.Maximize(cp.sum(cp.multiply(worth, power.p))), [*power.constraints, *fixed])
    problem.solve(solver=cp.CLARABEL)
    assert problem.status == cp.OPTIMAL
    return power


def test_the_expensive_end_gets_what_the_cheap_end_gives_less_both_losses() -> None:
    power = best(link(1.0, 1.0), np.array([[10.0, 50.0], [50.0, 10.0]]), np.zeros((2, 2)))
    # -1 + 0.03 + P + 0.03 P = 0
    received = 0.97 / 1.03
    assert power.p.value == pytest.approx(np.array([[-1.0, received], [received, -1.0]]), abs=1e-6)
    assert loss_slack_mw(link(1.0, 1.0), power) < 1e-6


def test_reactive_power_shares_the_rating_and_loses_too() -> None:
    one = link(1.0, 1.0)
    power = best(one, np.array([[1.0, 10.0]]), np.array([[0.6, 0.8]]))
    p, q = power.p.value, power.q.value
    assert p[0, 1] == pytest.approx(0.6, abs=1e-6)
    # the other end gives 0.6 and both losses: -P = 0.6 + 0.03 + 0.03 √(P² + 0.36)
    assert -p[0, 0] == pytest.approx(0.63 + 0.03 * np.hypot(p[0, 0], 0.6), abs=1e-6)
    assert np.sum(p + converter_loss(one, p, q)) == pytest.approx(0.0, abs=1e-6)


def test_a_link_of_three_terminals_feeds_the_most_expensive_from_both_others() -> None:
    one = link(0.5, 1.0, 2.0, loss=0.02)
    power = best(one, np.array([[1.0, 2.0, 9.0]]), np.zeros((1, 3)))
    assert power.p.value[0] == pytest.approx([-0.5, -1.0, 1.5 * 0.98 / 1.02], abs=1e-6)


@pytest.mark.parametrize("balancing", [0, 1, 2])
def test_the_simulated_device_does_what_a_plan_with_tight_cones_requests(balancing: int) -> None:
    one = link(0.5, 1.0, 2.0, loss=0.02, balancing=balancing)
    power = best(one, np.array([[1.0, 2.0, 9.0], [5.0, 1.0, 3.0]]), np.array([[0.1, -0.2, 0.3], [0.2, 0.0, -0.5]]))
    for p, q in zip(power.p.value, power.q.value, strict=True):
        requested = [Setpoint(float(a), float(b)) for a, b in zip(p, q, strict=True)]
        done = step_link(one, requested, Now(step_h=1.0))
        assert [out.p_mw for out in done] == pytest.approx(p, abs=1e-6)
        assert [out.q_mvar for out in done] == pytest.approx(q, abs=1e-6)


def test_a_link_without_losses_gives_on_all_it_takes() -> None:
    power = best(link(1.0, 0.7, loss=0.0), np.array([[0.0, 1.0]]))
    assert power.p.value[0] == pytest.approx([-0.7, 0.7], abs=1e-6)
    assert power.loss.value == pytest.approx(np.zeros((1, 2)), abs=1e-9)


def test_paying_for_waste_opens_the_loss_cone_and_is_reported() -> None:
    one = link(1.0, 1.0)
    power = link_power(one, 1)
    # both ends are paid to take power from their grids: only losses that do not occur make room for it
    cp.Problem(cp.Minimize(cp.sum(power.p)), [*power.constraints, power.q == 0]).solve(solver=cp.CLARABEL)
    assert loss_slack_mw(one, power) == pytest.approx(1.0 - 0.03, abs=1e-5)
