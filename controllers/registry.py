"""Registry of controllers: built in, installed as plug-ins, or in a user's module or file."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from gridferry.controllers.contract import Controller, ControllerError, ControllerSettings, Plant
from gridferry.controllers.plugins.loading import ClassLoader
from gridferry.controllers.plugins.user_code import described, running_user_code
from gridferry.controllers.settings import read_settings
from gridferry.networks.faults import Fault, InputError, no_such
from gridferry.networks.read_only import own_copy

GROUP = "gridferry.controllers"
"""Entry-point group of installed plug-ins."""

BUILT_IN: Mapping[str, str] = {
    "idle": "gridferry.controllers.idle:Idle",
    "rules": "gridferry.controllers.rules:Rules",
    "replay": "gridferry.controllers.replay:Replay",
    "mess_exact": "gridferry.controllers.mess_exact:MessExact",
    "mess_two_stage": "gridferry.controllers.mess_two_stage:MessTwoStage",
    "joint": "gridferry.controllers.joint:Joint",
    "mvdc_drcc": "gridferry.controllers.mvdc_drcc:MvdcDrcc",
}
"""Our own controllers, as declared in pyproject.toml; a plug-in cannot take one of these names."""

_LOADER = ClassLoader(Controller, "controller", "gridferry.controllers.Controller")


@dataclass(frozen=True)
class Listed:
    """Controller that is available by name.

    Attributes
    ----------
    name : what ``use`` takes
    summary : first line of its docstring, or why it cannot be loaded
    origin : ``built in``, or the distribution that brought it
    """

    name: str
    summary: str
    origin: str


def available() -> list[Listed]:
    """List the controllers known by name, built-in ones first."""
    return [_listed(name, target, "built in") for name, target in BUILT_IN.items()] + [
        _listed(name, point.value, point.dist.name if point.dist else "plug-in") for name, point in _plugins().items()
    ]


def find_controller(spec: str, base_dir: Path | None = None) -> type[Controller]:
    """Return the controller class that ``spec`` names.

    Parameters
    ----------
    spec : a built-in name, the name of an installed plug-in, ``package.module:Class`` or ``path/file.py:Class``
    base_dir : folder that relative paths start from, before the working folder

    Raises
    ------
    InputError
        saying what was looked for where, and what there is.
    """
    if ":" in spec or spec.endswith(".py"):
        return _load(spec, spec, base_dir)
    plugins = _plugins()
    target = BUILT_IN.get(spec) or (plugins[spec].value if spec in plugins else None)
    if target is None:
        ways = "; or give package.module:Class or path/file.py:Class"
        raise _LOADER.fault(spec, no_such("controller", spec, [*BUILT_IN, *plugins]) + ways)
    return _load(target, spec, base_dir)


def make_controller(
    spec: str,
    plant: Plant,
    settings: Mapping[str, Any],
    source: str,
    key: str = "controller",
    base_dir: Path | None = None,
    *,
    inherited: Mapping[str, Any] | None = None,
) -> Controller:
    """Find a controller, check its settings and build it for a plant.

    Parameters
    ----------
    spec : as in `find_controller`
    plant : what it is for; the controller gets a copy of its own, so that nothing it does to it reaches the simulation
    settings : its options as the user wrote them
    source, key : file, and the key of the controller's table in it, for the faults
    base_dir : folder that relative paths start from
    inherited : as in `gridferry.controllers.settings.read_settings`

    Raises
    ------
    InputError
        naming the option, its value and the way out.
    ControllerError
        where the controller says itself that it cannot serve this plant.
    """
    cls, checked = checked_settings(spec, settings, source, key, base_dir, inherited)
    try:
        with running_user_code():
            return cls(own_copy(plant), checked)
    except (InputError, ControllerError):
        raise
    except (Exception, SystemExit) as error:
        raise InputError(
            Fault(
                source, f"{key}.use", f'"{spec}": building {cls.__name__} raised {described(error)}; correct the class'
            )
        ) from error


def checked_settings(
    spec: str,
    settings: Mapping[str, Any],
    source: str,
    key: str,
    base_dir: Path | None,
    inherited: Mapping[str, Any] | None,
) -> tuple[type[Controller], ControllerSettings]:
    """Find a controller and check its settings; parameters and errors are those of `make_controller`."""
    try:
        cls = find_controller(spec, base_dir)
    except InputError as error:
        raise InputError(Fault(source, f"{key}.use", f'"{one.key}": {one.message}') for one in error.faults) from error
    return cls, read_settings(cls.Settings, settings, source, key, base_dir, inherited)


def module_of(spec: str) -> str:
    """Return the module, or the file, whose code a controller is; empty for none. Nothing is imported."""
    if spec.endswith(".py"):
        return spec
    plugins = {} if spec in BUILT_IN or ":" in spec else _plugins()
    return (BUILT_IN.get(spec) or (plugins[spec].value if spec in plugins else spec)).rpartition(":")[0]


def is_plugin(spec: str) -> bool:
    """Whether a controller is code of others."""
    return module_of(spec).partition(".")[0] not in ("", "gridferry")


def _plugins() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUP) if point.name not in BUILT_IN}


def _listed(name: str, target: str, origin: str) -> Listed:
    try:
        cls = _load(target, name, None)
    except InputError as error:
        return Listed(name, f"cannot be loaded: {error.faults[0].message}", origin)
    return Listed(name, (inspect.getdoc(cls) or "").partition("\n")[0], origin)


def _load(target: str, spec: str, base_dir: Path | None) -> type[Controller]:
    found = _LOADER.load(target, spec, base_dir)
    if not (inspect.isclass(found.Settings) and issubclass(found.Settings, ControllerSettings)):
        raise _LOADER.fault(spec, f"{found.__name__}.Settings is no settings class; derive it from ControllerSettings")
    return found
