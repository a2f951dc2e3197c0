"""Sites of the devices of a config, as `Site` defines them; all faults are collected."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from gridferry.controllers.devices import Device, Site, Station
from gridferry.controllers.devices.registry import is_built_in
from gridferry.controllers.devices.traits import controllable
from gridferry.controllers.plugins.user_code import described, running_user_code
from gridferry.networks.faults import Fault
from gridferry.networks.network import Network
from gridferry.sim.config.document import Loc
from gridferry.sim.config.loaded import LoadedConfig


class Places:
    """Networks and stations by name, and the faults of a config's references to them.

    Attributes
    ----------
    faults : what was found
    networks : of the config, in its order; ``None`` for one that cannot be read
    stations : of the config, as soon as they are known
    """

    def __init__(self, loaded: LoadedConfig):
        self.loaded = loaded
        self.faults: list[Fault] = []
        self.networks: Sequence[Network | None] = ()
        self.stations: tuple[Station, ...] = ()

    def note(self, loc: Loc, message: str) -> None:
        """Add a fault, once."""
        fault = self.loaded.fault(loc, message)
        if fault not in self.faults:
            self.faults.append(fault)

    def unique(self, kind: str, named: Iterable[tuple[Loc, str]]) -> None:
        """Add faults of names that are given twice."""
        seen: dict[str, Loc] = {}
        for loc, name in named:
            if name in seen:
                first = self.loaded.fault(seen[name], "").key
                self.note(loc, f'the {kind} name "{name}" is given twice (first: {first}); choose another')
            else:
                seen[name] = loc


class EntrySite(Site):
    """The site of one entry of a table."""

    def __init__(self, places: Places, loc: Loc, named: list[tuple[Loc, str]] | None = None):
        names = [one.name for one in places.loaded.config.networks]
        feeders = [None if one is None else one.feeder for one in places.networks]
        super().__init__(list(zip(names, feeders, strict=True)))
        self._places, self._loc = places, loc
        self.named: list[tuple[Loc, str]] = [] if named is None else named

    def at(self, *place: str | int) -> EntrySite:
        """Return the site of an inner table."""
        return EntrySite(self._places, (*self._loc, *place), self.named)

    def all_stations(self) -> tuple[Station, ...]:
        """All stations."""
        if not self._places.stations:
            table = self._loc[0]
            self._places.note(("stations",), f"{table} need stations; add [[stations]] with name, network and bus")
        return self._places.stations

    def name(self, name: str, key: str = "name") -> str:
        """Check that the name of a part is unique, and return it."""
        self.named.append(((*self._loc, key), name))
        return name

    def fault(self, key: str | int, message: str) -> None:
        """Add a fault about the value of a key."""
        self._places.note((*self._loc, key), message)


def build_devices(places: Places) -> tuple[Device[Any], ...]:
    """Build the devices of all tables, in the order of the kinds; faults are added to the places."""
    config = places.loaded.config
    devices: list[Device[Any]] = []
    names: list[tuple[Loc, str]] = []
    parts: list[tuple[Loc, str]] = []
    for kind in config.kinds:
        unplanned: list[tuple[Loc, str]] = []
        for number, entry in enumerate(config.entries(kind)):
            loc: Loc = (kind.table, number)
            site = EntrySite(places, loc)
            device = _built(kind, entry, site, places, loc)
            if device is None:
                continue
            devices.append(device)
            own = ((*loc, "name"), device.name)
            if controllable(device):
                names.append(own)
                parts += [*site.named, *_other_names(device, site.named, loc)]
            else:
                unplanned.append(own)
        places.unique(kind.port_kind, unplanned)
    places.unique("device", [*names, *parts])
    return tuple(devices)


def _built(kind: type[Device[Any]], entry: Any, site: Site, places: Places, loc: Loc) -> Device[Any] | None:
    """Build one device; ``None`` if a plug-in fails."""
    before = len(places.faults)
    try:
        with running_user_code():
            device: Device[Any] = kind.build(entry, site)
            _ = device.name, device.ports, device.positions
    except (Exception, SystemExit) as error:
        if is_built_in(kind):
            raise
        if len(places.faults) == before:  # it may stumble over what stands in for a fault
            places.note(loc, f"building {kind.__name__} raised {described(error)}; correct the class")
        return None
    return device


def _other_names(device: Device[Any], named: list[tuple[Loc, str]], loc: Loc) -> list[tuple[Loc, str]]:
    """Names of ports and positions that are not given by keys, each once."""
    known = {device.name, *(name for _, name in named)}
    given = [*(port.name for port in device.ports), *(position.name for position in device.positions)]
    return [(loc, name) for name in dict.fromkeys(given) if name not in known]
