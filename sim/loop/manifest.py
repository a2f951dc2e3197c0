"""Manifest of a run: versions of packages, hashes of input files, changes since."""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Iterable, Mapping, Set
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from gridferry.networks.faults import Fault
from gridferry.sim.case.input_files import config_files, input_files
from gridferry.sim.config.loaded import LoadedConfig

_PACKAGES = (
    "gridferry",
    "mosaik",
    "pandapower",
    "lightsim2grid",
    "power-grid-model",
    "numba",
    "numpy",
    "scipy",
    "pandas",
    "pyarrow",
    "networkx",
    "cvxpy",
    "clarabel",
    "highspy",
    "pyscipopt",
    "pymoo",
    "simbench",
    "duckdb",
)


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that results depend on."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def made_from(loaded: LoadedConfig) -> dict[str, Any]:
    """Return the manifest entries of a case: versions, config file, SHA-256 of every input file.

    Raises
    ------
    InputError
        where the controller cannot be found.
    """
    config = loaded.path.absolute()
    return {
        "versions": versions(),
        "config_file": str(config),
        "inputs": {
            os.path.normpath(path): _hash(path) for path in sorted({config, *input_files(loaded)}) if path.is_file()
        },
    }


def is_ours(manifest: object) -> bool:
    """Whether the content of a ``manifest.json`` was written by a run."""
    if not isinstance(manifest, dict) or not isinstance(manifest.get("versions"), dict):
        return False
    return "gridferry" in manifest["versions"] and "status" in manifest


def same_config(was: Mapping[str, Any], read: Iterable[str], now: Mapping[str, Any], reads: Iterable[str]) -> bool:
    """Whether two complete configs say the same, wherever the files that they name lie now.

    Parameters
    ----------
    was, now : documents of the configs
    read, reads : input files of each, with absolute paths; `changes` compares what is in them
    """
    normal = [set(map(os.path.normpath, names)) for names in (read, reads)]
    return _without_folders(was, normal[0]) == _without_folders(now, normal[1])


def _without_folders(value: Any, files: Set[str]) -> Any:
    """Replace the paths of input files by their names, of files with a class, too."""
    if isinstance(value, Mapping):
        return {_without_folders(key, files): _without_folders(one, files) for key, one in value.items()}
    if isinstance(value, list):
        return [_without_folders(one, files) for one in value]
    if isinstance(value, str) and not files.isdisjoint(map(os.path.normpath, (value, value.rpartition(":")[0]))):
        return Path(value).name
    return value


def changes(manifest: Mapping[str, Any], loaded: LoadedConfig) -> list[Fault]:
    """List the files and versions that have changed since a run was made.

    The config's own file is none of them: what it says is compared, so a comment is no change.

    Raises
    ------
    InputError
        where the controller cannot be found.
    """
    now = made_from(loaded)
    was = {name: manifest.get(name) or {} for name in ("versions", "inputs")}
    files = _placed(was["inputs"], now["inputs"], manifest.get("config_file"), loaded.path)
    found = [
        Fault("--resume", name, f"was {old} when the run was started, is now {now['versions'][name]}; {_WAYS}")
        for name, old in was["versions"].items()
        if now["versions"].get(name, old) != old
    ]
    configs = {str(one) for one in config_files(loaded)}
    for name in sorted({*files, *now["inputs"]}):
        # manifests of earlier versions do not say which of the files is the config
        if name in configs or ("config_file" not in manifest and name.endswith(".toml")):
            continue
        old = files.get(name)
        new = now["inputs"].get(name) or (_hash(Path(name)) if Path(name).is_file() else None)
        if old != new:
            change = "was not read" if old is None else "is gone; it was read" if new is None else "has changed"
            since = "since the run was started" if old and new else "when the run was started"
            found.append(Fault("--resume", name, f"{change} {since}; {_WAYS}"))
    return found


def _placed(was: Mapping[str, str], now: Mapping[str, str], config: str | None, path: Path) -> dict[str, str]:
    """Return the hashes of a run's input files by where the files lie now, if its project has moved.

    A file is found where it was, at the same place beside the config, or else by its name and content.
    """
    found: dict[str, str] = {}
    here, folder = path.absolute().parent, Path(config or path).parent
    for old, digest in was.items():
        name, beside = os.path.normpath(old), os.path.normpath(here / os.path.relpath(old, folder))
        same = [one for one in now if one not in was and (Path(one).name, now[one]) == (Path(name).name, digest)]
        places = [*(one for one in (name, beside) if one in now), *same, name, beside]
        if old != config:
            found[next((one for one in places if Path(one).is_file()), name)] = digest
    return found


_WAYS = "restore it, run into a new directory, or continue with --accept-changes"


def segments(manifest: Mapping[str, Any], step: int, now: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the segments of a run that was resumed with other versions or inputs.

    Parameters
    ----------
    manifest : of the run so far
    step : the first with what holds ``now``, as `made_from` gives it
    """
    before = manifest.get("segments") or [_segment(0, manifest)]
    return [*(one for one in before if one["from_step"] < step), _segment(step, now)]


def _segment(step: int, made: Mapping[str, Any]) -> dict[str, Any]:
    return {"from_step": step, "versions": made["versions"], "inputs": made["inputs"]}


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
