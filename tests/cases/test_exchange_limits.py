"""Limits of import and export: kept by plans, named where they cannot be, counted in runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from cases.battery_day import battery_day, chain
from gridferry.controllers.contract import ControllerError, NoteKind
from gridferry.controllers.joint import Joint, JointSettings
from gridferry.controllers.mess_exact import MessExact, MessExactSettings
from gridferry.controllers.mvdc_drcc import MvdcDrcc, MvdcDrccSettings
from gridferry.controllers.schedule.ac_evaluation import evaluate_plan
from gridferry.networks.faults import InputError
from gridferry.sim import run
from gridferry.sim.case.loading import load_config

LOAD = [0.4, 0.9, 1.6, 1.2, 2.0, 0.7]
PRICE = [50.0, 50.0, 40.0, 50.0, 30.0, 50.0]  # import is cheapest where it has to be limited


def limited(import_max_mw: float, **more: float):
    plant, observation, forecast = battery_day(chain((1e-3, 1e-3)), LOAD, PRICE, soc_end=0.0)
    feeder = replace(plant.feeders[0], import_max_mw=import_max_mw, **more)
    return replace(plant, feeders=(feeder,)), observation, forecast


@pytest.mark.parametrize("name", ["mess_exact", "mvdc_drcc", "joint"])
def test_plans_keep_the_import_limit_and_say_by_how_much_it_stays_broken(name: str) -> None:
    made = {
        "mess_exact": lambda plant, way: MessExact(plant, MessExactSettings(on_infeasible=way)),
        "mvdc_drcc": lambda plant, way: MvdcDrcc(plant, MvdcDrccSettings(scenario="deterministic", on_infeasible=way)),
        "joint": lambda plant, way: Joint(plant, JointSettings(on_infeasible=way)),
    }[name]
    plant, observation, forecast = limited(1.5)
    plan = made(plant, "raise").plan(observation, forecast)
    imported = evaluate_plan(plant, plan, observation, forecast).flow.import_mw[0, :, 0]
    assert imported.max() <= 1.5 + 1e-5
    assert imported.max() > 1.5 - 1e-3
    # 2 MW of load, of which a battery of 1 MW leaves 1
    plant, observation, forecast = limited(0.8)
    with pytest.raises(ControllerError, match=r"import of network 1 \(chain\) at step \d: it stays 0.2\d* MW above"):
        made(plant, "raise").plan(observation, forecast)
    plan = made(plant, "relax").plan(observation, forecast)
    note = plan.solver.note(NoteKind.VIOLATED_EXCHANGE)
    imported = evaluate_plan(plant, plan, observation, forecast).flow.import_mw[0, :, 0]
    assert note is not None
    assert note.value == pytest.approx(imported.max() - 0.8, abs=1e-5)


CONFIG = """
name = "limited"
[time]
start = 2024-07-30T10:00:00
step_s = 3600
steps = 3
[[networks]]
name = "dn1"
feeder = "three_bus"
export_max_mw = {export}
import_max_mw = 0.4
[[loads]]
network = "dn1"
bus = "3"
p_mw = 0.5
[[generators]]
name = "pv"
network = "dn1"
bus = "3"
p_mw = {pv}
curtailable = true
s_max_mva = 2.0
[prices]
buy = 50.0
[controller]
use = "{use}"
"""


def written(folder: Path, **given: object) -> Path:
    path = folder / "limited.toml"
    path.write_text(CONFIG.format(**{"export": 0.0, "pv": 0.7, "use": "idle"} | given))
    return path


def test_a_run_counts_steps_beyond_the_limits_and_a_plan_that_curtails_keeps_them(tmp_path: Path) -> None:
    idle = run(written(tmp_path), out=tmp_path / "idle")
    assert idle.summary["grid"]["violations"] == 3
    assert idle.summary["verdict"] == "infeasible"
    first = idle.violations()[0]
    assert (first.kind, first.network, first.limit) == ("export", "dn1", 0.0)
    assert "export: 0.19" in str(first)
    planned = run(written(tmp_path, use="joint"), out=tmp_path / "joint")
    assert planned.summary["grid"]["violations"] == 0
    assert planned.summary["grid"]["export_mwh"] == pytest.approx(0.0, abs=1e-5)
    short = run(written(tmp_path, pv=0.0), out=tmp_path / "short")
    assert [one.kind for one in short.violations()] == ["import"] * 3


def test_a_negative_limit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="export_max_mw"):
        load_config(written(tmp_path, export=-1.0))
