"""Site of a device: the networks and stations of a plant, as a kind sees them when it is built from a config."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from gridferry.controllers.devices.config_parts import BusName
from gridferry.controllers.devices.station import Station


@runtime_checkable
class Site(Protocol):
    """Site of one entry of a config's table: looks up networks, buses and stations by name.

    Faults are collected, with file, key, value and a suggestion, and raised when everything has been built. After a
    fault the answer is harmless, so that building continues: no kind needs to check for faults.

    The parameters ``key`` are keys of the entry in its table.
    """

    def at(self, *place: str | int) -> Site:
        """Return the site of an inner table, such as ``("terminals", 0)``."""

    def network(self, name: str, key: str = "network") -> int:
        """Number of a network."""

    def bus(self, network: str, bus: BusName, key: str = "bus") -> int:
        """Number of a bus, along the axis of all buses."""

    def branch(self, network: str, branch: str, key: str = "branch") -> int:
        """Number of a branch, along the axis of all branches."""

    def all_stations(self) -> tuple[Station, ...]:
        """All stations; it is a fault if there are none."""

    def stations(self, names: Sequence[str] | None, key: str = "stations") -> tuple[int, ...]:
        """Numbers of the stations that are named, each once, in the order of `all_stations`; all for ``None``."""

    def station(self, name: str, key: str = "station") -> int:
        """Number of a station."""

    def name(self, name: str, key: str = "name") -> str:
        """Check that the name of a part, such as a terminal, is unique, and return it."""

    def fault(self, key: str, message: str) -> None:
        """Add a fault about the value of a key."""
