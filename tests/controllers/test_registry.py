"""Controllers are found by every documented spelling, and what is wrong is said in one message."""

from __future__ import annotations

import sys
import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pytest

from cases import REPOSITORY
from cases.parts import of_kind, seen_as
from gridferry.controllers import registry
from gridferry.controllers.conformance.sample_plants import at_start, look_ahead, three_bus
from gridferry.controllers.contract import Controller, ControllerError
from gridferry.controllers.idle import Idle
from gridferry.controllers.registry import BUILT_IN, GROUP, available, find_controller, make_controller
from gridferry.controllers.replay import Replay
from gridferry.networks.faults import InputError

PLUGIN = '''
"""A plug-in."""
from __future__ import annotations
from typing import Annotated
from pydantic import Field
from gridferry.controllers.contract import Controller, ControllerError, ControllerSettings, hold

class Mine(Controller):
    """Mine does little."""

    class Settings(ControllerSettings):
        share: Annotated[float, Field(ge=0, le=1, description="share of the rating")]
        fails: str = ""

    def __init__(self, plant, settings):
        super().__init__(plant, settings)
        if settings.fails == "refuses":
            raise ControllerError("cannot serve it")
        if settings.fails:
            raise KeyError(settings.fails)

    def plan(self, observation, forecast):
        return hold(self.plant, observation)

class Unfinished(Controller):
    """Lacks plan()."""

NUMBER = 3
'''


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a plug-in file, apart from the working folder."""
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "mine.py").write_text(PLUGIN)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    return tmp_path


def refusal(spec: str, base_dir: Path | None = None) -> str:
    with pytest.raises(InputError) as raised:
        find_controller(spec, base_dir)
    assert len(raised.value.faults) == 1
    return str(raised.value)


def test_our_own_controllers_are_those_declared_in_pyproject() -> None:
    declared = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    assert declared["project"]["entry-points"][GROUP] == dict(BUILT_IN)


def test_a_built_in_name_and_its_dotted_path_are_the_same_class() -> None:
    assert find_controller("idle") is Idle
    assert find_controller("gridferry.controllers.idle:Idle") is Idle


def test_every_listed_built_in_controller_loads_and_says_what_it_does() -> None:
    listed = {one.name: one for one in available()}
    assert set(BUILT_IN) <= set(listed)
    for name in BUILT_IN:
        assert listed[name].origin == "built in"
        assert listed[name].summary
        assert not listed[name].summary.startswith("cannot be loaded")


def test_a_file_is_found_beside_the_config_in_the_working_folder_and_absolute(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    beside = find_controller("plugins/mine.py:Mine", folder)
    assert issubclass(beside, Controller)
    assert find_controller(f"{folder}/plugins/mine.py:Mine") is beside
    assert "no file plugins/mine.py" in refusal("plugins/mine.py:Mine")
    monkeypatch.chdir(folder)
    assert find_controller("plugins/mine.py:Mine") is beside


def test_an_edited_file_is_read_again(folder: Path) -> None:
    path = folder / "plugins" / "mine.py"
    before = find_controller(f"{path}:Mine")
    path.write_text(PLUGIN.replace("does little", "does much"))
    assert find_controller(f"{path}:Mine") is not before
    assert find_controller(f"{path}:Mine").__doc__ == "Mine does much."


def test_a_file_may_import_what_lies_beside_it_and_sys_path_is_left_as_it_was(folder: Path) -> None:
    (folder / "plugins" / "beside_the_plugin.py").write_text("from mine import Mine\n")
    (folder / "plugins" / "uses.py").write_text("from beside_the_plugin import Mine\n")
    before = list(sys.path)
    assert find_controller(f"{folder}/plugins/uses.py:Mine").__name__ == "Mine"
    assert sys.path == before


def test_an_installed_plug_in_is_found_by_name_but_cannot_take_ours(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    points = [
        EntryPoint("theirs", "gridferry.controllers.idle:Idle", GROUP),
        EntryPoint("rules", "gridferry.controllers.idle:Idle", GROUP),
        EntryPoint("broken", "no_such_package.module:Thing", GROUP),
    ]
    monkeypatch.setattr(registry, "entry_points", lambda group: points if group == GROUP else [])
    assert find_controller("theirs") is Idle
    assert find_controller("rules") is not Idle
    listed = {one.name: one.summary for one in available()}
    assert "no module no_such_package.module" in listed["broken"]
    assert "theirs" in refusal("thiers")


@pytest.mark.parametrize(
    ("spec", "parts"),
    [
        ("idel", ["no such controller", "idle, rules, replay", 'did you mean "idle"?', "path/file.py:Class"]),
        ("plugins/mine.py", ["name the class too", "there is Mine"]),
        ("plugins/mine.py:Mein", ["no such class", 'did you mean "Mine"?', "plugins/mine.py"]),
        ("plugins/mine.py:Unfinished", ["abstract", "plan"]),
        ("plugins/mine.py:NUMBER", ["no controller"]),
        ("plugins/mine.py:", ["incomplete"]),
        ("no_such_package.module:Thing", ["no module no_such_package.module"]),
        ("plugins/raises.py:Mine", ["ZeroDivisionError", "raises.py, line 2"]),
        ("plugins/typo.py:Mine", ["SyntaxError", "typo.py, line 1"]),
        ("plugins/needs.py:Mine", ["ModuleNotFoundError", "no_such_library"]),
    ],
)
def test_what_cannot_be_loaded_is_explained_in_one_message(folder: Path, spec: str, parts: list[str]) -> None:
    (folder / "plugins" / "raises.py").write_text("\n1 / 0\n")
    (folder / "plugins" / "typo.py").write_text("def (\n")
    (folder / "plugins" / "needs.py").write_text("import no_such_library\n")
    message = refusal(spec, folder)
    for part in parts:
        assert part in message


def test_a_controller_is_built_with_its_checked_settings(folder: Path) -> None:
    built = make_controller("plugins/mine.py:Mine", three_bus().plant, {"share": 0.5}, "case.toml", base_dir=folder)
    assert built.settings.model_dump() == {"share": 0.5, "fails": ""}


def test_a_controller_is_built_with_a_plant_of_its_own(folder: Path) -> None:
    plant = three_bus().plant
    built = make_controller("plugins/mine.py:Mine", plant, {"share": 0.5}, "case.toml", base_dir=folder)
    object.__setattr__(of_kind(built.plant, "trucks")[0].storage, "p_max_mw", 99.0)
    object.__setattr__(built.plant, "roads", None)
    assert of_kind(plant, "trucks")[0].storage.p_max_mw == 3.25
    assert plant.roads is not None


@pytest.mark.parametrize("where", ["import", "build"])
def test_a_controller_that_exits_while_it_is_made_is_an_input_error_and_prints_to_stderr(
    where: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    leaves = "    def __init__(self, plant, settings):\n        sys.exit(0)\n" if where == "build" else ""
    (folder / "plugins" / f"{where}.py").write_text(
        "import sys\nfrom gridferry.controllers import Controller\nprint('hello')\n"
        f"class Mine(Controller):\n    def plan(self, observation, forecast): ...\n{leaves}"
        + ("" if leaves else "sys.exit(0)\n")
    )
    with pytest.raises(InputError, match=rf"raised SystemExit: 0 \(.*{where}\.py, line \d+\)"):
        make_controller(f"plugins/{where}.py:Mine", three_bus().plant, {}, "case.toml", base_dir=folder)
    assert capsys.readouterr() == ("", "hello\n")


def test_every_bad_option_is_a_fault_of_its_own_with_key_value_and_way_out(folder: Path) -> None:
    spec = f"{folder}/plugins/mine.py:Mine"
    with pytest.raises(InputError) as raised:
        make_controller(spec, three_bus().plant, {"share": 2, "fials": "x"}, "case.toml", "controller")
    lines = sorted(str(fault) for fault in raised.value.faults)
    assert lines[0].startswith("case.toml: controller.fials: no such option; there is share, fails")
    assert 'did you mean "fails"?' in lines[0]
    assert lines[1].startswith("case.toml: controller.share: 2: input should be less than or equal to 1")
    with pytest.raises(InputError, match=r"case.toml: controllers.mine.share: missing; .*share of the rating"):
        make_controller(spec, three_bus().plant, {}, "case.toml", "controllers.mine")


def test_an_unknown_controller_is_a_fault_of_the_config(folder: Path) -> None:
    with pytest.raises(InputError, match=r'^case.toml: controller.use: "ruels": no such controller'):
        make_controller("ruels", three_bus().plant, {}, "case.toml")


def test_a_constructor_that_raises_is_named_and_a_refusal_passes_through(folder: Path) -> None:
    spec = f"{folder}/plugins/mine.py:Mine"
    with pytest.raises(InputError, match=r"building Mine raised KeyError: 'boom' \(.*mine.py, line 20\)"):
        make_controller(spec, three_bus().plant, {"share": 0, "fails": "boom"}, "case.toml")
    with pytest.raises(ControllerError, match="cannot serve it"):
        make_controller(spec, three_bus().plant, {"share": 0, "fails": "refuses"}, "case.toml")


def test_replay_takes_its_file_from_the_folder_of_the_config_and_plays_it(folder: Path) -> None:
    sample = three_bus()
    (folder / "plan.csv").write_text("step,device,p_mw,q_mvar,position\n0,T1,-1,0,S1\n1,T1,0,0,S3\n9,T1,2,0.5,S2\n")
    built = make_controller("replay", sample.plant, {"file": "plan.csv"}, "case.toml", base_dir=folder)
    assert isinstance(built, Replay)
    plan = built.plan(at_start(sample.plant), look_ahead(sample, 0, 12))
    assert plan.steps == 12
    assert plan.p_mw[:, 0].tolist() == [-1.0] + [0.0] * 8 + [2.0, 0.0, 0.0]
    assert plan.position[:, 0].tolist() == [0] + [2] * 8 + [1] * 3


def test_replay_requests_of_a_late_truck_what_the_file_says(folder: Path) -> None:
    sample = three_bus()
    (folder / "plan.csv").write_text("step,device,p_mw,q_mvar,position\n0,T1,0,0,S3\n5,T1,0,0,S2\n")
    built = make_controller("replay", sample.plant, {"file": "plan.csv"}, "case.toml", base_dir=folder)
    late = seen_as(sample.plant, at_start(sample.plant), step=5, station=np.array([2]), transit_steps=np.array([2]))
    plan = built.plan(late, look_ahead(sample, 5, 4))
    assert plan.position[:, 0].tolist() == [1, 1, 1, 1]


def test_a_faulty_plan_of_replay_is_reported_with_its_lines(folder: Path) -> None:
    (folder / "plan.csv").write_text("step,device,p_mw,q_mvar,position\n0,T9,-1,0,\n")
    with pytest.raises(InputError, match=r"plan.csv: line 2, device"):
        make_controller("replay", three_bus().plant, {"file": "plan.csv"}, "case.toml", base_dir=folder)
