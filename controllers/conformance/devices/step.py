"""One tested step of a device: its inputs, its result, and checks of the result's types."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

from gridferry.controllers.devices import Device, Injection, Now, Outcome, Request


@dataclass(frozen=True, kw_only=True)
class Given:
    """Inputs of a tested step: the request and the surroundings.

    Attributes
    ----------
    request, now : as `Device.step` has them, but for trips
    congestion : of the roads, in their unit
    """

    request: Request
    now: Now
    congestion: float = 0.0

    def __str__(self) -> str:
        p, q, at = (
            ", ".join(f"{value:g}" for value in values)
            for values in (self.request.p_mw, self.request.q_mvar, self.request.position)
        )
        parts = [f"P = {p} MW, Q = {q} Mvar"] if p else []
        parts += [f"position {at}"] if at else []
        parts += [f"{key} = {value:g}" for key, value in self.now.series.items()]
        parts += [] if self.now.plugged else ["not plugged"]
        parts += ["the last step of a day"] if self.now.ends_day else []
        return ", ".join(parts) or "a step"


@dataclass(frozen=True, kw_only=True)
class Tried(Given):
    """A completed step under test.

    Attributes
    ----------
    before, moved, after : state at its start, after `Device.move`, and at its end
    outcome : what was done
    """

    before: Any
    moved: Any
    after: Any
    outcome: Outcome

    @property
    def result(self) -> tuple[Any, Any, Outcome]:
        """Everything that the step returned."""
        return self.moved, self.after, self.outcome


def is_number(value: object) -> bool:
    """Whether a value is a plain number, finite or not."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def fault_of_form(device: Device[Any], tried: Tried) -> str:
    """Message about a wrong type or length in the result; empty if all are right."""
    outcome: Any = tried.outcome
    for state, method in ((tried.moved, "move"), (tried.after, "step")):
        if type(state) is not device.State:
            also = "" if method == "move" else " and an Outcome"
            return f"{method} gave a {type(state).__name__} for a state; return a {device.State.__name__}{also}"
        for parts in (f"at({state})", device.at(state)), (f"transit_steps({state})", device.transit_steps(state)):
            if fault := _fault_of_positions(*parts, len(device.positions)):
                return fault
    if not isinstance(outcome, Outcome):
        return f"step gave a {type(outcome).__name__}; return the state after it and an Outcome"
    ports: Any = outcome.ports
    money: Any = outcome.money
    if len(ports) != len(device.ports) or not all(isinstance(one, Injection) for one in ports):
        return f"{len(ports)} ports came back; return an Injection for each of {len(device.ports)}"
    if not (isinstance(money, Mapping) and isinstance(outcome.row, Mapping)):
        return "money and row must be mappings"
    numbers = {"source_mwh": outcome.source_mwh, **money}
    for port, did in zip(device.ports, outcome.ports, strict=True):
        if type(did.bus) is not int:
            return f"{port.name} injects at bus {did.bus!r}; give its number as an int"
        if not (isinstance(did.clips, tuple) and all(isinstance(one, str) and "," not in one for one in did.clips)):
            return f"{port.name} has clips {did.clips!r}; give a tuple of texts without commas"
        numbers |= {
            f"{port.name} {name}": getattr(did, name) for name in ("p_mw", "q_mvar", "shortfall_mwh", "loss_mwh")
        }
    wrong = [f"{name} is {value!r}" for name, value in numbers.items() if not is_number(value)]
    return f"{wrong[0]}, which is no plain number" if wrong else ""


def _fault_of_positions(what: str, given: Any, positions: int) -> str:
    if isinstance(given, tuple) and len(given) == positions and all(type(one) is int for one in given):
        return ""
    return f"{what} is {given!r}; return a tuple with an int for each of {positions} positions"


def not_finite(device: Device[Any], tried: Tried) -> str:
    """Name a number in the result that is not finite; empty if all are finite."""
    for name, given in (("state", tried.after), ("outcome", tried.outcome)):
        for path, value in _numbers(name, given):
            if not math.isfinite(value):
                return f"{path} is {value}"
    stored = device.stored_mwh(tried.after)
    return "" if math.isfinite(stored) else f"stored_mwh is {stored}"


def _numbers(path: str, given: Any) -> Iterator[tuple[str, float]]:
    if is_number(given):
        yield path, given
    elif is_dataclass(given):
        for one in fields(given):
            yield from _numbers(f"{path}.{one.name}", getattr(given, one.name))
    elif isinstance(given, Mapping):
        for key, value in given.items():
            yield from _numbers(f"{path}[{key!r}]", value)
    elif isinstance(given, (list, tuple)):
        for k, value in enumerate(given):
            yield from _numbers(f"{path}[{k}]", value)
