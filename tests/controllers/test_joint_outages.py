"""The joint controller under availability and usable energy that a forecast tells of."""

from __future__ import annotations

import numpy as np
import pytest

from cases.joint_trade import EXACT, equipped, joint, trade
from cases.parts import seen_as


def test_what_is_out_of_service_gets_no_setpoint() -> None:
    """Devices: the truck, the battery, the two ends of the link."""
    there = np.ones((6, 4))
    there[1:3, 1] = 0.0
    there[2:4, 2:] = 0.0
    there[4, :] = 0.5
    there[0, 2:] = 0.5
    case = equipped(trade(0), availability=there)
    plan = joint(case, **EXACT)
    for p_or_q in (plan.p_mw, plan.q_mvar):
        assert not p_or_q[1:3, 1].any()
        assert not p_or_q[2:4, 2:4].any()
    ports = list(case[0].planned)
    rated = case[0].port_s_max_mva[ports] * there
    assert (np.hypot(plan.p_mw, plan.q_mvar)[:, ports] <= rated + 1e-5).all()
    assert plan.solver.objective >= joint(trade(0), **EXACT).solver.objective - 1e-3


@pytest.mark.parametrize("device", [0, 1])
def test_half_the_capacity_is_half_the_window(device: int) -> None:
    """Half of what is held is lost with half of the strings, at the start of step 3."""
    holds = np.ones((6, 2))
    holds[3:, device] = 0.5
    case = equipped(trade(0), usable_energy_share=holds)
    plan = joint(case, **EXACT)
    store, p, q = case[0].stores[device].storage, plan.p_mw[:, device], plan.q_mvar[:, device]
    gain = np.where(p < 0, -store.eta_charge * p, -p / store.eta_discharge) - store.loss_coefficient * np.hypot(p, q)
    energy = case[1].energy_mwh[device]
    for step in range(6):
        energy = energy * (0.5 if step == 3 else 1.0) + gain[step]
        assert 0.1 * holds[step, device] - 1e-5 <= energy / store.energy_mwh <= 0.9 * holds[step, device] + 1e-5
    if store.soc_end_min is not None:
        assert energy >= 0.5 * store.soc_end_min * store.energy_mwh - 1e-5


def test_strings_lost_before_the_first_step_lose_nothing_again() -> None:
    """The share was 0.5 in the last step already; what is measured is what is left."""
    holds = np.full((6, 2), [1.0, 0.5])
    plant, observation, forecast = equipped(trade(0), usable_energy_share=holds)
    seen = seen_as(plant, observation, energy_mwh=np.array([0.5, 0.3]), usable_energy_share=np.array([1.0, 0.5]))
    plan = joint((plant, seen, forecast), **EXACT)
    np.testing.assert_array_equal(plan.prediction.energy_mwh[0], [0.5, 0.3])
    assert plan.prediction.energy_mwh[1:, 1].max() <= 0.45 + 1e-5
    assert plan.prediction.energy_mwh[1:, 1].min() >= 0.05 - 1e-5
    assert plan.prediction.energy_mwh[-1, 1] >= 0.25 - 1e-5
