"""Cache of converted networks and their profiles: pandapower's JSON and Parquet, by content and versions.

Its folder is that of the config's ``cache_dir``, of the environment variable ``GRIDFERRY_CACHE_DIR``, or the user's
own. What is in it is checked as any net file is, and converted anew where it is damaged.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
from collections.abc import Callable, Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pandas as pd

from gridferry.networks.readers.net_json import foreign_parts

VARIABLE = "GRIDFERRY_CACHE_DIR"
"""environment variable with the folder; ``off`` for none"""

_FORMAT = 1
_NET, _HASHES, _PROFILES = "net.json", "hashes.json", "profiles"


def cache_folder(given: Path | None) -> Path | None:
    """Return the folder of the cache; ``None`` where it is switched off."""
    if given is not None:
        return given
    named = os.environ.get(VARIABLE, "")
    if named:
        return None if named == "off" else Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gridferry"


def cached_net(
    what: str, content: str, packages: Iterable[str], convert: Callable[[], Any], folder: Path | None
) -> Any:
    """Return a converted net, from the cache or into it.

    A net that was converted just now has gone through JSON, too: it is the same as what the cache gives.

    Parameters
    ----------
    what : of which kind the source is
    content : its name, or the hash of its content
    packages : those whose versions decide what it is converted to, beside pandapower
    convert : makes the ``pandapowerNet``
    folder : of the cache; ``None`` for none
    """
    versions = {name: _version(name) for name in ("pandapower", "gridferry", *packages)}
    parts = json.dumps([_FORMAT, what, content, versions], sort_keys=True)
    entry = None if folder is None else folder / hashlib.sha256(parts.encode()).hexdigest()
    if entry is not None and entry.is_dir():
        try:
            return _loaded(entry)
        except Exception:  # whatever damage does to a file
            shutil.rmtree(entry, ignore_errors=True)
    return _stored(convert(), entry)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _loaded(entry: Path) -> Any:
    for name, expected in json.loads((entry / _HASHES).read_text()).items():
        if hashlib.sha256((entry / name).read_bytes()).hexdigest() != expected:
            raise ValueError(f"{name} is damaged")
    text = (entry / _NET).read_text(encoding="utf-8")
    if foreign_parts(text):
        raise ValueError("names code of others")
    net = _of_json(text)
    profiles = {one.stem: pd.read_parquet(one) for one in sorted((entry / _PROFILES).glob("*.parquet"))}
    if profiles:
        net["profiles"] = profiles
    return net


def _stored(net: Any, entry: Path | None) -> Any:
    import pandapower as pp

    profiles = net.pop("profiles", None) or {}
    text = pp.to_json(net)
    found = _of_json(text)
    if profiles:
        found["profiles"] = profiles
    if entry is not None:
        new = entry.with_name(f".{entry.name}-{os.getpid()}")
        try:
            (new / _PROFILES).mkdir(parents=True)
            (new / _NET).write_text(text, encoding="utf-8")
            for name, frame in profiles.items():
                frame.to_parquet(new / _PROFILES / f"{name}.parquet")
            files = [one for one in new.rglob("*") if one.is_file()]
            hashes = {one.relative_to(new).as_posix(): hashlib.sha256(one.read_bytes()).hexdigest() for one in files}
            (new / _HASHES).write_text(json.dumps(hashes))
            new.rename(entry)
        except (OSError, ValueError, TypeError):  # no room, no right, another process was faster, odd profiles
            shutil.rmtree(new, ignore_errors=True)
    return found


def _of_json(text: str) -> Any:
    import pandapower as pp

    return pp.from_json(io.StringIO(text))
