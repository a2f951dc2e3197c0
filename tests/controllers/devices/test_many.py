"""Many steps at once are what each is alone, for every kind, to rounding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cases.device_steps import STATIONS
from gridferry.controllers.contract import Storage
from gridferry.controllers.devices import (
    Device,
    Injection,
    Now,
    Outcome,
    Port,
    Request,
    Requests,
    Site,
    Stateless,
    Travel,
    states_of,
    step_all,
)
from gridferry.controllers.devices.batteries.device import Battery
from gridferry.controllers.devices.links.device import Link, Terminal
from gridferry.controllers.devices.stores.storage import StoreState
from gridferry.controllers.devices.trucks.config import Labour, Mileage
from gridferry.controllers.devices.trucks.device import Truck, TruckCost, TruckState

STORE = Storage(4.0, 2.0, 2.5, 0.9, 0.8, 0.02, 0.25, 0.75, 0.5, None, 1.0, 3.0)
PLAIN = Storage(4.0, 2.0, 1.5, 1.0, 1.0, 0.0, 0.0, 1.0, 0.5, None, float("inf"), 0.0)
FLAT = TruckCost(0.4, 10.0, Mileage.LONGEST_LEG, Labour.FLAT_IF_USED, 8.0)
HOURLY = TruckCost(0.4, 10.0, Mileage.LEG, Labour.TRAVEL, 8.0)
TRUCKS = [
    Truck("T", STORE, (0, 1), 0, 2, HOURLY, STATIONS),
    Truck("F", PLAIN, (0, 1), 0, 2, FLAT, STATIONS),
]
BATTERIES = [Battery("B", 0, 2, STORE), Battery("P", 0, 2, PLAIN)]
TRAVEL = Travel(steps=((0, 2), (3, 0)), minutes=((0.0, 120.0), (150.0, 0.0)), km=((0.0, 50.0), (60.0, 0.0)))

few = st.one_of(st.just(0.0), st.sampled_from([2.0, -2.0, 1.5, 0.5, 1e-7, 1e150]), st.floats(-3.0, 3.0))
shares = st.one_of(st.just(1.0), st.sampled_from([0.0, 0.5]), st.floats(0.0, 1.0, allow_subnormal=False))
strings = st.one_of(st.just(1.0), st.just(0.5), st.floats(0.01, 1.0))
energies = st.one_of(st.sampled_from([1.0, 3.0, 2.0, 0.0, 4.0]), st.floats(0.0, 4.0, allow_subnormal=False))
cycles = st.one_of(st.sampled_from([0.0, 1.0, 1.2]), st.floats(0.0, 1.2, allow_subnormal=False))
surroundings = st.tuples(shares, strings, st.booleans(), st.sampled_from([True, True, True, False]))
truck_states = st.builds(
    TruckState,
    energies,
    cycles,
    strings,
    station=st.integers(0, 1),
    transit_steps=st.sampled_from([0, 0, 0, 1, 2]),
    driving_steps=st.integers(0, 2),
    trips_today=st.integers(0, 2),
    used_today=st.booleans(),
)
store_states = st.builds(StoreState, energies, cycles, strings)
places = st.sampled_from([0, 1, 0, 1, 7])


def surrounded(availability: float, capacity: float, ends_day: bool, plugged: bool) -> Now:
    """What surrounds a step."""
    return Now(0.5, ends_day, {"availability": availability, "capacity": capacity}, TRAVEL, plugged)


def assert_alike(
    device: Device[Any],
    states: Sequence[Any],
    asked: Sequence[Request],
    now: Now,
    series: Mapping[str, Sequence[float]],
) -> None:
    """Compare steps of many at once with the step of each."""
    together = Requests(
        np.array([one.p_mw for one in asked], dtype=np.float64),
        np.array([one.q_mvar for one in asked], dtype=np.float64),
        np.array([one.position for one in asked], dtype=np.int64),
    )
    before = states_of(device, states)
    values = {key: np.array(one, dtype=np.float64) for key, one in series.items()}
    after, many = device.step_many(before, together, now, values)
    np.testing.assert_equal(before, states_of(device, states), "the states given are left as they are")
    close = {"rtol": 1e-12, "atol": 1e-12}
    for k, (state, request) in enumerate(zip(states, asked, strict=True)):
        own = replace(now, series={**now.series, **{key: one[k] for key, one in series.items()}})
        ((alone, outcome),) = step_all([device], [], [state], [request], [own])
        for name in device.state_fields:
            value = getattr(alone, name)
            if isinstance(value, float):
                np.testing.assert_allclose(after[name][k], value, err_msg=name, **close)
            else:
                assert after[name][k] == value, name
                assert type(after[name].tolist()[k]) is type(value), name
        assert many.bus[k].tolist() == [port.bus for port in outcome.ports]
        assert many.position[k].tolist() == list(device.at(alone))
        np.testing.assert_allclose(many.p_mw[k], [port.p_mw for port in outcome.ports], **close)
        np.testing.assert_allclose(many.q_mvar[k], [port.q_mvar for port in outcome.ports], **close)
        np.testing.assert_allclose(many.stored_mwh[k], device.stored_mwh(alone), **close)
        assert set(outcome.money) <= set(many.money)
        for name, money in many.money.items():
            np.testing.assert_allclose(money[k], outcome.money.get(name, 0.0), err_msg=name, **close)


@settings(max_examples=200)
@given(
    st.sampled_from(TRUCKS),
    st.lists(st.tuples(truck_states, few, few, places), min_size=1, max_size=6),
    surroundings,
)
def test_many_trucks_parked_or_on_the_road_within_limits_or_beyond_do_what_each_does(
    truck: Truck, given_: list[tuple[TruckState, float, float, int]], around: tuple[float, float, bool, bool]
) -> None:
    asked = [Request((p,), (q,), (at,)) for _, p, q, at in given_]
    assert_alike(truck, [one[0] for one in given_], asked, surrounded(*around), {})


@settings(max_examples=200)
@given(
    st.sampled_from(BATTERIES),
    st.lists(st.tuples(store_states, few, few, shares, strings), min_size=1, max_size=6),
    surroundings,
    st.sampled_from([(), ("availability",), ("availability", "capacity")]),
)
def test_many_batteries_do_what_each_does_under_series_of_all_or_of_each(
    battery: Battery,
    given_: list[tuple[StoreState, float, float, float, float]],
    around: tuple[float, float, bool, bool],
    of_each: tuple[str, ...],
) -> None:
    series = {"availability": [one[3] for one in given_], "capacity": [one[4] for one in given_]}
    asked = [Request((one[1],), (one[2],)) for one in given_]
    assert_alike(battery, [one[0] for one in given_], asked, surrounded(*around), {key: series[key] for key in of_each})


@settings(max_examples=50)
@given(st.lists(st.tuples(few, few, few, few, shares), min_size=1, max_size=4))
def test_kinds_without_a_step_of_many_are_stepped_one_by_one(
    given_: list[tuple[float, float, float, float, float]],
) -> None:
    link = Link("L", (Terminal("L-1", 0, 0, 1.0, 0.02), Terminal("L-2", 1, 1, 1.0, 0.02)), 0)
    asked = [Request(one[:2], one[2:4]) for one in given_]
    series = {"availability": [one[4] for one in given_]}
    assert_alike(link, [Stateless()] * len(given_), asked, Now(0.25), series)


@dataclass(frozen=True, slots=True)
class LogState:
    """What was requested so far, and the word for it."""

    asked: tuple[float, ...] = ()
    word: str | None = None


@dataclass(frozen=True)
class Log(Device[LogState]):
    """A kind whose state has no numbers of one type."""

    table: ClassVar[str] = "logs"
    port_kind: ClassVar[str] = "log"
    State: ClassVar[type[LogState]] = LogState

    name: str = "L"

    @classmethod
    def build(cls, config: Any, site: Site) -> Log:
        """Build one."""
        return cls(config.name)

    @property
    def ports(self) -> tuple[Port, ...]:
        """One."""
        return (Port(name=self.name, buses=(1,), p_min_mw=0.0, p_max_mw=1.0, s_max_mva=1.0),)

    def initial_state(self, now: Now) -> LogState:
        """Nothing yet."""
        return LogState()

    def step(self, state: LogState, request: Request, now: Now) -> tuple[LogState, Outcome]:
        """Note it, and pay for it where it is not 0."""
        p_mw = request.p_mw[0]
        after = LogState((*state.asked, p_mw), "some" if p_mw else state.word)
        return after, Outcome((Injection(1),), money={"noting": p_mw} if p_mw else {})


def test_states_that_are_no_numbers_come_back_as_they_went_in() -> None:
    states = [LogState(), LogState((1.0,), "some"), LogState((1.0,))]
    asked = [Request((p,), (0.0,)) for p in (0.5, 0.0, 0.0)]
    assert_alike(Log(), states, asked, Now(0.5), {})
    before = {name: one.tolist() for name, one in states_of(Log(), states).items()}
    assert before == {"asked": [(), (1.0,), (1.0,)], "word": [None, "some", None]}


class Halved(Battery):
    """A battery that does half of what is requested."""

    def step(self, state: StoreState, request: Request, now: Now) -> tuple[StoreState, Outcome]:
        """Do half of it."""
        return super().step(state, Request((0.5 * request.p_mw[0],), request.q_mvar), now)


def test_a_kind_with_a_step_of_its_own_does_not_take_the_arrays_of_the_kind_it_derives_from() -> None:
    assert_alike(Halved("H", 0, 2, STORE), [StoreState(2.0)] * 2, [Request((0.4,), (0.1,))] * 2, Now(0.5), {})


def test_a_request_that_is_not_finite_is_refused_among_many() -> None:
    states, asked = [StoreState(2.0)] * 2, [Request((0.1,), (0.0,)), Request((float("nan"),), (0.0,))]
    with pytest.raises(ValueError, match="P = nan MW"):
        assert_alike(BATTERIES[0], states, asked, Now(0.5), {})
