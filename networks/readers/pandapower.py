"""Read a pandapower net as a radial feeder.

pandapower's own conversion to bus and branch matrices is read, so lines with charging, two-winding transformers (taps,
magnetising branch, phase shift), impedances, shunts, switches and elements out of service mean exactly what they mean
to ``pandapower.runpp``. What a feeder cannot carry is refused by name (`gridferry.networks.readers.pandapower_faults`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Complex, Float
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
from pandapower.toolbox import replace_gen_by_ext_grid

from gridferry.networks.faults import Fault, InputError
from gridferry.networks.feeder import Feeder, orient
from gridferry.networks.network import Network
from gridferry.networks.readers.pandapower_faults import element, net_faults
from gridferry.networks.readers.pi_sections import PiSections, fold_dead_ends, merge_parallel

_UNLIMITED = 99999.0
"""The rating by which pandapower's converters mean none [kA or MVA]."""
_BESIDE = {
    BR_R_ASYM: "branch_r_asym",
    BR_X_ASYM: "branch_x_asym",
    BR_G: "branch_g",
    BR_G_ASYM: "branch_g_asym",
    BR_B_ASYM: "branch_b_asym",
}
"""Columns that ``to_ppc`` gives beside the branch matrix, where they are not zero."""
_V_MIN_PU, _V_MAX_PU = 0.9, 1.1
"""Voltage limits of buses that have none of their own [pu]."""


def network_of_net(net: Any, name: str, source: str | None = None) -> Network:
    """Read a pandapower net; it is copied, not changed.

    Buses joined by closed switches become one, under the name of the first; the other names lead to it as well. Lines
    and transformers open at one end become shunts, parallel ones become one branch.

    Parameters
    ----------
    net : a ``pandapowerNet``
    name : name of the feeder
    source : where the net comes from, for faults; the name when not given

    Raises
    ------
    InputError
        naming every element that cannot be carried, the branches that close loops, the buses without supply.
    """
    source = name if source is None else source
    net = deepcopy(net)
    net.ext_grid["va_degree"] = 0.0
    slack_gens = net.gen.index[net.gen.in_service.astype(bool) & net.gen.slack.astype(bool)]
    if len(slack_gens) == 1 and not net.ext_grid.in_service.any():
        replace_gen_by_ext_grid(net, gens=slack_gens)
    faults = net_faults(net, source)
    if faults:
        raise InputError(faults)
    return _Reader(net, name, source).network()


