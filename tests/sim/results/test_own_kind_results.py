"""What the results say of a device of a user's own kind: a capacitor bank that a controller switches."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cases import REPOSITORY
from gridferry.sim import Run, load_run, run, validate
from gridferry.sim.results.display import figure_rows
from gridferry.sim.results.export import export_run
from gridferry.sim.results.report import write_report

CASE = """
extends = "three_bus"
name = "switched"
[controller]
use = "switcher.py:Switcher"
[devices]
use = ["capacitor_bank.py:CapacitorBank"]
[[capacitor_banks]]
name = "C1"
network = "dn1"
bus = 3
capacitors = 3
q_each_mvar = 0.2
loss_each_mw = 0.01
cost_per_switching = 5.0
[time]
start = 2017-07-01T12:00:00
steps = 6
"""
SWITCHER = '''
from dataclasses import replace

import numpy as np

from gridferry.controllers.contract import Controller, hold

ON = (0, 2, 3, 3, 1, 3)


class Switcher(Controller):
    """Switches capacitors on and off."""

    def plan(self, observation, forecast):
        plan = hold(self.plant, observation)
        (bank,) = (one for one in self.plant.devices if one.name == "C1")
        position = plan.position.copy()
        position[0, self.plant.position_columns(bank)] = ON[observation.step]
        return replace(plan, position=position)
'''
ON = (0, 2, 3, 3, 1, 3)
SWITCHED = (0, 2, 1, 0, 2, 2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("switched")
    shutil.copy(REPOSITORY / "tests" / "plugins" / "capacitor_bank.py", folder)
    (folder / "switcher.py").write_text(SWITCHER)
    (folder / "case.toml").write_text(CASE)
    return folder


@pytest.fixture(scope="module")
def done(folder: Path) -> Run:
    return run(folder / "case.toml", out=folder / "run")


def test_its_positions_its_column_and_its_balance_are_recorded(done: Run) -> None:
    position, own = done.table("position"), done.table("capacitor_banks")
    bank = position[position["position"] == "C1"]
    assert bank["label"].tolist() == [str(on) for on in ON]
    assert bank["phase"].isna().all()
    assert own["switched"].tolist() == list(SWITCHED)
    step_h = done.summary["step_s"] / 3600
    np.testing.assert_allclose(own["injected_mwh"], [-0.01 * on * step_h for on in ON])
    np.testing.assert_allclose(own["injected_mwh"], -own["loss_mwh"])
    device = done.table("device")
    np.testing.assert_allclose(device.loc[device["device"] == "C1", "q_mvar"], [0.2 * on for on in ON])
    assert done.summary["balance_error_rel_max"] < 1e-6


def test_what_it_costs_is_predicted_recorded_and_in_every_sum(done: Run) -> None:
    cost = done.table("cost")
    np.testing.assert_allclose(cost["plan_cost"], cost["cost"], rtol=1e-8, atol=1e-6)
    switching = cost[cost["term"] == "switching"]
    assert switching["cost"].tolist() == [5.0 * switched for switched in SWITCHED]
    summary = done.summary
    assert summary["cost"]["terms"]["switching"] == 35.0
    assert summary["kinds"]["capacitor_banks"]["cost"] == {"switching": 35.0}
    assert summary["kinds"]["capacitor_banks"]["totals"]["switched"] == 7
    paid = sum(summary["cost"][name] for name in ("grid", "mess", "res"))
    assert summary["cost"]["profit"] == pytest.approx(summary["cost"]["income"] - paid - 35.0)
    step = done.table("step")
    np.testing.assert_allclose(step["plan_cost"], cost.groupby("step")["cost"].sum(), rtol=1e-8)


def test_it_is_exported_compared_and_on_the_page(done: Run, tmp_path: Path) -> None:
    (file,) = [one for one in export_run(done.directory, "csv", tmp_path) if one.stem == "capacitor_banks"]
    assert pd.read_csv(file)["switched"].tolist() == list(SWITCHED)
    rows = {label: shown for section, label, shown in figure_rows([done.summary]) if section == "capacitor_banks"}
    assert rows["switched"] == ["7"]
    assert rows["switching, USD"] == ["35.00"]
    page = write_report(done.directory).read_text(encoding="utf-8")
    assert '<table id="kind-capacitor_banks">' in page
    assert 'id="plot-kind-capacitor_banks"' in page
    assert '"name":"3","fill"' in page, "a bar in the picture of positions for the time with three capacitors on"


def test_its_plan_is_replayed_and_a_run_stopped_and_resumed_is_the_same(done: Run, folder: Path) -> None:
    verdict = validate(done.directory / "plan.csv", folder / "case.toml", out=folder / "replayed")
    run(folder / "case.toml", steps=3, out=folder / "stopped")
    run(folder / "case.toml", out=folder / "stopped", resume=True)
    assert verdict.shortfalls == []
    for other in (verdict.run, load_run(folder / "stopped")):
        pd.testing.assert_frame_equal(other.table("capacitor_banks"), done.table("capacitor_banks"))
        pd.testing.assert_frame_equal(other.table("position"), done.table("position"))
        pd.testing.assert_frame_equal(other.table("cost"), done.table("cost"))
