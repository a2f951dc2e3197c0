"""Site of a device: the networks and stations of a plant, as a kind sees them when it is built from a config."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from gridferry.controllers.devices.config_parts import BusName
from gridferry.controllers.devices.station import Station
from gridferry.networks.faults import no_such
from gridferry.networks.feeder import Feeder


class Site(ABC):
    """Site of one entry of a config's table: looks up networks, buses and stations by name.

    Faults are collected, with file, key, value and a suggestion, and raised when everything has been built. After a
    fault the answer is harmless, so that building continues: no kind needs to check for faults.

    The parameters ``key`` are keys of the entry in its table.

    Attributes
    ----------
    feeders : name and feeder of each network; ``None`` for one that cannot be read
    """

    def __init__(self, feeders: Sequence[tuple[str, Feeder | None]]):
        self.feeders = feeders
        self._unknown: set[str] = set()

    @abstractmethod
    def at(self, *place: str | int) -> Site:
        """Return the site of an inner table, such as ``("terminals", 0)``."""

    @abstractmethod
    def all_stations(self) -> tuple[Station, ...]:
        """All stations; it is a fault if there are none."""

    @abstractmethod
    def name(self, name: str, key: str = "name") -> str:
        """Check that the name of a part, such as a terminal, is unique, and return it."""

    @abstractmethod
    def fault(self, key: str | int, message: str) -> None:
        """Add a fault about the value of a key."""

    def network(self, name: str, key: str = "network") -> int:
        """Number of a network."""
        return self._network(name, key) or 0

    def bus(self, network: str, bus: BusName, key: str = "bus") -> int:
        """Number of a bus, along the axis of all buses."""
        feeder = self.known_feeder(network)
        if feeder is None:
            return 0
        try:
            return sum(one.n_bus for one in self._before(network)) + feeder.bus_index(bus)
        except KeyError as error:
            if str(error.args[0]).startswith("no such"):
                self._absent(key, f"bus in {network}", bus, feeder.bus_names)
            else:
                self.fault(key, error.args[0])
            return 0

    def branch(self, network: str, branch: str, key: str = "branch") -> int:
        """Number of a branch, along the axis of all branches."""
        feeder = self.known_feeder(network)
        if feeder is None:
            return 0
        before = sum(one.n_branch for one in self._before(network))
        return before + (self._number(key, f"branch in {network}", branch, feeder.branch_names) or 0)

    def stations(self, names: Sequence[str] | None, key: str = "stations") -> tuple[int, ...]:
        """Numbers of the stations that are named, each once, in the order of `all_stations`; all for ``None``."""
        known = [one.name for one in self.all_stations()]
        if names is None:
            return tuple(range(len(known)))
        if not names:
            self.fault(key, "needs at least one station; leave the key out to allow all")
        entries = self.at(key)
        found = {entries._number(j, "station", name, known) for j, name in enumerate(names)}
        for j, name in enumerate(names):
            if name in known and name in names[:j]:
                entries.fault(j, "given twice; name every station once")
        return tuple(sorted(number for number in found if number is not None))

    def station(self, name: str, key: str = "station") -> int:
        """Number of a station."""
        return self._number(key, "station", name, [one.name for one in self.all_stations()]) or 0

    def known_feeder(self, network: str) -> Feeder | None:
        """Feeder of a network; ``None`` where there is none, or it cannot be read."""
        number = self._network(network)
        return None if number is None else self.feeders[number][1]

    def _before(self, network: str) -> list[Feeder]:
        """Feeders of the networks before one."""
        return [feeder for _, feeder in self.feeders[: self._network(network)] if feeder is not None]

    def _network(self, name: str, key: str = "network") -> int | None:
        """Number of a network; ``None`` where there is none, of which the first key that names it is told."""
        if name in self._unknown:
            return None
        number = self._number(key, "network", name, [known for known, _ in self.feeders])
        if number is None:
            self._unknown.add(name)
        return number

    def _number(self, key: str | int, what: str, name: str, known: Sequence[str]) -> int | None:
        if name in known:
            return known.index(name)
        self._absent(key, what, name, known)
        return None

    def _absent(self, key: str | int, what: str, name: BusName, known: Sequence[str]) -> None:
        """Add a fault about a name that there is not."""
        self.fault(key, no_such(what, name, known))
