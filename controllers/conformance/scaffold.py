"""Write a working controller and its test, for a user to change into an own one."""

from __future__ import annotations

import importlib.util
import keyword
from importlib.resources import files
from pathlib import Path
from string import Template

from gridferry.controllers import contract
from gridferry.networks.faults import Fault, InputError

_COMMAND = "gridferry new controller"


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
    paths = [folder / f"{name}.py", folder / f"test_{name}.py"]
    class_name = "".join(part[:1].upper() + part[1:] for part in name.split("_"))
    faults = [Fault(_COMMAND, "NAME", f'"{name}" {wrong}') for wrong in _name_faults(name, class_name)]
    if not folder.is_dir():
        faults.append(Fault(_COMMAND, str(folder), "no such folder; create it first"))
    elif not faults:
        faults += [
            Fault(_COMMAND, str(path), "is there already; choose another name or move it away")
            for path in paths
            if path.exists()
        ]
        if not faults and importlib.util.find_spec(name) is not None:
            faults.append(Fault(_COMMAND, "NAME", f'"{name}" is the name of an installed module; choose another'))
    if faults:
        raise InputError(faults)
    templates = files("gridferry.controllers.conformance") / "templates"
    for path, template in zip(paths, ("controller.py.txt", "test_controller.py.txt"), strict=True):
        text = Template((templates / template).read_text(encoding="utf-8"))
        path.write_text(text.substitute(name=name, class_name=class_name), encoding="utf-8", newline="\n")
    return paths


def _name_faults(name: str, class_name: str) -> list[str]:
    if not (name.isascii() and name.isidentifier() and class_name.isidentifier()) or keyword.iskeyword(name):
        return ["is no Python name; use letters, digits and _, and a letter first, as in night_charger"]
    if name.lower().startswith("test"):
        return ["would be taken for a test by pytest; begin with another word"]
    if class_name in vars(contract):
        return [f"would hide the class {class_name} of the contract; choose another name"]
    return []
