"""`gridferry new` writes a plug-in that works at once, outside this repository."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from cases import REPOSITORY
from gridferry.controllers.conformance.device_suite import PROMISES
from gridferry.controllers.conformance.scaffold import new_controller, new_device
from gridferry.controllers.devices.registry import find_kind
from gridferry.controllers.registry import find_controller
from gridferry.networks.faults import InputError

New = Callable[[str, Path], list[Path]]


@pytest.mark.parametrize(("new", "tests"), [(new_controller, 4), (new_device, len(PROMISES) + 1)])
def test_what_is_written_passes_its_own_test_in_a_folder_of_its_own(tmp_path: Path, new: New, tests: int) -> None:
    paths = new("night_charger", tmp_path)
    assert [path.name for path in paths] == ["night_charger.py", "test_night_charger.py"]
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", str(tmp_path)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=1800,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert f"{tests} passed" in ran.stdout


def test_the_written_class_is_found_by_its_path(tmp_path: Path) -> None:
    new_controller("night_charger", tmp_path)
    cls = find_controller("night_charger.py:NightCharger", tmp_path)
    assert cls.Settings(charge_below=1.0).model_dump() == {"charge_below": 1.0, "discharge_above": 120.0}


def test_the_written_kind_has_a_table_of_its_name(tmp_path: Path) -> None:
    new_device("night_heater", tmp_path)
    kind = find_kind("night_heater.py:NightHeater", tmp_path)
    assert (kind.table, kind.port_kind) == ("night_heaters", "night_heater")


@pytest.mark.parametrize("new", [new_controller, new_device])
def test_nothing_is_overwritten_and_nothing_half_written(tmp_path: Path, new: New) -> None:
    (tmp_path / "test_mine.py").write_text("kept")
    with pytest.raises(InputError, match=r"test_mine.py: is there already"):
        new("mine", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["test_mine.py"]
    assert (tmp_path / "test_mine.py").read_text() == "kept"


@pytest.mark.parametrize("new", [new_controller, new_device])
@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("night-charger", "no Python name"),
        ("2fast", "no Python name"),
        ("class", "no Python name"),
        ("", "no Python name"),
        ("_", "no Python name"),
        ("../up", "no Python name"),
        ("test_mine", "taken for a test"),
        ("numpy", "installed module"),
    ],
)
def test_a_name_that_would_not_work_is_refused(tmp_path: Path, new: New, name: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        new(name, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("new", "name", "says"),
    [
        (new_controller, "plan", "hide the class Plan of gridferry.controllers.contract"),
        (new_device, "port", "hide the class Port of gridferry.controllers.devices"),
        (new_device, "network", "would have the table networks, which is taken"),
        (new_device, "truck", "would have the table trucks, which is taken"),
    ],
)
def test_a_name_that_hides_or_takes_another_is_refused(tmp_path: Path, new: New, name: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        new(name, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("new", [new_controller, new_device])
def test_a_missing_folder_is_named(tmp_path: Path, new: New) -> None:
    with pytest.raises(InputError, match=r"nowhere: no such folder"):
        new("mine", tmp_path / "nowhere")
