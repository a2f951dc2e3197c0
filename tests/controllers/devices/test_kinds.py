"""What holds for every kind of device, those of a user too."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping, Sequence
from dataclasses import FrozenInstanceError, dataclass, fields, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cases import REPOSITORY
from cases.device_steps import STATIONS
from gridferry.controllers.contract import Storage
from gridferry.controllers.devices import (
    NOWHERE,
    Act,
    Clip,
    Coupling,
    Device,
    Now,
    Request,
    rest,
    states_of_json,
    states_to_json,
    step_all,
)
from gridferry.controllers.devices.batteries.device import Battery
from gridferry.controllers.devices.couplings import RoadTrips
from gridferry.controllers.devices.generators.device import Generator
from gridferry.controllers.devices.links.device import Link, Terminal
from gridferry.controllers.devices.registry import BUILT_IN, find_kind
from gridferry.controllers.devices.trucks.config import Labour, Mileage
from gridferry.controllers.devices.trucks.device import Truck, TruckCost
from gridferry.networks.faults import InputError
from gridferry.networks.roads.travel import DistanceMatrix, matrix_from_rows

BANK = REPOSITORY / "tests" / "plugins" / "capacitor_bank.py"
CapacitorBank = find_kind(f"{BANK}:CapacitorBank")
STORE = Storage(2.0, 0.8, 0.9, 0.92, 0.93, 0.02, 0.1, 0.9, 0.5, None, 1.5, 5.0)
COST = TruckCost(0.3, 8.0, Mileage.LEG, Labour.TRAVEL, 8.0)
DEVICES: Sequence[Device[Any]] = (
    Truck("T", STORE, (0, 1, 2), 1, 3, COST, STATIONS[:3]),
    Truck("U", replace(STORE, eta_discharge=4 / 3), (0, 2), 2, 3, COST, STATIONS[:3]),
    Battery("B", 0, 4, STORE),
    Link("L", (Terminal("L-1", 0, 2, 1.0, 0.02), Terminal("L-2", 1, 5, 0.7, 0.05), Terminal("L-3", 1, 6, 0.5, 0.0)), 1),
    Generator("pv", "pv", 0, 3, 12.0),
    CapacitorBank("C", 4, 3, 0.2, 0.003, 1.5),  # type: ignore[call-arg]
)
KM = matrix_from_rows([[0.0, 5.0, 9.0], [5.0, 0.0, 4.0], [9.0, 4.0, 0.0]])
ROADS = RoadTrips(DistanceMatrix(("S0", "S1", "S2"), KM, 30.0, 5.0), step_s=900)

shares = st.one_of(st.sampled_from([0.0, 0.5, 1.0]), st.floats(0.0, 1.0, allow_subnormal=False))
powers = st.floats(-3.0, 3.0, allow_subnormal=False)


@dataclass(frozen=True)
class Step:
    """Drawn: what surrounds the devices, and what is requested of them."""

    availability: float
    usable_energy_share: float
    output_mw: float
    ends_day: bool
    congestion: float
    p_mw: list[float]
    q_mvar: list[float]
    position: list[int]

    def nows(self) -> list[Now]:
        series = {
            "availability": self.availability,
            "usable_energy_share": self.usable_energy_share,
            "p_mw": self.output_mw,
        }
        return [Now(0.25, self.ends_day, {key: series[key] for key in one.series}) for one in DEVICES]

    def requests(self) -> list[Request]:
        p, q, at = iter(self.p_mw), iter(self.q_mvar), iter(self.position)
        return [
            Request(
                tuple(next(p) for _ in one.ports),
                tuple(next(q) for _ in one.ports),
                tuple(next(at) for _ in one.positions),
            )
            for one in DEVICES
        ]


N_PORT = sum(len(one.ports) for one in DEVICES)
drawn_steps = st.lists(
    st.builds(
        Step,
        shares,
        st.one_of(st.just(1.0), st.floats(0.05, 1.0)),
        st.floats(0.0, 2.0),
        st.booleans(),
        st.floats(0.0, 60.0),
        st.lists(powers, min_size=N_PORT, max_size=N_PORT),
        st.lists(powers, min_size=N_PORT, max_size=N_PORT),
        st.lists(st.integers(-2, 5), min_size=3, max_size=3),
    ),
    min_size=1,
    max_size=8,
)


def walked(
    sequence: Sequence[Step], couplings: Sequence[Coupling] = (ROADS,)
) -> list[tuple[Step, list[Any], list[tuple[Any, Any]]]]:
    """Every step, the states before it, and what the devices made of it."""
    states: list[Any] = [one.initial_state(now) for one, now in zip(DEVICES, sequence[0].nows(), strict=True)]
    days = []
    for step in sequence:
        done = step_all(DEVICES, couplings, states, step.requests(), step.nows(), {"congestion": [step.congestion] * 6})
        days.append((step, states, done))
        states = [state for state, _ in done]
    return days


@settings(max_examples=150, deadline=None)
@given(drawn_steps)
def test_source_less_what_is_given_and_lost_is_what_is_stored_for_every_kind_in_every_step(
    sequence: list[Step],
) -> None:
    for _, before, done in walked(sequence):
        for device, state, (after, outcome) in zip(DEVICES, before, done, strict=True):
            given_mwh = 0.25 * sum(port.p_mw for port in outcome.ports)
            stored = device.stored_mwh(after) - device.stored_mwh(state)
            assert outcome.source_mwh - given_mwh - outcome.loss_mwh == pytest.approx(stored, rel=0, abs=1e-12), device


@settings(max_examples=150, deadline=None)
@given(drawn_steps)
def test_any_finite_request_is_answered_and_nothing_beyond_a_rating_is_done(sequence: list[Step]) -> None:
    for _, _, done in walked(sequence):
        for device, (state, outcome) in zip(DEVICES, done, strict=True):
            assert len(outcome.ports) == len(device.ports)
            for port, did in zip(device.ports, outcome.ports, strict=True):
                assert did.bus in (*port.buses, NOWHERE)
                assert port.p_min_mw - 1e-12 <= did.p_mw <= port.p_max_mw + 1e-12
                assert did.p_mw**2 + did.q_mvar**2 <= port.s_max_mva**2 * (1 + 1e-9) or port.act is Act.FOLLOWS
                assert did.bus != NOWHERE or (did.p_mw, did.q_mvar) == (0.0, 0.0)
                assert did.shortfall_mwh >= 0.0
            for position, at in zip(device.positions, device.at(state), strict=True):
                assert 0 <= at < len(position.labels)


@settings(max_examples=50, deadline=None)
@given(drawn_steps)
def test_states_go_through_json_and_equal_inputs_give_equal_outcomes(sequence: list[Step]) -> None:
    first = walked(sequence)
    for step, before, done in first:
        restored = states_of_json(DEVICES, json.loads(json.dumps(states_to_json(DEVICES, before))))
        assert restored == list(before)
        again = step_all(
            DEVICES, [ROADS], restored, step.requests(), step.nows(), {"congestion": [step.congestion] * 6}
        )
        assert again == done


@settings(max_examples=50, deadline=None)
@given(drawn_steps)
def test_every_kind_records_its_columns_and_costs_and_no_other(sequence: list[Step]) -> None:
    for _, _, done in walked(sequence):
        for device, (_, outcome) in zip(DEVICES, done, strict=True):
            assert set(outcome.row) == set(device.columns)
            assert set(outcome.money) <= set(device.costs)
            for key, value in outcome.row.items():
                assert value is None or isinstance(value, device.columns[key].of)


def test_states_and_devices_are_frozen() -> None:
    for device in DEVICES:
        state = device.initial_state(Now(0.25))
        for one in (device, state):
            for field in fields(one):
                with pytest.raises(FrozenInstanceError):
                    setattr(one, field.name, None)


def test_states_of_other_devices_or_of_another_form_are_refused() -> None:
    given_states = states_to_json(DEVICES, [one.initial_state(Now(0.25)) for one in DEVICES])
    assert {"trucks.T", "batteries.B", "links.L", "generators.pv", "capacitor_banks.C"} <= set(given_states)
    with pytest.raises(ValueError, match=r"not the same: batteries\.B"):
        states_of_json(DEVICES, {key: one for key, one in given_states.items() if key != "batteries.B"})
    with pytest.raises(ValueError, match=r"another form: capacitor_banks\.C"):
        states_of_json(DEVICES, given_states | {"capacitor_banks.C": {"off": 3}})


def test_devices_at_rest_give_nothing_and_are_short_of_nothing() -> None:
    states = [one.initial_state(Now(0.25)) for one in DEVICES]
    requests = [rest(one, state) for one, state in zip(DEVICES, states, strict=True)]
    for _, outcome in step_all(DEVICES, [ROADS], states, requests, [Now(0.25)] * len(DEVICES)):
        for port in outcome.ports:
            assert (port.p_mw, port.q_mvar, port.shortfall_mwh, port.clips) == (0.0, 0.0, 0.0, ())


def test_a_truck_that_is_to_leave_needs_the_congestion_of_the_roads() -> None:
    states = [one.initial_state(Now(0.25)) for one in DEVICES]
    leaving = [Request((0.0,), (0.0,), (0,)), *(rest(one, s) for one, s in zip(DEVICES[1:], states[1:], strict=True))]
    with pytest.raises(ValueError, match="T: a trip needs the congestion of the roads"):
        step_all(DEVICES, [ROADS], states, leaving, [Now(0.25)] * len(DEVICES))


def test_a_bank_switches_pays_and_draws_what_its_capacitors_lose() -> None:
    bank = DEVICES[-1]
    ((state, outcome),) = step_all(
        [bank], [], [bank.initial_state(Now(0.5))], [Request((0.0,), (9.0,), (2,))], [Now(0.5)]
    )
    (port,) = outcome.ports
    assert (port.bus, port.p_mw, port.q_mvar, port.clips) == (4, -0.006, 0.4, ())
    assert (outcome.money, outcome.row) == ({"switching": 3.0}, {"switched": 2})
    assert outcome.loss_mwh == 0.003
    ((state, outcome),) = step_all([bank], [], [state], [Request((0.0,), (0.0,), (7,))], [Now(0.5)])
    assert (bank.at(state), outcome.ports[0].clips, outcome.money["switching"]) == ((3,), ("unknown_step",), 1.5)


class OnePlace(Coupling):
    """Each station has one place; who came first stays, then the order of the devices decides."""

    def grant(
        self, devices: Sequence[Device[Any]], moved: Sequence[Any], requests: Sequence[Request], nows: Sequence[Now]
    ) -> Sequence[Now]:
        """Plug in the first of those parked at a station."""
        taken: set[int] = set()
        reported = list(nows)
        for i, state in enumerate(moved):
            if isinstance(devices[i], Truck) and state.transit_steps == 0:
                reported[i] = replace(nows[i], plugged=state.station not in taken)
                taken.add(state.station)
        return reported


def test_of_two_trucks_at_a_station_with_one_place_the_second_gives_nothing_until_the_first_leaves() -> None:
    trucks = [replace(DEVICES[0], name=name) for name in ("T", "U")]  # type: ignore[type-var]
    states: list[Any] = [one.initial_state(Now(0.25)) for one in trucks]
    work = Request((0.4,), (0.0,), (1,))
    couplings = [ROADS, OnePlace()]
    done = step_all(trucks, couplings, states, [work, work], [Now(0.25)] * 2)
    assert [outcome.ports[0].p_mw for _, outcome in done] == [0.4, 0.0]
    assert [outcome.ports[0].clips for _, outcome in done] == [(), (Clip.NOT_PLUGGED,)]
    assert done[1][1].ports[0].shortfall_mwh == pytest.approx(0.1)
    leave = Request((0.0,), (0.0,), (2,))
    done = step_all(
        trucks, couplings, [state for state, _ in done], [leave, work], [Now(0.25)] * 2, {"congestion": [0.0] * 6}
    )
    assert [outcome.ports[0].p_mw for _, outcome in done] == [0.0, 0.4]


# ------------------------------------------------------------------------------------------------------------- registry


def test_built_in_kinds_are_found_by_the_name_of_their_table() -> None:
    assert {name: find_kind(name).table for name in BUILT_IN} == {name: name for name in BUILT_IN}


def test_a_kind_of_a_users_own_is_found_beside_the_config() -> None:
    assert find_kind("capacitor_bank.py:CapacitorBank", BANK.parent) is CapacitorBank


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("batterys", 'did you mean "batteries"?'),
        (str(BANK), 'name the class too: "'),
        (f"{BANK}:Bank", "no such class"),
        (f"{BANK}:BankState", "is no device; derive it from gridferry.controllers.devices.Device"),
        ("gridferry.controllers.devices:Device", "is abstract; it still has to define build, initial_state, step"),
        ("gone.py:Bank", "no file gone.py in "),
    ],
)
def test_a_kind_that_is_not_there_is_said_with_what_there_is(spec: str, message: str) -> None:
    with pytest.raises(InputError) as error:
        find_kind(spec)
    assert message in str(error.value)


# --------------------------------------------------------------------------------------------------------- architecture


def calls(file: Path, methods: Mapping[str, int]) -> list[str]:
    """Calls of methods of these names with as many arguments."""
    return [
        f"{file.relative_to(REPOSITORY)}:{node.lineno}"
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
        if methods.get(node.func.attr) == len(node.args)
    ]


def test_only_the_interface_moves_a_device_and_only_step_all_steps_one() -> None:
    found = [
        call
        for folder in ("controllers", "sim", "benchmarks")
        for file in sorted((REPOSITORY / folder).rglob("*.py"))
        for call in calls(file, {"step": 3, "move": 3})
    ]
    schedules_of_a_kind = ["controllers/devices/trucks/many.py"]  # which moves as it does in a step
    interface = ["controllers/devices/coupled_step.py"] * 2 + ["controllers/devices/device.py"] * 2
    assert [one.partition(":")[0] for one in found] == interface + schedules_of_a_kind
