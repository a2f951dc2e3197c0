"""Devices out of service, derated, or with fewer strings: in the blocks and in plans."""

from __future__ import annotations

from dataclasses import replace

import cvxpy as cp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cases.carrying import IDLE, PRICE, carrying
from cases.dispatch import ahead
from cases.parts import seen_as, with_series
from gridferry.controllers.conformance.sample_plants import at_start, look_ahead, read_only, two_feeders
from gridferry.controllers.contract import Forecast, Observation, Plan, Plant, Storage
from gridferry.controllers.devices import Stateless
from gridferry.controllers.devices.links.block import link_power
from gridferry.controllers.devices.links.device import Link, Terminal
from gridferry.controllers.devices.stores import block as stores
from gridferry.controllers.mess_exact import MessExact, MessExactSettings
from gridferry.controllers.model.dispatch_model import block_of
from gridferry.controllers.mvdc_drcc import MvdcDrcc, MvdcDrccSettings
from gridferry.controllers.solve import InfeasibleError, Model, solve

STORE = Storage(2.0, 1.0, 1.25, 0.8, 0.5, 0.0, 0.1, 0.9, 0.5, 0.5, float("inf"), 3.0)
SHARE = np.array([1.0, 0.5, 0.0, 0.2])
Case = tuple[Plant, Observation, Forecast]


# --------------------------------------------------------------------------------------------------------------- blocks


def test_power_is_bounded_by_the_share_of_the_rating_in_service() -> None:
    power = stores.storage_power(STORE, 4, available=SHARE)
    solve(Model(-cp.sum(power.p), power.constraints))
    np.testing.assert_allclose(power.p.value, SHARE, atol=1e-6)
    solve(Model(cp.sum(power.p), power.constraints))
    np.testing.assert_allclose(power.p.value, -SHARE, atol=1e-6)
    solve(Model(-cp.sum(power.p + power.q), power.constraints))
    np.testing.assert_allclose(np.hypot(power.p.value, power.q.value), 1.25 * SHARE, atol=1e-5)


@pytest.mark.parametrize("z", [0.0, 1.0])
def test_a_truck_gives_what_is_in_service_where_it_is(z: float) -> None:
    present = cp.Variable(4)
    power = stores.storage_power(STORE, 4, present, SHARE)
    solve(Model(-cp.sum(power.p), [*power.constraints, present == z]))
    np.testing.assert_allclose(power.p.value, z * SHARE, atol=1e-6)


def energy_under(holds: np.ndarray, start: float, charge: float = 0.0, before: float = 1.0) -> np.ndarray:
    """Energy of the store by the end of every step, with as much of it as can be."""
    power = stores.storage_power(STORE, len(holds))
    stored = stores.stored_energy(STORE, 1.0, start, power, holds, before)
    requested = [power.charge <= charge, power.discharge == 0, power.q == 0]
    solve(
        Model(
            -cp.sum(stored.energy) + 1e-3 * cp.sum(power.charge), [*power.constraints, *stored.constraints, *requested]
        )
    )
    return stored.energy.value


def test_lost_strings_take_what_they_hold_with_them_and_come_back_empty() -> None:
    """1.2 MWh, half of the strings out for two steps."""
    found = energy_under(np.array([1.0, 0.5, 0.5, 1.0, 1.0]), 1.2)
    np.testing.assert_allclose(found, [1.2, 1.2, 0.6, 0.6, 0.6, 0.6], atol=1e-6)


def test_what_was_lost_before_the_first_step_is_not_lost_again() -> None:
    holds = np.full(3, 0.5)
    np.testing.assert_allclose(energy_under(holds, 0.6, before=0.5), [0.6] * 4, atol=1e-6)
    np.testing.assert_allclose(energy_under(holds, 1.2, before=1.0), [1.2, 0.6, 0.6, 0.6], atol=1e-6)
    np.testing.assert_allclose(energy_under(np.ones(2), 0.6, before=0.5), [0.6] * 3, atol=1e-6)


def test_the_window_is_that_of_what_is_left() -> None:
    """0.8 MWh an hour are stored, up to 90 % of 2 MWh, of 1 MWh, of 2 MWh again."""
    found = energy_under(np.array([1.0, 1.0, 0.5, 1.0, 1.0]), 0.6, charge=1.0)
    np.testing.assert_allclose(found, [0.6, 1.4, 1.8, 0.9, 1.7, 1.8], atol=1e-5)


