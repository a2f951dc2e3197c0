"""JSON schema of the config, for editors that complete and check TOML."""

from __future__ import annotations

from typing import Any

from gridferry.sim.config.schema import Config

_EXTENDS = {
    "type": "string",
    "title": "Extends",
    "description": "another config, whose tables this one is merged into; all keys may then be left out",
}


def config_schema() -> dict[str, Any]:
    """Return the JSON schema of a config, with the meaning of every key.

    A config that extends another may leave out what the other has, and may patch entries of its arrays by tables
    ``[trucks.<name>]``; the schema allows both.
    """
    schema = Config.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    properties = schema["properties"]
    properties["extends"] = _EXTENDS
    for key, one in properties.items():
        if one.get("type") == "array":
            entry = {name: what for name, what in one.items() if name not in ("title", "description", "default")}
            patch = {"type": "object", "description": f"changes to entries of {key}, by name or number, beside extends"}
            kept = {name: what for name, what in one.items() if name in ("title", "description", "default")}
            properties[key] = {**kept, "anyOf": [entry, patch]}
    schema["anyOf"] = [{"required": schema.pop("required")}, {"required": ["extends"]}]
    return schema
