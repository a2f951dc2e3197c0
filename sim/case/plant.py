"""Plant of a config: networks, stations, roads, devices; all faults are collected."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np

from gridferry.controllers.contract import Plant, Station
from gridferry.controllers.devices.demand_charge import DemandCharge
from gridferry.controllers.plans.plan_times import RunTimes
from gridferry.networks.catalog import load_network
from gridferry.networks.faults import InputError, no_such
from gridferry.networks.feeder import Feeder
from gridferry.networks.network import Network
from gridferry.networks.roads.files import RoadUnits
from gridferry.networks.roads.graph import Closure, load_road_graph
from gridferry.networks.roads.travel import DistanceMatrix, Roads, matrix_from_rows
from gridferry.sim.case.own_elements import fate_faults, with_fates
from gridferry.sim.case.series import file_fault, reference_faults
from gridferry.sim.case.site import EntrySite, Places, build_devices
from gridferry.sim.config.document import Loc
from gridferry.sim.config.loaded import LoadedConfig
from gridferry.sim.config.networks.written import options_of
from gridferry.sim.config.schema import ClosureConfig, Config, DemandPeriod, LoadConfig, NetworkConfig


@dataclass(frozen=True, eq=False)
class BuiltPlant:
    """A plant and its networks.

    Attributes
    ----------
    plant : what controllers see
    networks : what the AC power flow is built from, in the order of ``plant.feeders``
    """

    plant: Plant
    networks: tuple[Network, ...]


def build_plant(loaded: LoadedConfig) -> BuiltPlant:
    """Build the plant of a config.

    Raises
    ------
    InputError
        with everything that does not fit together: unknown networks, buses, stations and profiles, names given twice,
        roads that do not match the stations, and all that kinds of devices find wrong with theirs.
    """
    return _Builder(loaded).build()


class _Builder:
    """Builder of a plant that collects faults; a faulty part is replaced by the first of its kind."""

    def __init__(self, loaded: LoadedConfig):
        self.loaded = loaded
        self.config: Config = loaded.config
        self.places = Places(loaded)
        self._note = self.places.note

    def build(self) -> BuiltPlant:
        """Build the plant, or raise all faults at once."""
        config, places = self.config, self.places
        places.unique("network", ((("networks", i, "name"), one.name) for i, one in enumerate(config.networks)))
        places.unique("station", ((("stations", i, "name"), one.name) for i, one in enumerate(config.stations)))
        places.networks = [self._network(i, one) for i, one in enumerate(config.networks)]
        places.faults += reference_faults(self.loaded)
        self._check_loads()
        sites = [EntrySite(places, ("stations", i)) for i in range(len(config.stations))]
        places.stations = tuple(
            Station(
                name=one.name,
                network=site.network(one.network),
                bus=site.bus(one.network, one.bus),
                places=one.places,
                p_max_mw=math.inf if one.p_max_mw is None else one.p_max_mw,
            )
            for one, site in zip(config.stations, sites, strict=True)
        )
        roads = self._roads()
        devices = build_devices(places)
        if config.roads is None:
            for table in dict.fromkeys(one.table for one in devices if any(at.with_routes for at in one.positions)):
                self._note(("roads",), f"{table} need roads; add [roads] with distance_km and speed_km_h, or graph")
        networks = tuple(one for one in places.networks if one is not None)
        if places.faults:
            raise InputError(places.faults)
        time, clock = config.time, config.time.clock
        plant = Plant(
            feeders=tuple(one.feeder for one in networks),
            stations=places.stations,
            devices=devices,
            roads=roads,
            step_s=time.step_s,
            steps=time.steps,
            horizon_steps=time.steps if time.horizon_steps is None else time.horizon_steps,
            first_step_of_day=clock.start_of_day_s // time.step_s,
            clock_changes=tuple((at // time.step_s, by // time.step_s) for at, by in clock.changes),
            export_price_ratio=config.prices.export_ratio,
            currency=config.currency,
        )
        if config.prices.demand_charge_per_mw:
            plant = replace(plant, demand_charge=_demand_charge(config, plant))
        return BuiltPlant(plant, networks)

    # --------------------------------------------------------------------------------------------------------- networks

    def _network(self, number: int, entry: NetworkConfig) -> Network | None:
        loc: Loc = ("networks", number)
        network: Network | None = None
        try:
            cache = None if self.config.cache_dir is None else self.loaded.base_dir / self.config.cache_dir
            network = load_network(entry.feeder, self.loaded.base_dir, cache_dir=cache, options=options_of(entry))
        except InputError as error:
            for fault in error.faults:
                # a fault inside a feeder's own file says where it is
                self._note((*loc, "feeder"), str(fault) if fault.key else fault.message)
        low, high = entry.v_min_pu, entry.v_max_pu
        if network is not None:
            self.places.faults += fate_faults(self.loaded, number, network)
            network = with_fates(network, entry)
            percent = entry.loading_max_percent
            feeder = network.feeder.with_limits(low, high, None if percent is None else percent / 100.0)
            if network.source_net is None:
                for key in sorted(_OF_NETS & entry.model_fields_set):
                    if getattr(entry, key):
                        self._note((*loc, key), "is for pandapower nets, and this feeder is none; leave it out")
            given = ("slack_v_pu", "import_max_mw", "export_max_mw")
            values = {name: getattr(entry, name) for name in given if getattr(entry, name) is not None}
            feeder = replace(feeder, **values)
            low = float(network.feeder.v_min_pu.max()) if low is None else low
            high = float(network.feeder.v_max_pu.min()) if high is None else high
            network = replace(network, feeder=feeder)
        if low is not None and high is not None and low >= high:
            if entry.v_min_pu is not None:
                self._note((*loc, "v_min_pu"), f"voltage limits upside down: must be below v_max_pu = {high:g}")
            elif entry.v_max_pu is not None:
                self._note((*loc, "v_max_pu"), f"voltage limits upside down: must be above v_min_pu = {low:g}")
        return network

    # ------------------------------------------------------------------------------------------------------------ loads

    def _check_loads(self) -> None:
        seen: dict[tuple[str, int | None], int] = {}
        for i, load in enumerate(self.config.loads):
            site = EntrySite(self.places, ("loads", i))
            feeder = site.known_feeder(load.network)
            if load.bus is not None:
                site.bus(load.network, load.bus)
            if feeder is not None and load.factor is not None:
                bus = None if load.bus is None else feeder.bus_index(load.bus) if _has(feeder, load.bus) else -1 - i
                first = seen.setdefault((load.network, bus), i)
                if first != i:
                    where = f"bus {load.bus}" if bus is not None else "all buses"
                    site.fault(
                        "factor", f"loads[{first}] has one for {where}, too, and a factor is not added; keep one"
                    )
            if feeder is not None and load.factor is not None and (wrong := _nominal_fault(load, feeder)):
                site.fault("factor", wrong)

    # ------------------------------------------------------------------------------------------------------------ roads

    def _roads(self) -> Roads | None:
        config, roads = self.config, self.config.roads
        if roads is None or not config.stations:
            return None
        if roads.distance_km is None:
            assert roads.graph is not None
            files = {"graph": roads.graph} | ({} if roads.volumes is None else {"volumes": roads.volumes})
            missing = [file_fault(self.loaded, ("roads", key), file) for key, file in files.items()]
            if any(missing):
                self.places.faults += [one for one in missing if one is not None]
                return None
            units = RoadUnits(
                speed_km_h=roads.speed_km_h,
                minutes_per_unit=roads.minutes_per_unit,
                km_per_unit=roads.km_per_unit,
                volumes=None if roads.volumes is None else self.loaded.base_dir / roads.volumes,
            )
            nodes = {one.name: one.node or one.name for one in config.stations}
            path = self.loaded.base_dir / roads.graph
            try:
                graph = load_road_graph(path, nodes, units, install_min=roads.install_min, rounding=roads.rounding)
            except InputError as error:
                self.places.faults += error.faults
                return None
            return replace(graph, closures=tuple(self._closures(roads.closures, graph.road_names)))
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

    def _closures(self, given: Sequence[ClosureConfig], known: Sequence[str]) -> Iterator[Closure]:
        """Spans in which roads are closed, from the start of the run on."""
        start = self.config.time.clock.start
        for number, one in enumerate(given):
            loc: Loc = ("roads", "closures", number)
            if one.road not in known:
                self._note((*loc, "road"), no_such("road", one.road, known))
            moments = [one.begin, one.end]
            if any(moment.tzinfo is not None for moment in moments) and start.tzinfo is None:
                self._note((*loc, "begin"), "has an offset, but [time] start has none; leave it out here")
                continue
            run = RunTimes(start=start, step_s=self.config.time.step_s, steps=self.config.time.steps)
            begin, end = map(run.seconds, moments)
            if end <= begin:
                self._note((*loc, "end"), f"must be after begin = {one.begin.isoformat()}")
                continue
            yield Closure(one.road, begin, end)


_OF_NETS = frozenset({"supply", "open", "balanced", "generators", "profiles"})
"""Keys of a network that say how a pandapower net is read."""


def _has(feeder: Feeder, bus: str | int) -> bool:
    try:
        feeder.bus_index(bus)
    except KeyError:
        return False
    return True


def _demand_charge(config: Config, plant: Plant) -> DemandCharge:
    day = (
        np.datetime64(config.time.clock.start.date(), "D")
        + plant.clock_steps(np.arange(plant.steps)) // plant.steps_in_24_h
    )
    period = day.astype("datetime64[M]") if config.prices.demand_period is DemandPeriod.MONTH else day
    return DemandCharge(
        per_mw=config.prices.demand_charge_per_mw,
        first_steps=tuple((1 + np.flatnonzero(period[1:] != period[:-1])).tolist()),
        peak_before_mw=tuple(one.peak_import_mw for one in config.networks),
    )


def _nominal_fault(load: LoadConfig, feeder: Feeder) -> str:
    """Message about a load factor without nominal loads to scale; empty if there are some."""
    nominal = (feeder.p_load_mw != 0) | (feeder.q_load_mvar != 0)
    if load.bus is None:
        return "" if nominal.any() else f"{load.network} has no nominal loads to scale; give bus and p_mw instead"
    with suppress(KeyError):  # a missing bus has its own fault
        if not nominal[feeder.bus_index(load.bus)]:
            return f"bus {load.bus} of {load.network} has no nominal load to scale; give p_mw instead"
    return ""
