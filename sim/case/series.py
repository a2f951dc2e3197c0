"""Series of a config: evaluated for every step of the run from its profiles, or their faults."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int

from gridferry.controllers.devices import ANY, MAGNITUDE, Limits, Profile
from gridferry.controllers.devices.config_parts import ProfileColumn
from gridferry.networks.faults import Fault, InputError, no_such
from gridferry.networks.network import Network
from gridferry.sim.case.own_elements import SeriesOfNet
from gridferry.sim.case.profiles.file import ProfileFile, open_profile
from gridferry.sim.case.profiles.table import ProfileTable, read_profile
from gridferry.sim.config.document import Loc
from gridferry.sim.config.loaded import LoadedConfig
from gridferry.sim.config.networks.schema import FactorOf
from gridferry.sim.config.schema import Config, RoadColumns

Sure = Callable[[Loc], bool]
"""Whether a place of the config holds what the user wrote, and not what stands in for a faulty value."""


def profile_faults(loaded: LoadedConfig, sure: Sure) -> list[Fault]:
    """Find the faults of profiles, for a config whose plant cannot be built.

    Parameters
    ----------
    sure : series and profiles that are not sure are passed over; without a sure clock only the columns are looked for
    """
    return SeriesReader(loaded, sure).faults


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
_PREFIXES = {"k": 1e-3, "M": 1.0, "W": 1e-6, "v": 1e-6}
_LARGEST_MW = 1000.0
_LARGEST = 1e9
"""magnitude of prices, in any currency, and of traffic"""


@dataclass(frozen=True)
class _SeriesEntry:
    """A series of the config, and its limits."""

    loc: Loc
    series: Profile
    limits: Limits = MAGNITUDE
    largest: float = _LARGEST_MW

    @property
    def place(self) -> Loc:
        """Place of the column, or of the number, in the config."""
        if self.loc[:2] == ("roads", "congestion") and len(self.loc) > 2:
            return self.loc[:2]
        return (*self.loc, "column") if isinstance(self.series, ProfileColumn) else self.loc

    def outside(self, values: Float[np.ndarray, " value"]) -> Int[np.ndarray, " outside"]:
        """Indices of values outside the limits; missing values are faults of the table."""
        lowest = self.limits.lowest
        low = values <= lowest if self.limits.above else values < lowest
        huge = np.isfinite(values) & (np.abs(values) > self.largest)
        return np.flatnonzero(low | (values > self.limits.highest + _ROUNDING) | huge)

    @property
    def is_power(self) -> bool:
        """Whether it is a power, active or reactive."""
        return str(self.loc[-1]).endswith(("_mw", "_mvar"))

    def fault(self, value: float) -> tuple[str, str]:
        """How a value is outside, and why it has limits."""
        if abs(value) > self.largest:
            return f"beyond {self.largest:g}", "no distribution network has that"
        return self.limits.outside, self.limits.meaning

    def message(self, value: float, file: ProfileFile, row: int, others: int) -> str:
        """Message about a value of a file that is outside, with the way out."""
        how, why = self.fault(value)
        more = f" and in {others} rows after it" if others > 0 else ""
        way = self.limits.way
        if abs(value) > self.largest and self.is_power:
            way = f'{way}, or say its unit ("kW")'
        elif self.limits.outside == "negative":
            net_meter = "say signed = true in this table for a net meter, " if self.loc[0] == "loads" else ""
            way = f"{net_meter}clip = true in the profile's to count negative values as 0, or {way}"
        return f"is {how} at {file.row_text(row)} of {file.path} ({value:g}){more}; {why}, so {way}"


def _series_entries(config: Config) -> Iterator[_SeriesEntry]:
    for i, load in enumerate(config.loads):
        for key in ("factor", "p_mw", "q_mvar"):
            series = getattr(load, key)
            if series is not None:
                yield _SeriesEntry(("loads", i, key), series, ANY if key == "q_mvar" or load.signed else MAGNITUDE)
    for i, network in enumerate(config.networks):
        for table in type(network.elements).model_fields:
            fate = getattr(network.elements, table)
            if isinstance(fate, FactorOf):
                yield _SeriesEntry(("networks", i, "elements", table, "factor"), fate.factor, ANY, _LARGEST)
    yield _SeriesEntry(("prices", "buy"), config.prices.buy, ANY, _LARGEST)
    yield _SeriesEntry(("prices", "sell"), config.prices.sell, ANY, _LARGEST)
    if config.roads is not None and not isinstance(config.roads.congestion, RoadColumns):
        yield _SeriesEntry(("roads", "congestion"), config.roads.congestion, largest=_LARGEST)
    for kind in config.kinds:
        for i, entry in enumerate(config.entries(kind)):
            for key, one in kind.series.items():
                if getattr(entry, key) is not None:
                    meaning = one.limits.meaning or f"it is {one.meaning}"
                    largest = _LARGEST if one.port is None else _LARGEST_MW
                    limits = replace(one.limits, meaning=meaning)
                    yield _SeriesEntry((kind.table, i, key), getattr(entry, key), limits, largest)
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
    if source not in loaded.config.profiles and source not in _networks(loaded):
        return loaded.fault(entry.place, no_such("profile", source, loaded.config.profiles))
    return None


def _networks(loaded: LoadedConfig) -> list[str]:
    """Names of networks, whose own time series may be named as ``"network.series"``."""
    return [one.name for one in loaded.config.networks]


class SeriesReader:
    """Reader of series: evaluates the valid ones and collects the faults of the others.

    Parameters
    ----------
    networks : that bring time series; those of series of networks are zeros where they are not given

    Attributes
    ----------
    values : series by place, for every step of the run; zeros where there is a fault
    faults : what is wrong
    notes : how files are read, as far as the config does not say, and what is clipped
    """

    def __init__(self, loaded: LoadedConfig, sure: Sure, networks: Sequence[Network] = ()):
        self._loaded, self._config = loaded, loaded.config
        self.faults: list[Fault] = reference_faults(loaded)
        self.notes: list[Fault] = []
        self._own = {
            name: SeriesOfNet(loaded, number, network)
            for number, (name, network) in enumerate(zip(_networks(loaded), networks, strict=False))
            if name not in loaded.config.profiles
        }
        self._checked: set[tuple[str, str]] = set()
        self._files: dict[str, ProfileFile] = {}
        entries = [one for one in (*_series_entries(self._config), *self._of_roads()) if sure(one.loc)]
        self._tables = self._read_all(entries, sure)
        self.notes = [Fault(str(file.path), "", note) for file in self._files.values() for note in file.notes]
        self.values = {one.loc: self._evaluate(one) for one in entries}

    def _of_roads(self) -> Iterator[_SeriesEntry]:
        """Columns of a profile that has the congestion of each road."""
        roads, loc = self._config.roads, ("roads", "congestion")
        if roads is None or not isinstance(roads.congestion, RoadColumns):
            return
        name = roads.congestion.profile
        if name not in self._config.profiles:
            self._note((*loc, "profile"), no_such("profile", name, self._config.profiles))
            return
        profile = self._config.profiles[name]
        try:
            file = open_profile(self._loaded.base_dir / profile.file, profile)
        except InputError:
            return  # a fault of the file
        for column in file.columns:
            if column not in ("", profile.time):
                series = ProfileColumn(column=f"{name}.{column}", scale=roads.congestion.scale)
                yield _SeriesEntry((*loc, column), series, largest=_LARGEST)

    def _read_all(self, entries: list[_SeriesEntry], sure: Sure) -> dict[str, ProfileTable]:
        """Read the valid profiles, and collect the faults of the others."""
        columns: dict[str, list[str]] = {}
        for one in entries:
            if isinstance(one.series, (str, ProfileColumn)):
                source, column = _column(one.series)
                columns.setdefault(source, []).append(column)
        clock = self._config.time.clock
        on_time = all(sure(("time", key)) for key in ("start", "timezone", "step_s", "steps"))
        tables: dict[str, ProfileTable] = {}
        for source, profile in self._config.profiles.items():
            path = self._loaded.base_dir / profile.file
            if source not in columns or not sure(("profiles", source)) or not path.is_file():
                continue  # missing files are faults of the references
            try:
                self._files[source] = open_profile(path, profile)
                if on_time:
                    tables[source] = read_profile(self._files[source], columns[source], clock)
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
            outside, why = entry.fault(float(values[0]))
            self._note(entry.loc, f"must not be {outside}; {why}")
        return values

    def _from_profile(self, entry: _SeriesEntry, series: str | ProfileColumn) -> Float[np.ndarray, " step"] | None:
        name, column = _column(series)
        if name in self._own:
            return self._from_network(entry, name, column, 1.0 if isinstance(series, str) else series.scale)
        if name not in self._files or not column:
            return None
        file = self._files[name]
        if column not in file.columns:
            self._note(entry.place, no_such(f"column in {file.path}", column, file.columns) + file.hint)
            return None
        if name not in self._tables:
            return None
        table = self._tables[name]
        if (name, column) not in self._checked:
            self._checked.add((name, column))
            self.faults += table.faults(column)
        given = ProfileColumn(column=series) if isinstance(series, str) else series
        if (scale := self._scale(entry, given, table, column)) is None:
            return None
        values = table.raw[column]
        source = self._config.profiles[name]
        clips = (source.clip or given.clip) and entry.limits.lowest == 0 and not entry.limits.above
        if clips:
            values = self._clipped(entry, scale * values, table)
            scale = 1.0
        outside = entry.outside(scale * values[table.window])
        if len(outside):
            row = table.window.start + int(outside[0])
            self._note(entry.place, entry.message(scale * values[row], table.file, row, len(outside) - 1))
            return None
        if clips:
            values = table.resample(values, source.resample)
        else:
            values = table.resampled(column, source.resample)
            values = values if scale == 1.0 else scale * values
        # means of shares may be a bit above 1
        return values if entry.limits.highest == np.inf else np.minimum(values, entry.limits.highest)

    def _scale(self, entry: _SeriesEntry, given: ProfileColumn, table: ProfileTable, column: str) -> float | None:
        """What a column is multiplied by; ``None``, with a fault, where it has no scale."""
        scale = given.scale
        unit = given.unit or self._config.profiles[_column(given.column)[0]].unit
        if given.unit is not None and (given.per_unit or not entry.is_power):
            why = "per_unit leaves no unit" if given.per_unit else f"{entry.loc[-1]} is no power"
            self._note((*entry.loc, "unit"), f"{why}; leave one of them out, or convert it by scale")
            return None
        if given.per_unit:
            values = table.raw[column]
            largest = float(np.max(values[np.isfinite(values)], initial=-np.inf))
            if not largest > 0:
                wrong = f"its largest value is {largest:g}; per_unit needs a column with positive values"
                self._note(entry.place, wrong)
                return None
            return scale / largest
        if unit is None or not entry.is_power:
            return scale
        megawatts = _PREFIXES[unit[0]]
        return scale * megawatts / (table.spacing_s / 3600.0 if unit.endswith("h") else 1.0)

    def _clipped(
        self, entry: _SeriesEntry, values: Float[np.ndarray, " row"], table: ProfileTable
    ) -> Float[np.ndarray, " row"]:
        """Set negative values to 0, with a note of how many there are within the run."""
        low = values[table.window][values[table.window] < 0]
        if len(low):
            words = f"{len(low)} negative values, down to {low.min():g}, count as 0 (clip)"
            self.notes.append(self._loaded.fault(entry.place, words))
        return np.maximum(values, 0.0)

    def _from_network(
        self, entry: _SeriesEntry, name: str, column: str, scale: float
    ) -> Float[np.ndarray, " step"] | None:
        """Return a series of a network, scaled."""
        own = self._own[name]
        if column not in own.names:
            self._note(entry.place, no_such(f"series of network {name}", column, own.names))
            return None
        values = own.values(column, scale)
        self.faults += own.faults
        if len(entry.outside(values)):
            limits = entry.limits
            self._note(entry.place, f"is {limits.outside} in the series; {limits.meaning}, so {limits.way}")
            return None
        return values
