"""Where a device is put: what a kind asks the plant for when it is built from its table of the config."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from gridferry.controllers.devices.config_parts import BusName
from gridferry.controllers.devices.station import Station


@runtime_checkable
class Site(Protocol):
    """The networks and stations of a plant, as one entry of a config's table sees them.

    Faults are collected, with file, key, value and the nearest guess, and raised when everything has been built. After
    one the answer is something harmless, so that building goes on: no kind needs to look.

    The names of the parameters ``key`` are keys of the entry, as they stand in its table.
    """

    def at(self, *place: str | int) -> Site:
        """Return the site of an inner table, such as ``("terminals", 0)``; its keys are then those of that table."""

    def network(self, name: str, key: str = "network") -> int:
        """Number of a network."""

    def bus(self, network: str, bus: BusName, key: str = "bus") -> int:
        """Number of a bus, along the axis of all buses."""

    def branch(self, network: str, branch: str, key: str = "branch") -> int:
        """Number of a branch, along the axis of all branches."""

    def all_stations(self) -> tuple[Station, ...]:
        """All stations; a kind that asks for them needs some."""

    def stations(self, names: Sequence[str] | None, key: str = "stations") -> tuple[int, ...]:
        """Numbers of the stations that are named, each once, in the order of `all_stations`; all for ``None``."""

    def station(self, name: str, key: str = "station") -> int:
        """Number of a station."""

    def name(self, name: str, key: str = "name") -> str:
        """Take the name of a part, such as a terminal: it must be unique, as those of devices; returns it."""

    def fault(self, key: str, message: str) -> None:
        """Say what is wrong with the value of a key, and the way out."""
