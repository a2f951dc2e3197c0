"""Find a kind of device: built in, installed as a plug-in, or in a module or file of the user's own."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from gridferry.controllers.devices.device import Device
from gridferry.controllers.plugins.loading import ClassLoader
from gridferry.networks.faults import no_such

GROUP = "gridferry.devices"
"""Entry-point group of installed kinds."""

BUILT_IN: Mapping[str, str] = {
    "trucks": "gridferry.controllers.devices.trucks.device:Truck",
    "batteries": "gridferry.controllers.devices.batteries.device:Battery",
    "links": "gridferry.controllers.devices.links.device:Link",
    "generators": "gridferry.controllers.devices.generators.device:Generator",
}
"""Our own kinds by their tables; a plug-in cannot take one of these names."""

_LOADER = ClassLoader(Device, "device", "gridferry.controllers.devices.Device")  # type: ignore[type-abstract]


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
        saying what was looked for where, and what there is.
    """
    if ":" in spec:
        return _LOADER.load(spec, spec, base_dir)
    plugins = {point.name: point.value for point in entry_points(group=GROUP) if point.name not in BUILT_IN}
    target = BUILT_IN.get(spec) or plugins.get(spec)
    if target is not None:
        return _LOADER.load(target, spec, base_dir)
    if spec.endswith(".py"):
        raise _LOADER.fault(spec, f'name the class too: "{spec}:Class"{_LOADER.classes_of_file(spec, base_dir)}')
    ways = "; or give package.module:Class or path/file.py:Class"
    raise _LOADER.fault(spec, no_such("kind of device", spec, [*BUILT_IN, *plugins]) + ways)
