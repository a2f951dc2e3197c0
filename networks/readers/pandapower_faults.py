"""Elements of a pandapower net that a radial feeder cannot represent, each with the way out."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd

from gridferry.networks.faults import Fault

CARRIED = frozenset(
    {"bus", "line", "trafo", "switch", "impedance", "shunt", "load", "sgen", "storage", "gen", "ext_grid", "controller"}
)
"""Tables whose elements are carried, or checked one by one."""
REPLACED = frozenset({"motor", "ward", "xward", "trafo3w"})
"""Tables whose elements are made of others."""
SINGLE_PHASE = frozenset({"asymmetric_load", "asymmetric_sgen"})
"""Tables whose elements can be taken as balanced."""

_INSTEAD = {"dcline": "remove it and give it as an MVDC link in the config"} | dict.fromkeys(
    SINGLE_PHASE, "power flows here are balanced; balanced = true takes the sum of its phases"
)
_NUMBERS = {
    "load": ("p_mw", "q_mvar", "scaling"),
    "sgen": ("p_mw", "q_mvar", "scaling"),
    "storage": ("p_mw", "q_mvar", "scaling"),
    "line": ("length_km", "r_ohm_per_km", "x_ohm_per_km", "c_nf_per_km", "parallel"),
    "trafo": ("sn_mva", "vn_hv_kv", "vn_lv_kv", "vk_percent", "vkr_percent", "pfe_kw", "i0_percent", "parallel"),
    "shunt": ("p_mw", "q_mvar", "step"),
    "ext_grid": ("vm_pu",),
    "motor": ("pn_mech_mw", "efficiency_percent", "cos_phi", "loading_percent", "scaling"),
    "ward": ("ps_mw", "qs_mvar", "pz_mw", "qz_mvar"),
    "xward": ("ps_mw", "qs_mvar", "pz_mw", "qz_mvar", "r_ohm", "x_ohm", "vm_pu"),
    "trafo3w": ("sn_hv_mva", "sn_mv_mva", "sn_lv_mva", "vk_hv_percent", "vk_mv_percent", "vk_lv_percent"),
}
_BUSES = {
    "line": ("from_bus", "to_bus"),
    "impedance": ("from_bus", "to_bus"),
    "trafo": ("hv_bus", "lv_bus"),
    "load": ("bus",),
    "sgen": ("bus",),
    "storage": ("bus",),
    "shunt": ("bus",),
    "gen": ("bus",),
    "ext_grid": ("bus",),
    "switch": ("bus",),
    "motor": ("bus",),
    "ward": ("bus",),
    "xward": ("bus",),
    "trafo3w": ("hv_bus", "mv_bus", "lv_bus"),
}

_COLUMNS = {
    "bus": ("in_service", "vn_kv", "name"),
    "switch": ("element", "et", "closed"),
    "controller": ("in_service", "object"),
}
"""Columns that tables have besides."""
_ANEW = "write the net anew with pandapower.to_json"


def element(net: Any, table: str, index: Any) -> str:
    """Name an element: its table and index, and its name where it has one."""
    name = net[table]["name"].get(index) if "name" in net[table] else None
    shown = f"{table} {index}"
    return shown if name is None or pd.isna(name) or not str(name).strip() else f'{shown} ("{name}")'


def net_faults(net: Any, source: str, balanced: bool = False) -> list[Fault]:
    """List everything in the tables of a net that a feeder cannot represent.

    Parameters
    ----------
    balanced : elements of single phases are taken as balanced
    """
    found = [*_form_faults(net)] or [
        *_base_faults(net),
        *_bus_faults(net),
        *_refused_tables(net, balanced),
        *_number_faults(net),
        *_supply_faults(net),
        *_controller_faults(net),
    ]
    return [Fault(source, key, message) for key, message in found]


def _form_faults(net: Any) -> Iterator[tuple[str, str]]:
    """Tables and columns that every net has."""
    for key in ("sn_mva", "f_hz"):
        if not isinstance(net.get(key), (int, float)):
            yield key, f"{net.get(key)!r} is no number; {_ANEW}"
    for table in sorted(CARRIED | REPLACED):
        rows = net.get(table)
        if not isinstance(rows, pd.DataFrame):
            yield table, f"the table is missing; {_ANEW}"
            continue
        needed = {*_BUSES.get(table, ()), *_NUMBERS.get(table, ()), *_COLUMNS.get(table, ("in_service",))}
        missing = sorted(needed - set(rows.columns))
        if missing:
            yield table, f"has no column {', '.join(missing)}; {_ANEW}"
        elif not rows.index.is_unique:
            yield table, f"has two rows {rows.index[rows.index.duplicated()][0]}; {_ANEW}"


def _in_service(net: Any, table: str) -> Any:
    rows = net[table]
    return rows[rows["in_service"].astype(bool)] if "in_service" in rows else rows


def _base_faults(net: Any) -> Iterator[tuple[str, str]]:
    for key in ("sn_mva", "f_hz"):
        value = float(net[key])
        if not (np.isfinite(value) and value > 0.0):
            yield key, f"{value:g} must be above 0"
    if not len(_in_service(net, "bus")):
        yield "bus", "the net has no bus in service; add buses, lines and an external grid"
    for index, v_kv in _in_service(net, "bus")["vn_kv"].items():
        if not (np.isfinite(v_kv) and v_kv > 0.0):
            yield element(net, "bus", index), f"vn_kv = {v_kv} must be above 0"


def _bus_faults(net: Any) -> Iterator[tuple[str, str]]:
    for table, columns in _BUSES.items():
        for column in columns:
            rows = net[table]
            for index, bus in rows.loc[~rows[column].isin(net.bus.index), column].items():
                yield element(net, table, index), f"{column} = {bus}: the net has no such bus"


@lru_cache(maxsize=1)
def _tables() -> frozenset[str]:
    """Tables of elements that pandapower itself knows; others are the user's own."""
    import pandapower as pp

    empty = pp.create_empty_network()
    return frozenset(key for key, rows in empty.items() if isinstance(rows, pd.DataFrame) and "in_service" in rows)


