"""Registry of kinds of devices: built in, installed as plug-ins, or in a user's module or file."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from gridferry.controllers.devices.config_parts import DeviceConfig
from gridferry.controllers.devices.device import Device
from gridferry.controllers.plugins.loading import ClassLoader
from gridferry.networks.faults import no_such

GROUP = "gridferry.devices"
"""Entry-point group of installed kinds."""

BUILT_IN: Mapping[str, str] = {
    "trucks": "gridferry.controllers.devices.trucks.device:Truck",
    "batteries": "gridferry.controllers.devices.batteries.device:Battery",
    "links": "gridferry.controllers.devices.links.device:Link",
    "gensets": "gridferry.controllers.devices.gensets.device:Genset",
    "sheddable_loads": "gridferry.controllers.devices.sheddable_loads.device:SheddableLoad",
    "flexible_loads": "gridferry.controllers.devices.flexible_loads.device:FlexibleLoad",
    "generators": "gridferry.controllers.devices.generators.device:Generator",
}
"""Our own kinds by their tables; a plug-in cannot take one of these names."""

OF_ELEMENTS: Mapping[str, str] = {"sgen": "generators", "storage": "batteries"}
"""Tables of the kinds that elements of a pandapower net can become, by the table of the net."""

_LOADER = ClassLoader(Device, "device", "gridferry.controllers.devices.Device")


TAKEN_COLUMNS = ("step", "time", "device", "source_mwh", "injected_mwh", "loss_mwh", "stored_change_mwh")
"""What the results have of every device; no column and no cost of a kind can have such a name."""

TAKEN_TABLES = frozenset(
    {"bus", "line", "network", "device", "position", "cost", "plan", "step"}
    | {"bus_info", "line_info", "network_info", "device_info", "kind_info", "column_info", "checkpoint"}
    | {"port_info", "station_info"}
)
"""Tables of results that no kind's table can be named as."""

_AFTER_ALL = "generators"
"""In the order of kinds, those of plug-ins stand before it."""


def find_kind(spec: str, base_dir: Path | None = None) -> type[Device[Any]]:
    """Return the kind that ``spec`` names.

    Parameters
    ----------
    spec : the table of a built-in kind, the name of an installed one, ``package.module:Class`` or
        ``path/file.py:Class``
    base_dir : folder that relative paths start from, before the working folder

    Raises
    ------
    InputError
        saying what was looked for where, and what there is, or what the class lacks.
    """
    if ":" in spec or spec.endswith(".py"):
        return _load(spec, spec, base_dir)
    if spec in BUILT_IN:
        return _load(BUILT_IN[spec], spec, base_dir)
    known = known_kinds()
    if spec in known:
        return _load(known[spec], spec, base_dir)
    ways = "; or give package.module:Class or path/file.py:Class"
    raise _LOADER.fault(spec, no_such("kind of device", spec, known) + ways)


def known_kinds() -> Mapping[str, str]:
    """Return the classes of the kinds known by name, built-in ones first."""
    plugins = {point.name: point.value for point in entry_points(group=GROUP)}
    return {**BUILT_IN, **{name: target for name, target in plugins.items() if name not in BUILT_IN}}


def kinds_with(others: Iterable[type[Device[Any]]]) -> tuple[type[Device[Any]], ...]:
    """Return the built-in and other kinds, in the order of the devices of a plant."""
    ours = [find_kind(name) for name in BUILT_IN]
    first = [kind for kind in ours if kind.table != _AFTER_ALL]
    return tuple(dict.fromkeys([*first, *(one for one in others if one not in ours), *ours]))


def is_built_in(kind: type[Device[Any]]) -> bool:
    """Whether a kind is built in."""
    return BUILT_IN.get(kind.table) == f"{kind.__module__}:{kind.__qualname__}"


def _load(target: str, spec: str, base_dir: Path | None) -> type[Device[Any]]:
    """Load a kind and check its declarations."""
    kind = _LOADER.load(target, spec, base_dir)
    for name in ("table", "port_kind"):
        value = getattr(kind, name, None)
        if not isinstance(value, str) or not value.isidentifier():
            example = f'a name of letters, digits and _ such as "{_snake(kind.__name__)}"'
            raise _LOADER.fault(spec, f"{kind.__name__}.{name} = {value!r} must be {example}")
    for fault in declaration_faults(kind):
        raise _LOADER.fault(spec, f"{kind.__name__}{fault}")
    return kind


def declaration_faults(kind: type[Device[Any]]) -> Iterator[str]:
    """Faults of the config, series and columns that a kind declares, each to be put behind the name of the class."""
    config = kind.Config
    if not (inspect.isclass(config) and issubclass(config, DeviceConfig)):
        yield ".Config is no config of a device; derive it from DeviceConfig"
    if lacking := [key for key in kind.series if key not in config.model_fields]:
        yield f".Config has no field for the series {', '.join(lacking)}; add it"
    for key, series in kind.series.items():
        if (series.error or series.forecast == "uncertain") and not series.error.isidentifier():
            way = "an uncertain series names its error by letters, digits and _"
            yield f'.series["{key}"]: error = {series.error!r}; {way}'
    names = [one.lower() for one in (*TAKEN_COLUMNS, *kind.columns, *kind.costs)]
    if twice := sorted({one for one in names if names.count(one) > 1}):
        way = "columns and costs share these names with one another or with all kinds; choose others"
        yield f": {', '.join(twice)}: {way}"
    if texts := sorted(name for name, one in kind.columns.items() if one.of is str and one.total in ("sum", "max")):
        yield f": {', '.join(texts)}: texts have no sum and no max; leave total out"


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
