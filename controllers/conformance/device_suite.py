"""The suite that every kind of device passes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any

from gridferry.controllers.conformance.device_kind import DEVICE_PROMISES, KIND_PROMISES, Kind
from gridferry.controllers.conformance.device_promises import STEP_PROMISES
from gridferry.controllers.conformance.device_trial import Trial
from gridferry.controllers.conformance.findings import Finding, found
from gridferry.controllers.conformance.sample_plants import two_feeders
from gridferry.controllers.devices import Device
from gridferry.controllers.devices.registry import find_kind

PROMISES: Collection[str] = (*KIND_PROMISES, *DEVICE_PROMISES, *STEP_PROMISES)
"""What is promised, in the order in which it is tried."""

_STEP_S = (900, 3600)


def check_device(
    kind: str | Kind, devices: Sequence[Device[Any]], promises: Collection[str] = PROMISES
) -> list[Finding]:
    """Try devices of a kind and return what was found, promises that are kept too.

    Parameters
    ----------
    kind : the class, or what `find_kind` takes
    devices : of the kind, to be tried one by one
    promises : those to be tried; of the others only such without which nothing can be

    Raises
    ------
    InputError
        where the kind cannot be found.
    """
    cls = find_kind(kind) if isinstance(kind, str) else kind
    roads = two_feeders().plant.roads
    assert roads is not None
    trials = [Trial(device, roads, step_s) for device in devices for step_s in _STEP_S]
    findings = [_finding(name, cls, partial(check, cls)) for name, check in KIND_PROMISES.items()]
    stages: Sequence[Mapping[str, Callable[[Trial], None]]] = (
        DEVICE_PROMISES,
        {name: check for name, check in STEP_PROMISES.items() if name in promises},
    )
    for stage in stages:
        if all(one.passed for one in findings):
            findings += [_finding(name, cls, partial(_on_all, check, trials)) for name, check in stage.items()]
    return [one for one in findings if one.name in promises or not one.passed]


def _on_all(check: Callable[[Trial], None], trials: Sequence[Trial]) -> None:
    for trial in trials:
        check(trial)


def _finding(name: str, kind: Kind, check: Callable[[], None]) -> Finding:
    return found(name, "", kind, check, lambda error: "a device answers whatever is requested of it")
