"""Devices of a user's own that break a promise in a step are caught."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar

from plugins.capacitor_bank import CapacitorBank
from plugins.curtailable import Curtailable

from cases.sample_devices import BANK, BATTERY, SAMPLES, TupledBank, broken, port_with
from gridferry.controllers.conformance.device_suite import check_device
from gridferry.controllers.conformance.devices.trial import ANSWERED, UNCHANGED
from gridferry.controllers.devices import Device, Now, Outcome, Port, Request, Series, Site
from gridferry.controllers.devices.batteries.device import Battery
from gridferry.controllers.devices.generators.device import Generator
from gridferry.controllers.devices.stores.storage import StoreState

REPEAT = "equal inputs give equal results"
JSON = "a state survives JSON, and a step from it is the same"
SAID = "shortfalls are reported"
FOLLOWS = "ports that follow take no notice of P and Q"
REST = "at rest nothing is short, and positions stay"
LABELS = "positions have one of their labels"
DEFAULTS = "a series that is missing counts as its default"
CLASS = "class variables are in order"
FROZEN = "devices and states are frozen dataclasses"


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
