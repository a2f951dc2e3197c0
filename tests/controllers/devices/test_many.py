"""Many schedules at once are what each is alone, for every kind, to rounding."""

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
    Outcomes,
    Port,
    Request,
    Requests,
    Site,
    Stateless,
    Travel,
    step_all,
)
from gridferry.controllers.devices.batteries.device import Battery
from gridferry.controllers.devices.couplings import RoadTrips
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


def surrounded(availability: float, usable_energy_share: float, ends_day: bool, plugged: bool) -> Now:
    """What surrounds a step."""
    return Now(
        0.5, ends_day, {"availability": availability, "usable_energy_share": usable_energy_share}, TRAVEL, plugged
    )


def assert_alike(
    device: Device[Any],
    state: Any,
    schedules: Sequence[Sequence[Request]],
    nows: Sequence[Now],
    series: Mapping[str, Sequence[Sequence[float]]],
) -> Outcomes:
    """Compare many schedules at once with the steps of each."""
    together = Requests(
        np.array([[one.p_mw for one in steps] for steps in schedules], dtype=np.float64),
        np.array([[one.q_mvar for one in steps] for steps in schedules], dtype=np.float64),
        np.array([[one.position for one in steps] for steps in schedules], dtype=np.int64),
    )
    values = {key: np.array(one, dtype=np.float64) for key, one in series.items()}
    many = device.simulate_many(state, together, nows, values)
    close = {"rtol": 1e-12, "atol": 1e-12}
    for k, steps in enumerate(schedules):
        alone = state
        for t, (request, now) in enumerate(zip(steps, nows, strict=True)):
            own = replace(now, series={**now.series, **{key: one[k][t] for key, one in series.items()}})
            ((alone, outcome),) = step_all([device], [], [alone], [request], [own])
            assert many.bus[k, t].tolist() == [port.bus for port in outcome.ports]
            np.testing.assert_allclose(many.p_mw[k, t], [port.p_mw for port in outcome.ports], **close)
            np.testing.assert_allclose(many.q_mvar[k, t], [port.q_mvar for port in outcome.ports], **close)
            np.testing.assert_allclose(many.stored_mwh[k, t], device.stored_mwh(alone), **close)
            assert set(outcome.money) <= set(many.money)
            for name, money in many.money.items():
                np.testing.assert_allclose(money[k, t], outcome.money.get(name, 0.0), err_msg=name, **close)
    return many


