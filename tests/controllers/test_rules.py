"""The rules ask for nothing a device must refuse, whatever the prices; and they do what the published rules say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from cases import REPOSITORY
from cases.parts import forecast_of, of_kind, seen_as, storages, with_devices
from gridferry.controllers.conformance.dry_run import dry_run
from gridferry.controllers.conformance.sample_plants import (
    Sample,
    at_start,
    look_ahead,
    no_devices,
    three_bus,
    two_feeders,
)
from gridferry.controllers.contract import ControllerError, Observation, Plant, Storage
from gridferry.controllers.rules import Rules
from gridferry.networks.roads.travel import DistanceMatrix


def published_day() -> Sample:
    """The three-bus case with the profiles of its config."""
    day = pd.read_csv(REPOSITORY / "configs" / "data" / "three_bus_profiles.csv")
    none = np.zeros(len(day))
    sample = three_bus()
    forecast = forecast_of(
        sample.plant,
        load_p_mw=np.stack([none, day["p_load_bus2_mw"], day["p_load_bus3_mw"]], axis=1),
        load_q_mvar=np.stack([none, day["q_load_bus2_mvar"], day["q_load_bus3_mvar"]], axis=1),
        generation_mw=day[["p_pv_mw", "p_wind_mw"]].to_numpy(),
        buy_price=day["buy_price_usd_per_mwh"].to_numpy(),
        sell_price=day["sell_price_usd_per_mwh"].to_numpy(),
        congestion=day["traffic_delay_min"].to_numpy(),
    )
    return replace(sample, day=forecast)


def with_prices(sample: Sample, prices: list[float] | np.ndarray) -> Sample:
    series = np.asarray(prices, dtype=float)
    return replace(sample, day=replace(sample.day, buy_price=series))


def with_store(plant: Plant, store: Storage, trips: int = 3) -> Plant:
    return with_devices(plant, trucks=(replace(of_kind(plant, "trucks")[0], storage=store, trips_max_per_day=trips),))


@st.composite
def stores(draw: st.DrawFn) -> Storage:
    low = draw(st.floats(0.0, 0.5))
    high = draw(st.floats(low + 0.05, 1.0))
    p_max = draw(st.floats(0.2, 5.0))
    initial = draw(st.floats(low, high))
    return Storage(
        energy_mwh=draw(st.floats(0.5, 10.0)),
        p_max_mw=p_max,
        s_max_mva=p_max * draw(st.floats(0.7, 1.2)),
        eta_charge=draw(st.sampled_from([0.75, 0.95, 1.0])),
        eta_discharge=draw(st.sampled_from([0.75, 0.95, 1.0, 4 / 3])),
        loss_coefficient=draw(st.sampled_from([0.0, 0.02, 0.1])),
        soc_min=low,
        soc_max=high,
        soc_initial=initial,
        soc_end_min=draw(st.sampled_from([None, initial, low])),
        cycles_max_per_day=draw(st.sampled_from([float("inf"), 1.0, 0.3, 0.05])),
        cost_per_mwh_charged=draw(st.sampled_from([0.0, 15.0])),
        cycles_at_grid=draw(st.booleans()),
    )


@settings(max_examples=40, deadline=None)
@given(
    store=stores(),
    hourly=hnp.arrays(np.float64, 48, elements=st.floats(-100, 300)),
    congestion=hnp.arrays(np.float64, 48, elements=st.floats(0, 90)),
    wind=hnp.arrays(np.float64, 48, elements=st.floats(0, 3)),
    horizon=st.sampled_from([1, 5, 96, 192]),
    first_step=st.integers(0, 95),
    trips=st.integers(0, 4),
    options=st.fixed_dictionaries(
        {"moderate": st.booleans(), "power_share": st.sampled_from([0.3, 0.8, 1.0]), "min_stay_h": st.just(1.0)}
    ),
)
def test_no_limit_of_a_truck_is_ever_broken_by_what_the_rules_ask(
    store: Storage,
    hourly: np.ndarray,
    congestion: np.ndarray,
    wind: np.ndarray,
    horizon: int,
    first_step: int,
    trips: int,
    options: dict[str, object],
) -> None:
    """Follow the store by hand with the powers asked for, unclipped: window, cycles, trips, ratings, energy due."""
    base = three_bus()
    steps, step_h = 192, 0.25
    plant = replace(base.plant, step_s=900, steps=steps, horizon_steps=horizon, first_step_of_day=first_step)
    plant = with_store(plant, store, trips)
    grid = {name: np.resize(getattr(base.day, name), (steps, 3)) for name in ("load_p_mw", "load_q_mvar")}
    day = forecast_of(
        plant,
        **grid,
        generation_mw=np.stack([np.zeros(steps), np.repeat(wind, 4)], axis=1),
        buy_price=np.repeat(hourly, 4),
        sell_price=np.zeros(steps),
        congestion=np.repeat(congestion, 4),
    )
    controller = Rules(plant, Rules.Settings(**options))
    energy, cycles, begun = store.energy_mwh * store.soc_initial, 0.0, 0
    low, high = store.energy_mwh * store.soc_min, store.energy_mwh * store.soc_max
    due = None if store.soc_end_min is None else store.energy_mwh * store.soc_end_min
    for moment in dry_run(Sample("", plant, day), controller, steps):
        seen, plan = moment.observation, moment.plan
        assert plan.steps == 1
        p = float(plan.p_mw[0, 0])
        assert plan.q_mvar[0, 0] == 0.0
        assert abs(p) <= min(store.p_max_mw, store.s_max_mva) + 1e-12
        departs = plan.position[0, 0] != seen.position[0]
        if seen.transit_steps[0] > 0:
            assert not departs
        if seen.transit_steps[0] > 0 or departs:
            assert p == 0.0
        begun += departs
        assert begun <= trips
        stored, drawn = store.eta_charge * max(-p, 0.0), max(p, 0.0) / store.eta_discharge
        energy += step_h * (stored - drawn - store.loss_coefficient * abs(p))
        counted = abs(p) if store.cycles_at_grid else stored + drawn
        cycles += step_h * counted / (2 * store.energy_mwh)
        assert low - 1e-9 <= energy <= high + 1e-9
        assert cycles <= store.cycles_max_per_day + 1e-9
        midnight = (first_step + seen.step + 1) % 96 == 0
        if due is not None and (midnight or seen.step == steps - 1):
            assert energy >= due - 1e-6
        if midnight:
            cycles, begun = 0.0, 0


@settings(max_examples=25, deadline=None)
@given(hourly=hnp.arrays(np.float64, 30, elements=st.floats(-50, 250)))
def test_no_limit_of_a_battery_is_broken_and_links_rest(hourly: np.ndarray) -> None:
    sample = with_prices(two_feeders(), np.repeat(hourly, 4))
    plant = sample.plant
    energy = np.array([s.energy_mwh * s.soc_initial for s in storages(plant)])
    for moment in dry_run(sample, Rules(plant, Rules.Settings()), plant.steps):
        p = moment.plan.p_mw[0]
        assert not p[3:].any()
        for index, store in enumerate(storages(plant)):
            stored, drawn = store.eta_charge * max(-p[index], 0.0), max(p[index], 0.0) / store.eta_discharge
            energy[index] += 0.25 * (stored - drawn - store.loss_coefficient * abs(p[index]))
            assert store.soc_min - 1e-9 <= energy[index] / store.energy_mwh <= store.soc_max + 1e-9
            if store.soc_end_min is not None and (24 + moment.observation.step + 1) % 96 == 0:
                assert energy[index] >= store.soc_end_min * store.energy_mwh - 1e-6


def test_on_the_published_day_the_truck_moves_and_earns_more_than_it_costs() -> None:
    sample = published_day()
    prices = sample.day.buy_price
    earned, visited = 0.0, [0]
    for moment in dry_run(sample, Rules(sample.plant, Rules.Settings()), 144):
        p, step = float(moment.plan.p_mw[0, 0]), moment.observation.step
        to = int(moment.plan.position[0, 0])
        earned += p * prices[step] / 6 - max(-p, 0.0) * 15.0 / 6
        if to != visited[-1]:
            roads = sample.plant.roads
            assert isinstance(roads, DistanceMatrix)
            km = roads.distance_km[visited[-1], to]
            minutes = km / 40.0 * 60.0 + 5.0 + sample.day.congestion[step, 0]
            earned -= 0.4 * km + 10.0 * round(minutes / 10.0) / 6
            visited.append(to)
    # wind surplus at bus 3 in the cheap night, highest net load at bus 2 in the dear hours
    assert visited == [0, 2, 1]
    assert earned > 50.0


def test_it_charges_at_the_published_share_below_the_quartile_and_discharges_above() -> None:
    """A battery on prices 0 … 95: the quartiles are 23.75 and 71.25; half full and free at the end of the day."""
    sample = with_prices(two_feeders(), np.r_[np.arange(72.0) + 24, np.arange(48.0) + 24])
    rising = np.arange(96.0)
    store = replace(storages(sample.plant)[1], energy_mwh=1000.0, soc_end_min=None, loss_coefficient=0.0)
    plant = with_devices(
        sample.plant,
        trucks=(),
        stations=(),
        roads=None,
        links=(),
        first_step_of_day=0,
        steps=96,
        batteries=(replace(of_kind(sample.plant, "batteries")[0], storage=store),),
    )
    day = sample.day.first(96)
    none = np.zeros((96, 0))
    sample = Sample("", plant, replace(day, buy_price=rising, congestion=none))
    requested = [m.plan.p_mw[0, 0] for m in dry_run(sample, Rules(plant, Rules.Settings()), 96)]
    assert requested == pytest.approx([-0.4] * 24 + [0.0] * 48 + [0.4] * 24)
    moderate = Rules(plant, Rules.Settings(moderate=True))
    requested = [m.plan.p_mw[0, 0] for m in dry_run(sample, moderate, 96)]
    assert requested == pytest.approx([-0.4] * 24 + [-0.15] * 24 + [0.15] * 24 + [0.4] * 24)


def test_flat_prices_and_spreads_below_the_round_trip_loss_leave_everything_at_rest() -> None:
    for prices in (np.full(144, 50.0), np.where(np.arange(144) < 72, 60.0, 100.0)):
        sample = with_prices(three_bus(), prices)  # 0.75 each way: 100 does not pay for (60 + 15) / 0.5625 = 133
        for moment in dry_run(sample, Rules(sample.plant, Rules.Settings()), 72):
            assert not moment.plan.p_mw.any()


def test_a_plan_needs_nothing_but_the_observation() -> None:
    """A fresh controller, given what a used one was given, plans the same: nothing is kept inside."""
    sample = published_day()
    used = Rules(sample.plant, Rules.Settings())
    for moment in dry_run(sample, used, 144):
        again = Rules(sample.plant, Rules.Settings()).plan(moment.observation, moment.forecast)
        assert np.array_equal(again.p_mw, moment.plan.p_mw)
        assert np.array_equal(again.position, moment.plan.position)
        assert again.memory == moment.plan.memory


def test_thresholds_of_a_day_stay_when_the_forecast_changes_within_it() -> None:
    sample = three_bus()
    controller = Rules(sample.plant, Rules.Settings())
    first = controller.plan(at_start(sample.plant), look_ahead(sample, 0, 144))
    dearer = with_prices(sample, sample.day.buy_price + 500.0)
    second = replace(at_start(sample.plant), step=1, previous_plan=first)
    kept = controller.plan(second, look_ahead(dearer, 1, 144)).memory["rules"]["thresholds"]
    assert kept == pytest.approx(np.quantile(sample.day.buy_price, [0.25, 0.5, 0.75]))


def test_a_truck_does_not_leave_again_before_the_minimum_stay() -> None:
    sample = published_day()
    arrived, departures = 0, []
    stay = Rules.Settings(min_stay_h=9.0)
    for moment in dry_run(sample, Rules(sample.plant, stay), 144):
        seen = moment.observation
        if seen.transit_steps[0] > 0:
            arrived = seen.step + int(seen.transit_steps[0])
        if moment.plan.position[0, 0] != seen.position[0]:
            departures.append((seen.step, arrived))
    assert len(departures) == 2  # the first may leave at once, as published
    assert departures[1][0] - departures[1][1] >= 54


def test_without_devices_the_plan_is_empty() -> None:
    sample = no_devices()
    plan = Rules(sample.plant, Rules.Settings()).plan(at_start(sample.plant), look_ahead(sample, 0, 24))
    assert plan.p_mw.shape == (1, 0)


@pytest.mark.parametrize("what", ["price", "load", "energy"])
def test_what_is_not_finite_is_a_controller_error(what: str) -> None:
    sample = three_bus()
    forecast = look_ahead(sample, 0, 144)
    observation: Observation = at_start(sample.plant)
    if what == "price":
        forecast = replace(forecast, buy_price=np.where(np.arange(144) == 7, np.nan, forecast.buy_price))
    elif what == "load":
        forecast = replace(forecast, load_p_mw=np.full((144, 3), np.nan))
    else:
        observation = seen_as(sample.plant, observation, energy_mwh=np.array([np.nan]))
    with pytest.raises(ControllerError, match="not finite"):
        Rules(sample.plant, Rules.Settings()).plan(observation, forecast)


def test_quantiles_the_wrong_way_round_are_refused() -> None:
    with pytest.raises(ValueError, match=r"charge_quantile = 0.8 is not below discharge_quantile = 0.75"):
        Rules.Settings(charge_quantile=0.8)
