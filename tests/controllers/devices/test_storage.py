from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from cases.device_steps import Setpoint, step_store
from gridferry.controllers.contract import Storage
from gridferry.controllers.devices import Clip, Now
from gridferry.controllers.devices.stores.storage import StoreState

PLAIN = Storage(
    energy_mwh=4.0,
    p_max_mw=2.0,
    s_max_mva=2.0,
    eta_charge=0.8,
    eta_discharge=0.5,
    loss_coefficient=0.0,
    soc_min=0.25,
    soc_max=0.75,
    soc_initial=0.5,
    soc_end_min=None,
    cycles_max_per_day=math.inf,
    cost_per_mwh_charged=15.0,
)
HOUR = Now(step_h=1.0)


def unit(low: float = 0.0, high: float = 1.0) -> st.SearchStrategy[float]:
    return st.floats(low, high, allow_subnormal=False)


@st.composite
def storages(draw: st.DrawFn) -> Storage:
    low = draw(unit(0.0, 0.9))
    p_max = draw(unit(0.01, 10.0))
    return Storage(
        energy_mwh=draw(unit(0.05, 20.0)),
        p_max_mw=p_max,
        s_max_mva=p_max * draw(unit(0.5, 2.0)),
        eta_charge=draw(unit(0.3, 1.0)),
        eta_discharge=draw(unit(0.3, 4 / 3)),
        loss_coefficient=draw(st.one_of(st.just(0.0), unit(0.001, 0.95))),
        soc_min=low,
        soc_max=draw(unit(low + 0.01, 1.0)),
        soc_initial=low,
        soc_end_min=None,
        cycles_max_per_day=draw(st.one_of(st.just(math.inf), unit(0.01, 3.0))),
        cost_per_mwh_charged=15.0,
        cycles_at_grid=draw(st.booleans()),
    )


@st.composite
def situations(draw: st.DrawFn) -> tuple[Storage, StoreState, Setpoint, Now]:
    storage = draw(storages())
    soc = storage.soc_min + (storage.soc_max - storage.soc_min) * draw(unit())
    cycles = draw(unit()) * min(storage.cycles_max_per_day, 5.0)
    setpoint = Setpoint(
        storage.p_max_mw * draw(unit(-2.0, 2.0)), storage.s_max_mva * draw(st.one_of(st.just(0.0), unit(-2.0, 2.0)))
    )
    energy = min(soc * storage.energy_mwh, storage.soc_max * storage.energy_mwh)
    return storage, StoreState(energy, cycles), setpoint, Now(step_h=draw(unit(1 / 60, 1.0)))


def energy_by_law(storage: Storage, energy: float, p: float, q: float, step_h: float) -> float:
    flow = -p * storage.eta_charge if p < 0 else -p / storage.eta_discharge
    return energy + step_h * (flow - storage.loss_coefficient * math.sqrt(p * p + q * q))


def efficiencies_that_count(storage: Storage) -> tuple[float, float]:
    """Of charging and discharging, in the count of cycles: of the cells, or none as eq. 38 is quoted."""
    return (1.0, 1.0) if storage.cycles_at_grid else (storage.eta_charge, storage.eta_discharge)


@settings(max_examples=300, deadline=None)
@given(situations())
def test_no_limit_is_ever_broken(situation: tuple[Storage, StoreState, Setpoint, Now]) -> None:
    storage, state, setpoint, conditions = situation
    after, done = step_store(storage, state, setpoint, conditions)
    assert abs(done.p_mw) <= storage.p_max_mw
    assert math.hypot(done.p_mw, done.q_mvar) <= storage.s_max_mva * (1 + 1e-12)
    assert min(storage.soc_min * storage.energy_mwh, state.energy_mwh) <= after.energy_mwh
    assert after.energy_mwh <= max(storage.soc_max * storage.energy_mwh, state.energy_mwh)
    assert after.cycles_today <= storage.cycles_max_per_day
    # limits shrink a setpoint, they never turn or enlarge it
    for requested, given_ in ((setpoint.p_mw, done.p_mw), (setpoint.q_mvar, done.q_mvar)):
        assert abs(given_) <= abs(requested)
        assert given_ * requested >= 0


