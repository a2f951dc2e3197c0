"""The JSON schema takes our configs."""

import json
import re
import tomllib

import numpy as np

from gridferry.sim.config.reading import configs_dir


def accepts(schema, value, root):
    """Whether a JSON schema, as pydantic writes them, accepts a value."""
    if "$ref" in schema:
        return accepts(root["$defs"][schema["$ref"].rpartition("/")[2]], value, root)
    if "anyOf" in schema and not any(accepts(one, value, root) for one in schema["anyOf"]):
        return False
    if ("enum" in schema and value not in schema["enum"]) or ("const" in schema and value != schema["const"]):
        return False
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    kinds = {
        "object": isinstance(value, dict),
        "array": isinstance(value, list),
        "string": isinstance(value, str),
        "number": number,
        "integer": number and isinstance(value, int),
        "boolean": isinstance(value, bool),
        "null": value is None,
    }
    if "type" in schema and not kinds[schema["type"]]:
        return False
    if isinstance(value, dict):
        own = schema.get("properties", {})
        others = schema.get("additionalProperties", True)
        return set(schema.get("required", ())) <= set(value) and all(
            accepts(own[key], one, root) if key in own else others is True or (others and accepts(others, one, root))
            for key, one in value.items()
        )
    if isinstance(value, list):
        return len(value) >= schema.get("minItems", 0) and all(
            accepts(schema.get("items", {}), one, root) for one in value
        )
    if isinstance(value, str):
        return schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", 10**9) and (
            re.search(schema.get("pattern", ""), value) is not None
        )
    if number:
        low, high = schema.get("minimum", -np.inf), schema.get("maximum", np.inf)
        return low <= value <= high and (
            schema.get("exclusiveMinimum", -np.inf) < value < schema.get("exclusiveMaximum", np.inf)
        )
    return True


def test_schema_accepts_our_configs_and_refuses_broken_ones(gridferry):
    code, out, _ = gridferry("schema")
    assert code == 0
    schema = json.loads(out)
    for path in sorted(configs_dir().glob("*.toml")):
        as_json = json.loads(json.dumps(tomllib.loads(path.read_text()), default=lambda time: time.isoformat()))
        assert accepts(schema, as_json, schema), path
        assert not accepts(schema, as_json | {"tiem": {}}, schema)
        assert not accepts(schema, as_json | {"seed": "one"}, schema)
        assert not accepts(schema, as_json | {"trucks": [{"name": "T1", "p_max_mw": -1.0}]}, schema)
