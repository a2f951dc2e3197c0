"""Promises about a kind as a class, and about a device before its first step."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import FrozenInstanceError, fields, replace
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from gridferry.controllers.conformance.devices.step import is_number
from gridferry.controllers.conformance.devices.trial import Trial
from gridferry.controllers.conformance.findings import Promise, values_of
from gridferry.controllers.devices import Act, Column, Device, Port, Position, Series
from gridferry.controllers.devices.registry import BUILT_IN, TAKEN_TABLES, declaration_faults
from gridferry.controllers.plans.plan_file import PlannedSchedule, write_plan
from gridferry.controllers.plans.plan_reader import read_plan
from gridferry.networks.faults import InputError

Kind = type[Device[Any]]

CONFIG_KEYS = frozenset(
    {"name", "title", "currency", "seed", "extends", "time", "profiles", "networks", "loads", "prices", "stations"}
    | {"roads", "forecast", "grid", "controller", "controllers", "devices", "simulators", "record", "cache_dir"}
)
"""Keys of every config, which no kind's table can be named as."""

_KEY = re.compile(r"[a-z][a-z0-9_]*")


def is_taken(table: str) -> bool:
    """Whether the name of a table is taken already."""
    return table in CONFIG_KEYS or table in TAKEN_TABLES or table in BUILT_IN


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip()) and not any(one in value for one in ",\r\n")


# ----------------------------------------------------------------------------------------------------------- the class


def _has_description(kind: Kind) -> Iterator[str]:
    if not (vars(kind).get("__doc__") or "").strip():
        yield "the class has no docstring; its first line describes the kind"


def _class_variables(kind: Any) -> Iterator[str]:
    for name in ("table", "port_kind"):
        if not _is_text(getattr(kind, name, None)):
            yield f"{name} = {getattr(kind, name, None)!r}; give a text without commas"
    if not _KEY.fullmatch(kind.table):
        yield f'table = "{kind.table}"; write small letters, digits and _, as in heat_pumps'
    if is_taken(kind.table) and BUILT_IN.get(kind.table) != f"{kind.__module__}:{kind.__qualname__}":
        yield f'table = "{kind.table}" is taken; choose another name'
    if type(kind.version) is not int or kind.version < 1:
        yield f"version = {kind.version!r}; count from 1"
    if not getattr(getattr(kind.State, "__dataclass_params__", None), "frozen", False):
        yield f"State = {kind.State!r} is no frozen dataclass; write @dataclass(frozen=True, slots=True)"
    if kind.stores and "energy_mwh" not in (one.name for one in fields(kind.State)):
        yield f"stores = True, and {kind.State.__name__} has no energy_mwh; name what is stored so"
    for name, of in (("series", Series), ("columns", Column), ("costs", str)):
        entries = getattr(kind, name)
        if not isinstance(entries, Mapping):
            yield f"{name} is a {type(entries).__name__}; give a mapping"
        for key, one in entries.items():
            if not (isinstance(key, str) and _KEY.fullmatch(key)):
                yield f"{name} has the key {key!r}; write small letters, digits and _"
            if not isinstance(one, of):
                yield f"{name}[{key!r}] is a {type(one).__name__}; give a {of.__name__}"
    for key, series in kind.series.items():
        low, high = series.limits.lowest, series.limits.highest
        inside = low < series.default <= high if series.limits.above else low <= series.default <= high
        if not (math.isfinite(series.default) and inside):
            yield f"series[{key!r}] has the default {series.default}, outside its limits; give one inside"
    yield from (f"{kind.__name__}{fault}" for fault in declaration_faults(kind))


KIND_PROMISES: Mapping[str, Promise[Kind]] = {
    "the class has a description": _has_description,
    "class variables are in order": _class_variables,
}


# ---------------------------------------------------------------------------------------------------------- one device


def _frozen(trial: Trial) -> Iterator[str]:
    device: Any = trial.device
    begins = device.initial_state(trial.plain)
    if not hasattr(device, "__dataclass_fields__"):
        yield f"{type(device).__name__} is no dataclass; write @dataclass(frozen=True) above it"
    for one in (device, begins):
        for name in (each.name for each in fields(one)):
            try:
                setattr(one, name, getattr(one, name))
            except FrozenInstanceError:
                continue
            yield f"{type(one).__name__}.{name} can be set; write @dataclass(frozen=True)"


