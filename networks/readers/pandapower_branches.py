"""Branches of a pandapower net, from its own conversion to matrices: lines, transformers, impedances, switches."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Complex, Float, Int
from pandapower.converter.pypower.to_ppc import to_ppc
from pandapower.pypower.idx_brch import (
    BR_B,
    BR_B_ASYM,
    BR_G,
    BR_G_ASYM,
    BR_R,
    BR_R_ASYM,
    BR_STATUS,
    BR_X,
    BR_X_ASYM,
    F_BUS,
    SHIFT,
    T_BUS,
    TAP,
)
from pandapower.pypower.idx_bus import BS, GS

from gridferry.networks.faults import Fault, InputError
from gridferry.networks.readers.pandapower_faults import element
from gridferry.networks.readers.pi_sections import PiSections, fold_dead_ends, merge_parallel

_UNLIMITED = 99999.0
"""The rating by which pandapower's converters mean none [kA or MVA]."""
_RAISED = {
    "line": ("r_ohm_per_km", "x_ohm_per_km"),
    "trafo": ("vk_percent", "vkr_percent"),
    "impedance": ("rft_pu", "xft_pu", "rtf_pu", "xtf_pu"),
    "switch": ("z_ohm",),
}
"""Columns that have the impedance of an element."""
_TINY = 1e-12
"""impedance of branches without one, before it is raised"""
_BESIDE = {
    BR_R_ASYM: "branch_r_asym",
    BR_X_ASYM: "branch_x_asym",
    BR_G: "branch_g",
    BR_G_ASYM: "branch_g_asym",
    BR_B_ASYM: "branch_b_asym",
}
"""Columns that ``to_ppc`` gives beside the branch matrix, where they are not zero."""


@dataclass(frozen=True, eq=False)
class Matrices:
    """pandapower's conversion of a net.

    Attributes
    ----------
    branch : branch matrix with a row for every element, zero where it is out of service
    y_shunt : shunt admittance of every row of the bus matrix [pu]
    row_of_bus : row of the bus matrix, by index in ``net.bus``
    tables : first and last row of the branches of every table
    """

    branch: Float[np.ndarray, "row column"]
    y_shunt: Complex[np.ndarray, " node"]
    row_of_bus: pd.Series
    tables: dict[str, tuple[int, int]]


def give_least_impedances(net: Any) -> None:
    """Give branches without impedance one that `BranchReader` raises to the least; a reactance, which loses nothing.

    A line of no length gets a length, and keeps its charging: none.
    """
    line, trafo, impedance = net.line, net.trafo, net.impedance
    ohm = (line[list(_RAISED["line"])].abs().sum(axis=1) * line.length_km).astype(float)
    none = ohm == 0.0
    if none.any():
        per_km = ["c_nf_per_km", *({"g_us_per_km"} & set(line.columns))]
        net.line[per_km] = line[per_km].astype(float).mul(line.length_km.where(none, 1.0), axis=0)
        net.line["length_km"] = line.length_km.astype(float).mask(none, 1.0)
        net.line["r_ohm_per_km"] = line.r_ohm_per_km.astype(float).mask(none, 0.0)
        net.line["x_ohm_per_km"] = line.x_ohm_per_km.astype(float).mask(none, _TINY)
    none = (trafo[list(_RAISED["trafo"])] == 0.0).all(axis=1)
    net.trafo["vk_percent"] = trafo.vk_percent.mask(none, _TINY)
    none = (impedance[list(_RAISED["impedance"])] == 0.0).all(axis=1)
    for column in ("xft_pu", "xtf_pu"):
        net.impedance[column] = impedance[column].mask(none, _TINY)


