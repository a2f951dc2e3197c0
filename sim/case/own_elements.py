"""Powers of the elements that a network brings, step by step: as its own series, a factor, or nothing say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from gridferry.controllers.devices.registry import OF_ELEMENTS
from gridferry.networks.faults import Fault, InputError
from gridferry.networks.network import Network, OwnElement
from gridferry.networks.readers.preparing.own import YEAR
from gridferry.sim.config.document import Loc
from gridferry.sim.config.loaded import LoadedConfig
from gridferry.sim.config.networks.schema import FactorOf, Fate
from gridferry.sim.config.schema import NetworkConfig

SOURCES = ("sgen", "storage")
"""Tables whose elements give or take power beside the loads."""
_WORDS = {"load": "loads", "sgen": "static generators", "storage": "storages"}
_SIGN = {"load": 1.0, "sgen": 1.0, "gen": 1.0, "storage": -1.0}
_SHOWN = 6

Series = Float[np.ndarray, "step bus"]
Given = Mapping[Loc, Float[np.ndarray, " step"]]


@dataclass(frozen=True, eq=False)
class OwnPowers:
    """Powers of a network's own elements.

    Attributes
    ----------
    load_p_mw, load_q_mvar : loads as they are if nothing scales them [MW, Mvar]
    drawn : whether they are drawn where no ``[[loads]]`` say so
    p_mw, q_mvar : injections of its static generators and storages [MW, Mvar]
    """

    load_p_mw: Series
    load_q_mvar: Series
    drawn: bool
    p_mw: Series
    q_mvar: Series


def fate_of(entry: NetworkConfig, network: Network, table: str) -> Fate | FactorOf:
    """What becomes of the elements of a table, by default what the net's own time series say."""
    given = getattr(entry.elements, table)
    if given is not None:
        found: Fate | FactorOf = given
        return found
    followed = any(_series(one, entry) for one in network.elements if one.table == table)
    return Fate.PROFILE if followed else Fate.CONSTANT


def _series(one: OwnElement, entry: NetworkConfig) -> dict[str, tuple[str, float]]:
    """Series of an element that count: its controllers', and those of the study year on request."""
    requested = entry.profiles is not None
    given = {"p": one.p_series, "q": one.q_series}
    return {key: of for key, of in given.items() if of is not None and (requested or not of[0].startswith(YEAR))}


def with_fates(network: Network, entry: NetworkConfig) -> Network:
    """Return a network without the elements that are off, or devices."""
    out = {table for table in _WORDS if fate_of(entry, network, table) in (Fate.OFF, Fate.DEVICE)}
    feeder = network.feeder
    figures = {name: getattr(feeder, name) for name in ("p_load_mw", "q_load_mvar", "p_gen_mw", "q_gen_mvar")}
    if not network.elements:  # a feeder has figures alone
        if "load" in out:
            figures["p_load_mw"], figures["q_load_mvar"] = 0.0 * feeder.p_load_mw, 0.0 * feeder.q_load_mvar
        if out >= set(SOURCES):
            figures["p_gen_mw"], figures["q_gen_mvar"] = 0.0 * feeder.p_gen_mw, 0.0 * feeder.q_gen_mvar
    elif out:
        kept = tuple(one for one in network.elements if one.table not in out)
        network = replace(network, elements=kept)
        figures = {name: np.zeros(feeder.n_bus) for name in figures}
        for one in kept:
            p, q = ("p_load_mw", "q_load_mvar") if one.table == "load" else ("p_gen_mw", "q_gen_mvar")
            figures[p][one.bus] += _SIGN[one.table] * one.p_mw
            figures[q][one.bus] += _SIGN[one.table] * one.q_mvar
    return replace(network, feeder=replace(feeder, **figures))


