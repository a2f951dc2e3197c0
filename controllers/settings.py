"""Settings of controllers as the config gives them: paths relative to it, and faults in its own words."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ValidationError

from gridferry.networks.faults import Fault, InputError, no_such

S = TypeVar("S", bound=BaseModel)


def _below_base(path: Path, info: Any) -> Path:
    """Resolve against ``base_dir`` of the validation context; ``info`` is pydantic's ``ValidationInfo`` protocol."""
    base: Path | None = (info.context or {}).get("base_dir")
    return path if base is None else base / path


ConfigPath = Annotated[Path, AfterValidator(_below_base)]
"""A path in a controller's settings; a relative one is taken from the folder of the config."""


def read_settings(model: type[S], options: Mapping[str, Any], source: str, key: str, base_dir: Path | None = None) -> S:
    """Check options against a settings model.

    Parameters
    ----------
    options : what the user wrote
    source, key : file, and the key of the table in it, for the faults
    base_dir : folder that relative paths of type `ConfigPath` start from; the working folder when ``None``

    Raises
    ------
    InputError
        with one fault for every option that is unknown, missing or wrong.
    """
    try:
        return model.model_validate(dict(options), context={"base_dir": base_dir})
    except ValidationError as error:
        raise InputError(_faults(error, model, source, key)) from None


def _faults(error: ValidationError, model: type[BaseModel], source: str, key: str) -> list[Fault]:
    names = {field.alias or name: field for name, field in model.model_fields.items()}
    faults = []
    for one in error.errors(include_url=False):
        where = ".".join([key, *(str(part) for part in one["loc"])])
        if one["type"] == "extra_forbidden" and len(one["loc"]) == 1:
            message = no_such("option", one["loc"][0], names) + "; correct it or take it out"
        elif one["type"] == "extra_forbidden":
            message = "no such option; take it out"
        elif one["type"] == "missing":
            field = names.get(str(one["loc"][0]))
            meaning = f" ({field.description})" if field is not None and field.description else ""
            message = f"missing; give it a value{meaning}"
        else:
            said = one["msg"].removeprefix("Value error, ")
            message = f"{one['input']!r}: {said[:1].lower()}{said[1:]}; correct the value"
        faults.append(Fault(source, where, message))
    return faults
