"""Sites of the devices of a config, as `Site` defines them; all faults are collected."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Any

from gridferry.controllers.devices import Act, BusName, Device, Site, Station
from gridferry.controllers.devices.registry import is_built_in
from gridferry.controllers.plugins.user_code import described, running_user_code
from gridferry.networks.faults import Fault, no_such
from gridferry.networks.feeder import Feeder
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

    def network(self, loc: Loc, name: str) -> int | None:
        """Number of a network; ``None`` with a fault if there is none."""
        names = [one.name for one in self.loaded.config.networks]
        if name in names:
            return names.index(name)
        self.note(loc, no_such("network", name, names))
        return None

    def feeder(self, number: int | None) -> Feeder | None:
        """Feeder of a network; ``None`` where there is none, or it cannot be read."""
        network = None if number is None else self.networks[number]
        return None if network is None else network.feeder

    def bus(self, loc: Loc, number: int | None, bus: BusName) -> int:
        """Number of a bus on the axis of all buses; 0 with a fault if there is none."""
        feeder = self.feeder(number)
        if number is None or feeder is None:
            return 0
        try:
            return self._first_bus[number] + feeder.bus_index(bus)
        except KeyError:
            name = self.loaded.config.networks[number].name
            self.note(loc, no_such(f"bus in {name}", bus, feeder.bus_names))
            return 0

    def branch(self, loc: Loc, number: int | None, branch: str) -> int:
        """Number of a branch on the axis of all branches; 0 with a fault if there is none."""
        feeder = self.feeder(number)
        if number is None or feeder is None:
            return 0
        if branch in feeder.branch_names:
            before = sum(0 if one is None else one.feeder.n_branch for one in self.networks[:number])
            return before + feeder.branch_names.index(branch)
        name = self.loaded.config.networks[number].name
        self.note(loc, no_such(f"branch in {name}", branch, feeder.branch_names))
        return 0

    @property
    def _first_bus(self) -> list[int]:
        return [0, *accumulate(0 if one is None else one.feeder.n_bus for one in self.networks)]


class EntrySite(Site):
    """The site of one entry of a kind's table."""

    def __init__(self, places: Places, loc: Loc, named: list[tuple[Loc, str]] | None = None):
        self._places, self._loc = places, loc
        self._unknown: set[str] = set()
        self.named: list[tuple[Loc, str]] = [] if named is None else named

    def at(self, *place: str | int) -> EntrySite:
        """Return the site of an inner table."""
        return EntrySite(self._places, (*self._loc, *place), self.named)

    def network(self, name: str, key: str = "network") -> int:
        """Number of a network."""
        return self._network(name, key) or 0

    def bus(self, network: str, bus: BusName, key: str = "bus") -> int:
        """Number of a bus, along the axis of all buses."""
        return self._places.bus((*self._loc, key), self._network(network, "network"), bus)

    def branch(self, network: str, branch: str, key: str = "branch") -> int:
        """Number of a branch, along the axis of all branches."""
        return self._places.branch((*self._loc, key), self._network(network, "network"), branch)

    def _network(self, name: str, key: str) -> int | None:
        if name in self._unknown:
            return None
        number = self._places.network((*self._loc, key), name)
        if number is None:
            self._unknown.add(name)
        return number

    def all_stations(self) -> tuple[Station, ...]:
        """All stations."""
        if not self._places.stations:
            table = self._loc[0]
            self._places.note(("stations",), f"{table} need stations; add [[stations]] with name, network and bus")
        return self._places.stations

    def stations(self, names: Sequence[str] | None, key: str = "stations") -> tuple[int, ...]:
        """Numbers of the stations that are named."""
        known = [one.name for one in self.all_stations()]
        for j, name in enumerate(names or []):
            if name not in known:
                self._places.note((*self._loc, key, j), no_such("station", name, known))
            elif names and name in names[:j]:
                self._places.note((*self._loc, key, j), "given twice; name every station once")
        if names is not None and not names:
            self.fault(key, "needs at least one station; leave the key out to allow all")
        return tuple(number for number, name in enumerate(known) if names is None or name in names)

    def station(self, name: str, key: str = "station") -> int:
        """Number of a station."""
        known = [one.name for one in self.all_stations()]
        if name in known:
            return known.index(name)
        self.fault(key, no_such("station", name, known))
        return 0

    def name(self, name: str, key: str = "name") -> str:
        """Check that the name of a part is unique, and return it."""
        self.named.append(((*self._loc, key), name))
        return name

    def fault(self, key: str, message: str) -> None:
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
            if _is_planned(device):
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


def _is_planned(device: Device[Any]) -> bool:
    return bool(device.positions) or any(port.act is not Act.FOLLOWS for port in device.ports)


def _other_names(device: Device[Any], named: list[tuple[Loc, str]], loc: Loc) -> list[tuple[Loc, str]]:
    """Names of ports and positions that are not given by keys, each once."""
    known = {device.name, *(name for _, name in named)}
    given = [*(port.name for port in device.ports), *(position.name for position in device.positions)]
    return [(loc, name) for name in dict.fromkeys(given) if name not in known]
