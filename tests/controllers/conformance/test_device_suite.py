"""The device suite passes our kinds and catches each broken promise by name."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any, ClassVar

import pytest
from plugins.capacitor_bank import CapacitorBank
from plugins.curtailable import Curtailable

from cases import REPOSITORY
from gridferry.controllers.conformance.device_suite import PROMISES, check_device
from gridferry.controllers.conformance.devices.kind import CONFIG_KEYS
from gridferry.controllers.conformance.devices.trial import ANSWERED, FINITE, UNCHANGED
from gridferry.controllers.conformance.sample_plants import two_feeders
from gridferry.controllers.devices import Act, Column, Device, Now, Outcome, Port, Request, Series, Site
from gridferry.controllers.devices.batteries.device import Battery
from gridferry.controllers.devices.generators.device import Generator
from gridferry.controllers.devices.links.device import Link
from gridferry.controllers.devices.registry import BUILT_IN, TAKEN_TABLES
from gridferry.controllers.devices.stores.storage import StoreState
from gridferry.controllers.devices.trucks.device import Truck
from gridferry.sim.config.schema import Config as RunConfig
from gridferry.sim.results.records import INFO_TABLES, TABLES

REPEAT = "equal inputs give equal results"
JSON = "a state survives JSON, and a step from it is the same"
BALANCE = "source - injected - loss is the change of what is stored"
PORTS = "ports inject where they may, within their limits"
SAID = "shortfalls are reported"
FOLLOWS = "ports that follow take no notice of P and Q"
REST = "at rest nothing is short, and positions stay"
LABELS = "positions have one of their labels"
MONEY = "money is of the terms in costs"
ROW = "a row has the columns, in their types"
DEFAULTS = "a series that is missing counts as its default"
CLASS = "class variables are in order"
DECLARED = "ports and positions are well declared"
FROZEN = "devices and states are frozen dataclasses"
BEGINS = "a run begins in a state of the kind"
PLAN_FILE = "a schedule survives plan.csv"

SAMPLES: Sequence[Device[Any]] = (
    *two_feeders().plant.devices,
    CapacitorBank("C1", 2, 3, 0.3, 0.003, 5.0),
)
BATTERY = next(one for one in SAMPLES if isinstance(one, Battery))
BANK = SAMPLES[-1]


@pytest.mark.parametrize("kind", [Truck, Battery, Link, Generator, CapacitorBank])
def test_our_kinds_and_a_users_keep_every_promise(kind: type[Device[Any]]) -> None:
    findings = check_device(kind, [one for one in SAMPLES if type(one) is kind])
    assert [str(one) for one in findings if not one.passed] == []
    assert [one.name for one in findings] == list(PROMISES)


@pytest.mark.parametrize(
    "name", ["capacitor_bank:CapacitorBank", "constant_load:ConstantLoad", "curtailable:Curtailable"]
)
def test_kinds_of_users_keep_every_promise_on_a_sample_entry(name: str) -> None:
    assert [str(one) for one in check_device(f"plugins.{name}") if not one.passed] == []


def broken(kind: type[Device[Any]], device: Device[Any], *promises: str) -> dict[str, str]:
    """Promises that a kind breaks, of all or of some, with what is said; ``device`` has the fields."""
    own = kind(**{one.name: getattr(device, one.name) for one in fields(device)})  # type: ignore[arg-type]
    findings = check_device(kind, [own], promises or PROMISES)
    return {one.name: one.explanation for one in findings if not one.passed}


Change = Callable[[StoreState, Outcome, Request], Any]


def broken_by(change: Change, *promises: str) -> dict[str, str]:
    """Promises that a battery breaks whose results are changed so."""

    class Tried(Battery):
        """A battery, but for one thing."""

        table: ClassVar[str] = "tried"

        def step(self, state: StoreState, request: Request, now: Now) -> Any:
            return change(*super().step(state, request, now), request)

    return broken(Tried, BATTERY, *promises)


def port_with(outcome: Outcome, **values: Any) -> Outcome:
    """Set values of the port past its constructor, whose types the tests check."""
    port = replace(outcome.ports[0])
    for name, value in values.items():
        object.__setattr__(port, name, value)
    return replace(outcome, ports=(port,))


def test_a_battery_whose_results_are_not_changed_breaks_nothing() -> None:
    assert broken_by(lambda after, outcome, request: (after, outcome)) == {}


@pytest.mark.parametrize(
    ("change", "promise", "says"),
    [
        (lambda after, did, asked: 1 / 0, ANSWERED, "raised ZeroDivisionError: division by zero"),
        (lambda after, did, asked: (None, did), ANSWERED, "return a StoreState and an Outcome"),
        (lambda after, did, asked: (after, replace(did, ports=())), ANSWERED, "an Injection for each of 1"),
        (lambda after, did, asked: (after, port_with(did, bus=2.0)), ANSWERED, "bus 2.0; give its number as an int"),
        (lambda after, did, asked: (after, port_with(did, clips=["x"])), ANSWERED, "a tuple of texts without commas"),
        (
            lambda after, did, asked: (after, port_with(did, p_mw="0")),
            ANSWERED,
            "p_mw is '0', which is no plain number",
        ),
        (
            lambda after, did, asked: (after, port_with(did, q_mvar=float("nan"))),
            FINITE,
            "outcome.ports[0].q_mvar is nan",
        ),
        (lambda after, did, asked: (replace(after, energy_mwh=float("inf")), did), FINITE, "state.energy_mwh is inf"),
        (lambda after, did, asked: (after, replace(did, money={"wear": float("nan")})), FINITE, "money['wear'] is nan"),
        (
            lambda after, did, asked: (after, replace(did, money={"wear": time.perf_counter()})),
            REPEAT,
            "use no clock and no random numbers",
        ),
        (
            lambda after, did, asked: (replace(after, energy_mwh=after.energy_mwh + 1e-6), did),
            BALANCE,
            "is not the change of what is stored",
        ),
        (lambda after, did, asked: (after, replace(did, source_mwh=1e-6)), BALANCE, "correct source_mwh, loss_mwh or"),
        (lambda after, did, asked: (after, port_with(did, bus=0)), PORTS, "injects at bus 0; declared are (2,)"),
        (lambda after, did, asked: (after, port_with(did, bus=-1)), PORTS, "nowhere"),
        (lambda after, did, asked: (after, port_with(did, p_mw=asked.p_mw[0])), PORTS, "beyond its -0.5 to 0.5 MW"),
        (lambda after, did, asked: (after, port_with(did, q_mvar=asked.q_mvar[0])), PORTS, "rated 0.5 MVA; reduce Q"),
        (lambda after, did, asked: (after, port_with(did, shortfall_mwh=-1.0)), SAID, "has a shortfall of -1 MWh"),
        (lambda after, did, asked: (after, port_with(did, shortfall_mwh=0.0)), SAID, "it is Δ |P requested - P done|"),
        (lambda after, did, asked: (after, port_with(did, clips=())), SAID, "say why it is not what was requested"),
        (
            lambda after, did, asked: (after, replace(did, money={"fuel": 1.0})),
            MONEY,
            "money has fuel; name every term",
        ),
        (
            lambda after, did, asked: (after, replace(did, row={**did.row, "x": 1.0})),
            ROW,
            "row has x; name every value",
        ),
        (lambda after, did, asked: (after, replace(did, row={})), ROW, "row lacks availability, charged_mwh"),
        (
            lambda after, did, asked: (after, replace(did, row={**did.row, "soc": "half"})),
            ROW,
            "row has soc = 'half'; its column is of float",
        ),
    ],
)
def test_a_broken_promise_is_caught_with_an_example_and_the_way_to_mend_it(
    change: Change, promise: str, says: str
) -> None:
    found = broken_by(change, promise)
    assert list(found) == [promise]
    assert says in found[promise]
    assert found[promise].startswith("B1: P = ")


def test_the_example_is_the_simplest_that_breaks_the_promise() -> None:
    found = broken_by(lambda after, did, asked: (after, port_with(did, p_mw=asked.p_mw[0])), PORTS)
    assert found[PORTS].startswith(
        "B1: P = 1 MW, Q = 0 Mvar, availability = 1, usable_energy_share = 1, from StoreState(energy_mwh="
    )


class Remembering(Battery):
    """Counts its steps outside its state."""

    table: ClassVar[str] = "remembering"
    counted: ClassVar[list[int]] = []

    def step(self, state: StoreState, request: Request, now: Now) -> tuple[StoreState, Outcome]:
        """Do as a battery, and remember."""
        self.counted.append(1)
        after, outcome = super().step(state, request, now)
        return after, replace(outcome, money={"wear": float(len(self.counted))})


def test_memory_outside_the_state_is_caught() -> None:
    assert "keep all that changes in the state" in broken(Remembering, BATTERY, REPEAT)[REPEAT]


class Overwriting(Battery):
    """Changes the state that it was given."""

    table: ClassVar[str] = "overwriting"

    def step(self, state: StoreState, request: Request, now: Now) -> tuple[StoreState, Outcome]:
        """Write to the state past its lock."""
        after, outcome = super().step(state, request, now)
        object.__setattr__(state, "energy_mwh", after.energy_mwh)
        return after, outcome


def test_a_state_that_is_written_to_is_caught() -> None:
    assert "an input was changed; return a new state" in broken(Overwriting, BATTERY, UNCHANGED)[UNCHANGED]


@dataclass
class Loose:
    """A state that can be changed."""

    on: int = 0


class LooseBank(CapacitorBank):
    """A bank whose state can be changed."""

    table: ClassVar[str] = "loose_banks"
    State: ClassVar[type[Any]] = Loose

    def initial_state(self, now: Now) -> Any:
        """All off."""
        return Loose()

    def step(self, state: Any, request: Request, now: Now) -> Any:
        """Switch."""
        after, outcome = super().step(state, request, now)
        return Loose(after.on), outcome


def test_a_state_that_is_not_frozen_is_caught() -> None:
    found = broken(LooseBank, BANK)
    assert "is no frozen dataclass; write @dataclass(frozen=True" in found[CLASS]
    assert set(found) == {CLASS}, "nothing that follows can be tried"


@dataclass(frozen=True)
class Tupled:
    """A state with a tuple, which JSON makes a list."""

    on: int
    history: tuple[int, ...] = ()


class TupledBank(CapacitorBank):
    """A bank with a history."""

    table: ClassVar[str] = "tupled_banks"
    State: ClassVar[type[Any]] = Tupled

    def initial_state(self, now: Now) -> Any:
        """All off."""
        return Tupled(0)

    def step(self, state: Any, request: Request, now: Now) -> Any:
        """Switch."""
        after, outcome = super().step(state, request, now)
        return Tupled(after.on, (after.on,)), outcome


def test_a_state_that_changes_in_json_is_caught() -> None:
    assert "comes back from JSON as Tupled(on=0, history=[0])" in broken(TupledBank, BANK, JSON)[JSON]
    assert set(broken(TupledBank, BANK)) == {JSON}


class RunningOn(CapacitorBank):
    """A bank that goes where it is sent, even if there is nothing."""

    table: ClassVar[str] = "running_on"

    def step(self, state: Any, request: Request, now: Now) -> Any:
        """Switch without looking."""
        _, outcome = super().step(state, request, now)
        return replace(state, on=request.position[0]), outcome


def test_a_position_outside_its_labels_is_caught() -> None:
    assert "C1 stands at 4 of 4 labels" in broken(RunningOn, BANK, LABELS)[LABELS]


class Lost(CapacitorBank):
    """A bank that says nothing of its position on the way."""

    table: ClassVar[str] = "lost"

    def transit_steps(self, state: Any) -> tuple[int, ...]:
        """None."""
        return ()


def test_a_position_that_is_not_spoken_of_is_caught() -> None:
    message = "transit_steps(BankState(on=0)) is (); return a tuple with an int for each of 1 positions"
    assert message in broken(Lost, BANK, ANSWERED)[ANSWERED]


class Restless(CapacitorBank):
    """A bank that switches on by itself, and injects what is requested of a port that follows."""

    table: ClassVar[str] = "restless"

    def step(self, state: Any, request: Request, now: Now) -> Any:
        """Switch one more on."""
        after, outcome = super().step(state, request, now)
        more = replace(after, on=min(after.on + 1, self.capacitors))
        return more, port_with(outcome, q_mvar=min(max(request.q_mvar[0], 0.0), 0.1))


def test_a_device_that_does_not_rest_or_follow_is_caught() -> None:
    found = broken(Restless, BANK, REST, FOLLOWS)
    assert "which is to rest: its position changes from (0,) to (1,)" in found[REST]
    assert "with another P or Q requested of a port that follows, it did something else" in found[FOLLOWS]


class Hungry(Battery):
    """A battery whose rest is a power that it cannot always give."""

    table: ClassVar[str] = "hungry"

    @cached_property
    def ports(self) -> tuple[Port, ...]:
        """One, that charges at rest."""
        return (replace(super().ports[0], rest_mw=-0.2),)


def test_a_rest_that_costs_a_shortfall_is_caught() -> None:
    assert "correct Port.rest_mw" in broken(Hungry, BATTERY, REST)[REST]


class Overdone(Curtailable):
    """A generator that takes no notice of its limit."""

    table: ClassVar[str] = "overdone"

    def step(self, state: Any, request: Request, now: Now) -> Any:
        """Inject what the sun gives."""
        return super().step(state, replace(request, p_mw=(self.rating_mw,)), now)


def test_a_limit_that_is_exceeded_is_caught() -> None:
    message = broken(Overdone, Overdone("O", 2, 0.5), SAID)[SAID]
    assert message.endswith("O injects 0.5 MW, more than its limit")


class OtherDefault(Generator):
    """A generator that takes another default than it says."""

    table: ClassVar[str] = "other_defaults"
    series: ClassVar[Mapping[str, Series]] = {"p_mw": Series(default=0.5, meaning="output [MW]")}


def test_a_default_that_is_not_taken_is_caught() -> None:
    pv = next(one for one in SAMPLES if isinstance(one, Generator))
    assert "read them by now.series.get(key, default)" in broken(OtherDefault, pv, DEFAULTS)[DEFAULTS]


def with_class_variable(name: str, value: Any) -> type[Device[Any]]:
    """A battery, but for one class variable."""
    return type("Tried", (Battery,), {"__doc__": "Tried.", "table": "tried", name: value})


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("table", "Bank Of C", "write small letters, digits and _, as in heat_pumps"),
        ("table", "networks", 'table = "networks" is taken'),
        ("table", "trucks", 'table = "trucks" is taken'),
        ("table", "device_info", "is taken"),
        ("port_kind", "", "port_kind = ''; give a text"),
        ("version", 0, "version = 0; count from 1"),
        ("Config", int, "derive it from gridferry.controllers.devices.DeviceConfig"),
        ("State", int, "is no frozen dataclass"),
        ("State", TupledBank.State, "Tupled has no energy_mwh"),
        ("columns", {"soc": "share"}, "columns['soc'] is a str; give a Column"),
        ("columns", {"loss_mwh": Column(unit="MWh", meaning="lost")}, '"loss_mwh" is the name of another column'),
        ("columns", {"wear": Column(unit="", meaning="worn")}, '"wear" is the name of another column'),
        ("costs", {"wear and tear": "x"}, "costs has the key 'wear and tear'; write small letters"),
        ("series", {"availability": Series(default=float("nan"), meaning="x")}, "has the default nan, outside"),
    ],
)
def test_class_variables_out_of_order_are_caught(name: str, value: Any, says: str) -> None:
    assert says in broken(with_class_variable(name, value), BATTERY, CLASS)[CLASS]


def test_a_class_without_a_docstring_is_caught() -> None:
    silent = type("Silent", (Battery,), {"table": "silent"})
    assert set(broken(silent, BATTERY)) == {"the class has a description"}


PORT = BATTERY.ports[0]
POSITION = BANK.positions[0]


@pytest.mark.parametrize(
    ("device", "part", "says"),
    [
        (BATTERY, replace(PORT, name="a,b"), "ports have the name 'a,b'"),
        (BATTERY, replace(PORT, buses=()), "port B1: buses = (); give a tuple of numbers of buses"),
        (BATTERY, replace(PORT, p_min_mw=float("nan")), "port B1: p_min_mw = nan; give a number"),
        (BATTERY, replace(PORT, rest_mw=2.0), "port B1: rest_mw = 2 lies outside -0.5 to 0.5 MW"),
        (BATTERY, replace(PORT, s_max_mva=-1.0), "port B1: s_max_mva = -1 is negative"),
        (BATTERY, replace(PORT, act=Act.LIMIT), "port B1: rest_mw = 0 MW limits it; a limit at rest is p_max_mw"),
        (BANK, replace(POSITION, labels=()), "position C1: labels = ()"),
        (BANK, replace(POSITION, labels=("0", "1", "2", "2")), "position C1: labels are not unique: 0, 1, 2, 2"),
        (BANK, replace(POSITION, labels=("0", "1,5", "2", "3")), "the label '1,5' cannot be read back from plan.csv"),
        (BANK, replace(POSITION, labels=("0", "1\n", "2", "3")), "cannot be read back from plan.csv"),
        (BANK, replace(POSITION, with_routes=True), "are not all stations, ('S1', 'S2', 'S3', 'S4'), of the site"),
        (BANK, replace(POSITION, allowed=(0, 4)), "position C1: allowed = (0, 4); they are indices into 4 labels"),
    ],
)
def test_ports_and_positions_that_are_not_well_declared_are_caught(device: Device[Any], part: Any, says: str) -> None:
    what = "ports" if device is BATTERY else "positions"
    tried = type("Tried", (type(device),), {"__doc__": "Tried.", "table": "tried", what: (part,)})
    assert says in broken(tried, device, DECLARED)[DECLARED]


class Nameless(CapacitorBank):
    """A bank with two positions of one name, that begins outside its labels."""

    table: ClassVar[str] = "nameless"

    @cached_property
    def positions(self) -> Any:
        """Two."""
        return super().positions * 2

    def at(self, state: Any) -> tuple[int, ...]:
        """Beyond."""
        return (9, 9)


def test_names_used_twice_and_a_beginning_outside_the_labels_are_caught() -> None:
    found = broken(Nameless, BANK)
    assert "positions share a name: C1, C1; make it unique" in found[DECLARED]
    assert "position C1 begins at 9; there are [0, 1, 2, 3]" in found[BEGINS]
    assert set(found) == {DECLARED, BEGINS, PLAN_FILE}, "nothing that follows can be tried"


def test_a_device_that_can_be_changed_is_caught() -> None:
    @dataclass
    class Open(Device[Any]):
        """A device that anybody can rename."""

        name: str
        table: ClassVar[str] = "open"
        port_kind: ClassVar[str] = "open"

        @classmethod
        def build(cls, config: Any, site: Site) -> Any:
            return cls(config.name)

        def initial_state(self, now: Now) -> Any:
            return self.State()

        def step(self, state: Any, request: Request, now: Now) -> Any:
            return state, Outcome(())

    found = {one.name: one.explanation for one in check_device(Open, [Open("O")]) if not one.passed}
    assert "Open.name can be set; write @dataclass(frozen=True)" in found[FROZEN]


NO_OUTCOME = """
from plugins.capacitor_bank import CapacitorBank
from gridferry.controllers.conformance.device_suite import check_device

