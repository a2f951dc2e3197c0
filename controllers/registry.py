"""Find a controller: built in, installed as a plug-in, or in a module or file of the user's own."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from gridferry.controllers.contract import Controller, ControllerError, ControllerSettings, Plant
from gridferry.controllers.settings import read_settings
from gridferry.controllers.user_code import advice_on_bare_imports, described, running_user_code
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


@dataclass(frozen=True)
class Listed:
    """A controller that can be used by name.

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
    if ":" in spec:
        return _load(spec, spec, base_dir)
    plugins = _plugins()
    target = BUILT_IN.get(spec) or (plugins[spec].value if spec in plugins else None)
    if target is None:
        if spec.endswith(".py"):
            raise _fault(spec, f'name the class too: "{spec}:Class"{_classes_of_file(spec, base_dir)}')
        ways = "; or give package.module:Class or path/file.py:Class"
        raise _fault(spec, no_such("controller", spec, [*BUILT_IN, *plugins]) + ways)
    return _load(target, spec, base_dir)


def make_controller(
    spec: str,
    plant: Plant,
    settings: Mapping[str, Any],
    source: str,
    key: str = "controller",
    base_dir: Path | None = None,
) -> Controller:
    """Find a controller, check its settings and build it for a plant.

    Parameters
    ----------
    spec : as in `find_controller`
    plant : what it is for; the controller gets a copy of its own, so that nothing it does to it reaches the simulation
    settings : its options as the user wrote them
    source, key : file, and the key of the controller's table in it, for the faults
    base_dir : folder that relative paths start from

    Raises
    ------
    InputError
        naming the option, its value and the way out.
    ControllerError
        where the controller says itself that it cannot serve this plant.
    """
    try:
        cls = find_controller(spec, base_dir)
    except InputError as error:
        raise InputError(Fault(source, f"{key}.use", f'"{one.key}": {one.message}') for one in error.faults) from error
    checked = read_settings(cls.Settings, settings, source, key, base_dir)
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


def _plugins() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUP) if point.name not in BUILT_IN}


def _listed(name: str, target: str, origin: str) -> Listed:
    try:
        cls = _load(target, name, None)
    except InputError as error:
        return Listed(name, f"cannot be loaded: {error.faults[0].message}", origin)
    return Listed(name, (inspect.getdoc(cls) or "").partition("\n")[0], origin)


def _load(target: str, spec: str, base_dir: Path | None) -> type[Controller]:
    place, _, class_name = target.rpartition(":")
    if not place or not class_name:
        raise _fault(spec, "incomplete; write package.module:Class or path/file.py:Class")
    module = _module_of_file(place, spec, base_dir) if place.endswith(".py") else _module(place, spec, base_dir)
    found = getattr(module, class_name, None)
    if found is None:
        raise _fault(spec, f"{no_such('class', class_name, _controllers_in(module))} in {place}")
    if not (inspect.isclass(found) and issubclass(found, Controller)):
        # from the checkout's root the bare names import a second contract, whose Controller is another class
        advice = advice_on_bare_imports(Path(getattr(module, "__file__", None) or ""))
        ways = advice or "derive it from gridferry.controllers.Controller"
        raise _fault(spec, f"{class_name} is no controller; {ways}")
    if inspect.isabstract(found):
        missing = ", ".join(sorted(found.__abstractmethods__))
        raise _fault(spec, f"{class_name} is abstract; it still has to define {missing}")
    if not (inspect.isclass(found.Settings) and issubclass(found.Settings, ControllerSettings)):
        raise _fault(spec, f"{class_name}.Settings is no settings class; derive it from ControllerSettings")
    return found


def _module(place: str, spec: str, base_dir: Path | None) -> ModuleType:
    with _also_importable([base_dir, Path.cwd()]):
        try:
            return importlib.import_module(place)
        except ModuleNotFoundError as error:
            if error.name is not None and (place == error.name or place.startswith(f"{error.name}.")):
                raise _fault(
                    spec, f"no module {place} (no {error.name} is installed or lies in {base_dir or Path.cwd()})"
                ) from error
            raise _fault(spec, f"importing {place} raised {described(error)}") from error
        except (Exception, SystemExit) as error:
            raise _fault(spec, f"importing {place} raised {described(error)}") from error


def _module_of_file(place: str, spec: str, base_dir: Path | None) -> ModuleType:
    path = _existing(place, base_dir)
    if path is None:
        folders = " or ".join(dict.fromkeys(str(one) for one in (base_dir, Path.cwd()) if one is not None))
        raise _fault(spec, f"no file {place} in {folders}; a path is relative to the config or to the working folder")
    # one module per file, so that a class found twice is the same class as long as the file is unchanged
    stamp = hashlib.sha256(str(path).encode() + path.read_bytes()).hexdigest()[:16]
    name = f"gridferry_file_{path.stem}_{stamp}"
    if name in sys.modules:
        return sys.modules[name]
    origin = importlib.util.spec_from_file_location(name, path)
    if origin is None or origin.loader is None:
        raise _fault(spec, f"{path} cannot be read as a Python file")
    module = importlib.util.module_from_spec(origin)
    sys.modules[name] = module
    with _also_importable([path.parent]):
        try:
            origin.loader.exec_module(module)
        except (Exception, SystemExit) as error:
            del sys.modules[name]
            raise _fault(spec, f"running {path} raised {described(error)}") from error
    return module


def _existing(place: str, base_dir: Path | None) -> Path | None:
    for folder in (base_dir, Path.cwd()):
        if folder is not None and (folder / place).is_file():
            return (folder / place).resolve()
    return None


def _classes_of_file(place: str, base_dir: Path | None) -> str:
    if _existing(place, base_dir) is None:
        return ""
    names = _controllers_in(_module_of_file(place, place, base_dir))
    return f"; there is {', '.join(names) or 'no controller in it'}"


def _controllers_in(module: ModuleType) -> list[str]:
    return [
        name
        for name, value in vars(module).items()
        if inspect.isclass(value) and issubclass(value, Controller) and not inspect.isabstract(value)
    ]


@contextmanager
def _also_importable(folders: list[Path | None]) -> Iterator[None]:
    """Let a user's module import what lies beside it, after everything that is installed."""
    before = list(sys.path)
    sys.path += [str(folder) for folder in folders if folder is not None and str(folder) not in before]
    importlib.invalidate_caches()
    try:
        with running_user_code():
            yield
    finally:
        sys.path[:] = before


def _fault(spec: str, message: str) -> InputError:
    return InputError(Fault("controller", spec, message))