@settings(max_examples=300, deadline=None)
@given(situations())
def test_energy_follows_the_law_and_its_balance_closes(
    situation: tuple[Storage, StoreState, Setpoint, Now],
) -> None:
    storage, state, setpoint, conditions = situation
    after, done = step_store(storage, state, setpoint, conditions)
    law = energy_by_law(storage, state.energy_mwh, done.p_mw, done.q_mvar, conditions.step_h)
    assert after.energy_mwh == pytest.approx(law, rel=0, abs=1e-12)
    change = done.charged_mwh - done.discharged_mwh - done.loss_mwh
    assert after.energy_mwh - state.energy_mwh == pytest.approx(change, rel=0, abs=1e-12)
    into, out = efficiencies_that_count(storage)
    throughput = into * done.charged_mwh + done.discharged_mwh / out
    cycles = state.cycles_today + throughput / (2 * storage.energy_mwh)
    assert after.cycles_today == pytest.approx(cycles, rel=1e-12, abs=1e-12)
    assert done.shortfall_mwh == conditions.step_h * abs(setpoint.p_mw - done.p_mw)
    assert done.wear_cost == pytest.approx(15.0 * done.charged_mwh)


@settings(max_examples=300, deadline=None)
@given(situations())
def test_what_was_done_can_be_requested_again_and_passes_unchanged(
    situation: tuple[Storage, StoreState, Setpoint, Now],
) -> None:
    storage, state, setpoint, conditions = situation
    _, done = step_store(storage, state, setpoint, conditions)
    _, again = step_store(storage, state, Setpoint(done.p_mw, done.q_mvar), conditions)
    assert again.p_mw == pytest.approx(done.p_mw, rel=1e-12, abs=1e-12)
    # what a rating leaves beside P is as sharp as the root of the rounding
    assert again.q_mvar == pytest.approx(done.q_mvar, rel=1e-7, abs=1e-7)
    assert again.clips == ()


@settings(max_examples=300, deadline=None)
@given(situations())
def test_a_setpoint_inside_all_limits_passes_bit_by_bit(
    situation: tuple[Storage, StoreState, Setpoint, Now],
) -> None:
    storage, state, setpoint, conditions = situation
    p = min(max(0.4 * setpoint.p_mw, -storage.s_max_mva), storage.s_max_mva)
    requested = Setpoint(p, 0.2 * setpoint.q_mvar)
    end = energy_by_law(storage, state.energy_mwh, requested.p_mw, requested.q_mvar, conditions.step_h)
    into, out = efficiencies_that_count(storage)
    moved = -p * into if p < 0 else p / out
    cycles = state.cycles_today + conditions.step_h * moved / (2 * storage.energy_mwh)
    assume(storage.soc_min * storage.energy_mwh <= end <= storage.soc_max * storage.energy_mwh)
    assume(cycles < storage.cycles_max_per_day)
    assume(abs(p) < storage.p_max_mw and math.hypot(p, requested.q_mvar) < 0.999 * storage.s_max_mva)
    _, done = step_store(storage, state, requested, conditions)
    assert (done.p_mw, done.q_mvar, done.shortfall_mwh, done.clips) == (requested.p_mw, requested.q_mvar, 0.0, ())


@settings(max_examples=300, deadline=None)
@given(situations())
def test_power_is_reduced_no_further_than_the_limits_ask(
    situation: tuple[Storage, StoreState, Setpoint, Now],
) -> None:
    storage, state, setpoint, conditions = situation
    _, done = step_store(storage, state, setpoint, conditions)
    lacking = abs(setpoint.p_mw) - abs(done.p_mw)
    assume(lacking > 1e-6)
    more = math.copysign(abs(done.p_mw) + 1e-7, setpoint.p_mw)
    q = math.copysign(min(abs(setpoint.q_mvar), math.sqrt(max(storage.s_max_mva**2 - more**2, 0.0))), setpoint.q_mvar)
    end = energy_by_law(storage, state.energy_mwh, more, q, conditions.step_h)
    into, out = efficiencies_that_count(storage)
    flow = -more * into if more < 0 else more / out
    assert (
        abs(more) > min(storage.p_max_mw, storage.s_max_mva)
        or state.cycles_today + conditions.step_h * flow / (2 * storage.energy_mwh) > storage.cycles_max_per_day
        or end > storage.soc_max * storage.energy_mwh
        or end < storage.soc_min * storage.energy_mwh
    )