@settings(max_examples=20)
@given(seed=st.integers(0, 10**6))
def test_a_battery_that_rests_is_always_within_what_it_can_hold(seed: int) -> None:
    """Whatever strings come and go: the window shrinks with the energy, so that resting stays possible."""
    rng = np.random.default_rng(seed)
    holds, start = rng.uniform(0.2, 1.0, 6), 2.0 * float(rng.uniform(0.0, 1.0))
    found = energy_under(holds, start)
    assert (np.diff(found) <= 1e-7).all()
    expected = start * np.cumprod(np.minimum(holds / np.append(1.0, holds[:-1]), 1.0))
    np.testing.assert_allclose(found[1:], expected, atol=1e-6)


LINK = Link("L", (Terminal("L-1", 0, 0, 1.0, 0.03), Terminal("L-2", 1, 1, 1.0, 0.03)), 0)


def test_a_link_gives_what_is_in_service_of_it() -> None:
    """An end that gives 0.5 MW loses 0.015; the other takes that and its own loss."""
    there = np.array([1.0, 0.5, 0.0])
    power = link_power(LINK, 3, there)
    cost = 1e-3 * cp.sum(power.loss) - cp.sum(power.p[:, 1])
    solve(Model(cost, [*power.constraints, power.q == 0]))
    np.testing.assert_allclose(power.p.value[:, 1], there * 0.97 / 1.03, atol=1e-5)
    np.testing.assert_allclose(power.p.value[2], 0.0, atol=1e-6)


def test_reactive_power_of_an_end_is_that_of_the_share_in_service() -> None:
    power = link_power(LINK, 2, np.array([0.0, 0.4]))
    solve(Model(-cp.sum(power.q), power.constraints))
    np.testing.assert_allclose(power.q.value[0], 0.0, atol=1e-6)
    # its converter's loss has to come from its own network
    q = 0.4 / np.hypot(1.0, 0.03)
    np.testing.assert_allclose(power.q.value[1], q, atol=1e-3)


def test_the_block_of_a_link_takes_its_share_in_service_from_its_series() -> None:
    block = block_of(LINK, ahead(LINK, 3, Stateless(), availability=[1.0, 0.0, 0.5]))
    still = [one == 0 for one in block.q.values()]
    solve(Model(-cp.sum(block.p[1, 1]), [*block.constraints["converters"], *still]))
    np.testing.assert_allclose(block.p[1, 1].value, np.array([1.0, 0.0, 0.5]) * 0.97 / 1.03, atol=1e-5)


# ---------------------------------------------------------------------------------------------------------- controllers


def evening(horizon: int = 6) -> Case:
    """The dear evening of two feeders with a truck, two batteries and a link."""
    sample = two_feeders(step_s=3600)
    return sample.plant, replace(at_start(sample.plant), step=8), look_ahead(sample, 8, horizon)


def equipped(case: Case, **shares: np.ndarray) -> Case:
    plant, observation, forecast = case
    return plant, observation, read_only(with_series(plant, forecast, **shares))


def by_links(case: Case) -> Plan:
    plant, observation, forecast = case
    return MvdcDrcc(plant, MvdcDrccSettings(scenario="deterministic", time_limit_s=3600.0)).plan(observation, forecast)


def by_trucks(case: Case) -> Plan:
    plant, observation, forecast = case
    return MessExact(plant, MessExactSettings(gap=1e-5, time_limit_s=3600.0)).plan(observation, forecast)


@pytest.mark.parametrize("planned", [by_links, by_trucks])
def test_no_plan_requests_what_is_out_of_service(planned) -> None:
    case = evening()
    there = np.random.default_rng(4).choice([0.0, 0.3, 1.0], (6, 5))
    there[:, 4] = there[:, 3]  # both ends of the link
    plan, whole = planned(equipped(case, availability=there)), planned(case)
    set_by_plan = list(case[0].planned)
    requested, unlimited = (np.hypot(one.p_mw, one.q_mvar)[:, set_by_plan] for one in (plan, whole))
    rated = case[0].port_s_max_mva[set_by_plan]
    assert (requested <= rated * there + 1e-5).all()
    assert not requested[there == 0.0].any()
    assert plan.solver.objective >= whole.solver.objective - 1e-3
    # the shares bind: whole, more was asked for
    assert (unlimited > rated * there + 1e-3).any()