def converted(net: Any, source: str) -> Matrices:
    """Convert a net; the net itself is left alone."""
    work = deepcopy(net)
    try:
        ppc = to_ppc(
            work, calculate_voltage_angles=True, trafo_model="t", check_connectivity=False, init="flat", mode="pf"
        )
    except Exception as error:
        # pandapower words what it refuses in any kind of exception; the user gets those words
        raise InputError(Fault(source, "", f"pandapower cannot convert the net: {error}")) from error
    # what comes back is stripped of elements out of service; give every element its row again
    row_of_bus = work._pd2ppc_lookups["bus"][net.bus.index]
    in_service = ppc["internal"]["branch_is"]
    branch = np.zeros((in_service.size, BR_B_ASYM + 1))
    branch[in_service, :BR_R_ASYM] = ppc["branch"][:, :BR_R_ASYM].real
    for column, key in _BESIDE.items():
        branch[in_service, column] = np.real(ppc.get(key, 0.0))
    y_shunt = np.zeros(max(row_of_bus.max() + 1, len(ppc["bus"])), dtype=complex)
    y_shunt[: len(ppc["bus"])] = (ppc["bus"][:, GS] + 1j * ppc["bus"][:, BS]) / float(net.sn_mva)
    return Matrices(branch, y_shunt, pd.Series(row_of_bus, index=net.bus.index), work._pd2ppc_lookups["branch"])


def _known(rating: Any) -> Float[np.ndarray, " branch"]:
    """Ratings, inf where there is none."""
    values = pd.to_numeric(rating).to_numpy(dtype=float)
    return np.where((values > 0.0) & (values < _UNLIMITED), values, np.inf)


