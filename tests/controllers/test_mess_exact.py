"""The exact controller: known optima, re-planning from what is measured, and what it does in a corner."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cases.parts import of_kind, profiled_mw, seen_as, storages, with_devices, with_series
from gridferry.controllers.conformance.dry_run import dry_run
from gridferry.controllers.conformance.sample_plants import (
    Sample,
    at_start,
    look_ahead,
    no_devices,
    three_bus,
    two_feeders,
)
from gridferry.controllers.contract import Forecast, NoteKind, Observation, Plant, Status, Storage
from gridferry.controllers.devices.batteries.device import Battery
from gridferry.controllers.devices.trucks.config import Labour
from gridferry.controllers.mess_exact import MessExact, MessExactSettings
from gridferry.controllers.solve import InfeasibleError, Method
from gridferry.networks.power_flow import solve_sweep
from gridferry.sim.case.case import build_case
from gridferry.sim.case.loading import load_config
from gridferry.sim.config.reading import find_config


def day_of(config: str) -> Sample:
    """A config's plant and what happens to it."""
    case = build_case(load_config(find_config(config)))
    return Sample(config, case.plant, case.forecaster.at(0))


def income(day: Sample) -> float:
    return float((day.day.load_p_mw.sum(axis=1) * day.day.sell_price).sum() * day.plant.step_h)


def controller(plant: Plant, **settings: object) -> MessExact:
    """Build the controller with time enough on the busiest machine."""
    return MessExact(plant, MessExactSettings(**{"time_limit_s": 3600.0} | settings))


@pytest.mark.parametrize("method", Method)
def test_three_bus_profit_is_the_known_optimum_with_proof(method: Method) -> None:
    """878.90 USD/day, found by another formulation with another solver with the bound 879.19."""
    day = day_of("three_bus")
    plan = controller(day.plant, method=method).plan(at_start(day.plant), day.day)
    assert income(day) - plan.prediction.cost.sum() >= 878.8
    assert income(day) - plan.prediction.cost.sum() == pytest.approx(878.90, abs=0.3)
    assert plan.solver.status is Status.OPTIMAL
    assert plan.solver.gap <= 1e-4
    assert income(day) - plan.solver.bound >= 878.89
    assert plan.solver.cone_gap < 1e-6
    assert plan.prediction.energy_mwh[-1, 0] >= 0.5 * 6.381 - 1e-5


def test_three_bus_as_published_earns_the_known_optimum_with_proof() -> None:
    """1418.2965 USD/day with the bound 1418.2975, found by another formulation."""
    day = day_of("three_bus_as_published")
    plan = controller(day.plant).plan(at_start(day.plant), day.day)
    assert income(day) - plan.prediction.cost.sum() >= 1418.0
    assert income(day) - plan.prediction.cost.sum() == pytest.approx(1418.297, abs=0.6)
    assert plan.solver.gap <= 1e-4
    assert income(day) - plan.solver.bound >= 1418.29


def test_planned_voltages_and_imports_are_those_of_the_power_flow() -> None:
    day = day_of("three_bus")
    plan = controller(day.plant).plan(at_start(day.plant), day.day)
    feeder, p, q = day.plant.feeders[0], -day.day.net_load_mw(day.plant), -day.day.load_q_mvar
    for step, station in enumerate(plan.position[:, 0]):
        p[step, day.plant.station_bus[station]] += plan.p_mw[step, 0]
        q[step, day.plant.station_bus[station]] += plan.q_mvar[step, 0]
    v, _ = solve_sweep(feeder, p, q)
    assert np.abs(plan.prediction.v_pu - np.abs(v)).max() < 1e-5


