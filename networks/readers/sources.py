"""Sources of networks besides the catalogue: pandapower and MATPOWER files, functions.

pandapower is imported where it is needed: listing the catalogue should not wait for it.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import io
import json
import sys
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

from gridferry.networks.faults import InputError, no_such
from gridferry.networks.feeder import Feeder
from gridferry.networks.network import Network
from gridferry.networks.network_spec import NetOptions
from gridferry.networks.readers.net_json import PACKAGES, foreign_parts
from gridferry.networks.readers.spec_error import SpecError, check_file, words_of

_TABLES = ("bus", "line", "trafo", "switch", "load", "sgen", "ext_grid")


def network_of_json(path: Path, options: NetOptions | None = None) -> Network:
    """Read a pandapower net from JSON, as ``pandapower.to_json`` writes it; nothing that it names is run."""
    import pandapower as pp

    check_file(path)
    try:
        text = path.read_text(encoding="utf-8")
        foreign = foreign_parts(text)
        net = None if foreign else pp.from_json(io.StringIO(text))
    except Exception as error:
        raise SpecError(
            f"{path.name} cannot be read as a pandapower net ({words_of(error)}); write it with pandapower.to_json"
        ) from error
    if foreign:
        shown = ", ".join(foreign[:3]) + (f" and {len(foreign) - 3} more" if len(foreign) > 3 else "")
        raise SpecError(
            f"{path.name} names {shown}; a net file may contain objects of {', '.join(PACKAGES)} only: reading "
            "others would run their code; leave them out, or build the net in a function, package.module:function"
        )
    if missing := _missing_tables(text):
        raise SpecError(
            f"{path.name} has no table {', '.join(missing)}: damaged; write it anew with pandapower.to_json"
        )
    if not isinstance(net, pp.pandapowerNet):
        raise SpecError(f"{path.name} contains no pandapower net; write it with pandapower.to_json(net, path)")
    try:
        return _read(net, path.stem, str(path), options)
    except InputError:
        raise
    except Exception as error:
        # what a damaged table makes of pandapower and pandas; the traceback is kept for whoever looks
        raise SpecError(
            f"{path.name} contains a damaged pandapower net ({words_of(error)}); write it anew with pandapower.to_json"
        ) from error


def _missing_tables(text: str) -> list[str]:
    """Tables that every net has and a file lacks: pandapower would read none of their elements, and say nothing."""
    content = json.loads(text)
    tables = content.get("_object") if isinstance(content, dict) and content.get("_class") == "pandapowerNet" else None
    return [] if not isinstance(tables, dict) else [one for one in _TABLES if tables.get(one) is None]


def network_of_matpower(path: Path, options: NetOptions | None = None) -> Network:
    """Read a MATPOWER case file, version 2."""
    from gridferry.networks.readers.matpower import net_of_case, read_case

    check_file(path)
    source = str(path)
    return _read(net_of_case(read_case(path, source), source), path.stem, source, options)


def network_of_function(place: str, function: str, base_dir: Path, options: NetOptions | None = None) -> Network:
    """Call a function without arguments that returns a pandapower net, a `Feeder` or a `Network`.

    Parameters
    ----------
    place : a module's name, or the path of a ``.py`` file
    function : its name there
    base_dir : folder that a relative path starts from
    """
    spec = f"{place}:{function}"
    if not place or not function.isidentifier():
        raise SpecError(f'"{spec}": incomplete; write package.module:function or path/file.py:function')
    module = _module_of_file(base_dir / place) if place.endswith(".py") else _module(place)
    build = getattr(module, function, None)
    if not callable(build):
        there = [name for name, value in vars(module).items() if callable(value) and not name.startswith("_")]
        raise SpecError(no_such(f"function in {place}", function, there))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # for its author to see
            built = build()
    except Exception as error:
        raise SpecError(f'"{spec}" raised {words_of(error)}; correct the function') from error
    if isinstance(built, Feeder):
        built = Network(built)
    if isinstance(built, Network):
        return built if built.source_net is not None else Network(built.feeder.with_least_impedances())
    import pandapower as pp

    if not isinstance(built, pp.pandapowerNet):
        raise SpecError(f'"{spec}" returned a {type(built).__name__}; it must return a pandapower net or a Feeder')
    return _read(built, function, spec, options)


def _read(net: Any, name: str, source: str, options: NetOptions | None) -> Network:
    from gridferry.networks.readers.pandapower import network_of_net

    return network_of_net(net, name, source, options)


def _module(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except Exception as error:
        raise SpecError(f'the module "{name}" cannot be imported ({words_of(error)})') from error


def _module_of_file(path: Path) -> ModuleType:
    check_file(path)
    # two files of the same name are two modules
    name = f"_gridferry_network_{path.stem}_{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:12]}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise SpecError(f"{path.name} cannot be run ({words_of(error)})") from error
    return module
