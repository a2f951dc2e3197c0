"""Settings of the command line, ``--set key=value``, as layers of a config document."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from typing import Any

from gridferry.networks.faults import Fault, InputError
from gridferry.sim.config.document import DEEPEST, shallow, value_text

_TOKEN = re.compile(r"""\s*(?:"([^"]*)"|'([^']*)'|([^."'\[\]]+?))\s*((?:\[\d+\])*)\s*(?:\.|$)""")


def parse_setting(text: str) -> dict[str, Any]:
    """Turn ``key=value`` into a layer.

    Parameters
    ----------
    text : dotted keys, entries of arrays by name or number (``trucks.T1.soc_min=0.3``, ``trucks[0].soc_min=0.3``); the
        value as in TOML, and text where that does not parse
    """
    key, equals, value = text.partition("=")
    parts = _key_parts(key.strip())
    if not equals or not parts:
        message = "expected key=value, such as time.steps=10 or trucks.T1.soc_min=0.3"
        raise InputError(Fault(f"--set {value_text(text)}", "", message))
    if len(parts) > DEEPEST:
        raise InputError(Fault(f"--set {value_text(text)}", "", f"more than {DEEPEST} keys deep; no config is"))
    if parts[0] == "extends":
        raise InputError(
            Fault(f"--set {value_text(text)}", "", "extends belongs into the file; name that config instead")
        )
    layer: Any = _parse_value(value.strip())
    for part in reversed(parts):
        layer = {part: layer}
    return layer


def _key_parts(key: str) -> list[str]:
    parts: list[str] = []
    position = 0
    while position < len(key):
        match = _TOKEN.match(key, position)
        if match is None or match.end() == position:
            return []
        parts.append(next(one for one in match.groups()[:3] if one is not None))
        parts += re.findall(r"\d+", match[4])
        position = match.end()
    return [] if key.endswith(".") else parts


def _parse_value(text: str) -> Any:
    try:
        parsed = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return text
    return parsed["value"] if set(parsed) == {"value"} and shallow(parsed) else text


def parse_settings(settings: Sequence[str]) -> list[tuple[str, dict[str, Any]]]:
    """Turn all settings into layers with their names; raises with all that are wrong."""
    layers: list[tuple[str, dict[str, Any]]] = []
    faults: list[Fault] = []
    for text in settings:
        try:
            layers.append(("--set", parse_setting(text)))
        except InputError as error:
            faults += error.faults
    if faults:
        raise InputError(faults)
    return layers
