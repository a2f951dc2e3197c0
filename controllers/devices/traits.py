"""What others may ask of a device whose kind they don't know: whether it is a store, whether it travels."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from gridferry.controllers.devices.device import Device
from gridferry.controllers.devices.ports import Act
from gridferry.controllers.devices.stores.storage import Storage, StoreState


@runtime_checkable
class Traveller(Protocol):
    """A device with a position that changes by trips; states have ``station``, ``transit_steps``, ``trips_today``."""

    @property
    def stations(self) -> tuple[int, ...]:
        """Stations that it may use."""

    @property
    def trips_max_per_day(self) -> int:
        """Trips that it may begin in a day."""


def storage_of(device: Device[Any]) -> Storage | None:
    """Return the limits of a device that stores under the law of `Storage`; its states are `StoreState` then."""
    storage = getattr(device, "storage", None)
    return storage if isinstance(storage, Storage) and issubclass(device.State, StoreState) else None


def controllable(device: Device[Any]) -> bool:
    """Whether anything can be decided about a device: a position, or a port that does not just follow."""
    return bool(device.positions) or any(port.act is not Act.FOLLOWS for port in device.ports)


def travels(device: Device[Any]) -> bool:
    """Whether a device changes a position by trips."""
    return any(one.with_routes for one in device.positions)


def traveller_of(device: Device[Any]) -> Traveller | None:
    """Return a device that travels, as such; ``None`` of another."""
    traveller: Any = device
    return traveller if travels(device) else None