class _Reader:
    """Reader of one net: the net, its conversion, and the numbers of the feeder's buses."""

    def __init__(self, net: Any, name: str, source: str):
        self.net, self.name, self.source = net, name, source
        self.matrices = _converted(net, source)
        self.lookup = self.matrices.tables
        in_service = net.bus.index[net.bus.in_service.astype(bool)]
        rows = self.matrices.row_of_bus.loc[in_service]
        heads = rows.drop_duplicates()
        self.net_bus = heads.index.to_numpy(dtype=np.int64)
        # number of the feeder's bus for every row of the matrices, -1 for open ends and buses out of service
        self.bus_of_row = np.full(self.matrices.y_shunt.size, -1, dtype=np.int64)
        self.bus_of_row[heads.to_numpy()] = np.arange(len(heads))
        self.bus_of = pd.Series(self.bus_of_row[rows.to_numpy()], index=in_service)
        self.faults: list[Fault] = []

    def network(self) -> Network:
        net = self.net
        n_bus = len(self.net_bus)
        slack = int(self.bus_of[net.ext_grid.bus[net.ext_grid.in_service].iloc[0]])
        self._check_generators(slack)
        sections, shunt = self._sections()
        limits = self._voltage_limits(slack)
        names, aliases = self._bus_names()
        if self.faults:
            raise InputError(self.faults)
        direction = orient(self.source, names, sections.names, sections.from_bus, sections.to_bus, slack)
        p_load, q_load = self._sum_of("load")
        p_sgen, q_sgen = self._sum_of("sgen")
        p_storage, q_storage = self._sum_of("storage")
        gens = net.gen[net.gen.in_service.astype(bool)]
        p_sgen[slack] += float((gens.p_mw * gens.scaling).sum())
        old_mva = float(net.sn_mva)
        new_mva = _power_base(p_load, q_load, p_sgen - p_storage, old_mva)
        y_scale = old_mva / new_mva
        forward = direction > 0
        parent_y = np.where(forward, sections.y_from, sections.y_to) * y_scale
        child_y = np.where(forward, sections.y_to, sections.y_from) * y_scale
        z = 1.0 / (sections.y_series * y_scale)
        feeder = Feeder(
            name=self.name,
            base_mva=new_mva,
            bus_names=names,
            base_kv=net.bus.vn_kv.loc[self.net_bus].to_numpy(dtype=float),
            slack=slack,
            slack_v_pu=float(net.ext_grid.vm_pu[net.ext_grid.in_service].iloc[0]),
            p_load_mw=p_load,
            q_load_mvar=q_load,
            p_gen_mw=p_sgen - p_storage,
            q_gen_mvar=q_sgen - q_storage,
            g_shunt_pu=shunt[:n_bus].real * y_scale,
            b_shunt_pu=shunt[:n_bus].imag * y_scale,
            v_min_pu=limits[0],
            v_max_pu=limits[1],
            branch_names=sections.names,
            parent=np.where(forward, sections.from_bus, sections.to_bus),
            child=np.where(forward, sections.to_bus, sections.from_bus),
            r_pu=z.real,
            x_pu=z.imag,
            g_parent_pu=parent_y.real,
            b_parent_pu=parent_y.imag,
            g_child_pu=child_y.real,
            b_child_pu=child_y.imag,
            tap_parent=np.where(forward, sections.ratio, 1.0),
            tap_child=np.where(forward, 1.0, sections.ratio),
            shift_deg=np.where(forward, sections.shift_deg, 0.0 - sections.shift_deg),
            i_max_pu=sections.i_max_pu * y_scale,
            bus_aliases=aliases,
        )
        return Network(feeder, net, self.net_bus)

    # --------------------------------------------------------------------------------------------------------- branches

    def _sections(self) -> tuple[PiSections, Complex[np.ndarray, " node"]]:
        """Branches between feeder buses, and the shunts of those buses, open-ended branches included [pu]."""
        branch = self.matrices.branch
        rows = [row for table in self.lookup for row in self._rows(table)]
        names = self._branch_names()
        ends = branch[:, [F_BUS, T_BUS]].astype(np.int64)
        closed = [row for row in rows if branch[row, BR_STATUS] > 0]
        self._check_branches(closed, branch)
        # open ends are numbered after the buses
        number = self.bus_of_row.copy()
        open_ends = np.flatnonzero(number < 0)
        number[open_ends] = len(self.net_bus) + np.arange(open_ends.size)
        z = branch[:, BR_R] + 1j * branch[:, BR_X]
        y = 1.0 / np.where((z != 0.0) & np.isfinite(z), z, 1.0)  # a branch without impedance has been noted
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
        )
        is_bus = np.arange(number.size) < len(self.net_bus)
        sections, shunt = fold_dead_ends(sections, is_bus)
        np.add.at(shunt, number, np.where(self.bus_of_row >= 0, self.matrices.y_shunt, 0.0))
        return merge_parallel(sections), shunt

    def _rows(self, table: str) -> range:
        first, last = self.lookup[table]
        return range(first, last)

    def _table_index(self, table: str) -> Any:
        if table != "switch":
            return self.net[table].index
        # a closed switch between buses is a branch where it has an impedance
        switch = self.net.switch
        return switch.index[(switch.et == "b") & switch.closed.astype(bool) & (switch.z_ohm > 0)]

    def _branch_names(self) -> dict[int, str]:
        """Names by row: the elements' own where all are different, else table and index."""
        own, plain = {}, {}
        for table in self.lookup:
            for row, index in zip(self._rows(table), self._table_index(table), strict=True):
                plain[row] = f"{table} {index}"
                name = self.net[table]["name"].get(index) if "name" in self.net[table] else None
                own[row] = "" if name is None or pd.isna(name) else str(name).strip()
        return own if all(own.values()) and len(set(own.values())) == len(own) else plain

    def _check_branches(self, rows: Iterable[int], branch: Float[np.ndarray, "branch column"]) -> None:
        key = {
            row: element(self.net, table, index)
            for table in self.lookup
            for row, index in zip(self._rows(table), self._table_index(table), strict=True)
        }
        for row in rows:
            r, x = branch[row, BR_R], branch[row, BR_X]
            if r == 0.0 and x == 0.0:
                self._note(key[row], "r = x = 0; give it an impedance, or join its buses by a closed bus-bus switch")
            elif not (math.isfinite(r) and math.isfinite(x)):
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

    # ------------------------------------------------------------------------------------------------------------ buses

    def _bus_names(self) -> tuple[tuple[str, ...], tuple[tuple[str, int], ...]]:
        """Names of the feeder's buses, and other names that lead to them."""
        index = [str(one) for one in self.bus_of.index]
        own = [_text(one) for one in self.net.bus["name"].loc[self.bus_of.index]]
        named = all(own) and len(set(own)) == len(own)
        names = own if named else index
        head = dict(zip(self.bus_of.index, names, strict=True))
        chosen = tuple(head[bus] for bus in self.net_bus)
        aliases = [(name, int(bus)) for name, bus in zip(names, self.bus_of, strict=True) if name not in set(chosen)]
        if named and not set(own) & set(index):
            aliases += [(name, int(bus)) for name, bus in zip(index, self.bus_of, strict=True)]
        return chosen, tuple(aliases)

    def _voltage_limits(self, slack: int) -> tuple[Float[np.ndarray, " bus"], Float[np.ndarray, " bus"]]:
        """Limits of every feeder bus, the tightest of those joined in it [pu]."""
        limits = []
        for column, default, tightest in (("min_vm_pu", _V_MIN_PU, np.maximum), ("max_vm_pu", _V_MAX_PU, np.minimum)):
            given = self.net.bus[column] if column in self.net.bus else pd.Series(np.nan, index=self.net.bus.index)
            values = given.loc[self.bus_of.index].fillna(default).to_numpy(dtype=float)
            limit = np.full(len(self.net_bus), -np.inf if tightest is np.maximum else np.inf)
            tightest.at(limit, self.bus_of.to_numpy(), values)
            limits.append(limit)
        # case files repeat the voltage of the slack bus as both of its limits, which have no effect there
        if limits[0][slack] == limits[1][slack]:
            limits[0][slack], limits[1][slack] = _V_MIN_PU, _V_MAX_PU
        for bus in np.flatnonzero(limits[0] >= limits[1]):
            message = f"voltage limits upside down: min_vm_pu = {limits[0][bus]:g}, max_vm_pu = {limits[1][bus]:g}"
            self._note(element(self.net, "bus", self.net_bus[bus]), message)
        return limits[0], limits[1]

    def _sum_of(self, table: str) -> tuple[Float[np.ndarray, " bus"], Float[np.ndarray, " bus"]]:
        """Power of all elements of a table in service, by feeder bus [MW, Mvar]."""
        rows = self.net[table]
        rows = rows[rows.in_service.astype(bool) & rows.bus.isin(self.bus_of.index)]
        p, q = np.zeros(len(self.net_bus)), np.zeros(len(self.net_bus))
        at = self.bus_of.loc[rows.bus].to_numpy()
        np.add.at(p, at, (rows.p_mw * rows.scaling).to_numpy(dtype=float))
        np.add.at(q, at, (rows.q_mvar * rows.scaling).to_numpy(dtype=float))
        return p, q

    def _check_generators(self, slack: int) -> None:
        gens = self.net.gen[self.net.gen.in_service.astype(bool)]
        for index, bus in gens.bus.items():
            if self.bus_of.get(bus, slack) != slack:
                self._note(
                    element(self.net, "gen", index),
                    "controls a voltage away from the slack bus; replace it by an sgen of fixed P and Q",
                )

    def _note(self, key: str, message: str) -> None:
        self.faults.append(Fault(self.source, key, message))


