"""Entries of a kind's table are made up for the suite; what a kind promises of its config is tried on them."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Self

import pytest
from plugins.capacitor_bank import BankConfig, CapacitorBank
from pydantic import ConfigDict, Field

from gridferry.controllers.conformance.device_suite import check_device
from gridferry.controllers.conformance.devices.entry import (
    CONFIG_PROMISES,
    ENTRY_PROMISES,
    sample_devices,
    sample_entry,
)
from gridferry.controllers.conformance.findings import BrokenPromiseError
from gridferry.controllers.devices import Device, Profile, Series, Site
from gridferry.controllers.devices.registry import BUILT_IN, find_kind

(ENTRY,) = ENTRY_PROMISES
STRICT, JSON, BUILDS, FAULTS = CONFIG_PROMISES
CLASS = "class variables are in order"


def test_required_keys_have_sample_values() -> None:
    entry = sample_entry(CapacitorBank)
    assert entry == {"name": "D1", "network": "dn1", "bus": "3", "capacitors": 1, "q_each_mvar": 1.0}
    (bank,) = sample_devices(CapacitorBank)
    assert (bank.name, bank.ports[0].buses, bank.ports[0].s_max_mva) == ("D1", (2,), 1.0)


@pytest.mark.parametrize("name", BUILT_IN)
def test_our_kinds_are_checked_by_name_from_sample_entries(name: str) -> None:
    assert [str(one) for one in check_device(name, promises=CONFIG_PROMISES) if not one.passed] == []
    assert type(sample_devices(find_kind(name))[0]) is find_kind(name)


def kind_with(name: str = "", value: Any = None, **more: Any) -> type[Device[Any]]:
    """A bank, but for some class variables."""
    return type("Tried", (CapacitorBank,), {"__doc__": "Tried.", "table": "tried", name: value, **more})


def broken(kind: type[Device[Any]]) -> dict[str, str]:
    return {one.name: one.explanation for one in check_device(kind, promises=CONFIG_PROMISES) if not one.passed}


class Steps(BankConfig):
    """Steps that nobody can guess."""

    steps: Annotated[list[str], Field(min_length=2)]


def test_an_entry_without_sample_values_is_requested() -> None:
    kind = kind_with("Config", Steps)
    with pytest.raises(BrokenPromiseError) as error:
        sample_entry(kind)
    message = str(error.value)
    assert message.startswith("no entry of [[tried]] to try it with: steps: Input should be a valid list")
    assert message.endswith(
        'write into the class example: ClassVar[Mapping[str, Any]] = {"steps": ...}, as in a config'
    )
    assert broken(kind) == {ENTRY: message}, "nothing else can be tried"
    assert broken(kind_with("Config", Steps, example={"steps": ["a", "b"]})) == {}


class Loose(BankConfig):
    """A config that takes anything."""

    model_config = ConfigDict(extra="allow")


class Open(BankConfig):
    """A config that can be changed."""

    model_config = ConfigDict(frozen=False)


class OtherDefault(BankConfig):
    """A config with another default than the series has."""

    share: Profile = 0.5


SHARE = {"share": Series(default=1.0, meaning="share")}


class Nameless(CapacitorBank):
    """A bank that forgets its name."""

    table: ClassVar[str] = "nameless"

    @classmethod
    def build(cls, config: BankConfig, site: Site) -> Self:
        """Build one of a name of its own."""
        return cls("bank", site.bus(config.network, config.bus), 1, 1.0, 0.0, 0.0)


class Stumbling(CapacitorBank):
    """A bank that looks for its bus itself."""

    table: ClassVar[str] = "stumbling"

    @classmethod
    def build(cls, config: BankConfig, site: Site) -> Self:
        """Build one in the one network that it knows."""
        return cls(config.name, {"dn1": 0}[config.network], 1, 1.0, 0.0, 0.0)


class Anywhere(CapacitorBank):
    """A bank that takes any bus."""

    table: ClassVar[str] = "anywhere"

    @classmethod
    def build(cls, config: BankConfig, site: Site) -> Self:
        """Build one at the first bus."""
        return cls(config.name, 0, 1, 1.0, 0.0, 0.0)


class Counting(CapacitorBank):
    """A bank that is another one every time."""

    table: ClassVar[str] = "counting"
    built: ClassVar[list[int]] = []

    @classmethod
    def build(cls, config: BankConfig, site: Site) -> Self:
        """Build one with one more capacitor than the last."""
        cls.built.append(1)
        return cls(config.name, site.bus(config.network, config.bus), len(cls.built), 1.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("kind", "promise", "says"),
    [
        (kind_with("Config", Loose), STRICT, 'an unknown key was taken; keep extra="forbid"'),
        (kind_with("Config", Open), STRICT, "keep frozen=True in model_config"),
        (kind_with("series", SHARE), CLASS, "Config has no field for the series share; add it"),
        (
            kind_with("Config", OtherDefault, series=SHARE),
            JSON,
            "share is 0.5 in Config where it is not given, 1 in",
        ),
        (kind_with("example", {"bus": "99"}), BUILDS, 'bus: "99": no such bus in dn1; there is 1, 2, 3, 4'),
        (Nameless, BUILDS, 'made a device called "bank"; take its name'),
        (Counting, BUILDS, "made another device the second time"),
        (Stumbling, FAULTS, "raised KeyError: 'nowhere'"),
        (Anywhere, FAULTS, "find buses and stations by the site"),
    ],
)
def test_a_config_that_breaks_a_promise_is_caught(kind: type[Device[Any]], promise: str, says: str) -> None:
    found = broken(kind)
    assert says in found[promise]