class BranchReader:
    """Reads the branches of a converted net.

    Parameters
    ----------
    bus_of_row : number of the feeder's bus for every row of the matrices, -1 for open ends and buses out of service
    note : notes a fault of an element
    z_min_pu : a smaller impedance is raised to this, in the net, too [pu of the net's own base]
    """

    def __init__(
        self,
        net: Any,
        matrices: Matrices,
        bus_of_row: Int[np.ndarray, " node"],
        note: Callable[[str, str], None],
        z_min_pu: float,
    ):
        self.net, self.matrices, self.lookup, self._z_min = net, matrices, matrices.tables, z_min_pu
        self.bus_of_row, self.n_bus, self._note = bus_of_row, int(bus_of_row.max()) + 1, note

    def sections(self) -> tuple[PiSections, Complex[np.ndarray, " node"]]:
        """Branches between feeder buses, and the shunts of those buses, open-ended branches included [pu]."""
        branch = self.matrices.branch
        rows = [row for table in self.lookup for row in self._rows(table)]
        names = self._names()
        ends = branch[:, [F_BUS, T_BUS]].astype(np.int64)
        closed = [row for row in rows if branch[row, BR_STATUS] > 0]
        self._check(closed, branch)
        # open ends are numbered after the buses
        number = self.bus_of_row.copy()
        open_ends = np.flatnonzero(number < 0)
        number[open_ends] = self.n_bus + np.arange(open_ends.size)
        z = branch[:, BR_R] + 1j * branch[:, BR_X]
        self._raise_impedances(z)
        y = 1.0 / np.where((z != 0.0) & np.isfinite(z), z, 1.0)  # others have been noted
        y_from = (branch[:, BR_G] + 1j * branch[:, BR_B]) / 2
        y_to = y_from + (branch[:, BR_G_ASYM] + 1j * branch[:, BR_B_ASYM]) / 2
        taken = np.array(closed, dtype=np.int64)
        sections = PiSections(
            names=tuple(names[row] for row in closed),
            from_bus=number[ends[taken, 0]],
            to_bus=number[ends[taken, 1]],
            y_series=y[taken],
            y_from=y_from[taken],
            y_to=y_to[taken],
            ratio=branch[taken, TAP],
            shift_deg=branch[taken, SHIFT],
            i_max_pu=self._ratings_pu(branch)[taken],
            loading_max=self._loading_max(len(branch))[taken],
        )
        is_bus = np.arange(number.size) < self.n_bus
        sections, shunt = fold_dead_ends(sections, is_bus)
        np.add.at(shunt, number, np.where(self.bus_of_row >= 0, self.matrices.y_shunt, 0.0))
        return merge_parallel(sections), shunt

    def _raise_impedances(self, z: Complex[np.ndarray, " branch"]) -> None:
        """Raise impedances that would take the last digits of a power flow, in place."""
        small = np.flatnonzero((z != 0.0) & (np.abs(z) < self._z_min))
        factor = self._z_min / np.abs(z[small])
        z[small] *= factor
        for table, columns in _RAISED.items():
            at = np.isin(small, self._rows(table)) if table in self.lookup else np.zeros(len(small), dtype=bool)
            if at.any():
                index = self._table_index(table)[small[at] - self.lookup[table][0]]
                for column in columns:
                    self.net[table][column] = self.net[table][column].astype(float)
                    self.net[table].loc[index, column] *= factor[at]

    def _rows(self, table: str) -> range:
        first, last = self.lookup[table]
        return range(first, last)

    def _table_index(self, table: str) -> Any:
        if table != "switch":
            return self.net[table].index
        # a closed switch between buses is a branch where it has an impedance
        switch = self.net.switch
        return switch.index[(switch.et == "b") & switch.closed.astype(bool) & (switch.z_ohm > 0)]

    def _names(self) -> dict[int, str]:
        """Names by row: the elements' own where all are different, else table and index."""
        own, plain = {}, {}
        for table in self.lookup:
            for row, index in zip(self._rows(table), self._table_index(table), strict=True):
                plain[row] = f"{table} {index}"
                name = self.net[table]["name"].get(index) if "name" in self.net[table] else None
                own[row] = "" if name is None or pd.isna(name) else str(name).strip()
        return own if all(own.values()) and len(set(own.values())) == len(own) else plain

    def _check(self, rows: Iterable[int], branch: Float[np.ndarray, "branch column"]) -> None:
        key = {
            row: element(self.net, table, index)
            for table in self.lookup
            for row, index in zip(self._rows(table), self._table_index(table), strict=True)
        }
        for row in rows:
            r, x = branch[row, BR_R], branch[row, BR_X]
            if not (math.isfinite(r) and math.isfinite(x)):
                self._note(key[row], "has no finite impedance; check its parameters")
            if branch[row, BR_R_ASYM] != 0.0 or branch[row, BR_X_ASYM] != 0.0:
                self._note(key[row], "its impedance depends on the direction; set rtf_pu = rft_pu and xtf_pu = xft_pu")

    def _ratings_pu(self, branch: Float[np.ndarray, "branch column"]) -> Float[np.ndarray, " branch"]:
        """Largest current of every row's π section, inf where none is known [pu of the net's own base].

        A transformer's is its rated current at the tighter side.
        """
        net, base_mva = self.net, float(self.net.sn_mva)
        ratings = np.full(len(branch), np.inf)
        if "line" in self.lookup:
            line = net.line
            base_ka = base_mva / (math.sqrt(3.0) * line.from_bus.map(net.bus.vn_kv).to_numpy(dtype=float))
            i_ka = _known(line.max_i_ka) * (line.df * line.parallel).to_numpy(dtype=float)
            ratings[slice(*self.lookup["line"])] = i_ka / base_ka
        if "trafo" in self.lookup:
            trafo = net.trafo
            s_pu = _known(trafo.sn_mva) * (trafo.df * trafo.parallel).to_numpy(dtype=float) / base_mva
            hv, lv = ((trafo[f"{side}_bus"].map(net.bus.vn_kv) / trafo[f"vn_{side}_kv"]) for side in ("hv", "lv"))
            ratio = branch[slice(*self.lookup["trafo"]), TAP]
            ratings[slice(*self.lookup["trafo"])] = s_pu * np.minimum(hv.to_numpy() * ratio, lv.to_numpy())
        if "impedance" in self.lookup and "rating_mva" in net.impedance:
            ratings[slice(*self.lookup["impedance"])] = _known(net.impedance["rating_mva"]) / base_mva
        return ratings

    def _loading_max(self, rows: int) -> Float[np.ndarray, " branch"]:
        """Limit of every row's current as a share of its rating, 1 where the net has none."""
        limits = np.ones(rows)
        for table in {"line", "trafo"} & set(self.lookup):
            if "max_loading_percent" in self.net[table]:
                percent = _known(self.net[table]["max_loading_percent"])
                limits[slice(*self.lookup[table])] = np.where(np.isfinite(percent), percent / 100.0, 1.0)
        return limits