def _declared(trial: Trial) -> Iterator[str]:
    device = trial.device
    if not _is_text(device.name):
        yield f"name = {device.name!r}; take it from the config"
    for what in ("ports", "positions"):
        names = [one.name for one in getattr(device, what)]
        if wrong := [one for one in names if not _is_text(one)]:
            yield f"{what} have the name {wrong[0]!r}; give a text without commas, the device's name where there is one"
        if len(set(names)) < len(names):
            yield f"{what} share a name: {', '.join(names)}; make it unique"
    if values_of(device.ports) != values_of(device.ports) or values_of(device.positions) != values_of(device.positions):
        yield "ports or positions change from one look to the next; make them of the fields only"
    for port in device.ports:
        yield from (f"port {port.name}: {fault}" for fault in _faults_of_port(port))
    stations = tuple(one.name for one in trial.sample.plant.stations)
    for position in device.positions:
        yield from (f"position {position.name}: {fault}" for fault in _faults_of_position(position))
        if position.with_routes and position.labels != stations:
            yield f"position {position.name}: labels = {position.labels} are not all stations, {stations}, of the site"


def _faults_of_port(port: Port) -> Iterator[str]:
    if not (isinstance(port.buses, tuple) and port.buses and all(type(one) is int and one >= 0 for one in port.buses)):
        yield f"buses = {port.buses!r}; give a tuple of numbers of buses"
    for name in ("p_min_mw", "p_max_mw", "s_max_mva", "rest_mw"):
        value = getattr(port, name)
        if not is_number(value) or math.isnan(value) or (name == "rest_mw" and math.isinf(value)):
            yield f"{name} = {value!r}; give a number"
    if not port.p_min_mw <= port.rest_mw <= port.p_max_mw:
        yield f"rest_mw = {port.rest_mw:g} lies outside {port.p_min_mw:g} to {port.p_max_mw:g} MW"
    if port.s_max_mva < 0:
        yield f"s_max_mva = {port.s_max_mva:g} is negative"
    if port.act is Act.LIMIT and port.rest_mw != port.p_max_mw:
        yield f"rest_mw = {port.rest_mw:g} MW limits it; a limit at rest is p_max_mw = {port.p_max_mw:g} MW"


def _faults_of_position(position: Position) -> Iterator[str]:
    labels, known = position.labels, range(len(position.labels))
    if not (isinstance(labels, tuple) and labels):
        yield f"labels = {labels!r}; give a tuple of texts"
    if wrong := [one for one in labels if not _is_text(one) or one != one.strip()]:
        yield f"the label {wrong[0]!r} cannot be read back from plan.csv; no commas, line ends or spaces around it"
    if len(set(labels)) < len(labels):
        yield f"labels are not unique: {', '.join(labels)}"
    if position.allowed is not None and (not position.allowed or not set(position.allowed) <= set(known)):
        yield f"allowed = {position.allowed!r}; they are indices into {len(labels)} labels"


def _begins(trial: Trial) -> Iterator[str]:
    device = trial.device
    state = device.initial_state(trial.plain)
    if type(state) is not device.State:
        yield f"initial_state gave a {type(state).__name__}; return a {device.State.__name__}"
    if device.initial_state(trial.plain) != state:
        yield "initial_state gave another state the second time"
    at = device.at(state)
    if not (isinstance(at, tuple) and len(at) == len(device.positions)):
        yield f"at({state}) is {at!r}; give an index for each of {len(device.positions)} positions"
    for position, one in zip(device.positions, at, strict=True):
        allowed = position.allowed or range(len(position.labels))
        if type(one) is not int or one not in allowed:
            yield f"position {position.name} begins at {one!r}; there are {list(allowed)}"
    if not is_number(stored := device.stored_mwh(state)) or not math.isfinite(stored):
        yield f"stored_mwh({state}) is {stored!r}"


def _through_plan_file(trial: Trial) -> Iterator[str]:
    plant = replace(trial.sample.plant, devices=(trial.device,))
    rng = np.random.default_rng(1)
    p_mw, q_mvar = np.zeros((2, plant.steps, plant.n_port))
    p_mw[:, plant.planned], q_mvar[:, plant.planned] = rng.normal(size=(2, plant.steps, len(plant.planned)))
    position = np.zeros((plant.steps, len(plant.positions)), dtype=np.int64)
    for column, one in enumerate(plant.positions):
        position[:, column] = rng.choice(one.choices, size=plant.steps)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "plan.csv"
        write_plan(
            path,
            plant,
            PlannedSchedule(p_mw, q_mvar, position, np.ones_like(position, dtype=bool)),
            datetime(2024, 1, 1),
        )
        try:
            back = read_plan(path, plant)
        except InputError as error:
            message = "; ".join(f"{one.key}: {one.message}" for one in error.faults[:1])
            yield f"a schedule that was written cannot be read: {message}"
    if not all(map(np.array_equal, (back.p_mw, back.q_mvar, back.position), (p_mw, q_mvar, position))):
        yield "a schedule comes back from plan.csv changed; give ports and positions other names"


DEVICE_PROMISES: Mapping[str, Promise[Trial]] = {
    "devices and states are frozen dataclasses": _frozen,
    "ports and positions are well declared": _declared,
    "a run begins in a state of the kind": _begins,
    "a schedule survives plan.csv": _through_plan_file,
}
"""Promises without which no step can be tried."""
