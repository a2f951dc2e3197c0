"""Devices out of service, derated, and stores that lose strings."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cases.device_steps import STATIONS, Setpoint, step_link, step_store, step_truck
from gridferry.controllers.contract import Storage
from gridferry.controllers.devices import Clip, Now, Travel
from gridferry.controllers.devices.links.device import Link, Terminal
from gridferry.controllers.devices.stores.step import initial_store
from gridferry.controllers.devices.stores.storage import StoreState
from gridferry.controllers.devices.trucks.config import Labour, Mileage
from gridferry.controllers.devices.trucks.device import Phase, Truck, TruckCost

STORE = Storage(
    energy_mwh=4.0,
    p_max_mw=2.0,
    s_max_mva=2.5,
    eta_charge=0.9,
    eta_discharge=0.8,
    loss_coefficient=0.02,
    soc_min=0.25,
    soc_max=0.75,
    soc_initial=0.5,
    soc_end_min=None,
    cycles_max_per_day=1.0,
    cost_per_mwh_charged=0.0,
)
WHOLE, HALF = Now(1.0), Now(1.0, series={"usable_energy_share": 0.5})
PLAIN = replace(STORE, eta_charge=1.0, eta_discharge=1.0, loss_coefficient=0.0)
TRAVEL = Travel(steps=((0, 2), (2, 0)), minutes=((0.0, 120.0), (120.0, 0.0)), km=((0.0, 50.0), (50.0, 0.0)))
TRUCK = Truck("T", STORE, (0, 1), 0, 5, TruckCost(0.0, 0.0, Mileage.LEG, Labour.TRAVEL, 8.0), STATIONS)

shares = st.one_of(st.sampled_from([0.0, 0.5, 1.0]), st.floats(0.0, 1.0, allow_subnormal=False))
held = st.one_of(st.sampled_from([0.0, 0.5, 1.0]), st.floats(0.01, 1.0))
powers = st.floats(-3.0, 3.0, allow_subnormal=False)
steps = st.lists(st.tuples(shares, held, powers, powers), min_size=1, max_size=12)


@given(st.floats(0.25, 0.75), held, steps)
def test_the_balance_closes_and_windows_and_ratings_hold_whatever_drops_out(
    soc: float, first: float, sequence: list[tuple[float, float, float, float]]
) -> None:
    state = StoreState(soc * first * STORE.energy_mwh, 0.0, first)
    for availability, usable_energy_share, p, q in sequence:
        strings = (
            state.energy_mwh * min(usable_energy_share / state.usable_energy_share, 1.0)
            if state.usable_energy_share > 0
            else 0.0
        )
        conditions = Now(step_h=0.5, series={"availability": availability, "usable_energy_share": usable_energy_share})
        after, done = step_store(STORE, state, Setpoint(p, q), conditions)
        change = done.charged_mwh - done.discharged_mwh - done.loss_mwh
        assert after.energy_mwh - state.energy_mwh == pytest.approx(change, rel=0, abs=1e-12)
        assert after.energy_mwh >= min(STORE.soc_min * usable_energy_share * STORE.energy_mwh, strings) - 1e-12
        assert after.energy_mwh <= max(STORE.soc_max * usable_energy_share * STORE.energy_mwh, strings) + 1e-12
        assert done.loss_mwh >= state.energy_mwh - strings - 1e-12
        assert abs(done.p_mw) <= availability * STORE.p_max_mw
        assert math.hypot(done.p_mw, done.q_mvar) <= availability * STORE.s_max_mva * (1 + 1e-12)
        assert after.cycles_today <= STORE.cycles_max_per_day
        assert after.usable_energy_share == usable_energy_share
        state = after


def test_lost_strings_take_their_energy_with_them_and_come_back_empty() -> None:
    whole, half = WHOLE, HALF
    state, done = step_store(PLAIN, initial_store(PLAIN, WHOLE), Setpoint(), half)
    assert (state.energy_mwh, done.loss_mwh, done.clips) == (1.0, 1.0, ())
    # nothing more is lost while they are gone; the window is 0.5 to 1.5 MWh
    state, done = step_store(PLAIN, state, Setpoint(-2.0), half)
    assert (state.energy_mwh, done.p_mw, done.loss_mwh, done.clips) == (1.5, -0.5, 0.0, (Clip.ENERGY_FULL,))
    state, done = step_store(PLAIN, state, Setpoint(-2.0), whole)
    assert (state.energy_mwh, done.p_mw, done.loss_mwh) == (3.0, -1.5, 0.0)


def test_a_run_begins_at_the_initial_state_of_charge_of_the_usable_energy() -> None:
    state = initial_store(PLAIN, HALF)
    after, done = step_store(PLAIN, state, Setpoint(), HALF)
    assert (state.energy_mwh, after, done.loss_mwh) == (1.0, state, 0.0)


def test_cycles_are_those_of_the_rated_energy() -> None:
    after, _ = step_store(PLAIN, initial_store(PLAIN, HALF), Setpoint(0.4), HALF)
    assert after.cycles_today == pytest.approx(0.4 / 8)


def test_a_derated_store_gives_its_share_of_power_and_of_the_converter() -> None:
    half = Now(0.1, series={"availability": 0.5})
    _, done = step_store(PLAIN, initial_store(PLAIN, WHOLE), Setpoint(1.5, 2.0), half)
    assert (done.p_mw, done.clips) == (1.0, (Clip.RATING,))
    assert done.q_mvar == pytest.approx(0.75)
    _, done = step_store(PLAIN, initial_store(PLAIN, WHOLE), Setpoint(0.9, 0.5), half)
    assert (done.p_mw, done.q_mvar, done.clips) == (0.9, 0.5, ())


def test_a_store_out_of_service_still_loses_strings() -> None:
    dead = Now(1.0, series={"availability": 0.0, "usable_energy_share": 0.25})
    after, done = step_store(PLAIN, initial_store(PLAIN, WHOLE), Setpoint(1.0), dead)
    assert (after.energy_mwh, done.p_mw, done.loss_mwh, done.clips) == (0.5, 0.0, 1.5, (Clip.OUT_OF_SERVICE,))


def test_a_truck_with_a_dead_battery_drives_and_loses_strings_on_the_road() -> None:
    dead = Now(1.0, series={"availability": 0.0}, trips=TRAVEL)
    dead_half = replace(dead, series={"availability": 0.0, "usable_energy_share": 0.5})
    state, done = step_truck(TRUCK, TRUCK.initial_state(WHOLE), Setpoint(1.0), dead)
    assert (done.p_mw, done.phase, done.clips) == (0.0, Phase.PARKED, (Clip.OUT_OF_SERVICE,))
    state, done = step_truck(TRUCK, state, Setpoint(0.0, 0.0, 1), dead_half)
    assert (done.departed, done.km, done.loss_mwh) == (True, 50.0, 1.0)
    state, _ = step_truck(TRUCK, state, Setpoint(0.0, 0.0, 1), dead_half)
    assert (state.station, state.transit_steps, state.energy_mwh, state.usable_energy_share) == (1, 0, 1.0, 0.5)


def test_a_derated_link_carries_its_share_at_every_terminal() -> None:
    link = Link("L", (Terminal("L-1", 0, 0, 1.0, 0.0), Terminal("L-2", 1, 1, 1.0, 0.0)), 0)
    requested = [Setpoint(-0.8), Setpoint(0.8, 0.6)]
    outcomes = step_link(link, requested, Now(1.0, series={"availability": 0.5}))
    assert [one.p_mw for one in outcomes] == [-0.5, 0.5]
    assert [one.q_mvar for one in outcomes] == [0.0, 0.0]
    assert [one.shortfall_mwh for one in outcomes] == pytest.approx([0.3, 0.3])
    assert all(Clip.RATING in one.clips for one in outcomes)