def test_charging_stops_at_the_full_store() -> None:
    # room 3 - 2 = 1 MWh, 1 h, η_ch 0.8: 1.25 MW
    after, done = step_store(PLAIN, StoreState(0.5 * PLAIN.energy_mwh), Setpoint(-1.75), HOUR)
    assert after.energy_mwh == 3.0
    assert done.p_mw == pytest.approx(-1.25)
    assert done.shortfall_mwh == pytest.approx(0.5)
    assert done.loss_mwh == pytest.approx(0.25)
    assert done.wear_cost == pytest.approx(15.0 * 1.25)
    assert done.clips == (Clip.ENERGY_FULL,)


@settings(max_examples=200, deadline=None)
@given(energy=unit(0.1, 50.0), low=unit(0.01, 0.4), high=unit(0.6, 0.99))
def test_a_store_clipped_at_its_window_has_a_state_of_charge_inside_bit_by_bit(
    energy: float, low: float, high: float
) -> None:
    store = replace(PLAIN, energy_mwh=energy, soc_min=low, soc_max=high, p_max_mw=99.0, s_max_mva=99.0)
    full, _ = step_store(store, StoreState(0.5 * energy), Setpoint(-99.0), HOUR)
    empty, _ = step_store(store, StoreState(0.5 * energy), Setpoint(99.0), HOUR)
    assert high - 1e-15 <= full.energy_mwh / energy <= high
    assert low <= empty.energy_mwh / energy <= low + 1e-15


def test_discharging_stops_at_the_empty_store() -> None:
    # 1 MWh above the bound gives 0.5 MWh to the grid
    after, done = step_store(PLAIN, StoreState(0.5 * PLAIN.energy_mwh), Setpoint(2.0), HOUR)
    assert after.energy_mwh == 1.0
    assert done.p_mw == pytest.approx(0.5)
    assert done.clips == (Clip.ENERGY_EMPTY,)


def test_active_power_goes_before_reactive_within_the_rating() -> None:
    quarter = Now(step_h=0.1)
    _, done = step_store(PLAIN, StoreState(0.5 * PLAIN.energy_mwh), Setpoint(-1.2, -9.0), quarter)
    assert (done.p_mw, done.q_mvar) == (-1.2, pytest.approx(-1.6))
    assert done.clips == (Clip.RATING,)


def test_an_empty_store_without_power_keeps_all_of_its_rating_for_reactive_power() -> None:
    _, done = step_store(PLAIN, StoreState(1.0), Setpoint(2.0, 1.9), HOUR)
    assert (done.p_mw, done.q_mvar) == (0.0, 1.9)
    assert done.clips == (Clip.ENERGY_EMPTY,)


def test_discharge_with_converter_loss_ends_on_the_bound() -> None:
    # P/0.5 + 0.2 √(P² + 0.3²) = 1 by hand-made check of the equation, not of the formula
    lossy = replace(PLAIN, loss_coefficient=0.2)
    after, done = step_store(lossy, StoreState(0.5 * lossy.energy_mwh), Setpoint(2.0, 0.3), HOUR)
    assert done.p_mw / 0.5 + 0.2 * math.hypot(done.p_mw, 0.3) == pytest.approx(1.0, abs=1e-14)
    assert done.q_mvar == 0.3
    assert after.energy_mwh == pytest.approx(1.0, abs=1e-14)


def test_reactive_power_alone_cannot_empty_a_lossy_store_below_its_bound() -> None:
    lossy = replace(PLAIN, loss_coefficient=0.1)
    # 0.05 MWh left pay for 0.5 Mvar over an hour
    after, done = step_store(lossy, StoreState(1.05), Setpoint(0.0, -1.5), HOUR)
    assert done.q_mvar == pytest.approx(-0.5)
    assert after.energy_mwh == pytest.approx(1.0, abs=1e-14)
    assert done.clips == (Clip.ENERGY_EMPTY,)
    assert done.shortfall_mwh == 0.0


