"""Site of a sample plant."""

from __future__ import annotations

from collections.abc import Sequence

from gridferry.controllers.contract import Plant, Station
from gridferry.controllers.devices import BusName, Site
from gridferry.networks.faults import no_such


class SampleSite(Site):
    """Site of a sample plant, for devices that are built from an entry of a config.

    Attributes
    ----------
    faults : key and message of all that was found wrong
    """

    def __init__(self, plant: Plant, place: str = "", faults: list[str] | None = None):
        super().__init__([(one.name, one) for one in plant.feeders])
        self.faults: list[str] = [] if faults is None else faults
        self._plant, self._place = plant, place

    def at(self, *place: str | int) -> SampleSite:
        """Return the site of an inner table."""
        return SampleSite(self._plant, self._place + "".join(f"{one}." for one in place), self.faults)

    def all_stations(self) -> tuple[Station, ...]:
        """All stations."""
        return self._plant.stations

    def name(self, name: str, key: str = "name") -> str:
        """Take the name of a part."""
        return name

    def fault(self, key: str | int, message: str) -> None:
        """Note what is wrong with the value of a key."""
        self.faults.append(f"{self._place}{key}: {message}")

    def _absent(self, key: str | int, what: str, name: BusName, known: Sequence[str]) -> None:
        self.fault(key, f'"{name}": {no_such(what, name, known)}')
