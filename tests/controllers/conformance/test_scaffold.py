"""`gridferry new controller` writes a plug-in that works at once, outside this repository."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cases import REPOSITORY
from gridferry.controllers.conformance.scaffold import new_controller
from gridferry.controllers.registry import find_controller
from gridferry.networks.faults import InputError


def test_the_written_controller_passes_its_own_test_in_a_folder_of_its_own(tmp_path: Path) -> None:
    paths = new_controller("night_charger", tmp_path)
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
    assert "4 passed" in ran.stdout


def test_the_written_class_is_found_by_its_path(tmp_path: Path) -> None:
    new_controller("night_charger", tmp_path)
    cls = find_controller("night_charger.py:NightCharger", tmp_path)
    assert cls.Settings(charge_below=1.0).model_dump() == {"charge_below": 1.0, "discharge_above": 120.0}


def test_nothing_is_overwritten_and_nothing_half_written(tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text("kept")
    with pytest.raises(InputError, match=r"test_mine.py: is there already"):
        new_controller("mine", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["test_mine.py"]
    assert (tmp_path / "test_mine.py").read_text() == "kept"


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
        ("plan", "hide the class Plan"),
        ("numpy", "installed module"),
    ],
)
def test_a_name_that_would_not_work_is_refused(tmp_path: Path, name: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        new_controller(name, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere: no such folder"):
        new_controller("mine", tmp_path / "nowhere")
