"""Kinds of devices of a config, and the config model with their tables."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from inspect import getfile
from pathlib import Path
from typing import Any

from pydantic import Field, create_model

from gridferry.controllers.devices import Device
from gridferry.controllers.devices.registry import TAKEN_TABLES, find_kind, is_built_in, kinds_with
from gridferry.controllers.uncertainty.error_settings import errors_with
from gridferry.networks.faults import Fault, InputError
from gridferry.sim.config.document import Document, Loc
from gridferry.sim.config.forecast_schema import ForecastConfig
from gridferry.sim.config.named_code import Refusal
from gridferry.sim.config.schema import Config

Kind = type[Device[Any]]

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
    errors = errors_with(tuple(named))
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
