"""From a config to the plant: networks, stations, roads and devices put together, with every fault collected."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import accumulate

import numpy as np

from gridferry.controllers.contract import Battery, Generator, Link, Plant, Station, Storage, Terminal, Truck, TruckCost
from gridferry.networks.catalog import load_network
from gridferry.networks.faults import Fault, InputError, no_such
from gridferry.networks.feeder import Feeder
from gridferry.networks.network import Network
from gridferry.networks.roads.travel import DistanceMatrix, Roads, matrix_from_rows
from gridferry.sim.case.conditions import file_fault, reference_faults
from gridferry.sim.config.devices import StorageConfig
from gridferry.sim.config.document import Loc
from gridferry.sim.config.loaded import LoadedConfig
from gridferry.sim.config.parts import BusName
from gridferry.sim.config.schema import Config, LoadConfig, NetworkConfig


@dataclass(frozen=True, eq=False)
class Assembly:
    """The plant and the networks it was made of.

    Attributes
    ----------
    plant : what controllers see
    networks : what the AC power flow is built from, in the order of ``plant.feeders``
    """

    plant: Plant
    networks: tuple[Network, ...]


def build_plant(loaded: LoadedConfig) -> Assembly:
    """Put the parts of a config together.

    Raises
    ------
    InputError
        with everything that does not fit together: unknown networks, buses, stations and profiles, names given twice,
        roads that do not match the stations, links that end where they begin.
    """
    return _Builder(loaded).build()


class _Builder:
    """Builds what it can and notes what it cannot; a part with a fault is replaced by the first of its kind."""

    def __init__(self, loaded: LoadedConfig):
        self.loaded = loaded
        self.config: Config = loaded.config
        self.faults: list[Fault] = []
        self.networks: list[Network | None] = []
        self.first_bus: list[int] = []

    def build(self) -> Assembly:
        """Build everything, then raise all faults at once."""
        config = self.config
        self._check_names()
        self.networks = [self._network(i, one) for i, one in enumerate(config.networks)]
        self.first_bus = [0, *accumulate(0 if one is None else one.feeder.n_bus for one in self.networks)]
        self.faults += reference_faults(self.loaded)
        self._check_loads()
        generators = tuple(
            Generator(one.name, one.kind, *self._place(("generators", i), one.network, one.bus), one.feed_in_tariff)
            for i, one in enumerate(config.generators)
        )
        stations = tuple(
            Station(one.name, *self._place(("stations", i), one.network, one.bus))
            for i, one in enumerate(config.stations)
        )
        roads = self._roads()
        trucks = self._trucks()
        batteries = tuple(
            Battery(one.name, *self._place(("batteries", i), one.network, one.bus), _storage(one))
            for i, one in enumerate(config.batteries)
        )
        links = tuple(self._link(i) for i in range(len(config.links)))
        networks = tuple(one for one in self.networks if one is not None)
        if self.faults:
            raise InputError(self.faults)
        time = config.time
        start = time.start
        plant = Plant(
            feeders=tuple(one.feeder for one in networks),
            stations=stations,
            devices=(*trucks, *batteries, *links, *generators),
            roads=roads,
            step_s=time.step_s,
            steps=time.steps,
            horizon_steps=time.steps if time.horizon_steps is None else time.horizon_steps,
            first_step_of_day=(start.hour * 3600 + start.minute * 60 + start.second) // time.step_s,
            export_price_ratio=config.prices.export_ratio,
            currency=config.currency,
        )
        return Assembly(plant, networks)

    def _note(self, loc: Loc, message: str) -> None:
        self.faults.append(self.loaded.fault(loc, message))

    # ------------------------------------------------------------------------------------------------------------ names

    def _check_names(self) -> None:
        config = self.config
        self._unique("network", ((("networks", i, "name"), one.name) for i, one in enumerate(config.networks)))
        self._unique("station", ((("stations", i, "name"), one.name) for i, one in enumerate(config.stations)))
        self._unique("generator", ((("generators", i, "name"), one.name) for i, one in enumerate(config.generators)))
        devices: list[tuple[Loc, str]] = [(("trucks", i, "name"), one.name) for i, one in enumerate(config.trucks)]
        devices += [(("batteries", i, "name"), one.name) for i, one in enumerate(config.batteries)]
        devices += [(("links", i, "name"), one.name) for i, one in enumerate(config.links)]
        for i, link in enumerate(config.links):
            for j, terminal in enumerate(link.terminals):
                devices.append((("links", i, "terminals", j, "name"), terminal.name or _terminal_name(link.name, j)))
        self._unique("device", devices)

    def _unique(self, kind: str, named: Iterable[tuple[Loc, str]]) -> None:
        seen: dict[str, Loc] = {}
        for loc, name in named:
            if name in seen:
                first = self.loaded.fault(seen[name], "").key
                self._note(loc, f'the {kind} name "{name}" is given twice (first: {first}); choose another')
            else:
                seen[name] = loc

    # --------------------------------------------------------------------------------------------------------- networks

    def _network(self, number: int, wanted: NetworkConfig) -> Network | None:
        loc: Loc = ("networks", number)
        network: Network | None = None
        try:
            network = load_network(wanted.feeder, self.loaded.base_dir)
        except InputError as error:
            for fault in error.faults:
                # a fault inside a feeder's own file says where it is
                self._note((*loc, "feeder"), str(fault) if fault.key else fault.message)
        low, high = wanted.v_min_pu, wanted.v_max_pu
        if network is not None:
            feeder = network.feeder.with_limits(low, high)
            if wanted.slack_v_pu is not None:
                feeder = replace(feeder, slack_v_pu=wanted.slack_v_pu)
            low = float(network.feeder.v_min_pu.max()) if low is None else low
            high = float(network.feeder.v_max_pu.min()) if high is None else high
            network = replace(network, feeder=feeder)
        if low is not None and high is not None and low >= high:
            if wanted.v_min_pu is not None:
                self._note((*loc, "v_min_pu"), f"voltage limits upside down: must be below v_max_pu = {high:g}")
            elif wanted.v_max_pu is not None:
                self._note((*loc, "v_max_pu"), f"voltage limits upside down: must be above v_min_pu = {low:g}")
        return network

    def _network_number(self, loc: Loc, name: str) -> int | None:
        names = [one.name for one in self.config.networks]
        if name in names:
            return names.index(name)
        self._note((*loc, "network"), no_such("network", name, names))
        return None

    def _place(self, loc: Loc, network: str, bus: BusName) -> tuple[int, int]:
        """Number of the network, and of the bus along the axis of all buses."""
        number = self._network_number(loc, network)
        if number is None:
            return 0, 0
        found = self.networks[number]
        if found is None:
            return number, 0
        try:
            return number, self.first_bus[number] + found.feeder.bus_index(bus)
        except KeyError:
            self._note((*loc, "bus"), no_such(f"bus in {network}", bus, found.feeder.bus_names))
            return number, 0

    # ------------------------------------------------------------------------------------------------------------ loads

    def _check_loads(self) -> None:
        names = [one.name for one in self.config.networks]
        for i, load in enumerate(self.config.loads):
            loc: Loc = ("loads", i)
            if load.bus is not None:
                self._place(loc, load.network, load.bus)
            else:
                self._network_number(loc, load.network)
            network = self.networks[names.index(load.network)] if load.network in names else None
            if network is not None and load.factor is not None:
                self._check_nominal(loc, load, network.feeder)

    def _check_nominal(self, loc: Loc, load: LoadConfig, feeder: Feeder) -> None:
        """Note a factor that has nothing to scale."""
        nominal = (feeder.p_load_mw != 0) | (feeder.q_load_mvar != 0)
        if load.bus is None:
            if not nominal.any():
                wrong = f"{load.network} has no nominal loads to scale; give bus and p_mw instead"
                self._note((*loc, "factor"), wrong)
            return
        with suppress(KeyError):  # of a bus that is not there has been told
            if not nominal[feeder.bus_index(load.bus)]:
                wrong = f"bus {load.bus} of {load.network} has no nominal load to scale; give p_mw instead"
                self._note((*loc, "factor"), wrong)

    # --------------------------------------------------------------------------------------------------------- vehicles

    def _roads(self) -> Roads | None:
        config, roads = self.config, self.config.roads
        if config.trucks and not config.stations:
            self._note(("stations",), "trucks need stations; add [[stations]] with name, network and bus")
        if roads is None:
            if config.trucks:
                self._note(("roads",), "trucks need roads; add [roads] with distance_km and speed_km_h, or graph")
            return None
        if not config.stations:
            return None
        if roads.distance_km is None:
            assert roads.graph is not None
            missing = file_fault(self.loaded, ("roads", "graph"), roads.graph)
            if missing is not None:
                self.faults.append(missing)
                return None
            # networkx only where there is a graph
            from gridferry.networks.roads.graph import load_road_graph

            try:
                return load_road_graph(
                    self.loaded.base_dir / roads.graph,
                    {one.name: one.node or one.name for one in config.stations},
                    speed_km_h=roads.speed_km_h,
                    install_min=roads.install_min,
                    rounding=roads.rounding,
                )
            except InputError as error:
                self.faults += error.faults
                return None
        n, rows = len(config.stations), roads.distance_km
        loc: Loc = ("roads", "distance_km")
        wrong = [f"row {i} has {len(row)}" for i, row in enumerate(rows) if len(row) != n]
        if len(rows) != n or wrong:
            found = f"it has {len(rows)} rows" + "".join(f", {one}" for one in wrong[:3])
            self._note(loc, f"{n} stations need {n} rows of {n} distances; {found}")
            return None
        for i in range(n):
            if rows[i][i] != 0.0:
                self._note((*loc, i, i), "the distance from a station to itself must be 0")
        assert roads.speed_km_h is not None
        return DistanceMatrix(
            stations=tuple(one.name for one in config.stations),
            distance_km=matrix_from_rows(rows),
            speed_km_h=roads.speed_km_h,
            install_min=roads.install_min,
            rounding=roads.rounding,
        )

    def _trucks(self) -> tuple[Truck, ...]:
        names = [one.name for one in self.config.stations]
        trucks: list[Truck] = []
        for i, one in enumerate(self.config.trucks):
            loc: Loc = ("trucks", i)
            allowed = names if one.stations is None else one.stations
            for j, name in enumerate(one.stations or []):
                if name not in names:
                    self._note((*loc, "stations", j), no_such("station", name, names))
                elif name in allowed[:j]:
                    self._note((*loc, "stations", j), "given twice; name every station once")
            if one.stations is not None and not one.stations:
                self._note((*loc, "stations"), "needs at least one station; leave the key out to allow all")
            if one.station not in names:
                self._note((*loc, "station"), no_such("station", one.station, names))
            elif allowed and one.station not in allowed:
                self._note((*loc, "station"), f"is not among the stations it may use ({', '.join(allowed)})")
            numbers = {name: number for number, name in enumerate(names)}
            cost = TruckCost(one.fuel_per_km, one.labour_per_h, one.mileage, one.labour, one.flat_hours)
            trucks.append(
                Truck(
                    name=one.name,
                    storage=_storage(one),
                    stations=tuple(sorted(numbers[name] for name in allowed if name in numbers)),
                    initial_station=numbers.get(one.station, 0),
                    trips_max_per_day=one.trips_max_per_day,
                    cost=cost,
                )
            )
        return tuple(trucks)

    # ------------------------------------------------------------------------------------------------------------ links

    def _link(self, number: int) -> Link:
        wanted = self.config.links[number]
        loc: Loc = ("links", number)
        terminals: list[Terminal] = []
        ends: dict[tuple[str, str], int] = {}
        for j, one in enumerate(wanted.terminals):
            here: Loc = (*loc, "terminals", j)
            network, bus = self._place(here, one.network, one.bus)
            end = (one.network, str(one.bus))
            if end in ends:
                self._note((*here, "bus"), f"terminal {ends[end] + 1} is at the same bus; a link joins different buses")
            ends.setdefault(end, j)
            name = one.name or _terminal_name(wanted.name, j)
            terminals.append(Terminal(name, network, bus, one.s_max_mva, one.loss_coefficient))
        if wanted.balancing > len(terminals):
            self._note((*loc, "balancing"), f"there are {len(terminals)} terminals, numbered from 1")
        return Link(wanted.name, tuple(terminals), wanted.balancing - 1)


def _terminal_name(link: str, number: int) -> str:
    return f"{link}-{number + 1}"


def _storage(wanted: StorageConfig) -> Storage:
    if wanted.soc_end == "start":
        soc_end_min: float | None = wanted.soc_initial
    elif wanted.soc_end == "free":
        soc_end_min = None
    else:
        soc_end_min = wanted.soc_end
    return Storage(
        energy_mwh=wanted.energy_mwh,
        p_max_mw=wanted.p_max_mw,
        s_max_mva=wanted.p_max_mw if wanted.s_max_mva is None else wanted.s_max_mva,
        eta_charge=wanted.eta_charge,
        eta_discharge=wanted.eta_discharge,
        loss_coefficient=wanted.loss_coefficient,
        soc_min=wanted.soc_min,
        soc_max=wanted.soc_max,
        soc_initial=wanted.soc_initial,
        soc_end_min=soc_end_min,
        cycles_max_per_day=np.inf if wanted.cycles_max_per_day is None else wanted.cycles_max_per_day,
        cost_per_mwh_charged=wanted.cost_per_mwh_charged,
    )