def fate_faults(loaded: LoadedConfig, number: int, network: Network) -> list[Fault]:
    """Find elements that devices of the config might repeat, and series that the network has not."""
    config, entry = loaded.config, loaded.config.networks[number]
    loc: Loc = ("networks", number)
    faults = []
    if entry.profiles is not None and not network.series:
        message = "the net brings no time series; leave it out, or give [[loads]] with a column as factor"
        faults.append(loaded.fault((*loc, "profiles"), message))
    for table, words in _WORDS.items():
        here = [one for one in network.elements if one.table == table]
        own = [one for one in here if one.p_mw or one.q_mvar or _series(one, entry)]
        given = getattr(entry.elements, table)
        place = (*loc, "elements", table)
        if given is Fate.PROFILE and own and not any(_series(one, entry) for one in own):
            requested = any(one.p_series or one.q_series for one in own)
            way = 'add profiles = "network"' if requested else 'give "constant" or {factor = …}'
            faults.append(loaded.fault(place, f"its {words} have no time series of their own; {way}"))
        if given is Fate.DEVICE and table == "load":
            faults.append(
                loaded.fault(place, 'loads are no devices; give "profile", "constant", {factor = …} or "off"')
            )
        if table not in OF_ELEMENTS or given is not None or entry.profiles is not None or not own:
            continue
        twice = [one.name for one in getattr(config, OF_ELEMENTS[table], ()) if one.network == entry.name]
        if twice:
            shown = ", ".join(f"{one.label} {one.p_mw:.4g} MW" for one in own[:_SHOWN])
            more = f", … ({len(own)} in total)" if len(own) > _SHOWN else ""
            message = (
                f"the network has {words} of its own, beside {OF_ELEMENTS[table]} of the config ({twice[0]}): {shown}"
                f'{more}; say what becomes of them: "off", "constant", "profile", "device" or {{factor = …}}'
            )
            faults.append(Fault(loaded.merged.origin(loc), f"networks[{number}].elements.{table}", message))
    return faults


def own_notes(loaded: LoadedConfig, number: int, network: Network) -> list[str]:
    """Say what the reader did, which elements stay constant, in MW, and where no load is drawn."""
    entry, notes = loaded.config.networks[number], list(network.notes)
    loads = [one for one in loaded.config.loads if one.network == entry.name]
    drawn = _drawn(entry)
    for table, words in _WORDS.items():
        fate = fate_of(entry, network, table)
        if isinstance(fate, FactorOf) or fate in (Fate.OFF, Fate.DEVICE) or (table == "load" and not drawn):
            continue
        own = [one for one in network.elements if one.table == table]
        still = [one for one in own if one.p_mw or one.q_mvar]
        if fate is Fate.PROFILE:
            still = [one for one in still if not _series(one, entry)]
        if still:
            shown = ", ".join(one.label for one in still[:_SHOWN]) + (", …" if len(still) > _SHOWN else "")
            total, one = sum(one.p_mw for one in still), len(still) == 1
            verb = ("injects" if one else "inject") if table == "sgen" else ("draws" if one else "draw")
            what = f"1 {words.removesuffix('s')}" if one else f"{len(still)} {words}"
            notes.append(f"{what} {verb} {total:.4g} MW, constant throughout ({shown})")
    nominal = float(network.feeder.p_load_mw.sum())
    if not loads and not drawn:
        ways = '[[loads]] with factor = 1.0 draws them, and so does elements.load = "constant"'
        have = f"the nominal loads of {nominal:.4g} MW are not drawn; {ways}" if nominal else "it has no nominal loads"
        notes.append(f"there are no [[loads]]: {have}")
    offered = any(name.startswith(YEAR) for name in network.series)
    if offered and entry.profiles is None:
        notes.append('the net brings profiles of a year, which are not used; profiles = "network" takes them')
    return notes


def _drawn(entry: NetworkConfig) -> bool:
    return entry.profiles is not None or entry.elements.load is not None


