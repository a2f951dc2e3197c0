"""JSON schema of the config, for editors that complete and check TOML."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gridferry.controllers.devices.registry import kinds_with
from gridferry.sim.config.kinds import config_model
from gridferry.sim.config.reading import model_of_config

_EXTENDS = {
    "type": "string",
    "title": "Extends",
    "description": "another config, whose tables this one is merged into; all keys may then be left out",
}


def config_schema(config: str | Path | None = None) -> dict[str, Any]:
    """Return the JSON schema of a config, with the meaning of every key.

    A config that extends another may leave out what the other has, and may patch entries of its arrays by tables
    ``[trucks.<name>]``; the schema allows both.

    Parameters
    ----------
    config : a config, or the name of one that comes with the project: the schema then has its kinds of devices, too

    Raises
    ------
    InputError
        where the config cannot be read, or one of its kinds is not found.
    """
    model = config_model(kinds_with(())) if config is None else model_of_config(config)
    schema = model.model_json_schema()
    for table in schema["$defs"].values():
        _bus_by_index(table)
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    properties = schema["properties"]
    properties["extends"] = _EXTENDS
    for key, one in properties.items():
        if one.get("type") == "array":
            entry = {name: what for name, what in one.items() if name not in ("title", "description", "default")}
            patch = {"type": "object", "description": f"changes to entries of {key}, by name or number, beside extends"}
            kept = {name: what for name, what in one.items() if name in ("title", "description", "default")}
            properties[key] = {**kept, "anyOf": [entry, patch]}
    whole = {"required": schema.pop("required"), "properties": dict(_required_within(schema))}
    schema["anyOf"] = [whole, {"required": ["extends"]}]
    return schema


def _bus_by_index(table: dict[str, Any]) -> None:
    """Add the key that every table with a bus may have in its place."""
    if "bus" not in table.get("properties", {}):
        return
    table["properties"]["bus_index"] = {
        "type": "integer",
        "minimum": 0,
        "description": "index of the bus in its pandapower net, instead of bus",
    }
    required = table.get("required", [])
    if "bus" in required:
        table["required"] = [one for one in required if one != "bus"]
        table["anyOf"] = [{"required": ["bus"]}, {"required": ["bus_index"]}]


def _required_within(schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Take out of a schema what its single tables need: an extending config may leave it out."""
    for key, one in schema["properties"].items():
        table = schema["$defs"].get(one.get("$ref", "").rpartition("/")[2], {})
        if "required" in table:
            yield key, {"required": table.pop("required")}
