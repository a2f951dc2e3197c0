"""The device suite passes our kinds and catches each broken promise by name."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar

import pytest
from plugins.capacitor_bank import CapacitorBank

from cases import REPOSITORY
from cases.sample_devices import BATTERY, SAMPLES, broken, port_with
from gridferry.controllers.conformance.device_suite import PROMISES, check_device
from gridferry.controllers.conformance.devices.trial import ANSWERED, FINITE
from gridferry.controllers.devices import Device, Now, Outcome, Request
from gridferry.controllers.devices.batteries.device import Battery
from gridferry.controllers.devices.flexible_loads.device import FlexibleLoad
from gridferry.controllers.devices.generators.device import Generator
from gridferry.controllers.devices.gensets.device import Genset
from gridferry.controllers.devices.links.device import Link
from gridferry.controllers.devices.sheddable_loads.device import SheddableLoad
from gridferry.controllers.devices.stores.storage import StoreState
from gridferry.controllers.devices.trucks.device import Truck

REPEAT = "equal inputs give equal results"
BALANCE = "source - injected - loss is the change of what is stored"
PORTS = "ports inject where they may, within their limits"
SAID = "shortfalls are reported"
MONEY = "money is of the terms in costs"
ROW = "a row has the columns, in their types"


@pytest.mark.parametrize("kind", [Truck, Battery, Link, Genset, SheddableLoad, FlexibleLoad, Generator, CapacitorBank])
def test_our_kinds_and_a_users_keep_every_promise(kind: type[Device[Any]]) -> None:
    findings = check_device(kind, [one for one in SAMPLES if type(one) is kind])
    assert [str(one) for one in findings if not one.passed] == []
    assert [one.name for one in findings] == list(PROMISES)


@pytest.mark.parametrize(
    "name", ["capacitor_bank:CapacitorBank", "constant_load:ConstantLoad", "curtailable:Curtailable"]
)
def test_kinds_of_users_keep_every_promise_on_a_sample_entry(name: str) -> None:
    assert [str(one) for one in check_device(f"plugins.{name}") if not one.passed] == []


Change = Callable[[StoreState, Outcome, Request], Any]


def broken_by(change: Change, *promises: str) -> dict[str, str]:
    """Promises that a battery breaks whose results are changed so."""

    class Tried(Battery):
        """A battery, but for one thing."""

        table: ClassVar[str] = "tried"

        def step(self, state: StoreState, request: Request, now: Now) -> Any:
            return change(*super().step(state, request, now), request)

    return broken(Tried, BATTERY, *promises)


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
