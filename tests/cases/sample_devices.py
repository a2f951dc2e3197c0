"""Devices for the sample plant of two feeders, and the promises that changed ones break."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar

from plugins.capacitor_bank import CapacitorBank

from gridferry.controllers.conformance.device_suite import PROMISES, check_device
from gridferry.controllers.conformance.sample_plants import two_feeders
from gridferry.controllers.devices import Device, Now, Outcome, Request
from gridferry.controllers.devices.batteries.device import Battery
from gridferry.controllers.devices.generators.config import Reactive
from gridferry.controllers.devices.generators.device import Generator

GENERATORS = (
    Generator("G1", "pv", 0, 3, 60.0, curtailable=True, curtailment_cost_per_mwh=30.0),
    Generator("G2", "pv", 0, 3, 0.0, curtailable=True, s_max_mva=0.6, reactive=Reactive.DISPATCH),
    Generator("G3", "pv", 0, 3, 0.0, s_max_mva=0.6, reactive=Reactive.DISPATCH),
    Generator("G4", "pv", 0, 3, 60.0, curtailable=True, s_max_mva=0.6, reactive=Reactive.COS_PHI, q_per_p=-0.5),
    Generator("G5", "pv", 0, 3, 0.0, s_max_mva=0.6, reactive=Reactive.Q_OF_V, q_of_v=((0.95, 0.3), (1.05, -0.3))),
)
"""generators with a limit, with reactive power, and with both"""
SAMPLES: Sequence[Device[Any]] = (
    *two_feeders().plant.devices,
    *GENERATORS,
    CapacitorBank("C1", 2, 3, 0.3, 0.003, 5.0),
)
BATTERY = next(one for one in SAMPLES if isinstance(one, Battery))
BANK = SAMPLES[-1]


def broken(kind: type[Device[Any]], device: Device[Any], *promises: str) -> dict[str, str]:
    """Promises that a kind breaks, of all or of some, with what is said; ``device`` has the fields."""
    own = kind(**{one.name: getattr(device, one.name) for one in fields(device)})  # type: ignore[arg-type]
    findings = check_device(kind, [own], promises or PROMISES)
    return {one.name: one.explanation for one in findings if not one.passed}


def port_with(outcome: Outcome, **values: Any) -> Outcome:
    """Set values of the port past its constructor, whose types the tests check."""
    port = replace(outcome.ports[0])
    for name, value in values.items():
        object.__setattr__(port, name, value)
    return replace(outcome, ports=(port,))


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
