"""A controller in a process of its own plans as it would here, and a process that ends or hangs is one failure."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gridferry.controllers.conformance.apart import check_apart
from gridferry.controllers.conformance.sample_plants import at_start, look_ahead, two_feeders
from gridferry.controllers.contract import ControllerError
from gridferry.controllers.isolation.process import IsolatedController, make_controller_for
from gridferry.controllers.isolation.worker import Build
from gridferry.controllers.plans.plan_json import plan_to_json
from gridferry.controllers.uncertainty.error_settings import ErrorConfig, errors_with
from gridferry.networks.faults import InputError

SAMPLE = two_feeders()
PLUGIN = """
import os

from gridferry.controllers import Controller, ControllerError, ControllerSettings, hold
from gridferry.controllers.uncertainty.error_settings import InheritedErrors


class Mine(Controller):
    '''Fail when it is told to.'''

    class Settings(ControllerSettings):
        errors: InheritedErrors = {}
        does: str = "plans"

    @property
    def steps_needed(self):
        return 7

    def plan(self, observation, forecast):
        if self.settings.does == "loops":
            while True:
                pass
        if self.settings.does == "ends":
            os._exit(0)
        if self.settings.does == "refuses":
            raise ControllerError("no plan today")
        return hold(self.plant, observation)
"""


def build(spec: str, **settings: Any) -> Build:
    errors = errors_with(("wind",))(load_std=0.03, wind=ErrorConfig(relative_std=0.2))
    return Build(
        spec=spec,
        plant=SAMPLE.plant,
        settings=settings,
        source="case.toml",
        key="controller",
        base_dir=Path("/"),
        inherited={"errors": errors},
    )


@pytest.fixture
def plugin(tmp_path: Path) -> str:
    (tmp_path / "mine.py").write_text(PLUGIN)
    return f"{tmp_path}/mine.py:Mine"


def test_rules_plan_the_same_in_a_process_of_their_own() -> None:
    ahead = look_ahead(SAMPLE, 0, 8)
    here, there = (make_controller_for(build("rules"), apart, None) for apart in (False, True))
    assert isinstance(there, IsolatedController)
    plans = [plan_to_json(one.plan(at_start(SAMPLE.plant), ahead)) for one in (here, there)]
    assert json.dumps(plans[0]) == json.dumps(plans[1])


def test_what_a_controller_says_of_itself_is_known_outside(plugin: str) -> None:
    controller: Any = make_controller_for(build(plugin), None, None)
    assert (controller.steps_needed, controller.accepts_ac_feedback) == (7, False)
    assert controller.settings.errors.wind.relative_std == 0.2
    assert controller.settings.errors.load.relative_std == 0.03
    assert controller.place == f" ({plugin.removesuffix(':Mine')}, line 19)"


@pytest.mark.parametrize(
    ("does", "failure"),
    [
        ("loops", "the controller took longer than 0.5 s and was stopped"),
        ("ends", "the controller ended its process with exit code 0"),
        ("refuses", "ControllerError: no plan today"),
    ],
)
def test_a_failure_is_one_of_its_step_and_the_next_step_begins_anew(plugin: str, does: str, failure: str) -> None:
    controller: Any = make_controller_for(build(plugin, does=does), None, 0.5)
    for _ in range(2):
        with pytest.raises(ControllerError, match=failure) as caught:
            controller.plan(at_start(SAMPLE.plant), look_ahead(SAMPLE, 0, 4))
        assert "mine.py, line " in str(caught.value)
    controller.close()


def test_faults_of_settings_are_those_of_a_controller_built_here(plugin: str) -> None:
    with pytest.raises(InputError, match=r"case.toml: controller.dose: .*did you mean .does."):
        make_controller_for(build(plugin, dose="x"), None, None)


def test_check_survives_what_it_checks(tmp_path: Path) -> None:
    for name, act in (("loops", "while True: pass"), ("ends", "__import__('os')._exit(0)")):
        (tmp_path / f"{name}.py").write_text(
            "from gridferry.controllers import Controller\n\n\nclass Mine(Controller):\n    '''Odd.'''\n\n"
            f"    def plan(self, observation, forecast):\n        {act}\n"
        )
    noun, (found,) = check_apart(f"{tmp_path}/ends.py:Mine", 60.0)
    assert (noun, found.passed) == ("class", False)
    assert "ended its process with exit code 0" in found.explanation
    _, (found,) = check_apart(f"{tmp_path}/loops.py:Mine", 3.0)
    assert "took longer than 3 s and was stopped" in found.explanation
