"""Site for building sample devices: the networks and stations of a sample plant."""

from __future__ import annotations

from collections.abc import Sequence

from gridferry.controllers.contract import Plant
from gridferry.controllers.devices import BusName, Site, Station
from gridferry.networks.faults import no_such


class SampleSite(Site):
    """Site of a sample entry of a kind's table.

    Attributes
    ----------
    plant : what it is a site of
    faults : key and message of all that was found wrong
    """

    def __init__(self, plant: Plant, place: str = "", faults: list[str] | None = None):
        self.plant = plant
        self.faults: list[str] = [] if faults is None else faults
        self._place = place

    def at(self, *place: str | int) -> SampleSite:
        """Return the site of an inner table."""
        return SampleSite(self.plant, self._place + "".join(f"{one}." for one in place), self.faults)

    def network(self, name: str, key: str = "network") -> int:
        """Number of a network."""
        return self._number(key, "network", name, [one.name for one in self.plant.feeders])

    def bus(self, network: str, bus: BusName, key: str = "bus") -> int:
        """Number of a bus, along the axis of all buses."""
        number = self.network(network)
        names = self.plant.feeders[number].bus_names
        return self.plant.bus_slices[number].start + self._number(key, f"bus in {network}", str(bus), names)

    def branch(self, network: str, branch: str, key: str = "branch") -> int:
        """Number of a branch, along the axis of all branches."""
        number = self.network(network)
        names = self.plant.feeders[number].branch_names
        return self.plant.branch_slices[number].start + self._number(key, f"branch in {network}", branch, names)

    def all_stations(self) -> tuple[Station, ...]:
        """All stations."""
        return self.plant.stations

    def stations(self, names: Sequence[str] | None, key: str = "stations") -> tuple[int, ...]:
        """Numbers of the stations that are named."""
        known = [one.name for one in self.plant.stations]
        return tuple(sorted({self._number(key, "station", one, known) for one in (known if names is None else names)}))

    def station(self, name: str, key: str = "station") -> int:
        """Number of a station."""
        return self._number(key, "station", name, [one.name for one in self.plant.stations])

    def name(self, name: str, key: str = "name") -> str:
        """Take the name of a part."""
        return name

    def fault(self, key: str, message: str) -> None:
        """Note what is wrong with the value of a key."""
        self.faults.append(f"{self._place}{key}: {message}")

    def _number(self, key: str, what: str, name: str, known: Sequence[str]) -> int:
        if name in known:
            return known.index(name)
        self.fault(key, f'"{name}": {no_such(what, name, known)}')
        return 0
