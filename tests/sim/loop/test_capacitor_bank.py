"""Kinds of devices that no file of ours knows, from TOML to the page of a run: a capacitor bank, a curtailable sun."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path

import pandas as pd
import pytest

from cases import REPOSITORY
from cases.waiting_run import start
from gridferry.sim import Run, load_run, run
from gridferry.sim.loop.validation import validate
from gridferry.sim.results.export import export_run
from gridferry.sim.results.report import write_report

TIMETABLE = [0, 2, 2, 3, 1]
"""capacitors switched on in each step: 2 + 0 + 1 + 2 switchings"""

CASE = f"""
extends = "three_bus"
name = "switched"
[time]
start = 2017-07-01T12:00:00
steps = 5
[profiles.day]
file = "day.csv"
[controller]
use = "step_switcher.py:StepSwitcher"
timetable = {TIMETABLE}
[devices]
use = ["capacitor_bank.py:CapacitorBank", "curtailable.py:Curtailable"]
[[capacitor_banks]]
name = "C1"
network = "dn1"
bus = 3
capacitors = 3
q_each_mvar = 0.3
loss_each_mw = 0.003
cost_per_switching = 5.0
[[curtailables]]
name = "roof"
network = "dn1"
bus = 2
rating_mw = 0.4
p_mw = 0.3
"""
STEP_H = 1 / 6

DIES = """
        if observation.step == 4 and (Path(__file__).parent / "DIE").exists():
            os.kill(os.getpid(), 9)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the case and its plug-ins."""
    for name in ("capacitor_bank", "curtailable", "step_switcher"):
        shutil.copy(REPOSITORY / "tests" / "plugins" / f"{name}.py", tmp_path)
    shutil.copy(REPOSITORY / "configs" / "data" / "three_bus_profiles.csv", tmp_path / "day.csv")
    (tmp_path / "case.toml").write_text(CASE)
    return tmp_path


@pytest.fixture
def done(folder: Path) -> Run:
    return run(folder / "case.toml", out=folder / "run")


def bank(done: Run, column: str) -> list[float]:
    rows = done.table("device")
    return rows.loc[rows.device == "C1", column].tolist()


def test_the_case_is_sound_and_its_faults_are_reported_as_those_of_our_own_kinds(gridferry, folder: Path) -> None:
    code, out, _ = gridferry("check", folder / "case.toml")
    assert code == 0
    assert "1 capacitor banks" in out
    for setting, message in (
        ("capacitor_banks.C1.bus=9", "capacitor_banks[0].bus = 9: no such bus in dn1"),
        ("capacitor_banks.C1.q_each_mvr=1", "capacitor_banks[0].q_each_mvr"),
        ("capacitor_banks.C1.q_each_mvar=-1", "capacitor_banks[0].q_each_mvar = -1"),
    ):
        code, _, err = gridferry("run", folder / "case.toml", "--set", setting)
        assert code == 2
        assert message in err, err
    _, out, _ = gridferry("schema", folder / "case.toml")
    entry = json.loads(out)["$defs"]["BankConfig"]["properties"]
    assert entry["q_each_mvar"]["description"] == "what each injects [Mvar]"


def test_what_it_is_switched_to_reaches_ac_the_record_and_the_money(done: Run, folder: Path) -> None:
    assert bank(done, "q_mvar") == pytest.approx([0.3 * on for on in TIMETABLE])
    assert bank(done, "p_mw") == pytest.approx([-0.003 * on for on in TIMETABLE])
    own = done.table("capacitor_banks")
    assert own["switched"].tolist() == [0, 2, 0, 1, 2]
    assert own["switching"].tolist() == [0.0, 10.0, 0.0, 5.0, 10.0]
    assert own["loss_mwh"].tolist() == pytest.approx([STEP_H * 0.003 * on for on in TIMETABLE])
    without = run(folder / "case.toml", overrides=["capacitor_banks=[]"], out=folder / "without")
    raised = [one.table("bus").query("bus == '3'")["v_pu"].to_numpy() for one in (done, without)]
    # 0.3 Mvar more through some 0.009 pu of reactance to the slack, at a base of 10 MVA
    assert (raised[0] - raised[1])[1:] == pytest.approx([0.0013 * on for on in TIMETABLE[1:]], rel=0.5)
    assert done.summary["cost"]["terms"]["switching"] == 25.0
    assert done.summary["kinds"]["capacitor_banks"]["cost"] == {"switching": 25.0}


def test_under_a_perfect_forecast_what_is_predicted_is_what_happens(done: Run) -> None:
    buses = done.table("bus")
    assert buses["v_plan_pu"].to_numpy() == pytest.approx(buses["v_pu"].to_numpy(), abs=1e-9)


def test_its_plan_is_replayed_by_label_and_gaps_keep_the_last_step(done: Run, folder: Path) -> None:
    text = (done.directory / "plan.csv").read_text()
    assert [line for line in text.splitlines() if ",C1," in line][3].startswith("3,C1,0.0,0.0,3,")
    verdict = validate(done.directory / "plan.csv", folder / "case.toml", out=folder / "replayed")
    assert verdict.feasible
    assert bank(load_run(folder / "replayed"), "q_mvar") == bank(done, "q_mvar")
    (folder / "gaps.csv").write_text("step,device,p_mw,q_mvar,position\n1,C1,0,0,2\n3,C1,0,0,1\n1,roof,0.1,0,\n")
    validate(folder / "gaps.csv", folder / "case.toml", out=folder / "gaps")
    replayed = load_run(folder / "gaps")
    assert bank(replayed, "q_mvar") == pytest.approx([0.0, 0.6, 0.6, 0.3, 0.3])
    # the generator is uncurtailed where the plan says nothing, and what it leaves unused is no shortfall
    assert replayed.table("curtailables")["curtailed_mw"].tolist() == pytest.approx([0.0, 0.2, 0.0, 0.0, 0.0])
    rows = replayed.table("device")
    assert rows.loc[rows.device == "roof", "p_mw"].tolist() == pytest.approx([0.3, 0.1, 0.3, 0.3, 0.3])
    assert (rows.loc[rows.device == "roof", "shortfall_mwh"] == 0.0).all()


@pytest.mark.slow
def test_a_killed_run_goes_on_from_the_step_that_the_bank_was_switched_to(done: Run, folder: Path) -> None:
    plugin = folder / "step_switcher.py"
    kept = plugin.read_text()
    marker = "        plan = hold(self.plant, observation, forecast.steps)\n"
    plugin.write_text(f"import os\nfrom pathlib import Path\n{kept.replace(marker, DIES + marker)}")
    (folder / "DIE").touch()
    settings = ("--set", "record.flush_steps=1", "--set", "controller.own_process=false")
    words = ("run", "case.toml", "--out", "killed", *settings)
    process = start(*words, cwd=folder)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    (folder / "DIE").unlink()
    process = start(*words, "--resume", cwd=folder)
    _, err = process.communicate()
    assert process.returncode == 0, err
    resumed = load_run(folder / "killed")
    for table in ("device", "capacitor_banks", "curtailables", "bus"):
        pd.testing.assert_frame_equal(resumed.table(table), done.table(table))


def test_it_is_exported_and_on_the_page_of_the_run(done: Run, folder: Path) -> None:
    names = {one.name for one in export_run(done.directory, "csv", folder / "out")}
    assert {"capacitor_banks.csv", "curtailables.csv"} <= names
    assert pd.read_csv(folder / "out" / "capacitor_banks.csv")["switched"].tolist() == [0, 2, 0, 1, 2]
    page = write_report(done.directory).read_text(encoding="utf-8")
    assert "<h3>capacitor_banks</h3>" in page
    assert "C1" in page


def test_no_product_file_knows_the_kinds_of_this_test() -> None:
    words = ("capacitor_bank", "CapacitorBank", "curtailables", "Curtailable", "step_switcher")
    for folder in ("networks", "controllers", "sim"):
        for file in (REPOSITORY / folder).rglob("*.py"):
            text = file.read_text(encoding="utf-8")
            assert not any(word in text for word in words), file
