"""Read a pandapower net as a radial feeder.

pandapower's own conversion to bus and branch matrices is read, so lines with charging, two-winding transformers (taps,
magnetising branch, phase shift), impedances, shunts, switches and elements out of service mean exactly what they mean
to ``pandapower.runpp``. What a feeder cannot carry is refused by name (`gridferry.networks.readers.pandapower_faults`).
"""

from __future__ import annotations

import json
import math
from copy import deepcopy
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float
from pandapower.toolbox import replace_gen_by_ext_grid

from gridferry.networks.faults import Fault, InputError
from gridferry.networks.feeder import Z_MIN_PU, Feeder, orient
from gridferry.networks.network import Network
from gridferry.networks.readers.pandapower_branches import BranchReader, converted, give_least_impedances
from gridferry.networks.readers.pandapower_faults import element, net_faults

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
        give_least_impedances(net)
        self.matrices = converted(net, source)
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
        p_load, q_load = self._sum_of("load")
        p_sgen, q_sgen = self._sum_of("sgen")
        p_storage, q_storage = self._sum_of("storage")
        gens = net.gen[net.gen.in_service.astype(bool)]
        p_sgen[slack] += float((gens.p_mw * gens.scaling).sum())
        old_mva = float(net.sn_mva)
        new_mva = _power_base(p_load, q_load, p_sgen - p_storage, old_mva)
        y_scale = old_mva / new_mva
        reader = BranchReader(net, self.matrices, self.bus_of_row, self._note, Z_MIN_PU * y_scale)
        sections, shunt = reader.sections()
        limits = self._voltage_limits(slack)
        names, aliases = self._bus_names()
        if self.faults:
            raise InputError(self.faults)
        direction = orient(self.source, names, sections.names, sections.from_bus, sections.to_bus, slack)
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
            loading_max=sections.loading_max,
            bus_aliases=aliases,
            xy=self._coordinates(),
        )
        return Network(feeder, net, self.net_bus)

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

    def _coordinates(self) -> Float[np.ndarray, "bus 2"] | None:
        """Coordinates of the buses; of degrees, those to the east are as long as those to the north; else ``None``."""
        if "geo" not in self.net.bus:
            return None
        try:
            points = [json.loads(one)["coordinates"][:2] for one in self.net.bus["geo"].loc[self.net_bus]]
            xy = np.array(points, dtype=float).reshape(len(points), 2)
        except (TypeError, ValueError, KeyError):
            return None
        if not np.isfinite(xy).all():
            return None
        if (np.abs(xy) <= (180.0, 90.0)).all():
            xy[:, 0] *= math.cos(math.radians(float(xy[:, 1].mean())))
        return xy

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
