"""Safety check of pandapower nets in JSON: which code or files pandapower would load from them.

pandapower imports every module that such a file names, and a module runs when it is imported. So only modules of
pandapower itself, and of the packages whose objects it writes, may be named. What stands in the file as text is looked
into as well: pandapower writes tables and controllers as JSON inside of JSON.
"""

from __future__ import annotations

import json
from pathlib import PurePath, PurePosixPath, PureWindowsPath
from typing import Any

PACKAGES = ("pandapower", "pandas", "numpy", "networkx", "shapely", "geopandas")
"""Packages whose objects pandapower writes into its nets."""
_FUNCTIONS = ("pandapower", "numpy")
"""packages that functions may come from, as in an output writer of a time series"""
_BUILT_IN = ("complex", "tuple", "set", "frozenset")
_BEGINS = ("{", "[", '"')
"""what JSON begins with that may hold an object"""
_PATHS: tuple[type[PurePath], ...] = (PurePosixPath, PureWindowsPath)


class _Pairs(list[tuple[str, Any]]):
    """A JSON object with all its keys, repeated ones included."""


def foreign_parts(text: str) -> list[str]:
    """List the parts of a net that would load foreign code or files, such as ``subprocess.run``.

    Raises
    ------
    ValueError
        where the text is no JSON.
    RecursionError
        where it is nested too deep.
    """
    found: dict[str, None] = {}
    _look_at(json.loads(text, object_pairs_hook=_Pairs), found)
    return list(found)


def _look_at(value: Any, found: dict[str, None]) -> None:
    if isinstance(value, _Pairs):
        _look_at_object(value, found)
        for _, inner in value:
            _look_at(inner, found)
    elif isinstance(value, list):
        for inner in value:
            _look_at(inner, found)
    elif isinstance(value, str) and value.lstrip()[:1] in _BEGINS and ('"_' in value or "\\u" in value):
        try:
            inner = json.loads(value, object_pairs_hook=_Pairs)
        except ValueError:
            if '"_module"' in value or "\\u" in value:
                # pandas reads tables by another parser, which might take it
                found[f"text that is no JSON: {value[:40]}"] = None
        else:
            _look_at(inner, found)


def _look_at_object(pairs: _Pairs, found: dict[str, None]) -> None:
    """Check every combination of module, class and content that a decoder might read from an object."""
    given = {key: [str(value) for name, value in pairs if name == key] for key in ("_module", "_class", "_object")}
    names = given["_class"] or ["?"]
    for module in given["_module"]:
        parts = module.split(".")
        plain = module == "builtins" and all(name in _BUILT_IN for name in names)
        ours = parts[0] in (_FUNCTIONS if "function" in names else PACKAGES)
        if not (plain or ours) or any(part.startswith("__") for part in parts):
            own = given["_object"] if "function" in names else names
            found[f"{module}.{(own or names)[0][:40]}"] = None
    if given["_module"]:
        for content in given["_object"]:
            if any(kind(content).is_absolute() for kind in _PATHS):
                found[f"the file {content[:80]}"] = None
    for key, _ in pairs:
        if key.startswith("__") and key.endswith("__"):
            found[f'the key "{key}"'] = None
