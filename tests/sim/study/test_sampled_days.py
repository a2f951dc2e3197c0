"""Schedules on sampled days: against runs in the same realities, late trucks among them; and the certificate."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binomtest

from gridferry.networks.faults import InputError
from gridferry.sim import run
from gridferry.sim.loop.validation import replaying
from gridferry.sim.results.costs import operating_cost
from gridferry.sim.study.sampled_days import sample_days, seed_of_day

CONFIG = """
name = "sampled"
[time]
start = 2024-07-30T08:00:00
step_s = 1800
steps = 8
[[networks]]
name = "dn1"
feeder = "three_bus"
v_min_pu = {v_min_pu}
[[loads]]
network = "dn1"
bus = "3"
p_mw = 2.0
[[generators]]
name = "pv"
network = "dn1"
bus = "2"
p_mw = 0.5
[[stations]]
name = "a"
network = "dn1"
bus = "2"
[[stations]]
name = "b"
network = "dn1"
bus = "3"
[roads]
distance_km = [[0.0, 5.0], [5.0, 0.0]]
speed_km_h = 20.0
rounding = "up"
congestion = 14.0
[[trucks]]
name = "T"
station = "a"
energy_mwh = 1.0
p_max_mw = 0.4
fuel_per_km = 1.0
[prices]
buy = 50.0
[forecast]
kind = "errors"
errors_on = "realised"
[forecast.errors]
load.relative_std = 0.1
price.relative_std = 0.2
congestion = {{ relative_std = 0.5, bias = 1.0 }}
[controller]
use = "idle"
"""


def plan(folder: Path) -> Path:
    """A truck that drives in the second step, and gives power from the third on, when it is expected to be there."""
    rows = [f"{step},T,{0.1 if step > 1 else 0.0},0.0,{'b' if step else 'a'}" for step in range(8)]
    path = folder / "plan.csv"
    path.write_text("step,device,p_mw,q_mvar,station\n" + "\n".join(rows) + "\n")
    return path


def written(folder: Path, v_min_pu: float = 0.9) -> Path:
    path = folder / "sampled.toml"
    path.write_text(CONFIG.format(v_min_pu=v_min_pu))
    return path


def test_sampled_days_are_the_realities_of_runs(tmp_path: Path) -> None:
    found = sample_days(replaying(plan(tmp_path), written(tmp_path)), 4)
    seeds = [seed_of_day(0, number) for number in range(4)]
    realities = [replaying(plan(tmp_path), written(tmp_path), [f"seed={seed}"]) for seed in seeds]
    runs = [run(one, out=tmp_path / f"run{number}", clip=True) for number, one in enumerate(realities)]
    costs = [operating_cost(one.summary) for one in runs]
    assert found.operating_cost.value == pytest.approx(np.mean(costs), rel=1e-9)
    late = [one.summary["fleet"]["shortfall_mwh"] > 1e-6 for one in runs]
    assert found.late_days.value == np.mean(late)
    assert found.late_days.value > 0
    assert found.good.value == 1.0
    first = run(realities[0], steps=2, out=tmp_path / "first", clip=True)
    assert sample_days(
        replaying(plan(tmp_path), written(tmp_path), steps=2), 1, 2
    ).operating_cost.value == pytest.approx(operating_cost(first.summary), rel=1e-9)


def test_limits_broken_on_some_days_give_a_share_and_its_certificate(tmp_path: Path) -> None:
    at_rest = run(written(tmp_path), out=tmp_path / "run", overrides=["forecast.kind='perfect'"])
    tight = written(tmp_path, at_rest.summary["grid"]["v_min_pu"] - 2e-4)
    found = sample_days(replaying(plan(tmp_path), tight), 40)
    assert 0.0 < found.good.value < 1.0
    kept = round(40 * found.good.value)
    exact = binomtest(kept, 40, alternative="greater").proportion_ci(0.99, method="exact")
    assert found.certified == pytest.approx(exact.low)
    assert found.due_kept.value <= found.good.value
    assert json.loads(json.dumps(found.as_json()))["samples"] == 40
    assert sample_days(replaying(plan(tmp_path), tight), 40) == found


def test_a_config_in_which_nothing_errs_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path)
    path.write_text(path.read_text().split("[forecast.errors]")[0] + '[controller]\nuse = "idle"\n')
    with pytest.raises(InputError, match="nothing errs"):
        sample_days(replaying(plan(tmp_path), path), 3)
