"""Classes for the suites: controllers and kinds of devices, found and checked."""

from __future__ import annotations

from typing import Any

from gridferry.controllers.conformance.device_suite import check_device
from gridferry.controllers.conformance.findings import Finding
from gridferry.controllers.conformance.suite import check_controller
from gridferry.controllers.contract import Controller
from gridferry.controllers.devices import Device
from gridferry.controllers.devices.registry import find_kind, known_kinds
from gridferry.controllers.plugins.loading import ClassLoader
from gridferry.controllers.registry import find_controller

_LOADER = ClassLoader[Any](
    (Controller, Device),
    "controller or device",
    "gridferry.controllers.Controller or gridferry.controllers.devices.Device",
)


def find_class(spec: str) -> type[Controller] | type[Device[Any]]:
    """Return the class that ``spec`` names, as `find_controller` and `find_kind` do.

    Raises
    ------
    InputError
        saying what was looked for where, and what there is.
    """
    written_out = ":" in spec or spec.endswith(".py")
    is_kind = issubclass(_LOADER.load(spec, spec), Device) if written_out else spec in known_kinds()
    return find_kind(spec) if is_kind else find_controller(spec)


def check_class(spec: str) -> tuple[str, list[Finding]]:
    """Test the class that ``spec`` names: return ``controller`` or ``device``, and the findings."""
    cls = find_class(spec)
    if issubclass(cls, Device):
        return "device", check_device(cls)
    return "controller", check_controller(cls)
