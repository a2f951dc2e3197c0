"""Absolute paths for file names in a config, which are relative to the file that names them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gridferry.networks.network_spec import FILES, PICKLES


def anchor(layer: dict[str, Any], folder: Path) -> None:
    """Make the file names in a layer absolute."""
    for profile in _tables(layer.get("profiles")):
        _anchor_key(profile, "file", folder)
    roads = layer.get("roads")
    if isinstance(roads, dict):
        _anchor_key(roads, "graph", folder)
        _anchor_key(roads, "volumes", folder)
    for network in _tables(layer.get("networks")):
        if isinstance(network.get("feeder"), str):
            network["feeder"] = anchor_spec(network["feeder"], folder)
    _anchor_key(layer, "cache_dir", folder)
    kinds = layer.get("devices")
    if isinstance(kinds, dict) and "use" in kinds:
        kinds["use"] = _anchored(kinds["use"], folder)
    chosen, others = layer.get("controller"), layer.get("controllers")
    for holder in _tables([layer.get("forecast"), chosen, *_tables(others)]):
        for errors in _tables([holder.get("errors")]):
            _anchor_key(errors, "file", folder)
    if isinstance(chosen, dict) and isinstance(chosen.get("use"), str):
        chosen["use"] = anchor_spec(chosen["use"], folder)
    for settings in (chosen, *_tables(others)):
        if isinstance(settings, dict):
            # a controller's own settings are not known here; what names a file beside the config is one
            for key, value in settings.items():
                if key != "use" and isinstance(value, str) and Path(value).suffix and is_file(folder / value):
                    _anchor_key(settings, key, folder)
    if isinstance(others, dict):
        layer["controllers"] = {anchor_spec(spec, folder): settings for spec, settings in others.items()}


def _tables(value: object) -> list[dict[str, Any]]:
    """Tables in an array, or under the keys of a table."""
    entries = value if isinstance(value, list) else list(value.values()) if isinstance(value, dict) else []
    return [one for one in entries if isinstance(one, dict)]


def _anchor_key(table: dict[str, Any], key: str, folder: Path) -> None:
    if isinstance(table.get(key), str) and table[key]:
        table[key] = str(folder / table[key])


def anchor_spec(spec: str, folder: Path) -> str:
    """Make the file of a feeder, or of ``path/file.py:Class``, absolute; names and modules are unchanged."""
    if spec.lower().endswith((*FILES, *PICKLES)):
        return str(folder / spec)
    file, colon, name = spec.rpartition(":")
    return f"{folder / file}:{name}" if colon and file.endswith(".py") else spec


def _anchored(specs: object, folder: Path) -> object:
    """Make the files in a list, or in a patch of one, absolute."""
    if isinstance(specs, list):
        return [_anchored(one, folder) for one in specs]
    if isinstance(specs, dict):
        return {key: _anchored(one, folder) for key, one in specs.items()}
    return anchor_spec(specs, folder) if isinstance(specs, str) else specs


def texts_in(value: object) -> Iterator[str]:
    """All text values in a document, without its keys."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from texts_in(one)
    elif isinstance(value, list):
        for one in value:
            yield from texts_in(one)


def is_file(path: Path) -> bool:
    """Whether a file exists; false for names that no file can have."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False
