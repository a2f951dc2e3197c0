"""Elements that are made of others: motors, wards, three-winding transformers, loads of single phases."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import numpy as np
import pandapower as pp
import pandas as pd
from pandapower.auxiliary import LoadflowNotConverged
from pandapower.build_branch import _trafo_df_from_trafo3w
from pandapower.converter.pypower.to_ppc import to_ppc
from pandapower.toolbox import replace_gen_by_ext_grid

from gridferry.networks.faults import Fault, InputError

REPLACED = frozenset({"motor", "ward", "xward", "trafo3w"})
"""Tables that `replace_elements` empties."""
SINGLE_PHASE = frozenset({"asymmetric_load", "asymmetric_sgen"})
"""Tables that `take_as_balanced` empties."""
_SIDES = ("hv", "mv", "lv")


def supplies_from_slack_generators(net: Any) -> None:
    """Make external grids of the generators that are the slack."""
    slack = net.gen.index[net.gen.in_service.astype(bool) & net.gen.slack.astype(bool)]
    if len(slack):
        replace_gen_by_ext_grid(net, gens=slack)
        net.ext_grid["va_degree"] = 0.0


def replace_elements(net: Any) -> list[str]:
    """Replace elements, in place, by what they are made of; return what was replaced."""
    notes = []
    for table, words, replace in (
        ("motor", "motor", _motors),
        ("ward", "ward", _wards),
        ("xward", "extended ward", _xwards),
        ("trafo3w", "three-winding transformer", _trafos3w),
    ):
        rows = net[table]
        here = rows[rows.in_service.astype(bool)]
        if len(here):
            notes.append(f"{_count(len(here), words)} taken as {replace(net, here)}")
        net[table] = rows.iloc[0:0].copy()
    return notes


def take_as_balanced(net: Any) -> list[str]:
    """Replace loads and sources of single phases, in place, by balanced ones of the same sum."""
    notes = []
    for table, create in (("asymmetric_load", pp.create_load), ("asymmetric_sgen", pp.create_sgen)):
        rows = net[table]
        here = rows[rows.in_service.astype(bool)]
        for index, one in here.iterrows():
            p, q = (sum(one[f"{key}_{phase}_{unit}"] for phase in "abc") for key, unit in (("p", "mw"), ("q", "mvar")))
            create(net, one.bus, p, q, scaling=one.scaling, name=_name(one, table, index))
        if len(here):
            notes.append(f"{_count(len(here), 'row')} of {table} taken as balanced (balanced = true)")
        net[table] = rows.iloc[0:0].copy()
    return notes


def _count(number: int, word: str) -> str:
    return f"{number} {word} is" if number == 1 else f"{number} {word}s are"


def _name(row: Any, table: str, index: Any) -> str:
    name = row.get("name")
    return f"{table} {index}" if name is None or pd.isna(name) or not str(name).strip() else str(name)


def _motors(net: Any, rows: Any) -> str:
    for index, one in rows.iterrows():
        p = one.pn_mech_mw / one.efficiency_percent * 100.0 * one.loading_percent / 100.0 * one.scaling
        pp.create_load(net, one.bus, p, p * np.sqrt(1.0 / one.cos_phi**2 - 1.0), name=_name(one, "motor", index))
    return "loads of the same power"


def _wards(net: Any, rows: Any) -> str:
    for index, one in rows.iterrows():
        name = _name(one, "ward", index)
        pp.create_load(net, one.bus, one.ps_mw, one.qs_mvar, name=name)
        pp.create_shunt(net, one.bus, one.qz_mvar, one.pz_mw, name=name)
    return "a load and a shunt each"


def _xwards(net: Any, rows: Any) -> str:
    _wards(net, rows)
    for index, one in rows.iterrows():
        name, kv = _name(one, "xward", index), float(net.bus.vn_kv[one.bus])
        inner = pp.create_bus(net, kv, name=f"{name} (inner)")
        pp.create_gen(net, inner, 0.0, one.vm_pu, name=name)
        pp.create_impedance(net, one.bus, inner, one.r_ohm / kv**2, one.x_ohm / kv**2, sn_mva=1.0, name=name)
    return "a load, a shunt and a generator behind an impedance each"


def _trafos3w(net: Any, rows: Any) -> str:
    """Make a star of three two-winding transformers of each, with the figures of pandapower's own conversion."""
    work = deepcopy(net)
    work["trafo3w"] = rows
    to_ppc(work, calculate_voltage_angles=True, trafo_model="t", check_connectivity=False, init="flat", mode="pf")
    star = pd.DataFrame(_trafo_df_from_trafo3w(work))
    first = int(net.trafo.index.max()) + 1 if len(net.trafo) else 0
    for position, (index, one) in enumerate(rows.iterrows()):
        name = _name(one, "trafo3w", index)
        star_bus = pp.create_bus(net, float(net.bus.vn_kv[one.hv_bus]), name=f"{name} (star)")
        for number, side in enumerate(_SIDES):
            at = number * len(rows) + position
            star.loc[at, "lv_bus" if side == "hv" else "hv_bus"] = star_bus
            star.loc[at, "sn_mva"] = one[f"sn_{side}_mva"]
            star.loc[at, "name"] = f"{name} {side}"
            here = (net.switch.et == "t3") & (net.switch.element == index) & (net.switch.bus == one[f"{side}_bus"])
            net.switch.loc[here, "element"] = first + at
            net.switch.loc[here, "et"] = "t"
    star.index = first + np.arange(len(star))
    star = star[[one for one in star if one in net.trafo]]  # others have their defaults
    if len(net.trafo):
        kinds = {one: net.trafo[one].dtype for one in star if net.trafo[one].dtype != object}
        star = pd.concat([net.trafo, star.astype(kinds)])
    net["trafo"] = star
    return "a star of three transformers each"


def take_generators_as_pq(net: Any, source: str) -> list[str]:
    """Replace generators away from the supply, in place, by sources of the P and Q of the net's own solution.

    Raises
    ------
    InputError
        where there is no solution.
    """
    at_supply = net.ext_grid.bus[net.ext_grid.in_service.astype(bool)]
    gens = net.gen[net.gen.in_service.astype(bool) & ~net.gen.bus.isin(at_supply)]
    if not len(gens):
        return []
    work = deepcopy(net)
    try:
        pp.runpp(work, calculate_voltage_angles=True, trafo_model="t", numba=False)
    except LoadflowNotConverged:
        message = 'generators = "pq" takes Q from the net\'s own power flow, and runpp finds none; give sgens instead'
        raise InputError(Fault(source, "gen", message)) from None
    q_mvar = work.res_gen.q_mvar[gens.index]
    names = [_name(one, "gen", index) for index, one in gens.iterrows()]
    pp.create_sgens(
        net, gens.bus.to_numpy(), (gens.p_mw * gens.scaling).to_numpy(), q_mvar=q_mvar.to_numpy(dtype=float), name=names
    )
    net.gen.loc[gens.index, "in_service"] = False
    taken = f"{_count(len(gens), 'generator')} taken with the Q of the net's own solution, {q_mvar.sum():.4g} Mvar"
    return [f'{taken} together, whatever the voltage (generators = "pq")']