def test_a_limit_that_only_fictitious_losses_keep_is_no_plan() -> None:
    """A truck with no trips left at the slack can do nothing about PV; only fictitious losses keep the upper limit."""
    sample = three_bus(step_s=3600)
    stays = seen_as(sample.plant, at_start(sample.plant), step=10, trips_today=np.array([3]))
    ahead = look_ahead(sample, 10, 4)
    sunny = with_series(sample.plant, ahead, generation_mw=6.0 * profiled_mw(sample.plant, ahead))
    feeder = sample.plant.feeders[0]
    v, _ = solve_sweep(feeder, -sunny.net_load_mw(sample.plant), -sunny.load_q_mvar)
    limit = float(np.abs(v).max()) - 5e-4
    plant = replace(sample.plant, feeders=(feeder.with_limits(0.9, limit),))
    with pytest.raises(InfeasibleError, match=r"bus 3 of network 1 .* at step 10: the voltage stays 0\.0005 pu above"):
        controller(plant, on_infeasible="raise").plan(stays, sunny)
    plan = controller(plant).plan(stays, sunny)
    np.testing.assert_allclose(plan.p_mw[:, plant.planned], 0.0, atol=1e-5)
    np.testing.assert_allclose(plan.prediction.v_pu, np.abs(v), atol=1e-7)
    assert plan.solver.note(NoteKind.INFEASIBLE) is not None


@pytest.mark.long
@pytest.mark.slow
def test_replanning_every_step_realises_the_plan_where_forecasts_are_right() -> None:
    day = day_of("three_bus")
    spent, planned = 0.0, None
    for moment in dry_run(day, controller(day.plant, gap=2e-5), 144):
        planned = planned or float(moment.plan.prediction.cost.sum())
        spent += float(moment.plan.prediction.cost[0])
    profit = income(day) - spent
    assert profit == pytest.approx(income(day) - planned, rel=2e-4)


def test_between_decisions_routes_are_fixed_and_drift_is_corrected() -> None:
    day = day_of("three_bus")
    chosen = controller(day.plant, replan_every=6)
    first = chosen.plan(at_start(day.plant), day.day)
    drifted = seen_as(
        day.plant,
        at_start(day.plant),
        step=1,
        station=first.position[0],
        energy_mwh=at_start(day.plant).energy_mwh - 0.05,
        previous_plan=first,
    )
    kept = chosen.plan(drifted, look_ahead(day, 1, 144))
    assert np.array_equal(kept.position, first.position[1:])
    assert kept.memory == first.memory
    assert kept.prediction.energy_mwh[0, 0] == drifted.energy_mwh[0]
    assert kept.prediction.energy_mwh[-1, 0] >= 0.5 * 6.381 - 1e-5
    later = chosen.plan(replace(drifted, step=6), look_ahead(day, 6, 144))
    assert later.memory != first.memory


def test_a_late_truck_gives_no_power_before_it_arrives() -> None:
    day = day_of("three_bus")
    late = seen_as(day.plant, at_start(day.plant), station=np.array([2]), transit_steps=np.array([9]))
    plan = controller(day.plant).plan(late, look_ahead(day, 0, 36))
    assert not plan.p_mw[:9, day.plant.planned].any()
    assert not plan.q_mvar[:9].any()
    assert (plan.position[:9] == 2).all()


def test_a_truck_on_the_road_beyond_the_horizon_is_no_trouble() -> None:
    day = day_of("three_bus")
    away = seen_as(day.plant, at_start(day.plant), transit_steps=np.array([40]))
    plan = controller(day.plant).plan(away, look_ahead(day, 0, 12))
    assert not plan.p_mw[:, day.plant.planned].any()


def test_reactive_power_alone_makes_flat_labour_due() -> None:
    """Voltage support lowers losses by far less than the labour of a day costs: an idle truck gives none."""
    day = day_of("three_bus")
    truck = of_kind(day.plant, "trucks")[0]
    dear = replace(truck.cost, labour=Labour.FLAT_IF_USED, labour_per_h=1e4)
    plant = with_devices(day.plant, trucks=(replace(truck, cost=dear, initial_station=2),))
    forecast = look_ahead(day, 0, 12)
    plan = controller(plant).plan(at_start(plant), forecast)
    assert not plan.p_mw[:, plant.planned].any()
    assert not plan.q_mvar.any()
    paid = controller(plant).plan(seen_as(plant, at_start(plant), used_today=[True]), forecast)
    assert paid.q_mvar.any()


