"""What really happens: load, generation, prices and traffic of every step, from the config and its profiles."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from controllers.contract import Plant
from networks.faults import Fault, InputError, no_such
from sim.config import Config, LoadConfig, ProfileColumn, Series
from sim.config_document import Loc, key_text, value_text
from sim.profile_table import ProfileTable, read_profile
from sim.profile_times import Clock


@dataclass(frozen=True, eq=False)
class Conditions:
    """What surrounds the devices in every step of the run; arrays are read-only.

    Attributes
    ----------
    load_p_mw, load_q_mvar : loads of each bus, positive where they consume, less the fixed generation of the network's
        source [MW, Mvar]
    generation_mw : output of each generator [MW]
    buy_price, sell_price : price of grid energy, and what customers pay [currency/MWh]
    congestion : state of the roads, in the unit of `Roads.congestion_unit`
    """

    load_p_mw: Float[np.ndarray, "step bus"]
    load_q_mvar: Float[np.ndarray, "step bus"]
    generation_mw: Float[np.ndarray, "step generator"]
    buy_price: Float[np.ndarray, " step"]
    sell_price: Float[np.ndarray, " step"]
    congestion: Float[np.ndarray, " step"]

    def __post_init__(self) -> None:
        for value in vars(self).values():
            value.setflags(write=False)

    @property
    def steps(self) -> int:
        """Number of steps."""
        return len(self.buy_price)


def build_conditions(config: Config, plant: Plant, base_dir: Path, source: str) -> Conditions:
    """Read the profiles that a config names, each file once, and evaluate its series for every step of the run.

    Parameters
    ----------
    base_dir : folder that file names are relative to
    source : the config file, for faults

    Raises
    ------
    InputError
        with everything that is wrong: unknown columns and buses, values that are missing or no numbers, negative loads
        and generation, times that are irregular or do not cover the run.
    """
    return _Evaluation(config, plant, base_dir, source).conditions()


@dataclass(frozen=True)
class _Wanted:
    """A series of the config; ``signed`` where it may be negative."""

    loc: Loc
    series: Series
    signed: bool = False


def _wanted(config: Config) -> Iterator[_Wanted]:
    for i, load in enumerate(config.loads):
        for key in ("factor", "p_mw", "q_mvar"):
            series = getattr(load, key)
            if series is not None:
                yield _Wanted(("loads", i, key), series, signed=key == "q_mvar")
    for i, generator in enumerate(config.generators):
        yield _Wanted(("generators", i, "p_mw"), generator.p_mw)
    yield _Wanted(("prices", "buy"), config.prices.buy, signed=True)
    yield _Wanted(("prices", "sell"), config.prices.sell, signed=True)
    if config.roads is not None:
        yield _Wanted(("roads", "congestion"), config.roads.congestion)


def _column(series: str | ProfileColumn) -> tuple[str, str]:
    source, _, column = (series if isinstance(series, str) else series.column).partition(".")
    return source, column


class _Evaluation:
    """Evaluates what it can and notes what it cannot."""

    def __init__(self, config: Config, plant: Plant, base_dir: Path, source: str):
        self.config, self.plant, self.source = config, plant, source
        self.faults: list[Fault] = []
        self.checked: set[tuple[str, str]] = set()
        self.tables = self._read_all(base_dir)

    def _read_all(self, base_dir: Path) -> dict[str, ProfileTable | None]:
        """Tables by source; ``None`` for those with a fault, which is noted."""
        columns: dict[str, list[str]] = {}
        for one in _wanted(self.config):
            if isinstance(one.series, (str, ProfileColumn)):
                source, column = _column(one.series)
                columns.setdefault(source, []).append(column)
        time = self.config.time
        clock = Clock(time.start, time.step_s, time.steps)
        tables: dict[str, ProfileTable | None] = {}
        for source, wanted in columns.items():
            profile = self.config.profiles.get(source)
            tables[source] = None
            if profile is None:
                continue
            try:
                tables[source] = read_profile(base_dir / profile.file, profile.time, wanted, clock)
            except InputError as error:
                self.faults += error.faults
        return tables

    def _note(self, loc: Loc, series: object, message: str) -> None:
        self.faults.append(Fault(self.source, f"{key_text(loc)} = {value_text(series)}", message))

    def conditions(self) -> Conditions:
        """Evaluate everything, then raise all faults at once."""
        config, plant = self.config, self.plant
        steps = config.time.steps
        series = {one.loc: self._evaluate(one) for one in _wanted(config)}
        load_p, load_q = np.zeros((steps, plant.n_bus)), np.zeros((steps, plant.n_bus))
        for i, load in enumerate(config.loads):
            self._add_load(i, load, series, load_p, load_q)
        for feeder, buses in zip(plant.feeders, plant.bus_slices, strict=True):
            load_p[:, buses] -= feeder.p_gen_mw
            load_q[:, buses] -= feeder.q_gen_mvar
        generation = np.empty((steps, len(config.generators)))
        for i in range(len(config.generators)):
            generation[:, i] = series[("generators", i, "p_mw")]
        if self.faults:
            raise InputError(self.faults)
        return Conditions(
            load_p_mw=load_p,
            load_q_mvar=load_q,
            generation_mw=generation,
            buy_price=series[("prices", "buy")],
            sell_price=series[("prices", "sell")],
            congestion=series.get(("roads", "congestion"), np.zeros(steps)),
        )

    def _add_load(
        self,
        number: int,
        load: LoadConfig,
        series: dict[Loc, np.ndarray],
        load_p: Float[np.ndarray, "step bus"],
        load_q: Float[np.ndarray, "step bus"],
    ) -> None:
        """Add one entry of ``[[loads]]``; entries that name the same bus add up."""
        names = [network.name for network in self.config.networks]
        if load.network not in names:
            self._note(("loads", number, "network"), load.network, no_such("network", load.network, names))
            return
        network = names.index(load.network)
        feeder, buses = self.plant.feeders[network], self.plant.bus_slices[network]
        if load.bus is None:
            factor = series[("loads", number, "factor")][:, None]
            load_p[:, buses] += factor * feeder.p_load_mw
            load_q[:, buses] += factor * feeder.q_load_mvar
            return
        try:
            index = feeder.bus_index(load.bus)
        except KeyError:
            wrong = no_such(f"bus in {load.network}", load.bus, feeder.bus_names)
            self._note(("loads", number, "bus"), load.bus, wrong)
            return
        if load.factor is not None:
            factor = series[("loads", number, "factor")]
            load_p[:, buses.start + index] += factor * feeder.p_load_mw[index]
            load_q[:, buses.start + index] += factor * feeder.q_load_mvar[index]
            return
        load_p[:, buses.start + index] += series[("loads", number, "p_mw")]
        if load.q_mvar is not None:
            load_q[:, buses.start + index] += series[("loads", number, "q_mvar")]

    # ----------------------------------------------------------------------------------------------------------- series

    def _evaluate(self, wanted: _Wanted) -> Float[np.ndarray, " step"]:
        """Values of a series; zeros where it has a fault, which is noted."""
        steps = self.config.time.steps
        if isinstance(wanted.series, (str, ProfileColumn)):
            values = self._from_profile(wanted, wanted.series)
            return np.zeros(steps) if values is None else values
        if wanted.series < 0 and not wanted.signed:
            self._note(wanted.loc, wanted.series, "must not be negative; it is a magnitude")
        return np.full(steps, float(wanted.series))

    def _from_profile(self, wanted: _Wanted, series: str | ProfileColumn) -> Float[np.ndarray, " step"] | None:
        name, column = _column(series)
        shown = series if isinstance(series, str) else series.column
        loc = wanted.loc if isinstance(series, str) else (*wanted.loc, "column")
        if name not in self.config.profiles:
            self._note(loc, shown, no_such("profile", name, self.config.profiles))
            return None
        table = self.tables[name]
        if table is None:
            return None
        if column not in table.columns:
            self._note(loc, shown, no_such(f"column in {table.file}", column, table.columns))
            return None
        if (name, column) not in self.checked:
            self.checked.add((name, column))
            self.faults += table.faults(column)
        scale = 1.0 if isinstance(series, str) else series.scale
        if isinstance(series, ProfileColumn) and series.per_unit:
            values = table.raw[column]
            largest = float(np.max(values[np.isfinite(values)], initial=-np.inf))
            if not largest > 0:
                self._note(
                    loc, shown, f"its largest value is {largest:g}; per_unit needs a column with positive values"
                )
                return None
            scale /= largest
        if not wanted.signed:
            negative = np.flatnonzero(scale * table.raw[column][table.window] < 0)
            if len(negative):
                row = table.window.start + int(negative[0])
                value = scale * table.raw[column][row]
                more = f" and in {len(negative) - 1} rows after it" if len(negative) > 1 else ""
                where = f"at {table.row_text(row)} of {table.file} ({value:g}){more}"
                self._note(
                    loc, shown, f"is negative {where}; it is a magnitude, so correct it or give a negative scale"
                )
                return None
        values = table.resampled(column, self.config.profiles[name].resample)
        return values if scale == 1.0 else scale * values
