"""Traits of devices of any kind: whether one is a store, whether it travels."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import numpy as np

from gridferry.controllers.devices.device import Device
from gridferry.controllers.devices.ports import Act
from gridferry.controllers.devices.stores.storage import Storage, StoreState


@runtime_checkable
class Traveller(Protocol):
    """Device whose position changes by trips; its states have ``station``, ``transit_steps``, ``trips_today``.

    It may have ``on_shift(steps, clock_h, step_h)``, whether trips may be made, ``drive_mwh(km)``, what they take from
    its battery, both of arrays, and ``places_due(clock_h)``, as `places_due` has it. With ``parked_steps`` in its
    states, the steps for which it has stood at its station, places are kept for who came first.
    """

    @property
    def stations(self) -> tuple[int, ...]:
        """Stations that the device may use."""

    @property
    def trips_max_per_day(self) -> int:
        """Largest number of trips in a day."""


def places_due(device: Device[Any], clock_h: np.ndarray) -> list[tuple[int, int]]:
    """Return where a device is due over a horizon: the step at whose start, after the first, and the station.

    Parameters
    ----------
    clock_h : local time at the start of each step, and at the end of the last [h]
    """
    due = getattr(device, "places_due", None)
    return [] if due is None else list(due(clock_h))


def storage_of(device: Device[Any]) -> Storage | None:
    """Return the limits of a device that is a `Storage`, with states of `StoreState`; ``None`` of another."""
    storage = getattr(device, "storage", None)
    return storage if isinstance(storage, Storage) and issubclass(device.State, StoreState) else None


def balanced_mwh(device: Device[Any]) -> float | None:
    """Return what counts as 1 of what a device owes at the end of a day, when it is to owe nothing [MWh].

    ``None`` of one that is not balanced so.
    """
    balanced: float | None = getattr(device, "balanced_mwh", None)
    return balanced


def controllable(device: Device[Any]) -> bool:
    """Whether anything can be decided about a device: a position, or a port that does not just follow."""
    return bool(device.positions) or any(port.act is not Act.FOLLOWS or port.sets_q for port in device.ports)


def at_one_bus(device: Device[Any]) -> bool:
    """Whether all ports of a device inject at one and the same bus."""
    return len({bus for port in device.ports for bus in port.buses}) == 1


def travels(device: Device[Any]) -> bool:
    """Whether a device changes a position by trips."""
    return any(one.with_routes for one in device.positions)


def traveller_of(device: Device[Any]) -> Traveller | None:
    """Return the device as a `Traveller`; ``None`` if it does not travel."""
    traveller: Any = device
    return traveller if travels(device) else None
