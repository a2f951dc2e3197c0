"""Scaffolds: a working controller or kind of device with its test, for users to start from."""

from __future__ import annotations

import importlib.util
import keyword
from importlib.resources import files
from pathlib import Path
from string import Template
from types import ModuleType

from gridferry.controllers import contract, devices
from gridferry.controllers.conformance.devices.kind import is_taken
from gridferry.networks.faults import Fault, InputError


def new_controller(name: str, folder: Path) -> list[Path]:
    """Write ``NAME.py`` and ``test_NAME.py`` into a folder and return their paths.

    Parameters
    ----------
    name : name of the module, a Python identifier such as ``night_charger``; the class becomes ``NightCharger``
    folder : an existing folder

    Raises
    ------
    InputError
        where the name is no identifier, the folder is missing, or a file is there already; nothing is written then.
    """
    return _written("controller", name, folder, _name_faults(name, contract))


def new_device(name: str, folder: Path) -> list[Path]:
    """Write a kind of device and its test; its table has the name of the module with an s."""
    faults = _name_faults(name, devices)
    if not faults and is_taken(f"{name}s"):
        faults = [f"would have the table {name}s, which is taken; choose another name"]
    return _written("device", name, folder, faults)


def _written(what: str, name: str, folder: Path, name_faults: list[str]) -> list[Path]:
    command = f"gridferry new {what}"
    paths = [folder / f"{name}.py", folder / f"test_{name}.py"]
    faults = [Fault(command, "NAME", f'"{name}" {wrong}') for wrong in name_faults]
    if not folder.is_dir():
        faults.append(Fault(command, str(folder), "no such folder; create it first"))
    elif not faults:
        faults += [
            Fault(command, str(path), "is there already; choose another name or move it away")
            for path in paths
            if path.exists()
        ]
        if not faults and importlib.util.find_spec(name) is not None:
            faults.append(Fault(command, "NAME", f'"{name}" is the name of an installed module; choose another'))
    if faults:
        raise InputError(faults)
    templates = files("gridferry.controllers.conformance") / "templates"
    for path, template in zip(paths, (f"{what}.py.txt", f"test_{what}.py.txt"), strict=True):
        text = Template((templates / template).read_text(encoding="utf-8"))
        path.write_text(text.substitute(name=name, class_name=_class_name(name)), encoding="utf-8", newline="\n")
    return paths


def _class_name(name: str) -> str:
    return "".join(part[:1].upper() + part[1:] for part in name.split("_"))


def _name_faults(name: str, imported: ModuleType) -> list[str]:
    """Faults of a name that clashes with the imports of the template."""
    class_name = _class_name(name)
    if not (name.isascii() and name.isidentifier() and class_name.isidentifier()) or keyword.iskeyword(name):
        return ["is no Python name; use letters, digits and _, and a letter first, as in night_charger"]
    if name.lower().startswith("test"):
        return ["would be taken for a test by pytest; begin with another word"]
    if class_name in vars(imported):
        return [f"would hide the class {class_name} of {imported.__name__}; choose another name"]
    return []
