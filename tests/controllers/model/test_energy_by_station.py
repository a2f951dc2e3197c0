"""Energy that travels with a truck: nothing new for whole trucks, a better bound for fractions of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cases.carrying import IDLE, PRICE, carrying
from cases.dispatch import dispatch_model, one_store
from cases.parts import of_kind, seen_as, storages, with_series
from cases.random_fleet import instance
from gridferry.controllers.contract import Forecast, Observation, Plant
from gridferry.controllers.devices.trucks.device import Truck
from gridferry.controllers.model.dispatch_model import DispatchModel
from gridferry.controllers.solve import InfeasibleError, Problem, SolveOptions, solve

Case = tuple[Plant, Observation, Forecast]
EXACT = SolveOptions(gap=1e-7, gap_abs=1e-5)


def built(case: Case, by_station: bool) -> DispatchModel:
    model = dispatch_model(case)
    return model if by_station else one_store(model)


def optimum(case: Case, by_station: bool) -> float:
    try:
        return solve(built(case, by_station).model, EXACT).objective
    except InfeasibleError:
        return np.inf


def relaxed(case: Case, by_station: bool) -> float:
    try:
        return Problem(built(case, by_station).model).relax().objective
    except InfeasibleError:
        return np.inf


def measured(case: Case, transit: list[int], soc: list[float]) -> Case:
    """The case with its trucks on the road for some steps, and its stores at some states of charge."""
    plant, observation, forecast = case
    energy = observation.energy_mwh.copy()
    for index, share in enumerate(soc[: len(energy)]):
        energy[index] = share * storages(plant)[index].energy_mwh
    road = np.array(transit[: len(of_kind(plant, "trucks"))], dtype=np.int64)
    return plant, seen_as(plant, observation, transit_steps=road, energy_mwh=energy), forecast


anything = given(
    seed=st.integers(0, 10**6),
    trucks=st.integers(1, 2),
    transit=st.lists(st.integers(0, 7), min_size=2, max_size=2),
    # the window is 0.1 to 0.9
    soc=st.lists(st.floats(0.05, 0.95), min_size=3, max_size=3),
)


@settings(max_examples=15)
@anything
def test_integral_trucks_do_what_they_would_with_one_store(
    seed: int, trucks: int, transit: list[int], soc: list[float]
) -> None:
    case = measured(instance(seed, trucks, horizon=6), transit, soc)
    assert optimum(case, by_station=True) == pytest.approx(optimum(case, by_station=False), rel=1e-5, abs=1e-4)


@settings(max_examples=6)
@anything
def test_so_they_do_where_energy_is_lost_at_rest_and_on_the_road(
    seed: int, trucks: int, transit: list[int], soc: list[float]
) -> None:
    """A half of the energy in a day, and 0.01 MWh per km."""
    plant, observation, forecast = measured(instance(seed, trucks, horizon=6), transit, soc)
    devices = [
        replace(
            one,
            storage=replace(one.storage, self_discharge_per_day=0.5),
            duty=replace(one.duty, drive_mwh_per_km=0.01),
        )
        if isinstance(one, Truck)
        else one
        for one in plant.devices
    ]
    case = (replace(plant, devices=tuple(devices)), observation, forecast)
    assert optimum(case, by_station=True) == pytest.approx(optimum(case, by_station=False), rel=1e-5, abs=1e-4)


@settings(max_examples=15)
@anything
def test_the_relaxation_is_never_weaker(seed: int, trucks: int, transit: list[int], soc: list[float]) -> None:
    case = measured(instance(seed, trucks, horizon=8), transit, soc)
    assert relaxed(case, by_station=True) >= relaxed(case, by_station=False) - 1e-4


def test_half_a_truck_cannot_charge_here_and_discharge_there_without_a_trip() -> None:
    """A trip of 120 brings 1 MWh, worth 100, so that none is made. One store for both halves would bring 250 for 60."""
    case = carrying(horizon=6, trip=120.0)
    assert optimum(case, by_station=True) == pytest.approx(6 * IDLE, abs=0.1)
    assert optimum(case, by_station=False) == pytest.approx(6 * IDLE, abs=0.1)
    assert relaxed(case, by_station=True) == pytest.approx(6 * IDLE, abs=0.1)
    assert relaxed(case, by_station=False) <= 6 * IDLE - (250.0 - 60.0) + 0.1


def test_a_trip_that_pays_is_made_and_bounded_by_what_it_brings() -> None:
    """Charging, an hour on the road, discharging: 1 MWh, worth 100, for 40."""
    case = carrying(horizon=3, trip=40.0)
    assert optimum(case, by_station=True) == pytest.approx(3 * IDLE - PRICE + 40.0, abs=0.1)
    assert relaxed(case, by_station=True) == pytest.approx(3 * IDLE - PRICE + 40.0, abs=0.1)


@pytest.mark.parametrize("arrives", [0, 2, 5, 6, 9])
def test_what_a_truck_on_the_road_carries_can_be_had_where_and_when_it_arrives(arrives: int) -> None:
    """It brings 1 MWh to B, worth 100, if at all within the six hours; no trip is left."""
    plant, observation, forecast = carrying(horizon=6, trip=1.0)
    seen = seen_as(
        plant,
        observation,
        energy_mwh=np.array([1.0]),
        station=np.array([1]),
        transit_steps=np.array([arrives]),
        trips_today=np.array([2]),
    )
    case = (plant, seen, forecast)
    brings = PRICE if arrives < 6 else 0.0
    assert optimum(case, by_station=True) == pytest.approx(6 * IDLE - brings, abs=0.1)
    model = built(case, by_station=True)
    assert Problem(model.model).relax().objective == pytest.approx(6 * IDLE - brings, abs=0.1)
    (truck,) = of_kind(plant, "trucks")
    at_a, at_b = (np.maximum(one.value, 0.0) for one in model.blocks[truck.key].p.values())
    assert np.abs(at_a).max() < 1e-5
    assert np.abs(at_b[:arrives]).max(initial=0.0) < 1e-5


@pytest.mark.parametrize(
    ("start", "brings"),
    [
        # above the window, all the way down to its lower end
        (1.2, 1.0),
        # below it: nothing to give, and no need to charge
        (0.1, 0.0),
    ],
)
def test_energy_outside_the_window_is_carried_as_it_is(start: float, brings: float) -> None:
    """A truck with a window of 0.2 to 0.9 MWh drives to B with what was measured; there is no sun."""
    plant, observation, forecast = carrying(horizon=4, trip=10.0, soc_min=0.2, soc_max=0.9)
    dark = with_series(plant, forecast, generation_mw=np.zeros((4, 1)))
    seen = seen_as(plant, observation, energy_mwh=np.array([start]))
    case = (plant, seen, dark)
    expected = 4 * IDLE - PRICE * brings + (10.0 if brings else 0.0)
    assert optimum(case, by_station=True) == pytest.approx(expected, abs=0.1)
    assert optimum(case, by_station=False) == pytest.approx(expected, abs=0.1)
    assert relaxed(case, by_station=True) >= relaxed(case, by_station=False) - 1e-6
