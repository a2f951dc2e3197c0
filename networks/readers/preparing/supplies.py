"""Supplies of a pandapower net: external grids on one busbar are one, a feeder takes one, islands are left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from gridferry.networks.faults import Fault, InputError, no_such
from gridferry.networks.readers.pandapower_faults import element
from gridferry.networks.readers.preparing.topology import BRANCHES, Topology, topology

_SHOWN = 6


class SeveralSuppliesError(InputError):
    """A net has several supplies, and none was chosen; ``supplies`` are the names by which to choose."""

    def __init__(self, fault: Fault, supplies: tuple[str, ...]):
        super().__init__(fault)
        self.supplies = supplies


_AT_BUS = ("load", "sgen", "storage", "shunt", "gen", "ext_grid")


@dataclass(frozen=True)
class Supply:
    """External grids at one node.

    Attributes
    ----------
    index : of the first of them in ``net.ext_grid``
    label : its table and index, and its name where it has one
    names : by which a config may name it
    island : of the graph, which it feeds
    node : of the graph
    n_bus : buses of its island
    """

    index: int
    label: str
    names: tuple[str, ...]
    island: int
    node: int
    n_bus: int


def supplies_of(net: Any, graph: Topology, source: str) -> list[Supply]:
    """Merge external grids at one node, in the net, and return the supplies in the order of the table.

    Raises
    ------
    InputError
        for external grids at one node that hold different voltages.
    """
    grids = net.ext_grid[net.ext_grid.in_service.astype(bool) & net.ext_grid.bus.isin(graph.node.index)]
    found: dict[int, list[Any]] = {}
    for index, bus in grids.bus.items():
        found.setdefault(int(graph.node[bus]), []).append(index)
    faults: list[Fault] = []
    supplies: list[Supply] = []
    sizes = np.bincount(graph.island[graph.node.to_numpy()], minlength=1)
    for node, indices in found.items():
        v_pu = grids.vm_pu[indices]
        if v_pu.max() - v_pu.min() > 1e-9:
            levels = " and ".join(f"{one:g}" for one in sorted(set(v_pu)))
            message = f"its busbar has {levels} pu by several external grids; set one vm_pu for all of them"
            faults.append(Fault(source, element(net, "ext_grid", indices[0]), message))
        net.ext_grid.loc[indices[1:], "in_service"] = False
        names = [text for one in indices for text in _names(net, one)]
        island = int(graph.island[node])
        label = element(net, "ext_grid", indices[0])
        supplies.append(Supply(int(indices[0]), label, tuple(dict.fromkeys(names)), island, node, int(sizes[island])))
    if faults:
        raise InputError(faults)
    return supplies


def _names(net: Any, index: Any) -> list[str]:
    """What an external grid may be called: its name, its index, its bus, the name of that."""
    bus = net.ext_grid.bus[index]
    own = [net.ext_grid["name"].get(index) if "name" in net.ext_grid else None, net.bus["name"].get(bus)]
    shown = [str(one).strip() for one in own if one is not None and not pd.isna(one) and str(one).strip()]
    return [f"#{index}", *shown, f"ext_grid {index}", str(index)]


def take_supply(net: Any, source: str, supply: str | int | None) -> list[str]:
    """Keep of a net what one supply feeds, and take everything else out of service; return what that is.

    Raises
    ------
    InputError
        where several supplies are left to choose from (`SeveralSuppliesError`), or there is no such one.
    """
    graph = topology(net)
    supplies = supplies_of(net, graph, source)
    if not supplies:
        return []
    if supply is None:
        chosen = supplies[0]
        if len({one.island for one in supplies}) > 1:
            raise SeveralSuppliesError(
                Fault(source, "ext_grid", _choices(supplies)), tuple(one.names[0] for one in supplies)
            )
    else:
        chosen = _named(supplies, str(supply).strip(), source)
    others = [one for one in supplies if one.island == chosen.island and one is not chosen]
    if others:
        raise InputError(
            Fault(
                source,
                one.label,
                f"a feeder has one supply, and this one feeds the same buses as {chosen.label}; "
                "open a line or switch between them with open = [...], or take it out of service",
            )
            for one in others
        )
    fed = graph.node.index[graph.island[graph.node.to_numpy()] == chosen.island]
    elsewhere = {one.island for one in supplies} - {chosen.island}
    dead = graph.node.index[~np.isin(graph.island[graph.node.to_numpy()], [chosen.island, *elsewhere])]
    notes = []
    if supply is not None and elsewhere:
        notes.append(f"takes the {len(fed)} of {len(graph.node)} buses that {chosen.label} feeds")
    if len(dead):
        notes.append(_dead(net, dead))
    _leave_out(net, graph.node.index.difference(fed))
    return notes


def _named(supplies: Sequence[Supply], name: str, source: str) -> Supply:
    for rank in range(max(len(one.names) for one in supplies)):
        found = [one for one in supplies if name in one.names[rank : rank + 1]]
        if len(found) == 1:
            return found[0]
        if found:
            shown = ", ".join(f'"{one.names[0]}"' for one in found)
            raise InputError(Fault(source, f'supply = "{name}"', f"{len(found)} have that name; give one of {shown}"))
    found = [one for one in supplies if name in one.names]
    if len(found) == 1:
        return found[0]
    raise InputError(Fault(source, f'supply = "{name}"', no_such("supply", name, [one.names[1] for one in supplies])))


def _choices(supplies: Sequence[Supply]) -> str:
    shown = ", ".join(f'"{one.names[1]}" ({one.n_bus} buses)' for one in supplies[:_SHOWN])
    more = f", … ({len(supplies)} in total)" if len(supplies) > _SHOWN else ""
    return (
        f"a feeder has one supply, here are {len(supplies)}: {shown}{more}; "
        "take what one of them feeds with supply = ..., or make a network of each with split = true"
    )


def _dead(net: Any, dead: pd.Index) -> str:
    names = [str(one) for one in dead[:_SHOWN]]
    more = ", …" if len(dead) > _SHOWN else ""
    loads = net.load[net.load.in_service.astype(bool) & net.load.bus.isin(dead)]
    lost = float((loads.p_mw * loads.scaling).sum())
    drawn = f", with loads of {lost:.4g} MW" if lost else ""
    some = f"bus {names[0]} has" if len(dead) == 1 else f"{len(dead)} buses ({', '.join(names)}{more}) have"
    return f"{some} no supply and {'is' if len(dead) == 1 else 'are'} left out{drawn}"


def _leave_out(net: Any, buses: pd.Index) -> None:
    """Take buses, and what is at them alone, out of service."""
    if not len(buses):
        return
    net.bus.loc[buses, "in_service"] = False
    for table in _AT_BUS:
        net[table].loc[net[table].bus.isin(buses), "in_service"] = False
    for table, (start, end, _) in BRANCHES.items():
        net[table].loc[net[table][start].isin(buses) & net[table][end].isin(buses), "in_service"] = False
