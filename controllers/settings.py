"""Settings of controllers, read from a config: relative paths, and faults with file and key."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ValidationError

from gridferry.controllers.devices.config_parts import FileName
from gridferry.networks.faults import Fault, InputError, no_such

S = TypeVar("S", bound=BaseModel)
P = TypeVar("P", Path, str)

RENAMED_KEYS = {"ageing_h": "update_decay_h", "capacity": "usable_energy_share"}
"""keys of configs and columns of results that have other names now, old to new"""


def _below_base(path: P, info: Any) -> P:
    """Resolve against ``base_dir`` of the validation context; ``info`` is pydantic's ``ValidationInfo`` protocol."""
    base: Path | None = (info.context or {}).get("base_dir")
    return path if base is None else type(path)(base / path)


ConfigPath = Annotated[Path, AfterValidator(_below_base)]
"""A path in a controller's settings; a relative one is taken from the folder of the config."""
ConfigFile = Annotated[FileName, AfterValidator(_below_base)]
"""The same as a string, as the config has it."""


def read_settings(
    model: type[S],
    options: Mapping[str, Any],
    source: str,
    key: str,
    base_dir: Path | None = None,
    inherited: Mapping[str, Any] | None = None,
) -> S:
    """Check options against a settings model.

    Parameters
    ----------
    options : what the user wrote
    source, key : file, and the key of the table in it, for the faults
    base_dir : folder that relative paths of type `ConfigPath` start from; the working folder when ``None``
    inherited : what options default to beyond the table, by name: ``errors``, those of ``[forecast.errors]``,
        and ``start``, when the run begins

    Raises
    ------
    InputError
        with one fault for every option that is unknown, missing or wrong.
    """
    try:
        return model.model_validate(dict(options), context={**(inherited or {}), "base_dir": base_dir})
    except ValidationError as error:
        raise InputError(_faults(error, model, source, key)) from None


def no_such_key(name: object, known: Iterable[str], kind: str = "key") -> str:
    """Message for an unknown key: its new name if it was renamed, else the names there are."""
    known = list(known)
    if (new := RENAMED_KEYS.get(str(name))) in known:
        return f'no such {kind}; it is called "{new}" now'
    return no_such(kind, name, known)


def _faults(error: ValidationError, model: type[BaseModel], source: str, key: str) -> list[Fault]:
    names = {field.alias or name: field for name, field in model.model_fields.items()}
    faults = []
    for one in error.errors(include_url=False):
        where = ".".join([key, *(str(part) for part in one["loc"])])
        if one["type"] == "extra_forbidden" and len(one["loc"]) == 1:
            message = no_such_key(one["loc"][0], names, "option") + "; correct it or take it out"
        elif one["type"] == "extra_forbidden":
            message = "no such option; take it out"
        elif one["type"] == "missing":
            field = names.get(str(one["loc"][0]))
            meaning = f" ({field.description})" if field is not None and field.description else ""
            message = f"missing; give it a value{meaning}"
        else:
            words = one["msg"].removeprefix("Value error, ")
            message = f"{one['input']!r}: {words[:1].lower()}{words[1:]}; correct the value"
        faults.append(Fault(source, where, message))
    return faults
