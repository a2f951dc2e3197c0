"""Realised conditions: load, generation, prices, traffic and outages of every step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from gridferry.controllers.contract import Plant
from gridferry.controllers.devices import ANY, MAGNITUDE, Device, Limits, Profile
from gridferry.controllers.devices.config_parts import ProfileColumn
from gridferry.networks.faults import Fault, InputError, no_such
from gridferry.networks.read_only import immutable, own_copy
from gridferry.sim.case.profile_table import ProfileTable, column_names, read_profile
from gridferry.sim.case.profile_times import Clock
from gridferry.sim.config.document import Loc
from gridferry.sim.config.loaded import LoadedConfig
from gridferry.sim.config.schema import Config, LoadConfig


@dataclass(frozen=True, eq=False)
class Conditions:
    """Realised conditions of every step of the run; arrays are read-only.

    Attributes
    ----------
    load_p_mw, load_q_mvar : loads of each bus, positive where they consume, less the fixed generation of the network's
        source [MW, Mvar]
    buy_price, sell_price : price of grid energy, and what customers pay [currency/MWh]
    congestion : state of each road, in the unit of `Roads.congestion_unit`
    series : what surrounds each device, by `Device.key` and the keys of `Device.series`
    forecast_outage : no forecast arrives where it is above 0; ``None``: every one arrives
    """

    load_p_mw: Float[np.ndarray, "step bus"]
    load_q_mvar: Float[np.ndarray, "step bus"]
    buy_price: Float[np.ndarray, " step"]
    sell_price: Float[np.ndarray, " step"]
    congestion: Float[np.ndarray, "step road"]
    series: Mapping[str, Mapping[str, Float[np.ndarray, " step"]]]
    forecast_outage: Float[np.ndarray, " step"] | None = None

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            object.__setattr__(self, name, own_copy(value))

    @property
    def steps(self) -> int:
        """Number of steps."""
        return len(self.buy_price)


def uncertain_series(plant: Plant) -> Iterator[tuple[Device[Any], str, str]]:
    """Device, key and error name of every series with forecast errors."""
    for device in plant.devices:
        for key, series in device.series.items():
            if series.forecast == "uncertain":
                yield device, key, series.error


Sure = Callable[[Loc], bool]
"""Whether a place of the config holds what the user wrote, and not what stands in for a faulty value."""


def build_conditions(loaded: LoadedConfig, plant: Plant) -> Conditions:
    """Read the profiles of a config, each file once, and evaluate all series for every step of the run.

    Raises
    ------
    InputError
        with everything that is wrong: unknown columns and buses, values that are missing or no numbers, negative loads
        and generation, shares outside their range, times that are irregular or do not cover the run.
    """
    return _Composition(loaded, plant).conditions()


def profile_faults(loaded: LoadedConfig, sure: Sure) -> list[Fault]:
    """Find the faults of profiles, for a config whose plant cannot be built.

    Parameters
    ----------
    sure : series and profiles that are not sure are passed over; without a sure clock only the columns are looked for
    """
    return _SeriesReader(loaded, sure).faults


def reference_faults(loaded: LoadedConfig) -> list[Fault]:
    """Find series that name no profile, and profiles whose file is not there."""
    config = loaded.config
    found = [_reference_fault(loaded, one) for one in _series_entries(config)]
    found += [file_fault(loaded, ("profiles", name, "file"), one.file) for name, one in config.profiles.items()]
    return [one for one in found if one is not None]


def file_fault(loaded: LoadedConfig, loc: Loc, file: str) -> Fault | None:
    """Fault of a missing file, with similar names; ``None`` if it exists."""
    path = loaded.base_dir / file
    if path.is_file():
        return None
    near = sorted(one.name for one in path.parent.iterdir()) if path.parent.is_dir() else []
    return loaded.fault(loc, no_such(f"file in {path.parent}", path.name, near))


_ROUNDING = 1e-9


@dataclass(frozen=True)
class _SeriesEntry:
    """A series of the config, and its limits."""

    loc: Loc
    series: Profile
    limits: Limits = MAGNITUDE

    @property
    def place(self) -> Loc:
        """Place of the column, or of the number, in the config."""
        return (*self.loc, "column") if isinstance(self.series, ProfileColumn) else self.loc

    def outside(self, values: Float[np.ndarray, " value"]) -> Int[np.ndarray, " outside"]:
        """Indices of values outside the limits; missing values are faults of the table."""
        lowest = self.limits.lowest
        low = values <= lowest if self.limits.above else values < lowest
        return np.flatnonzero(low | (values > self.limits.highest + _ROUNDING))


def _series_entries(config: Config) -> Iterator[_SeriesEntry]:
    for i, load in enumerate(config.loads):
        for key in ("factor", "p_mw", "q_mvar"):
            series = getattr(load, key)
            if series is not None:
                yield _SeriesEntry(("loads", i, key), series, ANY if key == "q_mvar" else MAGNITUDE)
    yield _SeriesEntry(("prices", "buy"), config.prices.buy, ANY)
    yield _SeriesEntry(("prices", "sell"), config.prices.sell, ANY)
    if config.roads is not None:
        yield _SeriesEntry(("roads", "congestion"), config.roads.congestion)
    for kind in config.kinds:
        for i, entry in enumerate(config.entries(kind)):
            for key, one in kind.series.items():
                if getattr(entry, key) is not None:
                    meaning = one.limits.meaning or f"it is {one.meaning}"
                    yield _SeriesEntry((kind.table, i, key), getattr(entry, key), replace(one.limits, meaning=meaning))
    yield _SeriesEntry(("forecast", "outage"), config.forecast.outage)


def _column(series: str | ProfileColumn) -> tuple[str, str]:
    source, _, column = (series if isinstance(series, str) else series.column).partition(".")
    return source, column


def _reference_fault(loaded: LoadedConfig, entry: _SeriesEntry) -> Fault | None:
    if not isinstance(entry.series, (str, ProfileColumn)):
        return None
    source, column = _column(entry.series)
    if not source or not column:
        return loaded.fault(entry.place, 'expected "source.column", the source being a key of [profiles]')
    if source not in loaded.config.profiles:
        return loaded.fault(entry.place, no_such("profile", source, loaded.config.profiles))
    return None


class _SeriesReader:
    """Reader of series: evaluates the valid ones and collects the faults of the others.

    Attributes
    ----------
    values : series by place, for every step of the run; zeros where there is a fault
    faults : what is wrong
    """

    def __init__(self, loaded: LoadedConfig, sure: Sure):
        self._loaded, self._config = loaded, loaded.config
        self.faults: list[Fault] = reference_faults(loaded)
        self._checked: set[tuple[str, str]] = set()
        entries = [one for one in _series_entries(self._config) if sure(one.loc)]
        self._columns: dict[str, tuple[str, ...]] = {}
        self._tables = self._read_all(entries, sure)
        self.values = {one.loc: self._evaluate(one) for one in entries}

    def _read_all(self, entries: list[_SeriesEntry], sure: Sure) -> dict[str, ProfileTable]:
        """Read the valid profiles, and collect the faults of the others."""
        columns: dict[str, list[str]] = {}
        for one in entries:
            if isinstance(one.series, (str, ProfileColumn)):
                source, column = _column(one.series)
                columns.setdefault(source, []).append(column)
        time = self._config.time
        clock = Clock(time.start, time.step_s, time.steps)
        on_time = all(sure(("time", key)) for key in ("start", "step_s", "steps"))
        tables: dict[str, ProfileTable] = {}
        for source, profile in self._config.profiles.items():
            path = self._loaded.base_dir / profile.file
            if source not in columns or not sure(("profiles", source)) or not path.is_file():
                continue  # missing files are faults of the references
            try:
                self._columns[source] = column_names(path)
                if on_time:
                    tables[source] = read_profile(path, profile.time, columns[source], clock)
            except InputError as error:
                self.faults += error.faults
        return tables

    def _note(self, loc: Loc, message: str) -> None:
        self.faults.append(self._loaded.fault(loc, message))

    def _evaluate(self, entry: _SeriesEntry) -> Float[np.ndarray, " step"]:
        steps = self._config.time.steps
        if isinstance(entry.series, (str, ProfileColumn)):
            values = self._from_profile(entry, entry.series)
            return np.zeros(steps) if values is None else values
        values = np.full(steps, float(entry.series))
        if len(entry.outside(values[:1])):
            self._note(entry.loc, f"must not be {entry.limits.outside}; {entry.limits.meaning}")
        return values

    def _from_profile(self, entry: _SeriesEntry, series: str | ProfileColumn) -> Float[np.ndarray, " step"] | None:
        name, column = _column(series)
        if name not in self._columns or not column:
            return None
        if column not in self._columns[name]:
            file = self._loaded.base_dir / self._config.profiles[name].file
            self._note(entry.place, no_such(f"column in {file}", column, self._columns[name]))
            return None
        if name not in self._tables:
            return None
        table = self._tables[name]
        if (name, column) not in self._checked:
            self._checked.add((name, column))
            self.faults += table.faults(column)
        scale = 1.0 if isinstance(series, str) else series.scale
        if isinstance(series, ProfileColumn) and series.per_unit:
            values = table.raw[column]
            largest = float(np.max(values[np.isfinite(values)], initial=-np.inf))
            if not largest > 0:
                self._note(
                    entry.place, f"its largest value is {largest:g}; per_unit needs a column with positive values"
                )
                return None
            scale /= largest
        outside = entry.outside(scale * table.raw[column][table.window])
        if len(outside):
            row = table.window.start + int(outside[0])
            value = scale * table.raw[column][row]
            more = f" and in {len(outside) - 1} rows after it" if len(outside) > 1 else ""
            where = f"at {table.row_text(row)} of {table.file} ({value:g}){more}"
            allowed = entry.limits
            self._note(entry.place, f"is {allowed.outside} {where}; {allowed.meaning}, so {allowed.way}")
            return None
        values = table.resampled(column, self._config.profiles[name].resample)
        values = values if scale == 1.0 else scale * values
        # means of shares may be a bit above 1
        return values if entry.limits.highest == np.inf else np.minimum(values, entry.limits.highest)


class _Composition:
    """Assignment of the series to the loads and devices of a plant."""

    def __init__(self, loaded: LoadedConfig, plant: Plant):
        self.loaded, self.config, self.plant = loaded, loaded.config, plant
        reader = _SeriesReader(loaded, lambda loc: True)
        self.series, self.faults = reader.values, reader.faults

    def conditions(self) -> Conditions:
        """Build the conditions, or raise all faults at once."""
        config, plant = self.config, self.plant
        steps = config.time.steps
        load_p, load_q = np.zeros((steps, plant.n_bus)), np.zeros((steps, plant.n_bus))
        for i, load in enumerate(config.loads):
            self._add_load(i, load, load_p, load_q)
        for feeder, buses in zip(plant.feeders, plant.bus_slices, strict=True):
            load_p[:, buses] -= feeder.p_gen_mw
            load_q[:, buses] -= feeder.q_gen_mvar
        if self.faults:
            raise InputError(self.faults)
        congestion = immutable(self.series.get(("roads", "congestion"), np.zeros(steps)))
        return Conditions(
            load_p_mw=load_p,
            load_q_mvar=load_q,
            buy_price=self.series[("prices", "buy")],
            sell_price=self.series[("prices", "sell")],
            congestion=np.zeros((steps, 0)) if plant.roads is None else plant.roads.on_every_road(congestion),
            series=self._of_devices(),
            forecast_outage=_unless(0.0, self.series[("forecast", "outage")]),
        )

    def _of_devices(self) -> dict[str, dict[str, Float[np.ndarray, " step"]]]:
        """Series of every device, found in the config by table and name."""
        given = {}
        for device in self.plant.devices:
            names = [one.name for one in self.config.entries(type(device))]
            loc: Loc = (device.table, names.index(device.name))
            given[device.key] = {
                key: self.series.get((*loc, key), np.full(self.plant.steps, series.default))
                for key, series in device.series.items()
            }
        return given

    def _add_load(
        self,
        number: int,
        load: LoadConfig,
        load_p: Float[np.ndarray, "step bus"],
        load_q: Float[np.ndarray, "step bus"],
    ) -> None:
        """Add one entry of ``[[loads]]``; entries that name the same bus add up."""
        names = [network.name for network in self.config.networks]
        if load.network not in names:
            fault = self.loaded.fault(("loads", number, "network"), no_such("network", load.network, names))
            self.faults.append(fault)
            return
        network = names.index(load.network)
        feeder, buses = self.plant.feeders[network], self.plant.bus_slices[network]
        if load.bus is None:
            factor = self.series[("loads", number, "factor")][:, None]
            load_p[:, buses] += factor * feeder.p_load_mw
            load_q[:, buses] += factor * feeder.q_load_mvar
            return
        try:
            index = feeder.bus_index(load.bus)
        except KeyError:
            wrong = no_such(f"bus in {load.network}", load.bus, feeder.bus_names)
            self.faults.append(self.loaded.fault(("loads", number, "bus"), wrong))
            return
        if load.factor is not None:
            factor = self.series[("loads", number, "factor")]
            load_p[:, buses.start + index] += factor * feeder.p_load_mw[index]
            load_q[:, buses.start + index] += factor * feeder.q_load_mvar[index]
            return
        load_p[:, buses.start + index] += self.series[("loads", number, "p_mw")]
        if load.q_mvar is not None:
            load_q[:, buses.start + index] += self.series[("loads", number, "q_mvar")]


def _unless(plain: float, values: np.ndarray) -> np.ndarray | None:
    """Return the values; ``None`` if all are ``plain``."""
    return None if (values == plain).all() else values
