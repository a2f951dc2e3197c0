"""Closed loops of a pandapower net: branches to open as a config says, and a proposal where it says nothing."""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from typing import Any

import numpy as np
import pandapower as pp
import scipy.sparse as sp
from pandapower.auxiliary import LoadflowNotConverged
from scipy.sparse.csgraph import minimum_spanning_tree

from gridferry.networks.faults import Fault, InputError, no_such
from gridferry.networks.readers.preparing.topology import Topology, topology

_TABLES = ("line", "switch", "trafo", "impedance")
_MOST = 40
"""loops of a net that a proposal is made for; more are those of a transmission network"""
_FROM = {
    "line": ("p_from_mw", "q_from_mvar"),
    "trafo": ("p_hv_mw", "q_hv_mvar"),
    "impedance": ("p_from_mw", "q_from_mvar"),
}


def open_branches(net: Any, source: str, opened: Iterable[str]) -> list[str]:
    """Open lines, transformers and switches, in place; return what was opened.

    Raises
    ------
    InputError
        for names that none has, or several have.
    """
    faults: list[Fault] = []
    done: list[str] = []
    for name in opened:
        found = _find(net, name.strip())
        if len(found) != 1:
            known = [f"{table} {index}" for table in _TABLES for index in net[table].index]
            several = f"{len(found)} have that name: {', '.join(f'{table} {index}' for table, index in found)}"
            faults.append(Fault(source, f'open = "{name}"', several if found else no_such("branch", name, known)))
            continue
        ((table, index),) = found
        net[table].loc[index, "closed" if table == "switch" else "in_service"] = False
        done.append(f"{table} {index}")
    if faults:
        raise InputError(faults)
    return [f"{', '.join(done)} {'is' if len(done) == 1 else 'are'} open (open = [...])"] if done else []


def _find(net: Any, name: str) -> list[tuple[str, Any]]:
    table, _, index = name.partition(" ")
    if table in _TABLES and index.isdigit() and int(index) in net[table].index:
        return [(table, int(index))]
    return [
        (table, index)
        for table in _TABLES
        if "name" in net[table]
        for index in net[table].index[net[table]["name"].astype(str).str.strip() == name]
    ]


def proposal(net: Any) -> list[str]:
    """Branches without which a net is radial: those of each loop through which least power flows; none for meshes."""
    graph = topology(net)
    pairs: dict[tuple[int, int], list[tuple[str, int]]] = {}
    for table, index, a, b in graph.edges:
        pairs.setdefault((min(a, b), max(a, b)), []).append((table, index))
    live = int(graph.island.max()) + 1 if graph.n_node else 0
    if not 0 < len(pairs) - (graph.n_node - live) <= _MOST:
        return []
    flow = _flows(net, graph)
    ends = np.array(list(pairs))
    # the spanning tree of the largest flows; transformers are kept where they can be
    flows = np.array(
        [
            sum(flow.get(one, 0.0) for one in branches) + 1e6 * any(table != "line" for table, _ in branches)
            for branches in pairs.values()
        ]
    )
    cost = 1.0 + flows.max() - flows
    tree = minimum_spanning_tree(sp.coo_array((cost, (ends[:, 0], ends[:, 1])), shape=(graph.n_node,) * 2).tocsr())
    kept = set(zip(*(one.tolist() for one in tree.nonzero()), strict=True))
    return [f"{table} {index}" for pair, branches in pairs.items() if pair not in kept for table, index in branches]


def _flows(net: Any, graph: Topology) -> dict[tuple[str, int], float]:
    """Apparent power through every branch in the net's own solution [MVA]; nothing where it has none."""
    work = deepcopy(net)
    try:
        pp.runpp(work, numba=False)
    except (LoadflowNotConverged, UserWarning):
        return {}
    return {
        (table, int(index)): float(size)
        for table, (p, q) in _FROM.items()
        for index, size in np.hypot(work[f"res_{table}"][p], work[f"res_{table}"][q]).fillna(0.0).items()
    }


def loop_fault(net: Any, source: str) -> Fault | None:
    """Fault with branches to open, for a net that is not radial; ``None`` where none can be proposed."""
    found = proposal(net)
    if not found:
        return None
    shown = ", ".join(f'"{one}"' for one in found)
    return Fault(source, "open", f"radial with open = [{shown}], through which least power flows")
