"""One device alone, step by step, through the call that everybody uses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from gridferry.controllers.contract import Station, Storage
from gridferry.controllers.devices import Device, Injection, Now, Outcome, Request, Stateless, step_all
from gridferry.controllers.devices.batteries.device import Battery
from gridferry.controllers.devices.links.device import Link
from gridferry.controllers.devices.stores.storage import StoreState
from gridferry.controllers.devices.trucks.device import Truck, TruckState

STATIONS = tuple(Station(f"S{k}", 0, k) for k in range(8))


class Setpoint(NamedTuple):
    """What one port is asked for, and where to go; ``None`` is to stay."""

    p_mw: float = 0.0
    q_mvar: float = 0.0
    position: int | None = None


@dataclass(frozen=True)
class Done:
    """The outcome of a device with one port: its values, those of its row and its money by name."""

    outcome: Outcome

    def __getattr__(self, name: str) -> Any:
        """Return a value of the port, the row, or the money (as ``<term>_cost``)."""
        (port,) = self.outcome.ports
        money = {f"{term}_cost": value for term, value in self.outcome.money.items()}
        known = {key: getattr(port, key) for key in Injection.__slots__} | money | dict(self.outcome.row)
        return known[name]


def alone(device: Device[Any], state: Any, setpoints: Sequence[Setpoint], now: Now) -> tuple[Any, Outcome]:
    """One step of one device; its position, if it has one, is that of the first setpoint."""
    to = device.at(state) if setpoints[0].position is None else (setpoints[0].position,)
    request = Request(tuple(one.p_mw for one in setpoints), tuple(one.q_mvar for one in setpoints), to)
    ((after, outcome),) = step_all([device], [], [state], [request], [now])
    return after, outcome


def step_store(storage: Storage, state: StoreState, setpoint: Setpoint, now: Now) -> tuple[StoreState, Done]:
    """One step of a battery."""
    after, outcome = alone(Battery("B", 0, 0, storage), state, [setpoint], now)
    return after, Done(outcome)


def step_truck(truck: Truck, state: TruckState, setpoint: Setpoint, now: Now) -> tuple[TruckState, Done]:
    """One step of a truck whose stations are `STATIONS`, each at the bus of its number."""
    after, outcome = alone(truck, state, [setpoint], now)
    return after, Done(outcome)


def step_link(link: Link, setpoints: Sequence[Setpoint], now: Now) -> tuple[Injection, ...]:
    """One step of a link: what each terminal did."""
    _, outcome = alone(link, Stateless(), setpoints, now)
    return outcome.ports