@dataclass(frozen=True, eq=False)
class _Matrices:
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


def _converted(net: Any, source: str) -> _Matrices:
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
    return _Matrices(branch, y_shunt, pd.Series(row_of_bus, index=net.bus.index), work._pd2ppc_lookups["branch"])


def _known(rating: Any) -> Float[np.ndarray, " branch"]:
    """Ratings, inf where there is none."""
    values = pd.to_numeric(rating).to_numpy(dtype=float)
    return np.where((values > 0.0) & (values < _UNLIMITED), values, np.inf)


def _text(name: Any) -> str:
    """A bus name as text; converters leave whole numbers as floats."""
    if name is None or pd.isna(name):
        return ""
    if isinstance(name, float) and name.is_integer():
        return str(int(name))
    return str(name).strip()


def _power_base(
    p_load: Float[np.ndarray, " bus"],
    q_load: Float[np.ndarray, " bus"],
    p_gen: Float[np.ndarray, " bus"],
    otherwise: float,
) -> float:
    """Base power for which per-unit values are near 1: a power of ten above the feeder's own power [MVA]."""
    largest = max(math.hypot(p_load.sum(), q_load.sum()), abs(p_gen.sum()))
    return 10.0 ** max(math.ceil(math.log10(largest)), -3) if largest > 0.0 else otherwise
