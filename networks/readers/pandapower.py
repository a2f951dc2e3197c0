"""Read a pandapower net as a radial feeder.

pandapower's own conversion to bus and branch matrices is read, so lines with charging, two-winding transformers (taps,
magnetising branch, phase shift), impedances, shunts, switches and elements out of service mean exactly what they mean
to ``pandapower.runpp``. What a feeder cannot carry is refused by name (`gridferry.networks.readers.pandapower_faults`).
"""

from __future__ import annotations

import json
import math
import unicodedata
from collections import Counter
from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from gridferry.networks.faults import Fault, InputError
from gridferry.networks.feeder import Z_MIN_PU, Feeder, orient
from gridferry.networks.network import Network, OwnElement
from gridferry.networks.network_spec import NetOptions
from gridferry.networks.readers.pandapower_branches import BranchReader, converted, give_least_impedances
from gridferry.networks.readers.pandapower_faults import element, net_faults
from gridferry.networks.readers.preparing.loops import loop_fault, open_branches
from gridferry.networks.readers.preparing.own import own_elements
from gridferry.networks.readers.preparing.replaced import (
    replace_elements,
    supplies_from_slack_generators,
    take_as_balanced,
    take_generators_as_pq,
)
from gridferry.networks.readers.preparing.supplies import take_supply
from gridferry.networks.readers.preparing.voltage_loads import take_shunts_of_loads

_V_MIN_PU, _V_MAX_PU = 0.9, 1.1
"""Voltage limits of buses that have none of their own [pu]."""


def network_of_net(net: Any, name: str, source: str | None = None, options: NetOptions | None = None) -> Network:
    """Read a pandapower net; it is copied, not changed.

    Buses joined by closed switches become one, under the name of the first; the other names lead to it as well. Lines
    and transformers open at one end become shunts, parallel ones become one branch. What a feeder has no element for is
    replaced by what it is made of (`gridferry.networks.readers.preparing`).

    Parameters
    ----------
    net : a ``pandapowerNet``
    name : name of the feeder
    source : where the net comes from, for faults; the name when not given
    options : how it becomes radial, and what of it is taken otherwise

    Raises
    ------
    InputError
        naming every element that cannot be carried, the branches that close loops, several supplies.
    """
    source, options = name if source is None else source, options or NetOptions()
    net = deepcopy(net)
    faults = net_faults(net, source, options.balanced)
    if faults:
        raise InputError(faults)
    notes = _prepare(net, source, options)
    return _Reader(net, name, source, options).network(notes)


def _prepare(net: Any, source: str, options: NetOptions) -> list[str]:
    """Bring a net into the form of a feeder, in place, as far as that can be; return what was done."""
    net.ext_grid["va_degree"] = 0.0
    if "tap_dependency_table" not in net.trafo:  # nets from before pandapower 3
        net.trafo["tap_dependency_table"] = False
    supplies_from_slack_generators(net)
    notes = replace_elements(net)
    if options.balanced:
        notes += take_as_balanced(net)
    notes += open_branches(net, source, options.opened)
    notes += take_supply(net, source, options.supply)
    notes += take_shunts_of_loads(net)
    if options.pq_generators:
        notes += take_generators_as_pq(net, source)
    return notes