@pytest.mark.parametrize("planned", [by_links, by_trucks])
def test_nothing_in_service_is_the_cost_of_doing_nothing(planned) -> None:
    plant, observation, _ = case = evening()
    rest = np.zeros((6, len(plant.planned)))
    plan = planned(equipped(case, availability=rest))
    np.testing.assert_array_equal(plan.p_mw[:, plant.planned], rest)
    np.testing.assert_array_equal(plan.q_mvar[:, plant.planned], rest)
    np.testing.assert_array_equal(plan.position, np.repeat(observation.position[None, :], 6, axis=0))


@pytest.mark.parametrize("planned", [by_links, by_trucks])
def test_all_of_everything_is_no_share_given(planned) -> None:
    case = evening()
    whole = equipped(case, availability=np.ones((6, 5)), usable_energy_share=np.ones((6, 3)))
    assert planned(whole).solver.objective == pytest.approx(planned(case).solver.objective, abs=1e-3)


@pytest.mark.parametrize("planned", [by_links, by_trucks])
def test_batteries_keep_to_the_window_of_the_strings_left(planned) -> None:
    """Half of the strings of B2, a store without converter loss, fail at the start of step 2."""
    case = evening()
    holds = np.ones((6, 3))
    holds[2:, 2] = 0.5
    plan = planned(equipped(case, usable_energy_share=holds))
    store, energy = case[0].stores[2].storage, float(case[1].energy_mwh[2])
    for step in range(6):
        p = plan.p_mw[step, 2]
        energy = energy * (0.5 if step == 2 else 1.0) + max(-0.95 * p, 0.0) - max(p, 0.0) / 0.95
        assert -1e-5 <= energy <= store.energy_mwh * holds[step, 2] + 1e-5


def test_energy_due_is_that_of_the_strings_left() -> None:
    """B1 is to end at half of 1 MWh; of half of its strings a quarter is asked, and not to be had from nothing."""
    plant, observation, forecast = evening(1)
    energy = np.array([1.0, 0.25, 0.6])
    holds = np.array([[1.0, 0.5, 1.0]])
    still = np.zeros((1, 5))
    seen = seen_as(plant, observation, energy_mwh=energy, usable_energy_share=holds[0])
    kept = by_links(
        (plant, seen, read_only(with_series(plant, forecast, usable_energy_share=holds, availability=still)))
    )
    assert not kept.p_mw[:, plant.planned].any()
    with pytest.raises(InfeasibleError, match="B1 falls short of the energy due"):
        by_links(
            (
                plant,
                seen_as(plant, seen, usable_energy_share=np.ones(3)),
                read_only(with_series(plant, forecast, availability=still)),
            )
        )


def test_a_truck_whose_battery_is_out_still_drives() -> None:
    """By hand: 1 MWh on board at A; its battery fails for the hour in which it drives, which it costs nothing."""
    plant, observation, forecast = carrying(horizon=3, trip=10.0)
    seen = seen_as(plant, observation, energy_mwh=np.array([1.0]))
    out = np.array([[0.0], [1.0], [0.0]])
    plan = by_trucks((plant, seen, read_only(with_series(plant, forecast, availability=out))))
    assert plan.position.tolist() == [[1], [1], [1]]
    np.testing.assert_allclose(plan.p_mw[:, 0], [0.0, 1.0, 0.0], atol=1e-5)
    assert plan.solver.objective == pytest.approx(3 * IDLE - PRICE + 10.0, abs=0.1)


def test_a_truck_that_loses_strings_on_the_road_brings_what_is_left() -> None:
    plant, observation, forecast = carrying(horizon=3, trip=10.0)
    seen = seen_as(plant, observation, energy_mwh=np.array([1.0]))
    holds = np.array([[1.0], [0.4], [0.4]])
    plan = by_trucks((plant, seen, read_only(with_series(plant, forecast, usable_energy_share=holds))))
    assert plan.p_mw[:, 0].sum() == pytest.approx(0.4, abs=1e-5)
    assert plan.solver.objective == pytest.approx(3 * IDLE - 0.4 * PRICE + 10.0, abs=0.1)