class Silent(CapacitorBank):
    "Gives no outcome."
    table = "silent"
    block = ""
    def step(self, state, request, now):
        return {returned}

for one in check_device(Silent, [Silent("C1", 2, 3, 0.3, 0.003, 5.0)]):
    if not one.passed:
        print(one)
"""


WITHOUT_CVXPY = """
import sys
print("cvxpy" in sys.modules)
"""


@pytest.mark.parametrize(
    ("returned", "says"),
    [
        ("None", "step gave a NoneType for a state; return a BankState and an Outcome"),
        ("state, None", "step gave a NoneType; return the state after it and an Outcome"),
    ],
)
def test_results_that_are_no_state_and_outcome_are_caught(returned: str, says: str) -> None:
    """Outside pytest, whose checks of types come first."""
    ran = subprocess.run(
        [sys.executable, "-c", NO_OUTCOME.format(returned=returned)],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY / "tests")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert [line.partition(": C1")[0] for line in ran.stdout.splitlines()] == [f"FAILED: {ANSWERED}"]
    assert says in ran.stdout


def test_a_kind_without_a_block_is_tried_without_cvxpy() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", NO_OUTCOME.format(returned="super().step(state, request, now)") + WITHOUT_CVXPY],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY / "tests")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout == "False\n"


def test_names_that_are_taken_are_those_of_all_tables_and_keys() -> None:
    assert CONFIG_KEYS | TAKEN_TABLES | set(BUILT_IN) >= {*TABLES, *INFO_TABLES, "checkpoint", *RunConfig.model_fields}
