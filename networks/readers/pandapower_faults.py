"""Elements of a pandapower net that a radial feeder cannot represent, each with the way out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from gridferry.networks.faults import Fault

CARRIED = frozenset(
    {"bus", "line", "trafo", "switch", "impedance", "shunt", "load", "sgen", "storage", "gen", "ext_grid", "controller"}
)
"""Tables whose elements are carried, or checked one by one."""

_INSTEAD = {
    "trafo3w": "three windings need a bus in their middle; replace it by three two-winding transformers",
    "ward": "replace it by a load and a shunt",
    "xward": "it controls a voltage behind an impedance; replace it by a load and a shunt",
    "dcline": "remove it and give it as an MVDC link in the config",
    "asymmetric_load": "power flows here are balanced; replace it by a load",
    "asymmetric_sgen": "power flows here are balanced; replace it by a static generator",
    "motor": "replace it by a load of the same power",
}
_VOLTAGE_DEPENDENT = ("const_z_p_percent", "const_i_p_percent", "const_z_q_percent", "const_i_q_percent")
_NUMBERS = {
    "load": ("p_mw", "q_mvar", "scaling"),
    "sgen": ("p_mw", "q_mvar", "scaling"),
    "storage": ("p_mw", "q_mvar", "scaling"),
    "line": ("length_km", "r_ohm_per_km", "x_ohm_per_km", "c_nf_per_km", "parallel"),
    "trafo": ("sn_mva", "vn_hv_kv", "vn_lv_kv", "vk_percent", "vkr_percent", "pfe_kw", "i0_percent", "parallel"),
    "shunt": ("p_mw", "q_mvar", "step"),
    "ext_grid": ("vm_pu",),
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


def net_faults(net: Any, source: str) -> list[Fault]:
    """List everything in the tables of a net that a feeder cannot represent."""
    found = [*_form_faults(net)] or [
        *_base_faults(net),
        *_bus_faults(net),
        *_refused_tables(net),
        *_number_faults(net),
        *_load_faults(net),
        *_supply_faults(net),
        *_controller_faults(net),
    ]
    return [Fault(source, key, message) for key, message in found]


def _form_faults(net: Any) -> Iterator[tuple[str, str]]:
    """Tables and columns that every net has."""
    for key in ("sn_mva", "f_hz"):
        if not isinstance(net.get(key), (int, float)):
            yield key, f"{net.get(key)!r} is no number; {_ANEW}"
    for table in sorted(CARRIED):
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


def _refused_tables(net: Any) -> Iterator[tuple[str, str]]:
    for table, rows in net.items():
        if not isinstance(rows, pd.DataFrame) or "in_service" not in rows or table in CARRIED:
            continue
        if table.startswith(("res_", "_")):
            continue
        way = _INSTEAD.get(table, "take it out of service or replace it by loads, lines and transformers")
        for index in _in_service(net, table).index:
            yield element(net, table, index), f"a feeder cannot carry an element of this kind; {way}"


def _number_faults(net: Any) -> Iterator[tuple[str, str]]:
    for table, columns in _NUMBERS.items():
        rows = _in_service(net, table)
        for column in columns:
            values = pd.to_numeric(rows[column], errors="coerce").to_numpy(dtype=float)
            for index, value in zip(rows.index[~np.isfinite(values)], rows[column][~np.isfinite(values)], strict=True):
                yield element(net, table, index), f"{column} = {value} is no finite number; give one"


def _load_faults(net: Any) -> Iterator[tuple[str, str]]:
    loads = _in_service(net, "load")
    for column in _VOLTAGE_DEPENDENT:
        if column not in loads:
            continue
        for index, share in loads[column].items():
            if share != 0.0 and not pd.isna(share):
                yield (
                    element(net, "load", index),
                    f"{column} = {share:g}: loads must have constant power; set it to 0",
                )


def _supply_faults(net: Any) -> Iterator[tuple[str, str]]:
    grids = _in_service(net, "ext_grid")
    if not len(grids):
        yield "ext_grid", "there is none in service; add one with pandapower.create_ext_grid(net, bus)"
    for index in grids.index[1:]:
        first = element(net, "ext_grid", grids.index[0])
        yield element(net, "ext_grid", index), f"a feeder has one supply, here {first}; take the others out of service"
    if grids.bus.iloc[:1].isin(net.bus.index[~net.bus.in_service.astype(bool)]).any():
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
