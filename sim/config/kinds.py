"""Kinds of devices of a config, and the config model with their tables."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from inspect import getfile
from pathlib import Path
from typing import Any

from pydantic import Field, create_model

from gridferry.controllers.devices import Device
from gridferry.controllers.devices.registry import TAKEN_TABLES, find_kind, is_built_in, kinds_with
from gridferry.controllers.uncertainty.error_settings import ErrorConfig, ErrorSettings
from gridferry.networks.faults import Fault, InputError
from gridferry.sim.config.document import Document, Loc
from gridferry.sim.config.forecast_schema import ForecastConfig
from gridferry.sim.config.schema import Config

Kind = type[Device[Any]]
Refusal = Callable[[str, str], str | None]
"""Says why a kind may not be used, if so, by what the config writes and the file or setting that it stands in."""

_USE: Loc = ("devices", "use")


@dataclass(frozen=True)
class Found:
    """Kinds that a config can have, as far as they were found.

    Attributes
    ----------
    kinds : in the order in which a plant has its devices
    faults : of those that were not found
    complete : whether no other table can be that of a kind
    """

    kinds: tuple[Kind, ...]
    faults: tuple[Fault, ...]
    complete: bool


def find_kinds(document: Document, base_dir: Path, refusal: Refusal) -> Found:
    """Find the kinds that a config can have: built-in ones, and those of ``[devices] use``.

    Parameters
    ----------
    document : the config as merged, not yet checked
    base_dir : folder that relative paths start from
    """
    given = document.value(_USE, [])
    specs = given if isinstance(given, list) else []
    wrong = specs is not given or not all(isinstance(one, str) for one in specs)
    found: list[Kind] = []
    faults: list[Fault] = []
    ours = kinds_with(())
    for number, spec in enumerate(specs):
        if not isinstance(spec, str) or not spec:
            continue  # the check of the values tells of it
        loc: Loc = (*_USE, number)
        refused = refusal(spec, document.origin(loc))
        if refused is not None:
            faults.append(document.fault(loc, refused))
            continue
        try:
            kind = find_kind(spec, base_dir)
        except InputError as error:
            faults += [document.fault(loc, one.message) for one in error.faults]
            continue
        taken = _taken_by(kind, [*ours, *found])
        if taken is None:
            found.append(kind)
        elif taken:
            message = f'the table "{kind.table}" of {kind.__name__} is {taken}; give its table another name'
            faults.append(document.fault(loc, message))
    return Found(kinds_with(found), tuple(faults), not faults and not wrong)


def _taken_by(kind: Kind, others: list[Kind]) -> str | None:
    """Owner of the table that a kind would have; empty for the same kind, ``None`` if the table is free."""
    if kind in others:
        return ""
    name = kind.table.lower()
    for other in others:
        if other.table.lower() == name:
            return f"taken by {'ours' if is_built_in(other) else getfile(other)}"
    if name in Config.model_fields or hasattr(Config, kind.table):
        return "a word that every config has"
    return "a name in the results" if name in TAKEN_TABLES else None


@cache
def config_model(kinds: tuple[Kind, ...]) -> type[Config]:
    """Return the model of a config that has the tables of these kinds, and the tables of their forecast errors."""
    named = dict.fromkeys(series.error for kind in kinds for series in kind.series.values() if series.error)
    quantity: Any = (ErrorConfig, ErrorConfig())
    quantities = {name: quantity for name in named if name not in ErrorSettings.model_fields}
    errors = create_model("ErrorSettings", __base__=ErrorSettings, __module__=__name__, **quantities)
    forecast = create_model(
        "ForecastConfig",
        __base__=ForecastConfig,
        __module__=__name__,
        errors=(errors, Field(default=errors(), description=ForecastConfig.model_fields["errors"].description)),
    )
    tables: dict[str, Any] = {}
    for kind in kinds:
        entry: Any = kind.Config
        tables[kind.table] = (list[entry], Field(default=[], description=_described(kind)))
    model = create_model(
        "Config",
        __base__=Config,
        __module__=__name__,
        __doc__=Config.__doc__.partition("\n")[0] if Config.__doc__ else None,
        forecast=(forecast, Field(default=forecast(), description=Config.model_fields["forecast"].description)),
        **tables,
    )
    model.kinds = kinds
    return model


def _described(kind: Kind) -> str:
    """Description of a table's key: the first line of the docstring."""
    line = (kind.Config.__doc__ or kind.__doc__ or "").partition("\n")[0].rstrip(".")
    return line if line[1:2].isupper() else line[:1].lower() + line[1:]


# --------------------------------------------------------------------------------------------------- whose code may run


def refuse_nothing(spec: str, origin: str) -> str | None:
    """Permit all code, for a config that was given to this process."""
    return None


def outside_of_config(spec: str, origin: str) -> str | None:
    """Message that code is neither in the config's folder nor in an installed package.

    What a setting of the command line names may lie anywhere, and so may what a run was made from, where its run
    directory is read.
    """
    if origin.startswith("--"):
        return None
    place = spec if spec.endswith(".py") else spec.rpartition(":")[0]
    folder = Path(origin).absolute().parent
    if place.endswith(".py"):
        try:
            file = (folder / place).resolve()
        except (OSError, ValueError, RuntimeError):
            return None  # no path that can be read
        inside = file.is_relative_to(folder.resolve()) or not file.exists() or _was_run(file, folder)
    else:
        top = place.partition(".")[0]
        beside = (folder / top).is_dir() or (folder / f"{top}.py").is_file()
        inside = not top or beside or _is_installed(top) or not _is_here(top)
    if inside:
        return None
    return f"is code outside the config's own folder, which only you may name; move it to {folder}, or use --set"


def _was_run(file: Path, folder: Path) -> bool:
    """Whether a folder is the run directory of a run made from a file."""
    try:
        inputs = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["inputs"]
        return str(file) in {str(Path(one).resolve()) for one in inputs}
    except (OSError, ValueError, TypeError, KeyError):
        return False


def _is_installed(top: str) -> bool:
    try:
        return importlib.util.find_spec(top) is not None
    except (ImportError, ValueError):
        return False


def _is_here(top: str) -> bool:
    return (Path.cwd() / top).is_dir() or (Path.cwd() / f"{top}.py").is_file()
