"""Faults of a config from pydantic's errors, in plain words: file, key, value, way out."""

from __future__ import annotations

from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from gridferry.controllers.devices.config_parts import ProfileColumn
from gridferry.controllers.settings import no_such_key
from gridferry.networks.faults import Fault, nearest
from gridferry.sim.config.document import Document, Loc, key_text
from gridferry.sim.config.schema import Config

_WRONG_TYPE = {
    "float_type": "a number",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "string_type": "text in quotes",
    "bool_type": "true or false",
    "model_type": "a table",
    "dict_type": "a table",
    "datetime_type": "a date and time without quotes, such as 2024-06-14T00:00:00",
    "literal_error": "",
    "enum": "",
}
_PLAIN = {
    "missing": "needed, but not given",
    "greater_than": "must be above {gt:g}",
    "greater_than_equal": "must be at least {ge:g}",
    "less_than": "must be below {lt:g}",
    "less_than_equal": "must be at most {le:,.12g}",
    "finite_number": "must be a finite number",
    "string_too_short": "must not be empty",
    "string_too_long": "must have at most {max_length} characters",
    "too_short": "needs at least {min_length} entries, has {actual_length}",
    "value_error": "{error}",
}
"""What pydantic's types of errors mean, with its context."""

Model = type[Config]


def faults_of(error: ValidationError, document: Document, model: Model, *, unknown_tables: bool = False) -> list[Fault]:
    """Turn every error into a fault; the failed branches of a union become one fault.

    Parameters
    ----------
    error : what pydantic found in ``document.values``
    document : the config as merged, with the origin of each value
    model : what the config was checked by
    unknown_tables : there may be tables that nobody knows, since their kind was not found; pass over them
    """
    faults: list[Fault] = []
    unions: dict[Loc, list[tuple[Loc, ErrorDetails]]] = {}
    for details in error.errors(include_url=False):
        loc, union = locate(details["loc"], document, model)
        if unknown_tables and details["type"] == "extra_forbidden" and isinstance(document.value(loc), (dict, list)):
            continue
        if union is None:
            faults += _word(loc, details, document, model)
        else:
            unions.setdefault(union, []).append((loc, details))
    for loc, branches in unions.items():
        faults += _word_union(loc, branches, document, model)
    return faults


def locate(loc: tuple[int | str, ...], document: Document, model: Model) -> tuple[Loc, Loc | None]:
    """Find the place in the document that an error is about.

    Returns
    -------
    tuple
        the place, and the place of the union it lies in (pydantic puts the branch of a union into the path), if any
    """
    value: Any = document.values
    place: Loc = ()
    union: Loc | None = None
    for number, part in enumerate(loc):
        if _holds(value, part):
            value = value[part]
            place = (*place, part)
        elif part == "[key]":
            continue
        elif number == len(loc) - 1 and isinstance(value, dict) and field_at((*place, part), model) is not None:
            place = (*place, part)
        else:
            union = place
    return place, union


def _holds(value: Any, part: int | str) -> bool:
    if isinstance(part, int):
        return isinstance(value, list) and part < len(value)
    return isinstance(value, dict) and part in value


def _word(loc: Loc, details: ErrorDetails, document: Document, model: Model) -> list[Fault]:
    kind, context = details["type"], details.get("ctx", {})
    if kind == "inconsistent":
        return [document.fault((*loc, key), message) for key, message in context["found"].items()]
    if kind == "extra_forbidden":
        known = _keys_at(loc[:-1], model)
        return [document.fault(loc, no_such_key(loc[-1], known))]
    return [document.fault(loc, _plain(loc, details, model) + _meaning(loc, model))]


def _plain(loc: Loc, details: ErrorDetails, model: Model) -> str:
    kind, context = details["type"], details.get("ctx", {})
    if kind in _PLAIN:
        return _PLAIN[kind].format(**context)
    match kind:
        case "enum" | "literal_error":
            words = str(context["expected"]).replace("'", '"')
            value = details["input"]
            return f"must be {words}" + (nearest(value, words.split('"')[1::2]) if isinstance(value, str) else "")
        case "string_pattern_mismatch":
            if loc[-1] == "connect":
                return "must be host:port, such as localhost:5678"
            if loc[-1] in ("file", "feeder", "graph", "volumes", "currency"):
                escaped = (
                    "; a Windows path stands in single quotes, where \\n is no line break"
                    if loc[-1] != "currency"
                    else ""
                )
                return "must have no control characters" + escaped
            return "a name has letters, digits, spaces, _ and - only, and begins with a letter or digit"
        case "list_type":
            tables = any(_is_model(one) for one in _members(_annotation_at((*loc, 0), model)))
            return f"expected an array of tables: write [[{key_text(loc)}]]" if tables else "expected an array [ … ]"
    if _WRONG_TYPE.get(kind):
        return f"expected {_WRONG_TYPE[kind]}"
    return details["msg"]


def _meaning(loc: Loc, model: Model) -> str:
    """Meaning of a key, from the description in the schema."""
    found = field_at(loc, model)
    return f" ({found.description.replace('``', '')})" if found is not None and found.description else ""


def _word_union(loc: Loc, branches: list[tuple[Loc, ErrorDetails]], document: Document, model: Model) -> list[Fault]:
    deeper = [(place, details) for place, details in branches if len(place) > len(loc)]
    if deeper:
        return [fault for place, details in deeper for fault in _word(place, details, document, model)]
    # a branch that took the type but not the value says best what is wrong
    fitting = [details for _, details in branches if details["type"] not in _WRONG_TYPE]
    if fitting:
        return _word(loc, fitting[0], document, model)
    words: list[str] = []
    series = any(details["loc"][-1] == ProfileColumn.__name__ for _, details in branches)
    for _, details in branches:
        kind = details["type"]
        if kind == "literal_error":
            words.append(str(details["ctx"]["expected"]).replace("'", '"').replace(" or ", ", "))
        else:
            words.append('"source.column"' if series and kind == "string_type" else _WRONG_TYPE[kind])
    return [document.fault(loc, f"expected {', '.join(words[:-1])} or {words[-1]}{_meaning(loc, model)}")]


# ------------------------------------------------------------------------------------------------ the config's shape


def field_at(loc: Loc, model: Model) -> FieldInfo | None:
    """Find the schema's field at a place; ``None`` if there is none (unknown key, array entry)."""
    if not loc or not isinstance(loc[-1], str):
        return None
    for one in _members(_annotation_at(loc[:-1], model)):
        if _is_model(one) and loc[-1] in one.model_fields:
            return one.model_fields[loc[-1]]
    return None


def _keys_at(loc: Loc, model: Model) -> list[str]:
    """Keys that a table at a place may have."""
    keys = [key for one in _members(_annotation_at(loc, model)) if _is_model(one) for key in one.model_fields]
    return keys if loc else [*keys, "extends"]


def _annotation_at(loc: Loc, model: Model) -> Any:
    annotation: Any = model
    for part in loc:
        inner: Any = None
        for one in _members(annotation):
            if isinstance(part, int):
                if get_origin(one) is list:
                    inner = get_args(one)[0]
            elif _is_model(one):
                if part in one.model_fields:
                    inner = one.model_fields[part].annotation
            elif get_origin(one) is dict:
                inner = get_args(one)[1]
        annotation = inner
    return annotation


def _members(annotation: Any) -> list[Any]:
    """Types that an annotation allows, without unions and ``Annotated``."""
    if get_origin(annotation) is Annotated:
        return _members(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return [inner for one in get_args(annotation) for inner in _members(one)]
    return [annotation]


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
