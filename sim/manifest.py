"""What a run was made from: versions of the packages and hashes of the input files."""

from __future__ import annotations

import hashlib
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from sim.loaded_config import LoadedConfig

_PACKAGES = (
    "gridferry",
    "mosaik",
    "pandapower",
    "power-grid-model",
    "numpy",
    "scipy",
    "pandas",
    "cvxpy",
    "clarabel",
    "highspy",
    "pyscipopt",
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


def input_hashes(loaded: LoadedConfig) -> dict[str, str]:
    """Return the SHA-256 of every file that a case is built from, the config among them."""
    files = {loaded.path, *files_named(loaded.document, loaded.base_dir)}
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(files)}


def files_named(value: Any, base_dir: Path) -> set[Path]:
    """Return the files that the strings of a config document name, alone or as ``path/file.py:Class``."""
    if isinstance(value, dict):
        return set().union(*(files_named(one, base_dir) for one in value.values()))
    if isinstance(value, list):
        return set().union(*(files_named(one, base_dir) for one in value))
    if isinstance(value, str) and 0 < len(value) < 1000 and "\0" not in value:
        file, _, _ = value.rpartition(":")
        path = base_dir / (file if file.endswith(".py") else value)
        return {path} if path.is_file() else set()
    return set()
