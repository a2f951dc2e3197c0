"""Assembling the plant: axes, defaults and conversions of what a config says."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from cases.parts import of_kind
from gridferry.networks.faults import InputError
from gridferry.networks.roads.travel import DistanceMatrix, Rounding
from gridferry.sim.case.loading import load_config
from gridferry.sim.case.plant import BuiltPlant, build_plant
from gridferry.sim.config.reading import config_of_document


def assemble(config: str | Path, *settings: str) -> BuiltPlant:
    return build_plant(load_config(config, settings))


def test_devices_of_two_feeders_stand_on_one_axis_of_buses() -> None:
    built = assemble("two_feeders")
    plant = built.plant
    assert plant.n_bus == 66
    assert plant.bus_slices == (slice(0, 33), slice(33, 66))
    # buses are named 1 to 33 in each feeder, so bus n of dn1 is n - 1 and of dn2 33 + n - 1
    names = [plant.ports[one].name for one in plant.planned]
    assert names == ["T1", "bess1", "bess2", "mvdc1-1", "mvdc1-2"]
    assert [(one.network, one.bus) for one in of_kind(plant, "batteries")] == [(0, 32), (1, 33 + 17)]
    ends = [one for link in of_kind(plant, "links") for one in link.terminals]
    assert [(one.network, one.bus) for one in ends] == [
        (0, 17),
        (1, 33 + 32),
    ]
    assert plant.station_bus.tolist() == [32, 17, 33 + 32]
    assert [one.bus for one in plant.profiled] == [7, 9, 23, 27, 32, 33 + 10, 33 + 21, 33 + 28]
    assert of_kind(plant, "trucks")[0].initial_station == 1
    assert of_kind(plant, "trucks")[0].stations == (0, 1, 2)
    assert of_kind(plant, "links")[0].balancing == 0
    assert len(built.networks) == 2
    assert all(one.feeder is feeder for one, feeder in zip(built.networks, plant.feeders, strict=True))


def test_three_bus_plant_holds_the_published_figures() -> None:
    plant = assemble("three_bus").plant
    truck = of_kind(plant, "trucks")[0]
    assert (plant.step_s, plant.steps, plant.horizon_steps, plant.first_step_of_day) == (600, 144, 144, 0)
    assert (truck.storage.energy_mwh, truck.storage.p_max_mw, truck.storage.s_max_mva) == (6.381, 3.25, 3.25)
    assert truck.storage.soc_end_min == truck.storage.soc_initial == 0.5
    assert truck.storage.cycles_max_per_day == 1.0
    roads = plant.roads
    assert isinstance(roads, DistanceMatrix)
    assert (roads.stations, roads.rounding, roads.install_min) == (("S1", "S2", "S3"), Rounding.NEAREST, 5.0)
    # 16.87 km at 40 km/h and 5 min: 30.3 min, three steps of 10 min
    assert roads.transit_steps(roads.on_every_road(np.zeros(1)), plant.step_s)[0, 0, 1] == 3


def test_missing_limits_mean_none() -> None:
    storage = of_kind(assemble("two_feeders", "batteries.0.soc_end=free").plant, "batteries")[0].storage
    assert storage.soc_end_min is None
    assert math.isinf(storage.cycles_max_per_day)
    assert storage.s_max_mva == storage.p_max_mw


def test_end_of_day_floor_can_be_a_number() -> None:
    assert of_kind(assemble("two_feeders", "batteries.0.soc_end=0.7").plant, "batteries")[0].storage.soc_end_min == 0.7


def test_run_may_begin_within_the_day() -> None:
    plant = assemble("ieee33_day", "time.start=2024-07-15T06:30:00+02:00", "time.horizon_steps=24").plant
    assert plant.first_step_of_day == 26
    assert plant.step_of_day(70) == 0
    assert plant.horizon_steps == 24


def test_days_change_at_local_midnight() -> None:
    plant = assemble("ieee33_day", "time.start=2024-07-15T06:30:00+02:00", "time.horizon_steps=24").plant
    assert [plant.day_of(step) for step in (0, 69, 70, 165, 166)] == [0, 0, 1, 1, 2]
    assert [plant.steps_left_of_day(step) for step in (0, 69, 70)] == [70, 1, 96]
    assert plant.days_from(68, 4).tolist() == [0, 0, 1, 1]
    assert plant.days_from(70, 2).tolist() == [0, 0]


def test_voltage_limits_and_slack_voltage_of_the_config_replace_the_feeders_own() -> None:
    feeder = assemble("ieee33_day", "networks.dn1.slack_v_pu=1.02").plant.feeders[0]
    assert feeder.slack_v_pu == 1.02
    assert (set(feeder.v_min_pu), set(feeder.v_max_pu)) == ({0.92}, {1.05})


def test_slack_voltage_reaches_the_network_that_the_ac_grid_is_built_from() -> None:
    built = assemble("two_feeders", "networks.dn2.slack_v_pu=0.99")
    assert [one.feeder.slack_v_pu for one in built.networks] == [1.0, 0.99]


def test_bus_may_be_given_as_a_number_or_as_text() -> None:
    by_text, by_number = assemble("two_feeders"), assemble("two_feeders", "batteries.0.bus=33")
    assert of_kind(by_text.plant, "batteries") == of_kind(by_number.plant, "batteries")


def test_terminal_names_can_be_chosen_and_the_balancing_one_is_counted_from_one() -> None:
    link = of_kind(assemble("two_feeders", "links.0.terminals.1.name=far", "links.0.balancing=2").plant, "links")[0]
    assert [one.name for one in link.terminals] == ["mvdc1-1", "far"]
    assert link.terminals[link.balancing].name == "far"


def test_truck_may_be_kept_to_some_stations() -> None:
    truck = of_kind(assemble("two_feeders", "trucks.T1.stations=['dn2-south', 'dn1-east']").plant, "trucks")[0]
    assert truck.stations == (1, 2)


def test_plant_without_trucks_needs_no_roads() -> None:
    plant = assemble("two_feeders", "trucks=[]", "stations=[]").plant
    assert plant.roads is None
    assert plant.ports[0].name == "bess1"


def test_stations_on_a_road_graph_are_its_nodes(tmp_path: Path) -> None:
    (tmp_path / "roads.csv").write_text("from,to,km\nA,B,10\nB,C,10\nC,A,10\n")
    base = load_config("two_feeders").document
    roads = {"graph": str(tmp_path / "roads.csv"), "speed_km_h": 30.0, "install_min": 10.0, "rounding": "up"}
    stations = [{**one, "node": node} for one, node in zip(base["stations"], "ABC", strict=True)]
    loaded = config_of_document({**base, "roads": roads, "stations": stations}, tmp_path)
    found = build_plant(loaded).plant.roads
    assert found is not None
    # one way round: A to B are 10 km or 20 min, B to A by C twice that; and 10 min to connect
    trips = found.trips(found.on_every_road(np.zeros(1)))
    assert trips.minutes[0, 0, 1] == pytest.approx(30.0)
    assert trips.minutes[0, 1, 0] == pytest.approx(50.0)


def test_faults_of_different_parts_are_raised_at_once() -> None:
    with pytest.raises(InputError) as caught:
        assemble("two_feeders", "batteries.0.bus=99", "trucks.T1.station=X", "links.0.balancing=9")
    assert len(caught.value.faults) == 3


def test_missing_road_graph_is_a_fault_of_its_key(tmp_path: Path) -> None:
    document = dict(load_config("two_feeders").document)
    loaded = config_of_document({**document, "roads": {"graph": "roads.csv", "speed_km_h": 30.0}}, tmp_path)
    (tmp_path / "road.csv").touch()
    with pytest.raises(InputError, match=r'roads\.graph = ".*": no such file.*did you mean "road\.csv"'):
        build_plant(loaded)
