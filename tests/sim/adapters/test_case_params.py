"""What a config from another process may name: however a path is written, it is looked at where it leads."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gridferry.networks.faults import InputError
from gridferry.sim.adapters.case_params import Allowed, case_of_params
from gridferry.sim.case.loading import load_config


def requested(file: Path | str, *allow: object, controller: bool = False) -> None:
    """Give the case with prices from a file to a simulator that was started with ``--allow`` so."""
    overrides = ["prices.buy=mine.price", 'profiles.mine={time="hour",resample="previous"}', "time.steps=2"]
    document = dict(load_config("three_bus", [*overrides, f'profiles.mine.file="{file}"']).document)
    allowed = Allowed.of_options(str(one) for one in allow)
    case_of_params({"document": document, "base_dir": "/"}, allowed, controller=controller)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that is allowed; beside it lie a file of prices and a pipe that are not."""
    (tmp_path / "in").mkdir()
    prices = "hour,price\n" + "".join(f"{hour},40\n" for hour in range(24))
    for path in (tmp_path / "in" / "day.csv", tmp_path / "out.csv"):
        path.write_text(prices)
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "in" / "link.csv").symlink_to(tmp_path / "out.csv")
    return tmp_path / "in"


def test_what_is_allowed_or_comes_with_the_package_is_read(folder: Path) -> None:
    requested(folder / "day.csv", folder)
    requested(folder / "day.csv", folder / "day.csv")
    requested(folder.parent / "out.csv", folder, folder.parent / "out.csv")


@pytest.mark.parametrize("written", ["../out.csv", "link.csv", "../pipe.csv", "../in/" * 400 + "../out.csv"])
def test_what_lies_elsewhere_is_not(folder: Path, written: str) -> None:
    with pytest.raises(InputError, match="is a file that may not be read here; start the simulator with --allow"):
        requested(f"{folder}/{written}", folder)
    with pytest.raises(InputError, match="may not be read here"):
        requested(folder / "day.csv")


def test_a_folder_that_may_be_read_may_not_be_run(folder: Path) -> None:
    code = folder / "mine.py"
    code.write_text("raise SystemExit('run')")
    for spec in (f"{code}:Mine", str(code), "mine:Mine"):
        document = dict(load_config("three_bus").document) | {"controller": {"use": spec}}
        with pytest.raises(InputError, match=r"controller\.use = .* is code that may not run here"):
            case_of_params({"document": document}, Allowed.of_options([str(folder)]), controller=True)
        assert case_of_params({"document": document}, Allowed.of_options([]), controller=False).plant.n_bus == 3


def test_a_kind_of_device_runs_only_where_it_is_allowed(folder: Path) -> None:
    code = folder / "mine.py"
    code.write_text("raise SystemExit('run')")
    for spec in (f"{code}:Mine", str(code), "mine:Mine"):
        document = dict(load_config("three_bus").document) | {"devices": {"use": [spec]}}
        with pytest.raises(InputError, match=r"devices\.use\[0\] = .* is code that may not run here; start"):
            case_of_params({"document": document}, Allowed.of_options([str(folder)]))
    document = dict(load_config("three_bus").document) | {"devices": {"use": [f"{code}:Mine"]}}
    with pytest.raises(InputError, match=r"devices\.use\[0\] = .*running .*mine\.py raised SystemExit"):
        case_of_params({"document": document}, Allowed.of_options([f"{code}:Mine"]))


def test_a_case_that_arrives_as_data_is_not_taken_for_one(folder: Path) -> None:
    with pytest.raises(InputError, match="give a case, or a config document"):
        case_of_params({"case": {"plant": 1}}, Allowed())