def own_powers(loaded: LoadedConfig, number: int, network: Network, given: Given) -> OwnPowers:
    """Evaluate the powers of a network's own elements for every step of the run.

    Parameters
    ----------
    network : as `with_fates` returns it
    given : series of the config by place

    Raises
    ------
    InputError
        where a series of the network does not cover the run.
    """
    entry, steps, feeder = loaded.config.networks[number], loaded.config.time.steps, network.feeder
    shape = (steps, feeder.n_bus)
    if not network.elements:
        figures = (feeder.p_load_mw, feeder.q_load_mvar, feeder.p_gen_mw, feeder.q_gen_mvar)
        p_load, q_load, p_own, q_own = (np.broadcast_to(one, shape) for one in figures)
        return OwnPowers(p_load, q_load, _drawn(entry), p_own, q_own)
    read = SeriesOfNet(loaded, number, network)
    found = OwnPowers(np.zeros(shape), np.zeros(shape), _drawn(entry), np.zeros(shape), np.zeros(shape))
    for table in dict.fromkeys(one.table for one in network.elements):
        fate = Fate.CONSTANT if table == "gen" else fate_of(entry, network, table)
        factor = given.get(("networks", number, "elements", table, "factor"), np.ones(steps))
        p, q = (found.load_p_mw, found.load_q_mvar) if table == "load" else (found.p_mw, found.q_mvar)
        for one in network.elements:
            if one.table != table:
                continue
            series = _series(one, entry) if fate is Fate.PROFILE else {}
            for key, power, into in (("p", one.p_mw, p), ("q", one.q_mvar, q)):
                values = read.values(*series[key]) if key in series else power * factor
                into[:, one.bus] += _SIGN[table] * values
    if read.faults:
        raise InputError(read.faults)
    return found


class SeriesOfNet:
    """Time series of a network at the steps of the run.

    Attributes
    ----------
    names : of all there are
    faults : what is wrong with those that were requested for
    """

    def __init__(self, loaded: LoadedConfig, number: int, network: Network):
        self._loaded, self._number, self._network = loaded, number, network
        self.names = tuple(network.series)
        self._read: dict[str, Float[np.ndarray, " step"]] = {}
        self.faults: list[Fault] = []

    def values(self, name: str, scale: float) -> Float[np.ndarray, " step"]:
        """Return a series, scaled; zeros where it is faulty."""
        if name not in self._read:
            try:
                self._read[name] = self._at_steps(name)
            except InputError as error:
                self.faults += [one for one in error.faults if one not in self.faults]
                self._read[name] = np.zeros(self._loaded.config.time.steps)
        return scale * self._read[name]

    def _at_steps(self, name: str) -> Float[np.ndarray, " step"]:
        """Means of a series over the steps of the run."""
        series, clock = self._network.series[name], self._loaded.config.time.clock
        source = f"the time series of network {self._loaded.config.networks[self._number].name}"
        if series.times is None:  # rows are the steps of a simulation
            first, spacing = clock.begin_s, clock.step_s
        else:
            first, spacing = self._on_clock(source, name, series.times)
        last = first + spacing * len(series.values)
        if first > clock.begin_s or clock.end_s > last:
            covered = f"covers {clock.text(first)} to {clock.text(last)}"
            run = f"the run goes from {clock.text(clock.begin_s)} to {clock.text(clock.end_s)}"
            raise InputError(Fault(source, name, f"{covered}, but {run}; choose another start, or fewer steps"))
        rows = np.arange((clock.begin_s - first) // spacing, -(-(clock.end_s - first) // spacing))
        values = series.values[rows]
        if not np.isfinite(values).all():
            row = int(rows[~np.isfinite(values)][0])
            raise InputError(Fault(source, f"{name}, row {row}", "missing value; fill it in"))
        edges = first + spacing * np.append(rows, rows[-1] + 1)
        steps = clock.begin_s + clock.step_s * np.arange(clock.steps + 1)
        if spacing == clock.step_s and edges[0] == steps[0]:
            return values
        energy = np.append(0.0, np.cumsum(values * spacing))
        found: Float[np.ndarray, " step"] = np.diff(np.interp(steps, edges, energy)) / clock.step_s
        return found

    def _on_clock(self, source: str, name: str, local: np.ndarray) -> tuple[int, int]:
        """Start of the first row on the run's clock, and the spacing of rows [s].

        Rows follow one another as time does; where their local times jump by an hour, the clocks were changed.
        """
        clock = self._loaded.config.time.clock
        seconds = (local - np.datetime64(clock.midnight.replace(tzinfo=None), "s")).astype(np.int64)
        jumps = np.diff(seconds)
        spacing = int(np.median(jumps)) if len(jumps) else clock.step_s
        if spacing <= 0 or not np.isin(jumps - spacing, (0, 3600, -3600)).all():
            raise InputError(Fault(source, name, "its times are not regular"))
        first = int(np.argmax(seconds >= 0))
        return int(seconds[first]) - spacing * first, spacing
