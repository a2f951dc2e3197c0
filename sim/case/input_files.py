"""Input files of a case: data, networks, and the code of plug-ins with their local imports."""

from __future__ import annotations

import ast
import importlib.util
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from gridferry.controllers.devices.registry import find_kind
from gridferry.controllers.registry import module_of
from gridferry.networks.network_spec import names_code
from gridferry.sim.config.file_names import is_file, texts_in
from gridferry.sim.config.loaded import LoadedConfig

_OURS = "gridferry"
_INSTALLED = ("site-packages", "dist-packages")


def input_files(loaded: LoadedConfig) -> set[Path]:
    """Return the input files of a case, without those of the config itself.

    What a plug-in or a function of a network opens on its own is not known.

    Raises
    ------
    InputError
        where a kind of device cannot be found.
    """
    config, base = loaded.config, loaded.base_dir
    # file names in a config are absolute, but for those that only the controller knows to be file names
    read = {key: value for key, value in loaded.document.items() if key != "controllers"}
    named = [*(text for text in texts_in(read) if Path(text).is_absolute()), *texts_in(config.controller.settings())]
    files = {base / text for text in named if is_file(base / text)}
    places = {one.feeder.rpartition(":")[0] for one in config.networks if names_code(one.feeder)}
    places |= {use.rpartition(":")[0] or find_kind(use, base).__module__ for use in config.devices.use}
    places.add(module_of(config.controller.use))
    return files.union(*(_code(place, base) for place in places))


def config_files(loaded: LoadedConfig) -> set[Path]:
    """Return the files of a config: its own, and those that it extends."""
    origins = {Path(one) for one in loaded.merged.origins.values() if one.endswith(".toml")}
    return {one.absolute() for one in (loaded.path, *origins) if one.is_file()}


def _code(place: str, base: Path) -> set[Path]:
    """File of a module, given by path or name, and the files that it imports from its folder or package."""
    if place.endswith(".py"):
        found = next((folder / place for folder in (base, Path.cwd()) if (folder / place).is_file()), base / place)
        return _with_imports(found, found.parent, None)
    package = place.partition(".")[0]
    if package == _OURS:
        return set()
    file = _file_of_module(place)
    if file is None:
        return set()
    root = file.parents[place.count(".") + (file.name == "__init__.py")]
    return _with_imports(file, root, package if root.name in _INSTALLED else None)


def _file_of_module(name: str) -> Path | None:
    found = getattr(sys.modules.get(name), "__file__", None)
    if found is None:
        with suppress(ImportError, ValueError):
            spec = importlib.util.find_spec(name)
            found = None if spec is None or not spec.has_location else spec.origin
    return Path(found) if found and found.endswith(".py") else None


def _with_imports(file: Path, root: Path, package: str | None) -> set[Path]:
    """Follow imports within a folder, or within one package where that is given."""
    found: set[Path] = set()
    waiting = [file]
    while waiting:
        one = waiting.pop()
        if one in found or not one.is_file():
            continue
        found.add(one)
        if one.suffix == ".py":
            waiting += _imported(one, root, package)
    return found


def _imported(file: Path, root: Path, package: str | None) -> Iterable[Path]:
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [(root, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            folder = file.parents[node.level - 1] if node.level else root
            stem = f"{node.module}." if node.module else ""
            names = [(folder, stem + alias.name) for alias in node.names]
        else:
            continue
        for folder, name in names:
            parts = name.split(".")
            if folder == root and (parts[0] == _OURS or package not in (None, parts[0])):
                continue
            for end in range(1, len(parts) + 1):
                stem_path = folder.joinpath(*parts[:end])
                yield stem_path.with_name(stem_path.name + ".py")
                yield stem_path / "__init__.py"