def _refused_tables(net: Any, balanced: bool) -> Iterator[tuple[str, str]]:
    carried = CARRIED | REPLACED | (SINGLE_PHASE if balanced else frozenset())
    for table in sorted(_tables() - carried):
        way = _INSTEAD.get(table, "take it out of service or replace it by loads, lines and transformers")
        for index in _in_service(net, table).index if table in net else ():
            yield element(net, table, index), f"a feeder cannot carry an element of this kind; {way}"


def _number_faults(net: Any) -> Iterator[tuple[str, str]]:
    for table, columns in _NUMBERS.items():
        rows = _in_service(net, table)
        for column in columns:
            values = pd.to_numeric(rows[column], errors="coerce").to_numpy(dtype=float)
            for index, value in zip(rows.index[~np.isfinite(values)], rows[column][~np.isfinite(values)], strict=True):
                yield element(net, table, index), f"{column} = {value} is no finite number; give one"


def _supply_faults(net: Any) -> Iterator[tuple[str, str]]:
    grids = _in_service(net, "ext_grid")
    slack = _in_service(net, "gen")
    if not len(grids) and not slack.slack.astype(bool).any():
        yield "ext_grid", "there is none in service; add one with pandapower.create_ext_grid(net, bus)"
    out = net.bus.index[~net.bus.in_service.astype(bool)]
    if len(grids) and grids.bus.isin(out).all():
        yield element(net, "ext_grid", grids.index[0]), "its bus is out of service; put the bus in service"


def _controller_faults(net: Any) -> Iterator[tuple[str, str]]:
    for index, controller in _in_service(net, "controller")["object"].items():
        kind = type(controller).__name__
        # profiles come from the config, in the place of pandapower's own
        if kind != "ConstControl":
            yield (
                f"controller {index} ({kind})",
                "pandapower's controllers do not act here; set what it controls and take it out of service",
            )