class _Reader:
    """Reader of one net: the net, its conversion, and the numbers of the feeder's buses."""

    def __init__(self, net: Any, name: str, source: str, options: NetOptions):
        self.net, self.name, self.source, self.options = net, name, source, options
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
        self.notes: list[str] = []

    def network(self, notes: list[str]) -> Network:
        net = self.net
        n_bus = len(self.net_bus)
        slack = int(self.bus_of[net.ext_grid.bus[net.ext_grid.in_service].iloc[0]])
        self._check_generators(slack)
        elements, series, own_notes = own_elements(net, self.bus_of)
        p_load, q_load = self._sum_of(elements, "load")
        p_sgen, q_sgen = self._sum_of(elements, "sgen")
        p_storage, q_storage = self._sum_of(elements, "storage")
        p_gen, q_gen = self._sum_of(elements, "gen")
        old_mva = float(net.sn_mva)
        new_mva = _power_base(p_load, q_load, p_sgen + p_gen - p_storage, old_mva)
        y_scale = old_mva / new_mva
        reader = BranchReader(net, self.matrices, self.bus_of_row, self._note, Z_MIN_PU * y_scale)
        sections, shunt = reader.sections()
        limits = self._voltage_limits(slack)
        names, aliases = self._bus_names()
        if self.faults:
            raise InputError(self.faults)
        try:
            direction = orient(self.source, names, sections.names, sections.from_bus, sections.to_bus, slack)
        except InputError as error:
            way = loop_fault(net, self.source)
            raise InputError([*error.faults, *([] if way is None else [way])]) from None
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
            p_gen_mw=p_sgen + p_gen - p_storage,
            q_gen_mvar=q_sgen + q_gen - q_storage,
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
        return Network(
            feeder, net, self.net_bus, elements=elements, series=series, notes=(*notes, *own_notes, *self.notes)
        )

    # ------------------------------------------------------------------------------------------------------------ buses

    def _bus_names(self) -> tuple[tuple[str, ...], tuple[tuple[str, int], ...]]:
        """Names of the feeder's buses, and other names that lead to them.

        A name that several buses have is followed by the index of each, as in ``"B #7"``; ``"#7"`` is the bus of that
        index, whatever its name.
        """
        index = [str(one) for one in self.bus_of.index]
        own = [_text(one) for one in self.net.bus["name"].loc[self.bus_of.index]]
        count = Counter(own)
        for name, number in count.items():
            if name and number > 1:
                few = [one for one, has in zip(index, own, strict=True) if has == name]
                shown = ", ".join(few[:4]) + (", …" if number > 4 else "")
                self.notes.append(f'{number} buses are called "{name}": bus_index = {few[0]} is one of them ({shown})')
        clash = set(own) & set(index)
        names = [
            (f"#{at}" if clash else at) if not name else name if count[name] == 1 else f"{name} #{at}"
            for at, name in zip(index, own, strict=True)
        ]
        head = dict(zip(self.bus_of.index, names, strict=True))
        chosen = tuple(head[bus] for bus in self.net_bus)
        taken = set(chosen)
        aliases = [(f"#{at}", int(bus)) for at, bus in zip(index, self.bus_of, strict=True)]
        aliases += [(name, int(bus)) for name, bus in zip(names, self.bus_of, strict=True) if name not in taken]
        if not clash:
            aliases += [(at, int(bus)) for at, bus in zip(index, self.bus_of, strict=True) if at not in taken]
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
        # case files repeat a voltage as both limits, of the slack bus, where they have no effect, or of all buses
        equal = limits[0] == limits[1]
        limits[0][equal], limits[1][equal] = _V_MIN_PU, _V_MAX_PU
        overruled = self.options.v_min_given or self.options.v_max_given
        equal[slack] = False
        if equal.any() and not (self.options.v_min_given and self.options.v_max_given):
            some = "1 bus has" if equal.sum() == 1 else f"{equal.sum()} buses have"
            self.notes.append(
                f"{some} equal voltage limits, which is no band: {_V_MIN_PU:g} to {_V_MAX_PU:g} pu instead, "
                "unless v_min_pu and v_max_pu are given"
            )
        for bus in np.flatnonzero((limits[0] >= limits[1]) & ~overruled):
            message = f"voltage limits upside down: min_vm_pu = {limits[0][bus]:g}, max_vm_pu = {limits[1][bus]:g}"
            self._note(element(self.net, "bus", self.net_bus[bus]), message)
        return limits[0], limits[1]

    def _sum_of(
        self, elements: Sequence[OwnElement], table: str
    ) -> tuple[Float[np.ndarray, " bus"], Float[np.ndarray, " bus"]]:
        """Power of all elements of a table, by feeder bus [MW, Mvar]."""
        p, q = np.zeros(len(self.net_bus)), np.zeros(len(self.net_bus))
        for one in elements:
            if one.table == table:
                p[one.bus] += one.p_mw
                q[one.bus] += one.q_mvar
        return p, q

    def _check_generators(self, slack: int) -> None:
        gens = self.net.gen[self.net.gen.in_service.astype(bool)]
        for index, bus in gens.bus.items():
            if self.bus_of.get(bus, slack) != slack:
                self._note(
                    element(self.net, "gen", index),
                    "controls a voltage away from the slack bus; "
                    'generators = "pq" takes the P and Q that it has in the net\'s own solution',
                )

    def _note(self, key: str, message: str) -> None:
        self.faults.append(Fault(self.source, key, message))


def _text(name: Any) -> str:
    """A bus name as text; converters leave whole numbers as floats."""
    if name is None or pd.isna(name):
        return ""
    if isinstance(name, float) and name.is_integer():
        return str(int(name))
    return unicodedata.normalize("NFC", str(name)).strip()


def _power_base(
    p_load: Float[np.ndarray, " bus"],
    q_load: Float[np.ndarray, " bus"],
    p_gen: Float[np.ndarray, " bus"],
    otherwise: float,
) -> float:
    """Base power for which per-unit values are near 1: a power of ten above the feeder's own power [MVA]."""
    largest = max(math.hypot(p_load.sum(), q_load.sum()), abs(p_gen.sum()))
    return 10.0 ** max(math.ceil(math.log10(largest)), -3) if largest > 0.0 else otherwise
