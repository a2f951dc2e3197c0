"""Loads, static generators and storages that a pandapower net brings, and their time series.

A ``ConstControl`` with ``DFData`` gives a column of an element for every step of a simulation; it counts wherever it
is. The profiles of a SimBench grid are shares of nominal powers in a year by quarter-hours; they count on request.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from gridferry.networks.network import OwnElement, OwnSeries
from gridferry.networks.readers.preparing.voltage_loads import KEPT

TABLES = ("load", "sgen", "storage")
"""Tables whose elements may follow a time series."""
_POWERS = {"p_mw": "p_series", "q_mvar": "q_series"}
_SIMBENCH = {
    "load": (("load", "_pload", "p_mw"), ("load", "_qload", "q_mvar")),
    "sgen": (("renewables", "", "p_mw"), ("powerplants", "", "p_mw")),
    "storage": (("storage", "", "p_mw"),),
}
"""Of each table, the profiles that its elements may name: key in ``net.profiles``, ending of the column, power."""
YEAR = "year "
"""How the names of series begin that count on request."""


def own_elements(net: Any, bus_of: pd.Series) -> tuple[tuple[OwnElement, ...], dict[str, OwnSeries], list[str]]:
    """Read the elements in service, their series, and what of the net's time series is not followed.

    Parameters
    ----------
    bus_of : number of the feeder's bus, by index in ``net.bus``, of those in service; generators are at the supply
    """
    series: dict[str, OwnSeries] = {}
    elements: dict[tuple[str, int], OwnElement] = {}
    for table in (*TABLES, "gen"):
        rows = net[table]
        rows = rows[rows.in_service.astype(bool) & rows.bus.isin(bus_of.index)]
        for record in rows.reset_index(names="index").to_dict("records"):
            name, scaling = record.get("name"), float(record["scaling"])
            elements[table, int(record["index"])] = OwnElement(
                table=table,
                index=int(record["index"]),
                name="" if name is None or pd.isna(name) else str(name).strip(),
                bus=int(bus_of[record["bus"]]),
                p_mw=float(record["p_mw"]) * scaling,
                q_mvar=float(record.get("q_mvar", 0.0)) * scaling,
                facts=record,
            )
    notes = _controlled(net, elements, series)
    _of_year(net, elements, series)
    return tuple(elements.values()), series, notes


def _controlled(net: Any, elements: dict[tuple[str, int], OwnElement], series: dict[str, OwnSeries]) -> list[str]:
    """Add the series of ``ConstControl``; return what they set that is not followed."""
    notes = []
    for number, controller in net.controller.object[net.controller.in_service.astype(bool)].items():
        if type(controller).__name__ != "ConstControl":
            continue
        table, variable = str(controller.element), str(controller.variable)
        frame = getattr(controller.data_source, "df", None)
        if table not in TABLES or variable not in (*_POWERS, "scaling") or not isinstance(frame, pd.DataFrame):
            notes.append(f"controller {number} (ConstControl of {table} {variable}) is not followed")
            continue
        columns = controller.profile_name
        indices = np.atleast_1d(controller.element_index).tolist()
        columns = [columns] * len(indices) if isinstance(columns, str) or np.ndim(columns) == 0 else list(columns)
        factor = float(getattr(controller, "scale_factor", 1.0))
        for index, column in zip(indices, columns, strict=False):
            one = elements.get((table, int(index)))
            if one is None or column not in frame:
                continue
            key = f"controller {number} {column}"
            series[key] = _series_of(frame[column])
            scaling = float(one.facts["scaling"]) * float(one.facts.get(KEPT.get(variable, ""), 1.0))
            of: dict[str, Any]
            if variable == "scaling":
                of = {key_: (key, factor * float(one.facts[power])) for power, key_ in _POWERS.items()}
            else:
                of = {_POWERS[variable]: (key, factor * scaling)}
            elements[table, int(index)] = replace(one, **of)
    return notes


def _series_of(column: pd.Series) -> OwnSeries:
    """Series of a column, whose index has times, or the numbers of steps."""
    values = pd.to_numeric(column, errors="coerce").to_numpy(dtype=float)
    if isinstance(column.index, pd.DatetimeIndex):
        return OwnSeries(values, column.index.to_numpy().astype("datetime64[s]"))
    if pd.api.types.is_integer_dtype(column.index) and len(column) and column.index.min() >= 0:
        rows = np.full(int(column.index.max()) + 1, np.nan)
        rows[column.index.to_numpy()] = values
        values = rows
    return OwnSeries(values)


def _of_year(net: Any, elements: dict[tuple[str, int], OwnElement], series: dict[str, OwnSeries]) -> None:
    """Add the profiles of a SimBench grid to elements that follow nothing else."""
    profiles = net.get("profiles")
    if not isinstance(profiles, Mapping) or not all(isinstance(one, pd.DataFrame) for one in profiles.values()):
        return
    times: dict[str, np.ndarray] = {}
    for (table, index), one in list(elements.items()):
        wanted = str(one.facts.get("profile"))
        for group, ending, power in _SIMBENCH.get(table, ()):
            frame, column = profiles.get(group), wanted + ending
            if frame is None or column not in frame or "time" not in frame or getattr(one, _POWERS[power]) is not None:
                continue
            key = f"{YEAR}{group} {column}"
            if key not in series:
                if group not in times:
                    stamps = pd.to_datetime(frame["time"], format="%d.%m.%Y %H:%M")
                    times[group] = stamps.to_numpy().astype("datetime64[s]")
                series[key] = OwnSeries(frame[column].to_numpy(dtype=float), times[group])
            scale = one.p_mw if power == "p_mw" else one.q_mvar
            of: dict[str, Any] = {_POWERS[power]: (key, scale)}
            one = replace(one, **of)
            elements[table, index] = one
