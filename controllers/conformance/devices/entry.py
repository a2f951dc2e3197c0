"""Sample entries of a kind's table, and promises about the config of a kind."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from gridferry.controllers.conformance.devices.site import SampleSite
from gridferry.controllers.conformance.devices.step import is_number
from gridferry.controllers.conformance.findings import BrokenPromiseError, Promise
from gridferry.controllers.conformance.sample_plants import two_feeders
from gridferry.controllers.devices import Device

Kind = type[Device[Any]]

_KNOWN: Mapping[str, Any] = {"name": "D1", "network": "dn1", "bus": "3", "station": "S2"}
"""Keys that many kinds have, with values that the sample site knows."""
_NOWHERE: Mapping[str, Any] = {"network": "nowhere", "bus": "nowhere", "station": "nowhere"}
_EXAMPLES = (1.0, 1, 0.5, "x", True)
"""Values for a key that must be given; the first that is accepted is taken."""


def sample_entry(kind: Kind) -> dict[str, Any]:
    """Return a sample entry of the kind's table: its `Device.example`, completed by plausible values.

    Raises
    ------
    BrokenPromiseError
        where the entry is refused, with what to add to the class.
    """
    entry = dict(kind.example)
    for key, one in kind.Config.model_fields.items():
        if key not in entry and one.is_required():
            candidates = [_KNOWN[key]] if key in _KNOWN else _EXAMPLES
            entry[key] = next(
                (candidate for candidate in candidates if key not in _faults(kind, {**entry, key: candidate})), None
            )
    if faults := _faults(kind, entry):
        message = "; ".join(f"{key}: {message}" for key, message in faults.items())
        raise BrokenPromiseError(
            f"no entry of [[{kind.table}]] to try it with: {message}; write into the class "
            'example: ClassVar[Mapping[str, Any]] = {"' + '": ..., "'.join(faults) + '": ...}, as in a config'
        )
    return entry


def sample_devices(kind: Kind) -> list[Device[Any]]:
    """Return a device of a kind, built from `sample_entry`."""
    return [_built(kind, sample_entry(kind))]


def _faults(kind: Kind, entry: Mapping[str, Any]) -> dict[str, str]:
    """Faults of an entry, by key."""
    try:
        kind.Config.model_validate(entry)
    except ValidationError as error:
        return {str(one["loc"][0]) if one["loc"] else "": one["msg"] for one in error.errors()}
    return {}


def _built(kind: Kind, entry: Mapping[str, Any]) -> Device[Any]:
    site = SampleSite(two_feeders().plant)
    device = kind.build(kind.Config.model_validate(entry), site)
    if site.faults:
        raise BrokenPromiseError(
            f"the entry {entry} of [[{kind.table}]] is refused when the device is built: {'; '.join(site.faults)}; "
            "give other values in example"
        )
    return device


# ------------------------------------------------------------------------------------------------------------ promises


def _strict(kind: Kind) -> Iterator[str]:
    if "no_such_key_" not in _faults(kind, {**sample_entry(kind), "no_such_key_": 1}):
        yield 'an unknown key was taken; keep extra="forbid" in model_config'
    if not kind.Config.model_config.get("frozen"):
        yield "a config could be changed during a run; keep frozen=True in model_config"


def _through_json(kind: Kind) -> Iterator[str]:
    config = kind.Config.model_validate(sample_entry(kind))
    back = kind.Config.model_validate_json(config.model_dump_json())
    if back != config:
        yield f"the entry {config!r} comes back from JSON as {back!r}"
    known = kind.Config.model_json_schema()["properties"]
    for key, series in kind.series.items():
        default = kind.Config.model_fields[key].default
        if is_number(default) and default != series.default:
            yield (
                f"{key} is {default:g} in Config where it is not given, {series.default:g} in series; make them equal"
            )
    json.dumps(known)


def _builds(kind: Kind) -> Iterator[str]:
    entry = sample_entry(kind)
    device = _built(kind, entry)
    if type(device) is not kind:
        yield f"build gave a {type(device).__name__}; return cls(...)"
    if device.name != entry["name"]:
        yield f'the entry {entry} made a device called "{device.name}"; take its name'
    if _built(kind, entry) != device:
        yield f"the entry {entry} made another device the second time"


def _collects_faults(kind: Kind) -> Iterator[str]:
    entry = sample_entry(kind)
    elsewhere = {key: value for key, value in _NOWHERE.items() if key in entry}
    if not elsewhere:
        return
    site = SampleSite(two_feeders().plant)
    kind.build(kind.Config.model_validate({**entry, **elsewhere}), site)
    if not site.faults:
        yield f"with {elsewhere} the entry makes a device; find buses and stations by the site"


def _can_be_tried(kind: Kind) -> None:
    sample_entry(kind)


ENTRY_PROMISES: Mapping[str, Promise[Kind]] = {"there is an entry of its table to try": _can_be_tried}
"""Nothing else can be tested without it."""
CONFIG_PROMISES: Mapping[str, Promise[Kind]] = {
    "its config refuses unknown keys": _strict,
    "an entry survives JSON; series are keys of it, with their defaults": _through_json,
    "an entry makes a device": _builds,
    "a place that is not there is a fault, not an exception": _collects_faults,
}
"""Promises of what a config says of a device."""
