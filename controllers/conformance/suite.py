"""Conformance suite of controllers, on small sample plants.

In a test of one's own controller::

    from gridferry.controllers.conformance.suite import assert_conforms

    def test_it_conforms():
        assert_conforms(MyController, {"share": 0.5})
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from pydantic import ValidationError

from gridferry.controllers.conformance import findings as findings_
from gridferry.controllers.conformance.findings import Finding, Promise, found
from gridferry.controllers.conformance.plan_promises import PLAN_PROMISES, Trial
from gridferry.controllers.conformance.sample_plants import samples
from gridferry.controllers.contract import Controller, ControllerError, ControllerSettings
from gridferry.controllers.plugins.user_code import described, running_user_code
from gridferry.controllers.registry import find_controller
from gridferry.controllers.settings import read_settings
from gridferry.networks.faults import InputError
from gridferry.networks.read_only import own_copy


def check_controller(
    controller: str | type[Controller], settings: Mapping[str, Any] | None = None, steps: int = 8
) -> list[Finding]:
    """Test a controller on the sample plants and return a finding for every promise.

    A controller may refuse a plant with `ControllerError` when it is built; it is then tried on the others.

    Parameters
    ----------
    controller : the class, or what ``use`` in a config takes
    settings : its options
    steps : steps to walk through on every plant

    Raises
    ------
    InputError
        where the controller cannot be found or the settings do not fit.
    """
    cls = find_controller(controller) if isinstance(controller, str) else controller
    checked = read_settings(cls.Settings, settings or {}, cls.__name__, "settings")
    findings = [found(name, "", cls, partial(check, cls), _advice) for name, check in _SETTINGS_CHECKS.items()]
    served = 0
    for sample in samples():
        findings_.listener("it is built for a plant", sample.name)
        try:
            with running_user_code():
                cls(own_copy(sample.plant), checked)
        except (ControllerError, InputError):
            continue
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            why = f"raised {described(error, cls)}; {_advice(error)}"
            findings.append(Finding("it is built for a plant", sample.name, False, why))
            continue
        served += 1
        trial = Trial(cls, checked, sample, steps)
        tried = PLAN_PROMISES.items()
        findings += [found(name, sample.name, cls, partial(check, trial), _advice) for name, check in tried]
    if not served:
        findings.append(
            Finding("it serves at least one sample plant", "", False, "every one was refused with an error when built")
        )
    return findings


def assert_conforms(
    controller: str | type[Controller], settings: Mapping[str, Any] | None = None, steps: int = 8
) -> None:
    """Raise ``AssertionError`` that lists every broken promise; for the test of a plug-in."""
    broken = [str(one) for one in check_controller(controller, settings, steps) if not one.passed]
    assert not broken, "\n".join(broken)


def _advice(error: BaseException) -> str:
    if isinstance(error, ValueError) and any(sign in str(error) for sign in ("read-only", "WRITEABLE")):
        return "inputs must not be written to: copy the array first"
    if isinstance(error, ControllerError):
        return "a plan is possible here"
    return "catch what you expect and raise ControllerError with a reason"


# ------------------------------------------------------------------------------------------------------------ settings


def _settings_refuse_unknown_keys(cls: type[Controller]) -> Iterator[str]:
    settings: type[Any] = cls.Settings
    if not issubclass(settings, ControllerSettings):
        yield "Settings must derive from gridferry.controllers.contract.ControllerSettings"
    try:
        settings.model_validate({"no_such_option_": 1})
    except ValidationError as error:
        if any(one["type"] == "extra_forbidden" for one in error.errors()):
            return
    yield 'an unknown option was taken; keep extra="forbid" in model_config'


def _settings_are_frozen(cls: type[Controller]) -> Iterator[str]:
    if not cls.Settings.model_config.get("frozen"):
        yield "settings could be changed during a run; keep frozen=True in model_config"


def _class_has_description(cls: type[Controller]) -> Iterator[str]:
    if not (cls.__doc__ or "").strip():
        yield ("the class has no docstring; its first line is what `gridferry list controllers` shows")


_SETTINGS_CHECKS: dict[str, Promise[type[Controller]]] = {
    "settings refuse unknown keys": _settings_refuse_unknown_keys,
    "settings are frozen": _settings_are_frozen,
    "the class has a description": _class_has_description,
}
