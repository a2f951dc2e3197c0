"""Conformance suite of kinds of devices: `check_device`, and `DeviceConformance` for tests to inherit."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

from gridferry.controllers.conformance.devices.block import BLOCK_PROMISES
from gridferry.controllers.conformance.devices.entry import CONFIG_PROMISES, ENTRY_PROMISES, sample_devices
from gridferry.controllers.conformance.devices.kind import DEVICE_PROMISES, KIND_PROMISES, Kind
from gridferry.controllers.conformance.devices.promises import STEP_PROMISES
from gridferry.controllers.conformance.devices.trial import Trial
from gridferry.controllers.conformance.findings import Finding, Promise, found
from gridferry.controllers.devices import Device
from gridferry.controllers.devices.registry import find_kind

PROMISES: Collection[str] = tuple(
    name
    for stage in (KIND_PROMISES, ENTRY_PROMISES, CONFIG_PROMISES, DEVICE_PROMISES, STEP_PROMISES, BLOCK_PROMISES)
    for name in stage
)
"""What is promised, in the order in which it is tried."""

_STEP_S = (3600, 900)
_LAST = (STEP_PROMISES, BLOCK_PROMISES)
"""Stages whose promises do not depend on one another."""


def check_device(
    kind: str | Kind, devices: Sequence[Device[Any]] | None = None, promises: Collection[str] = PROMISES
) -> list[Finding]:
    """Test a kind of device and return a finding for every promise, kept or broken.

    If a promise is broken that later ones depend on, the later ones are not tested.

    Parameters
    ----------
    kind : the class, or what `find_kind` takes
    devices : of the kind, for the site of the sample plant `two_feeders`; one from an entry of its table that is made
        up, where none are given
    promises : what is tried of the steps, and what is returned beside broken promises

    Raises
    ------
    InputError
        where the kind cannot be found.
    """
    cls = find_kind(kind) if isinstance(kind, str) else kind
    findings: list[Finding] = []
    for stage, subjects in _stages(cls, devices):
        names = [name for name in stage if name in promises or stage not in _LAST]
        tried = [found(name, "", cls, partial(_on_all, stage[name], subjects), _advice) for name in names]
        findings += tried
        needed = stage is not CONFIG_PROMISES or devices is None
        if needed and not all(one.passed for one in tried):
            break
    return [one for one in findings if one.name in promises or not one.passed]


def _stages(
    kind: Kind, devices: Sequence[Device[Any]] | None
) -> Iterator[tuple[Mapping[str, Promise[Any]], Sequence[Any]]]:
    """Groups of promises, each with the subject they are tested on."""
    yield KIND_PROMISES, [kind]
    yield ENTRY_PROMISES, [kind]
    yield CONFIG_PROMISES, [kind]
    trials = [
        Trial(device, step_s) for device in (sample_devices(kind) if devices is None else devices) for step_s in _STEP_S
    ]
    yield DEVICE_PROMISES, trials
    yield STEP_PROMISES, trials
    yield BLOCK_PROMISES, trials[:: len(_STEP_S)]


def _on_all(promise: Promise[Any], subjects: Sequence[Any]) -> Iterator[str]:
    for one in subjects:
        yield from promise(one) or ()


def _advice(error: BaseException) -> str:
    return "no call of the class may raise"


class DeviceConformance:
    """Base of test classes: each promise becomes a test of its own.

    ::

        class TestBank(DeviceConformance):
            kind = Bank

    Attributes
    ----------
    kind : what is tried
    """

    kind: ClassVar[Kind]

    def make_devices(self) -> Sequence[Device[Any]] | None:
        """Return the devices to test, as in `check_device`; override it to test your own."""
        return None

    def pytest_generate_tests(self, metafunc: Any) -> None:
        """Parametrize the test by promises."""
        if "promise" in metafunc.fixturenames:
            metafunc.parametrize("promise", PROMISES)

    def test_promise(self, promise: str) -> None:
        """Test that the promise is kept."""
        broken = [str(one) for one in check_device(self.kind, self.make_devices(), [promise]) if not one.passed]
        assert not broken, "\n".join(broken)