def test_equal_inputs_give_equal_plans() -> None:
    day = day_of("three_bus")
    given = (replace(at_start(day.plant), step=60), look_ahead(day, 60, 48))
    one, other = controller(day.plant).plan(*given), controller(day.plant).plan(*given)
    for name in ("p_mw", "q_mvar", "position"):
        assert np.array_equal(getattr(one, name), getattr(other, name))


def test_energy_that_cannot_be_restored_by_midnight_falls_short_by_the_minimum() -> None:
    """Six steps before midnight half an hour of charging at 3.25 MW and η = 0.75 is all that can be had: 2.4375 MWh."""
    day = day_of("three_bus")
    empty = seen_as(day.plant, at_start(day.plant), step=141, energy_mwh=np.array([0.2 * 6.381]))
    forecast = look_ahead(day, 141, 144)
    plan = controller(day.plant).plan(empty, forecast)
    assert plan.solver.status is Status.FEASIBLE
    (violated,) = plan.solver.violations
    assert violated.kind is NoteKind.VIOLATED_ENERGY
    assert violated.value == pytest.approx(0.5 * 6.381 - plan.prediction.energy_mwh[-1, 0], abs=1e-3)
    assert plan.prediction.energy_mwh[-1, 0] == pytest.approx(0.2 * 6.381 + 3 * 3.25 * 0.75 / 6, abs=1e-3)
    with pytest.raises(InfeasibleError):
        controller(day.plant, on_infeasible="raise").plan(empty, forecast)


def test_a_horizon_inside_the_day_ends_as_the_setting_says() -> None:
    day = day_of("three_bus")
    given = (replace(at_start(day.plant), step=100), look_ahead(day, 100, 24))
    ends = {
        name: controller(day.plant, soc_at_horizon=name).plan(*given).prediction.energy_mwh[-1, 0] / 6.381
        for name in ("store", "free", 0.6)
    }
    assert ends["store"] >= 0.5 - 1e-6
    assert ends[0.6] >= 0.6 - 1e-6
    assert ends["free"] < ends["store"]


def test_no_devices_leave_the_power_flow() -> None:
    sample = no_devices()
    plan = controller(sample.plant).plan(at_start(sample.plant), sample.day)
    assert plan.p_mw.shape == (24, 0)
    assert plan.solver.status is Status.OPTIMAL
    v, _ = solve_sweep(sample.plant.feeders[0], -sample.day.load_p_mw, -sample.day.load_q_mvar)
    assert np.abs(plan.prediction.v_pu - np.abs(v)).max() < 1e-5


@pytest.mark.slow
def test_links_stay_at_zero_and_every_store_keeps_its_window() -> None:
    sample = two_feeders()
    plan = controller(sample.plant, gap=1e-2).plan(at_start(sample.plant), look_ahead(sample, 0, 48))
    assert not plan.p_mw[:, sample.plant.columns(of_kind(sample.plant, "links")[0])].any()
    for index, store in enumerate(storages(sample.plant)):
        soc = plan.prediction.energy_mwh[:, index] / store.energy_mwh
        assert soc.min() >= store.soc_min - 1e-5
        assert soc.max() <= store.soc_max + 1e-5


