"""Graph of a pandapower net: buses joined by closed switches, and the branches in service between them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from jaxtyping import Int
from scipy.sparse.csgraph import connected_components

BRANCHES = {
    "line": ("from_bus", "to_bus", "l"),
    "trafo": ("hv_bus", "lv_bus", "t"),
    "impedance": ("from_bus", "to_bus", ""),
}
"""Tables of branches: columns of their ends, and what switches at them have under ``et``."""


@dataclass(frozen=True, eq=False)
class Topology:
    """Nodes and edges of a net in service.

    Attributes
    ----------
    node : node of every bus in service, by its index
    edges : table, index, and nodes of the ends of every branch that connects two nodes
    """

    node: pd.Series
    edges: tuple[tuple[str, int, int, int], ...]

    @property
    def n_node(self) -> int:
        """Number of nodes."""
        return int(self.node.max()) + 1 if len(self.node) else 0

    @cached_property
    def island(self) -> Int[np.ndarray, " node"]:
        """Number of the island of every node."""
        return _components(self.n_node, [(a, b) for _, _, a, b in self.edges])

    def island_of_bus(self, bus: Any) -> int:
        """Number of the island of a bus; -1 for one out of service."""
        return int(self.island[self.node[bus]]) if bus in self.node.index else -1


def topology(net: Any) -> Topology:
    """Return the graph of a net."""
    in_service = net.bus.index[net.bus.in_service.astype(bool)]
    place = pd.Series(np.arange(len(in_service)), index=in_service)
    switch = net.switch
    z_ohm = switch["z_ohm"].fillna(0.0) if "z_ohm" in switch else pd.Series(0.0, index=switch.index)
    closed = (switch.et == "b") & switch.closed.astype(bool)
    closed &= switch.bus.isin(in_service) & switch.element.isin(in_service)
    couplers = switch[closed & ~(z_ohm > 0)]
    joined = _components(
        len(in_service), list(zip(place[couplers.bus].tolist(), place[couplers.element].tolist(), strict=True))
    )
    node = pd.Series(joined, index=in_service)
    edges = [
        ("switch", int(index), int(node[a]), int(node[b]))
        for index, a, b in switch[closed & (z_ohm > 0)][["bus", "element"]].itertuples()
    ]
    for table in BRANCHES:
        edges += _edges(net, table, node)
    return Topology(node, tuple(one for one in edges if one[2] != one[3]))


def _edges(net: Any, table: str, node: pd.Series) -> Iterator[tuple[str, int, int, int]]:
    start, end, kind = BRANCHES[table]
    rows = net[table]
    switch = net.switch
    opened = switch.element[(switch.et == kind) & ~switch.closed.astype(bool)]
    active = rows.in_service.astype(bool) & rows[start].isin(node.index) & rows[end].isin(node.index)
    for index, a, b in rows.loc[active & ~rows.index.isin(opened), [start, end]].itertuples():
        yield table, int(index), int(node[a]), int(node[b])


def _components(n: int, edges: list[tuple[int, int]]) -> Int[np.ndarray, " node"]:
    ends = np.array(edges, dtype=np.int64).reshape(-1, 2)
    graph = sp.coo_array((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), shape=(n, n))
    labels: Int[np.ndarray, " node"] = connected_components(graph, directed=False)[1].astype(np.int64)
    return labels
