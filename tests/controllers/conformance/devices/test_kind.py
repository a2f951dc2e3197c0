"""Classes and devices that are not declared as they should be are caught, before any step."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import Any, ClassVar

import pytest
from plugins.capacitor_bank import CapacitorBank

from cases.sample_devices import BANK, BATTERY, TupledBank, broken
from gridferry.controllers.conformance.devices.kind import CONFIG_KEYS
from gridferry.controllers.devices import Act, Column, Device, Series
from gridferry.controllers.devices.batteries.device import Battery
from gridferry.controllers.devices.registry import BUILT_IN, TAKEN_TABLES
from gridferry.sim.config.schema import Config as RunConfig
from gridferry.sim.results.records import INFO_TABLES, TABLES

CLASS = "class variables are in order"
DECLARED = "ports and positions are well declared"
BEGINS = "a run begins in a state of the kind"
PLAN_FILE = "a schedule survives plan.csv"


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
        ("Config", int, "derive it from DeviceConfig"),
        ("State", int, "is no frozen dataclass"),
        ("State", TupledBank.State, "Tupled has no energy_mwh"),
        ("columns", {"soc": "share"}, "columns['soc'] is a str; give a Column"),
        ("columns", {"loss_mwh": Column(unit="MWh", meaning="lost")}, "loss_mwh: columns and costs share these names"),
        ("columns", {"wear": Column(unit="", meaning="worn")}, "wear: columns and costs share these names"),
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


def test_names_that_are_taken_are_those_of_all_tables_and_keys() -> None:
    assert CONFIG_KEYS | TAKEN_TABLES | set(BUILT_IN) >= {*TABLES, *INFO_TABLES, "checkpoint", *RunConfig.model_fields}