def battery_day(price: np.ndarray, generation: float, v_max: float) -> tuple[Plant, Forecast]:
    """No devices' feeder with a lossy battery and PV at its far end."""
    sample = no_devices()
    store = Storage(1.0, 0.5, 0.5, 0.9, 0.9, 0.0, 0.0, 1.0, 1.0, None, float("inf"), 0.0)
    feeder = sample.plant.feeders[0].with_limits(0.9, v_max)
    plant = with_devices(sample.plant, feeders=(feeder,), batteries=(Battery("B", 0, 3, store),))
    load = sample.day.load_p_mw.copy()
    load[:, 3] -= generation
    day = with_series(plant, sample.day, load_p_mw=load, buy_price=price, sell_price=price)
    return plant, day


def test_negative_prices_neither_burn_energy_nor_open_the_cones() -> None:
    plant, day = battery_day(np.where(np.arange(24) < 12, -40.0, 60.0), 0.0, 1.1)
    plan = controller(plant).plan(at_start(plant), day)
    assert plan.solver.cone_gap < 1e-6
    assert plan.solver.bound <= plan.solver.objective
    # what the plan shows as injection moves its energy by exactly the efficiencies, in every step
    p = plan.p_mw[:, 0]
    moved = np.where(p < 0, -0.9 * p, -p / 0.9)
    np.testing.assert_allclose(np.diff(plan.prediction.energy_mwh[:, 0]), moved, atol=1e-9)
    assert plan.prediction.energy_mwh.max() <= 1.0 + 1e-6


@pytest.mark.slow
def test_an_upper_voltage_limit_that_only_fictitious_losses_could_keep_is_reported_as_violated() -> None:
    plant, day = battery_day(np.full(24, 20.0), 2.0, 1.01)
    plan = controller(plant, gap=0.05).plan(at_start(plant), day)
    assert plan.solver.status is Status.FEASIBLE
    assert plan.solver.cone_gap < 1e-6
    assert plan.prediction.v_pu.max() > 1.01
    assert [note.kind for note in plan.solver.violations] == [NoteKind.VIOLATED_V_HIGH]


def lossy_hour(start_mwh: float, price: float) -> tuple[MessExact, Observation, Forecast]:
    """One hour with a battery that loses a tenth in its converter and holds more than it has to."""
    plant, day = battery_day(np.full(24, price), 0.0, 1.1)
    store = replace(
        of_kind(plant, "batteries")[0].storage, loss_coefficient=0.1, soc_end_min=0.1, cycles_max_per_day=0.5
    )
    plant = with_devices(
        plant, batteries=(replace(of_kind(plant, "batteries")[0], storage=store),), steps=1, horizon_steps=1
    )
    used_up = seen_as(plant, at_start(plant), energy_mwh=np.array([start_mwh]), cycles_today=np.array([0.5]))
    return controller(plant), used_up, look_ahead(Sample("hour", plant, day), 0, 1)


def test_energy_nobody_needs_is_not_taken_for_a_loss_that_does_not_occur() -> None:
    """Its cycles used up, the battery keeps what it has; that it may lose some for nothing is no flaw of the plan."""
    chosen, observation, forecast = lossy_hour(0.6, 50.0)
    plan = chosen.plan(observation, forecast)
    assert plan.solver.status is Status.OPTIMAL
    lost = 0.1 * np.hypot(plan.p_mw[0, 0], plan.q_mvar[0, 0])
    assert plan.prediction.energy_mwh[-1, 0] == pytest.approx(0.6 - lost)


def test_an_overloaded_line_is_reported_where_export_at_negative_prices_is_settled_apart() -> None:
    sample = no_devices()
    feeder = replace(sample.plant.feeders[0], i_max_pu=np.full(3, 0.2))
    plant = replace(sample.plant, feeders=(feeder,), export_price_ratio=0.5)
    day = replace(sample.day, buy_price=-sample.day.buy_price)
    plan = controller(plant).plan(at_start(plant), day)
    assert NoteKind.VIOLATED_LOADING in [note.kind for note in plan.solver.violations]
    v, _ = solve_sweep(feeder, -day.load_p_mw, -day.load_q_mvar)
    assert np.abs(plan.prediction.v_pu - np.abs(v)).max() < 1e-5
