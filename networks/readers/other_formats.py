"""Networks in other formats through pandapower's converters, cached: Excel, OpenDSS, CGMES, SimBench."""

from __future__ import annotations

import hashlib
import importlib.util
import warnings
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from gridferry.networks.faults import InputError, no_such
from gridferry.networks.network import Network
from gridferry.networks.network_spec import NetOptions
from gridferry.networks.readers.net_cache import cached_net
from gridferry.networks.readers.net_json import foreign_parts
from gridferry.networks.readers.opendss import files_of, net_of_dss, notes_of
from gridferry.networks.readers.spec_error import SpecError, check_file, words_of

Convert = Callable[[Path], Any]


@dataclass(frozen=True, kw_only=True)
class Format:
    """A file format.

    Attributes
    ----------
    name : as messages call it
    packages : what its converter needs beside pandapower, by the name that is imported
    extra : of GridFerry, which brings them
    convert : makes a net of a file
    content : text that changes with everything that the net is made of
    """

    name: str
    packages: Mapping[str, str]
    extra: str
    convert: Convert
    content: Callable[[Path], str]


def network_of_other_format(path: Path, cache: Path | None = None, options: NetOptions | None = None) -> Network:
    """Read a net from Excel, OpenDSS or CGMES.

    Parameters
    ----------
    cache : folder of the cache; ``None`` for none
    options : how the net becomes a radial feeder

    Raises
    ------
    SpecError
        where the file is none, a package is missing, or its converter cannot read it.
    """
    from gridferry.networks.readers.pandapower import network_of_net

    check_file(path)
    kind = FORMATS[path.suffix.lower()]
    try:
        content = kind.content(path)
        net = cached_net(kind.name, content, kind.packages.values(), lambda: _converted(kind, path), cache)
        network = network_of_net(net, path.stem, str(path), options)
    except (InputError, SpecError):
        raise
    except Exception as error:  # what a converter makes of a file that is none of its own
        raise SpecError(f"{path.name} cannot be read as {kind.name} ({words_of(error)}); check it") from error
    return replace(network, notes=(*network.notes, *notes_of(net)))


def _converted(kind: Format, path: Path) -> Any:
    for module, package in kind.packages.items():
        if importlib.util.find_spec(module) is None:
            way = f"install it with: pip install 'gridferry[{kind.extra}]'"
            raise SpecError(f"{kind.name} files need the package {package}; {way}")
    return kind.convert(path)


def network_of_simbench(code: str, cache: Path | None = None, options: NetOptions | None = None) -> Network:
    """Read a SimBench grid by its code, such as ``1-LV-rural1--0-sw``; needs the package ``simbench``."""
    from gridferry.networks.readers.pandapower import network_of_net

    net = cached_net("SimBench", code, ("simbench",), lambda: _simbench(code), cache)
    return network_of_net(net, code, f"simbench:{code}", options)


def _simbench(code: str) -> Any:
    try:
        import simbench
    except ModuleNotFoundError as error:
        if error.name != "simbench":
            raise
        raise SpecError(
            "SimBench grids need the package simbench; install it with: pip install 'gridferry[simbench]'"
        ) from error
    known = simbench.collect_all_simbench_codes()
    if code not in known:
        raise SpecError(no_such("SimBench code", code, known))
    return simbench.get_simbench_net(code)


def _hash_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


# -------------------------------------------------------------------------------------------------------------- Excel


def _of_excel(path: Path) -> Any:
    """Read a net that ``pandapower.to_excel`` wrote, after a look at what stands in it as JSON."""
    import pandapower as pp
    import pandas as pd

    for name, table in pd.read_excel(path, sheet_name=None, index_col=0, engine="openpyxl").items():
        for column in table.columns:
            for cell in table[column]:
                if isinstance(cell, str) and '"_' in cell and (foreign := foreign_parts(cell)):
                    raise SpecError(f"{path.name}, sheet {name}, names {foreign[0]}; reading it would run its code")
    net = pp.from_excel(str(path))
    # single values come as numpy's
    net.update({key: value.item() for key, value in net.items() if isinstance(value, np.generic)})
    return net


# -------------------------------------------------------------------------------------------------------------- CGMES


def _of_cgmes(path: Path) -> Any:
    from pandapower.converter.cim.cim2pp.from_cim import from_cim

    version = "3.0" if _is_cgmes_3(path) else "2.4.15"
    with warnings.catch_warnings():
        # pandas warns the converter of what is to change there; the user can do nothing about it
        warnings.simplefilter("ignore")
        net = from_cim(file_list=[str(path.absolute())], cgmes_version=version, create_tap_controller=False)
    if not len(net.bus):
        raise SpecError(f"{path.name} has no buses; a .zip needs the profiles EQ, TP and SSH")
    return net


def _is_cgmes_3(path: Path) -> bool:
    """Whether files name the classes of CGMES 3."""
    if path.suffix.lower() == ".zip":
        with zipfile.ZipFile(path) as archive:
            heads = [archive.open(name).read(4000) for name in archive.namelist() if name.lower().endswith(".xml")]
    else:
        heads = [path.read_bytes()[:4000]]
    return any(b"CIM100" in head for head in heads)


_CGMES = Format(name="CGMES", packages={"lxml": "lxml"}, extra="cgmes", convert=_of_cgmes, content=_hash_of)
FORMATS: Mapping[str, Format] = {
    ".xlsx": Format(
        name="Excel", packages={"openpyxl": "openpyxl"}, extra="excel", convert=_of_excel, content=_hash_of
    ),
    ".dss": Format(
        name="OpenDSS",
        packages={"opendssdirect": "opendssdirect.py"},
        extra="opendss",
        convert=net_of_dss,
        content=lambda path: " ".join(f"{one.name}:{_hash_of(one)}" for one in files_of(path)),
    ),
    ".zip": _CGMES,
    ".xml": _CGMES,
}
"""Formats by the ending of the file."""
