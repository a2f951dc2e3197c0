"""Manifest of a run: versions of packages, hashes of input files, changes since."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Mapping
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
    files = sorted({loaded.path, *input_files(loaded)})
    return {
        "versions": versions(),
        "config_file": str(loaded.path),
        "inputs": {str(path): _hash(path) for path in files if path.is_file()},
    }


def is_ours(manifest: object) -> bool:
    """Whether the content of a ``manifest.json`` was written by a run."""
    if not isinstance(manifest, dict) or not isinstance(manifest.get("versions"), dict):
        return False
    return "gridferry" in manifest["versions"] and "status" in manifest


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
    found = [
        Fault("--resume", name, f"was {old} when the run was started, is now {now['versions'][name]}; {_WAYS}")
        for name, old in was["versions"].items()
        if now["versions"].get(name, old) != old
    ]
    configs = {str(one) for one in config_files(loaded)} | {manifest.get("config_file")}
    for name in sorted({*was["inputs"], *now["inputs"]}):
        # manifests of earlier versions do not say which of the files is the config
        if name in configs or ("config_file" not in manifest and name.endswith(".toml")):
            continue
        old = was["inputs"].get(name)
        new = now["inputs"].get(name) or (_hash(Path(name)) if Path(name).is_file() else None)
        if old != new:
            change = "was not read" if old is None else "is gone; it was read" if new is None else "has changed"
            since = "since the run was started" if old and new else "when the run was started"
            found.append(Fault("--resume", name, f"{change} {since}; {_WAYS}"))
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