def runs_of(step: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Schedules of equal length."""
    return st.integers(1, 5).flatmap(
        lambda steps: st.tuples(
            st.lists(st.lists(step, min_size=steps, max_size=steps), min_size=1, max_size=4),
            st.lists(surroundings, min_size=steps, max_size=steps),
        )
    )


@settings(max_examples=300)
@given(st.sampled_from(TRUCKS), truck_states, runs_of(st.tuples(few, few, places)))
def test_many_trucks_parked_or_on_the_road_within_limits_or_beyond_do_what_each_does(
    truck: Truck, state: TruckState, given_: tuple[list[list[tuple[float, float, int]]], list[Any]]
) -> None:
    asked = [[Request((p,), (q,), (at,)) for p, q, at in steps] for steps in given_[0]]
    assert_alike(truck, state, asked, [surrounded(*around) for around in given_[1]], {})


@settings(max_examples=300)
@given(
    st.sampled_from(BATTERIES),
    store_states,
    runs_of(st.tuples(few, few, shares, strings)),
    st.sampled_from([(), ("availability",), ("availability", "usable_energy_share")]),
)
def test_many_batteries_do_what_each_does_under_series_of_all_or_of_each(
    battery: Battery, state: StoreState, given_: tuple[list[list[Any]], list[Any]], of_each: tuple[str, ...]
) -> None:
    schedules, around = given_
    series = {
        "availability": [[one[2] for one in steps] for steps in schedules],
        "usable_energy_share": [[one[3] for one in steps] for steps in schedules],
    }
    asked = [[Request((one[0],), (one[1],)) for one in steps] for steps in schedules]
    nows = [surrounded(*one) for one in around]
    assert_alike(battery, state, asked, nows, {key: series[key] for key in of_each})


@pytest.mark.parametrize("device", [*TRUCKS, *BATTERIES])
def test_schedules_within_all_limits_are_done_together(device: Device[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Two days that charge by half of the window and discharge it again; the first ends in the middle."""
    rng = np.random.default_rng(0)
    nows = [surrounded(1.0, 1.0, step == 3, True) for step in range(8)]
    sizes = rng.uniform(0.1, 0.4, (3, 4))
    schedules = [
        [Request((p,), (0.0,), device.at(device.initial_state(nows[0]))) for p in (*-x, *x / 2)] for x in sizes
    ]
    state = device.initial_state(nows[0])
    assert_alike(device, state, schedules, nows, {})
    monkeypatch.setattr(type(device), "step", None)
    together = Requests(
        np.array([[one.p_mw for one in steps] for steps in schedules]),
        np.zeros((3, 8, 1)),
        np.array([[one.position for one in steps] for steps in schedules], dtype=np.int64),
    )
    device.simulate_many(state, together, nows)


@settings(max_examples=50)
@given(st.lists(st.tuples(few, few, few, few, shares), min_size=1, max_size=4))
def test_kinds_without_arrays_do_schedule_after_schedule(
    given_: list[tuple[float, float, float, float, float]],
) -> None:
    link = Link("L", (Terminal("L-1", 0, 0, 1.0, 0.02), Terminal("L-2", 1, 1, 1.0, 0.02)), 0)
    asked = [[Request(one[:2], one[2:4])] * 2 for one in given_]
    series = {"availability": [[one[4]] * 2 for one in given_]}
    assert_alike(link, Stateless(), asked, [Now(0.25)] * 2, series)


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


def test_a_term_of_money_that_is_not_in_every_outcome_counts_as_zero_there() -> None:
    schedules = [[Request((p,), (0.0,)) for p in (0.5, 0.0)], [Request((0.0,), (0.0,))] * 2]
    many = assert_alike(Log(), LogState(), schedules, [Now(0.5)] * 2, {})
    np.testing.assert_array_equal(many.money["noting"], [[0.5, 0.0], [0.0, 0.0]])


class Halved(Battery):
    """A battery that does half of what is requested."""

    def step(self, state: StoreState, request: Request, now: Now) -> tuple[StoreState, Outcome]:
        """Do half of it."""
        return super().step(state, Request((0.5 * request.p_mw[0],), request.q_mvar), now)


def test_a_kind_with_a_step_of_its_own_does_not_take_the_arrays_of_the_kind_it_derives_from() -> None:
    asked = [[Request((0.4,), (0.1,))]] * 2
    assert_alike(Halved("H", 0, 2, STORE), StoreState(2.0), asked, [Now(0.5)], {})


class Halving:
    """Does half of what is requested, whatever it is mixed into."""

    def step(self, state: StoreState, request: Request, now: Now) -> tuple[StoreState, Outcome]:
        """Do half of it."""
        half = Request((0.5 * request.p_mw[0],), request.q_mvar)
        return super().step(state, half, now)  # type: ignore[misc,no-any-return]


class Mixed(Halving, Battery):
    """A battery whose step comes from elsewhere."""


def test_nor_does_a_kind_whose_step_is_mixed_in() -> None:
    assert_alike(Mixed("M", 0, 2, STORE), StoreState(2.0), [[Request((0.4,), (0.1,))]] * 2, [Now(0.5)], {})


def test_no_schedule_at_all_has_outcomes_of_the_right_shape() -> None:
    link = Link("L", (Terminal("L-1", 0, 0, 1.0, 0.02), Terminal("L-2", 1, 1, 1.0, 0.02)), 0)
    nothing = Requests(np.zeros((0, 3, 2)), np.zeros((0, 3, 2)), np.zeros((0, 3, 0), dtype=np.int64))
    assert link.simulate_many(Stateless(), nothing, [Now(0.25)] * 3).p_mw.shape == (0, 3, 2)


def test_a_coupling_that_informs_in_its_own_way_is_asked_in_every_step() -> None:
    class Slower(RoadTrips):
        def inform(self, *given: Any) -> Any:
            return super().inform(*given)

    assert RoadTrips.__new__(RoadTrips).same_in_all_samples
    assert not Slower.__new__(Slower).same_in_all_samples


def test_a_request_that_is_not_finite_is_refused_among_many() -> None:
    asked = [[Request((0.1,), (0.0,))], [Request((float("nan"),), (0.0,))]]
    with pytest.raises(ValueError, match="P = nan MW"):
        assert_alike(BATTERIES[0], StoreState(2.0), asked, [Now(0.5)], {})
