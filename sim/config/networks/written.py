"""What a config says of the nets it names, written out before its values are checked, recorded and read again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gridferry.controllers.devices.registry import OF_ELEMENTS
from gridferry.networks.faults import Fault
from gridferry.networks.network_spec import NetOptions, names_code
from gridferry.sim.config.document import Document
from gridferry.sim.config.named_code import Refusal
from gridferry.sim.config.schema import NetworkConfig


def options_of(entry: NetworkConfig) -> NetOptions:
    """How the net of a network is read."""
    return NetOptions(
        supply=entry.supply,
        opened=tuple(entry.open),
        balanced=entry.balanced,
        pq_generators=entry.generators is not None,
        v_min_given=entry.v_min_pu is not None,
        v_max_given=entry.v_max_pu is not None,
    )


def write_out(document: Document, base_dir: Path, refusal: Refusal) -> list[Fault]:
    """Write out, in the document, buses by index and what depends on the nets; return the faults of that.

    What is wrong with the nets, or with the values, is left to the checks.
    """
    faults = _buses_by_index(document)
    networks = document.values.get("networks")
    for number, table in reversed(list(enumerate(networks if isinstance(networks, list) else ()))):
        if not (isinstance(table, dict) and (table.get("split") or to_devices(table))):
            continue
        feeder = table.get("feeder")
        if isinstance(feeder, str) and names_code(feeder) and refusal(feeder, document.origin(("networks", number))):
            continue
        # networks are read only where something depends on them
        from gridferry.sim.config.networks.pieces import write_out_network

        faults += write_out_network(document, number, base_dir)
    return faults


def to_devices(table: dict[str, Any]) -> list[str]:
    """Tables of elements of a network that are to be devices."""
    elements = table.get("elements")
    if not isinstance(elements, dict):
        return []
    return [key for key in OF_ELEMENTS if elements.get(key) == "device"]


def _buses_by_index(document: Document) -> list[Fault]:
    """Write ``bus_index = 7`` as the bus ``"#7"``."""
    faults = []
    for loc, table in list(tables(document.values)):
        index = table.get("bus_index")
        if isinstance(index, int) and not isinstance(index, bool):
            if "bus" in table:
                faults.append(document.fault((*loc, "bus_index"), "give either bus or bus_index"))
            else:
                table["bus"] = f"#{index}"
            del table["bus_index"]
    return faults


def tables(value: Any, loc: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], dict[str, Any]]]:
    """All tables of a document, and their places."""
    if isinstance(value, dict):
        yield loc, value
        for key, inner in value.items():
            yield from tables(inner, (*loc, key))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from tables(inner, (*loc, number))
