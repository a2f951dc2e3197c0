"""What a config says of the nets it names, written out: networks of supplies, devices of elements.

This is done before the values are checked, and what is checked, recorded and read again has it all.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from gridferry.controllers.devices.registry import OF_ELEMENTS
from gridferry.networks.catalog import load_network
from gridferry.networks.faults import Fault, InputError
from gridferry.networks.network import Network, OwnElement
from gridferry.networks.readers.preparing.own import YEAR
from gridferry.networks.readers.preparing.supplies import SeveralSuppliesError
from gridferry.sim.config.document import Document, key_text
from gridferry.sim.config.networks.written import options_of, tables, to_devices
from gridferry.sim.config.schema import NetworkConfig

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_ -]{0,63}")
_KINDS = {"pv": "pv", "solar": "pv", "wind": "wind", "wp": "wind"}


def write_out_network(document: Document, number: int, base_dir: Path) -> list[Fault]:
    """Write out one network: its pieces, and the devices that its elements become."""
    table = document.values["networks"][number]
    faults: list[Fault] = []
    folders = _folders(document, base_dir)
    try:
        entry = NetworkConfig.model_validate(table)
        pieces = _split(document, number, entry, base_dir) if entry.split else [(table, _read(entry, *folders))]
    except (ValidationError, InputError):
        return []
    for piece, network in pieces:
        faults += _add_devices(document, piece, network)
    return faults


def _folders(document: Document, base_dir: Path) -> tuple[Path, Path | None]:
    """Folder that file names are relative to, and that of the cache of networks where the config gives one."""
    given = document.values.get("cache_dir")
    return base_dir, base_dir / given if isinstance(given, str) else None


def _read(entry: NetworkConfig, base_dir: Path, cache_dir: Path | None, supply: str | None = None) -> Network:
    if supply is not None:
        entry = entry.model_copy(update={"supply": supply})
    return load_network(entry.feeder, base_dir, cache_dir=cache_dir, options=options_of(entry))


# ------------------------------------------------------------------------------------------------------------ supplies


def _split(
    document: Document, number: int, entry: NetworkConfig, base_dir: Path
) -> list[tuple[dict[str, Any], Network]]:
    """Replace a network by one for each supply, and lead what refers to it to the one that has the bus."""
    networks, folders = document.values["networks"], _folders(document, base_dir)
    table = networks[number]
    try:
        network = _read(entry, *folders)
    except SeveralSuppliesError as several:
        supplies = several.supplies
    else:
        table["split"] = False
        return [(table, network)]
    base = {key: value for key, value in table.items() if key != "split"}
    pieces = [{**base, "name": f"{entry.name}-{k}", "supply": one} for k, one in enumerate(supplies, 1)]
    networks[number : number + 1] = pieces
    read = [(piece, _read(entry, *folders, piece["supply"])) for piece in pieces]
    loads = document.values.get("loads")
    if isinstance(loads, list):
        document.values["loads"] = [copy for one in loads for copy in _of_pieces(one, entry.name, pieces)]
    for _, referring in tables(document.values):
        if referring.get("network") == entry.name and isinstance(referring.get("bus"), (str, int)):
            for piece, network in read:
                if _has(network, referring["bus"]):
                    referring["network"] = piece["name"]
                    break
    return read


def _of_pieces(load: Any, name: str, pieces: Sequence[dict[str, Any]]) -> list[Any]:
    """Loads at all buses of a network are those of all its pieces."""
    if not isinstance(load, dict) or load.get("network") != name or "bus" in load:
        return [load]
    return [{**load, "network": one["name"]} for one in pieces]


def _has(network: Network, bus: str | int) -> bool:
    try:
        network.feeder.bus_index(bus)
    except KeyError:
        return False
    return True


# ------------------------------------------------------------------------------------------------------------- devices


def _add_devices(document: Document, table: dict[str, Any], network: Network) -> list[Fault]:
    """Add an entry of a device for every element that is to be one, and take the elements out."""
    faults = []
    taken = {one["name"] for _, one in tables(document.values) if isinstance(one.get("name"), str)}
    for kind in to_devices(table):
        entries = document.values.setdefault(OF_ELEMENTS[kind], [])
        for one in network.elements:
            if one.table != kind or not isinstance(entries, list):
                continue
            name = (
                one.name
                if _NAME.fullmatch(one.name) and one.name not in taken
                else f"{table['name']} {kind} {one.index}"
            )
            taken.add(name)
            common = {"name": name, "network": table["name"], "bus": network.feeder.bus_names[one.bus]}
            entry = _generator(one, table) if kind == "sgen" else _battery(one)
            if isinstance(entry, str):
                key = key_text(("networks", table["name"], "elements", kind))
                faults.append(Fault(document.source, key, f"{one.label} {entry}"))
            else:
                entries.append(common | entry)
        table["elements"] = {**table["elements"], kind: "off"}
    return faults


def _generator(one: OwnElement, table: dict[str, Any]) -> dict[str, Any] | str:
    if one.p_mw < 0.0:
        return f"draws {-one.p_mw:g} MW, which no generator does; give it as a load, or choose another word"
    kind = str(one.facts.get("type")).lower().partition("_")[0]
    found: dict[str, Any] = {"kind": _KINDS.get(kind, "other"), "p_mw": one.p_mw}
    series = one.p_series
    if series is not None and (table.get("profiles") is not None or not series[0].startswith(YEAR)):
        found["p_mw"] = {"column": f"{table['name']}.{series[0]}", "scale": series[1]}
    if one.q_mvar and one.p_mw:
        cos_phi = one.p_mw / math.hypot(one.p_mw, one.q_mvar)
        found |= {"reactive": "cos_phi", "cos_phi": -cos_phi if one.q_mvar > 0.0 else cos_phi}
    return found


def _battery(one: OwnElement) -> dict[str, Any] | str:
    facts = {key: float(value) for key, value in one.facts.items() if isinstance(value, (int, float))}
    energy = facts.get("max_e_mwh", math.nan)
    limits = (
        max(abs(facts.get("max_p_mw", 0.0)), abs(facts.get("min_p_mw", 0.0))),
        facts.get("sn_mva", 0.0),
        abs(one.p_mw),
    )
    power = next((limit for limit in limits if math.isfinite(limit) and limit > 0.0), math.nan)
    if not (energy > 0.0 and power > 0.0):
        return "has no max_e_mwh or no power rating (max_p_mw, sn_mva), which a battery needs; give them in the net"
    lowest = facts.get("min_e_mwh", 0.0) / energy
    lowest = lowest if 0.0 < lowest < 1.0 else 0.0
    soc = facts.get("soc_percent", math.nan) / 100.0
    soc = min(max(soc, lowest), 1.0) if math.isfinite(soc) else 0.5 * (1.0 + lowest)
    return {"energy_mwh": energy, "p_max_mw": power, "soc_min": lowest, "soc_initial": soc}