def test_an_idle_store_on_its_bound_is_short_of_nothing() -> None:
    for energy in (math.nextafter(3.0, 4.0), 3.0, 1.0, math.nextafter(1.0, 0.0)):
        after, done = step_store(PLAIN, StoreState(energy), Setpoint(0.0, 0.0), HOUR)
        assert (after.energy_mwh, done.shortfall_mwh, done.clips) == (energy, 0.0, ())


def test_a_plan_beyond_the_bound_by_a_solver_tolerance_is_clipped_by_as_much_and_not_reported_as_clipped() -> None:
    after, done = step_store(PLAIN, StoreState(0.5 * PLAIN.energy_mwh), Setpoint(-1.25 - 1e-9), HOUR)
    assert done.shortfall_mwh == pytest.approx(1e-9, rel=1e-5)
    assert after.energy_mwh == 3.0
    assert done.clips == ()


def test_the_day_ends_its_cycles() -> None:
    # 0.25 cycles are 2 MWh through a store of 4 MWh: 1.5 were done, 0.5 MWh out of the store are 0.25 MWh on the grid
    limited = replace(PLAIN, cycles_max_per_day=0.25)
    state = StoreState(2.5, 1.5 / 8)
    after, done = step_store(limited, state, Setpoint(0.6), HOUR)
    assert done.p_mw == pytest.approx(0.25)
    assert done.clips == (Clip.CYCLES,)
    assert after.cycles_today == 0.25
    after, done = step_store(limited, after, Setpoint(-0.6), Now(1.0, ends_day=True))
    assert (done.p_mw, done.cycles_today) == (0.0, 0.25)
    assert after.cycles_today == 0.0
    _, done = step_store(limited, after, Setpoint(-0.6), HOUR)
    assert done.p_mw == -0.6


def test_cycles_are_counted_in_the_store_or_as_published_at_the_grid() -> None:
    # 1 MWh from the grid puts 0.8 MWh into a store of 4 MWh, and 0.5 MWh to the grid take 1 MWh out of it
    for setpoint, in_store, at_grid in ((-1.0, 0.8 / 8, 1 / 8), (0.5, 1 / 8, 0.5 / 8)):
        for storage, cycles in ((PLAIN, in_store), (replace(PLAIN, cycles_at_grid=True), at_grid)):
            _, done = step_store(storage, StoreState(2.0), Setpoint(setpoint), HOUR)
            assert done.cycles_today == pytest.approx(cycles)


def test_a_store_outside_its_window_gets_no_further_out_but_may_return() -> None:
    after, done = step_store(PLAIN, StoreState(0.5), Setpoint(1.0), HOUR)
    assert (after.energy_mwh, done.p_mw) == (0.5, 0.0)
    after, done = step_store(PLAIN, StoreState(0.5), Setpoint(-0.25), HOUR)
    assert (after.energy_mwh, done.p_mw) == (pytest.approx(0.7), -0.25)


def test_out_of_service_gives_nothing_and_keeps_its_energy() -> None:
    after, done = step_store(PLAIN, StoreState(2.0), Setpoint(1.0, 1.0), Now(1.0, series={"availability": 0.0}))
    assert (after.energy_mwh, done.p_mw, done.q_mvar, done.shortfall_mwh) == (2.0, 0.0, 0.0, 1.0)
    assert done.clips == (Clip.OUT_OF_SERVICE,)


def test_the_published_efficiency_gives_back_all_that_was_charged() -> None:
    published = replace(PLAIN, eta_charge=0.75, eta_discharge=4 / 3)
    half, charged = step_store(published, StoreState(2.0), Setpoint(-1.0), HOUR)
    back, discharged = step_store(published, half, Setpoint(1.0), HOUR)
    assert back.energy_mwh == pytest.approx(2.0, abs=1e-14)
    assert charged.loss_mwh + discharged.loss_mwh == pytest.approx(0.0, abs=1e-14)


@pytest.mark.parametrize("setpoint", [Setpoint(math.nan), Setpoint(0.0, math.inf), Setpoint(-math.inf)])
def test_a_setpoint_that_is_no_number_is_an_error(setpoint: Setpoint) -> None:
    with pytest.raises(ValueError, match="not finite"):
        step_store(PLAIN, StoreState(2.0), setpoint, HOUR)
