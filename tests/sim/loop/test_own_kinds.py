"""A device of a user's own kind: from its table in the config to AC, the record, a plan replayed, and a study."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from cases import REPOSITORY
from gridferry.networks.faults import InputError
from gridferry.sim import load_run, run
from gridferry.sim.case.case import build_case
from gridferry.sim.case.loading import load_config
from gridferry.sim.loop.validation import validate
from gridferry.sim.study.closed_loop import run_loop_study

CASE = """
extends = "three_bus"
name = "works"
[controller]
use = "idle"
[devices]
use = ["constant_load.py:ConstantLoad"]
[[constant_loads]]
name = "pump"
network = "dn1"
bus = 3
drawn_mw = "mine.drawn_mw"
rating_mw = 0.4
tariff = 90.0
[profiles.mine]
file = "mine.csv"
time = "hour"
resample = "previous"
"""
DRAWN_MW = (0.1, 0.3, 0.7, 0.2)
STEP_H = 1 / 6


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a config that has a load of its own kind; it draws another power in every step of 10 minutes."""
    shutil.copy(REPOSITORY / "tests" / "plugins" / "constant_load.py", tmp_path)
    rows = "".join(f"{step / 6!r},{drawn}\n" for step, drawn in enumerate((*DRAWN_MW, 0.0, 0.0)))
    (tmp_path / "mine.csv").write_text("hour,drawn_mw\n" + rows)
    (tmp_path / "works.toml").write_text(CASE + "[time]\nstart = 2017-07-01T00:00:00\nstep_s = 600\nsteps = 4\n")
    return tmp_path


def test_what_the_device_draws_reaches_ac_and_the_record(folder: Path) -> None:
    done = run(folder / "works.toml", out=folder / "run")
    without = run(folder / "works.toml", overrides=["constant_loads=[]"], out=folder / "without")
    drawn = np.minimum(DRAWN_MW, 0.4)
    own = done.table("constant_loads")
    assert own["injected_mwh"].tolist() == pytest.approx(-STEP_H * drawn)
    assert own["tariff"].tolist() == pytest.approx(-90.0 * STEP_H * drawn)
    assert own["cut_mw"].tolist() == pytest.approx([0.0, 0.0, 0.3, 0.0])
    more = done.table("network")["import_mw"] - without.table("network")["import_mw"]
    # what it draws, and a little less loss: the wind beside it blows
    assert more.tolist() == pytest.approx(drawn, rel=0.01)


def test_a_run_says_and_keeps_to_the_code_it_was_made_from(folder: Path) -> None:
    done = run(folder / "works.toml", steps=2, out=folder.parent / "kept")
    file = folder / "constant_load.py"
    assert str(file) in json.loads((done.directory / "manifest.json").read_text())["inputs"]
    # the config that a run leaves behind names code outside its own folder, and may
    assert load_config(done.directory / "config.toml").config == load_config(folder / "works.toml").config
    again = run(folder / "works.toml", out=done.directory, resume=True)
    assert again.summary["steps"] == 4
    shutil.copytree(done.directory, folder.parent / "other")
    file.write_text(file.read_text() + "\n")
    with pytest.raises(InputError, match=r"constant_load\.py: has changed since the run was started"):
        run(folder / "works.toml", out=folder.parent / "other", resume=True)


def test_a_plan_of_the_case_is_replayed(folder: Path) -> None:
    done = run(folder / "works.toml", out=folder / "run")
    verdict = validate(done.directory / "plan.csv", folder / "works.toml", out=folder / "replayed")
    assert verdict.feasible
    replayed = load_run(folder / "replayed").table("constant_loads")
    assert replayed["injected_mwh"].tolist() == done.table("constant_loads")["injected_mwh"].tolist()


def test_a_study_runs_it_with_other_values(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    (folder / "study.toml").write_text(
        'kind = "closed_loop"\nname = "small"\nconfig = "works.toml"\nrows = [\n'
        '    { label = "as it is" },\n    { label = "small", set = { "constant_loads.pump.rating_mw" = 0.05 } },\n]\n'
    )
    run_loop_study(folder / "study.toml")
    runs = sorted(one.parent for one in folder.glob("runs/small/*/*/manifest.json"))
    drawn_mwh = [-load_run(one).table("constant_loads")["injected_mwh"].sum() for one in runs]
    assert drawn_mwh == pytest.approx([STEP_H * 1.0, STEP_H * 0.2])


def test_errors_of_its_forecast_leave_those_of_others_as_they_are(folder: Path) -> None:
    errors = ["forecast.kind=errors", "forecast.errors.generation.relative_std=0.2"]
    own = [*errors, "forecast.errors.works.relative_std=0.2"]
    plain, erring = (build_case(load_config(folder / "works.toml", one)).forecaster.at(0) for one in (errors, own))
    for device, series in plain.series.items():
        for key, values in series.items():
            assert np.array_equal(values, erring.series[device][key]) == (device != "constant_loads.pump")
    perfect = build_case(load_config(folder / "works.toml")).forecaster.at(0)
    assert perfect.series["constant_loads.pump"]["drawn_mw"].tolist() == list(DRAWN_MW)
