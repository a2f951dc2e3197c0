"""A small case for faults, and what every run of it must keep.

Two three-bus networks for eight hours in half-hour steps: dn1 has more sun than load, dn2 none, export earns a quarter
of the price. So energy is worth carrying from dn1 to dn2, over the link, by two trucks, and from the cheap half of the
run to the dear one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from gridferry.controllers.contract import NoteKind
from gridferry.sim.loop.runner import Run, run

STEPS = 16
FIRST_HOUR = 8
STEPS_PER_DAY = 48
DAY = FIRST_HOUR * 2
"""the row of the profiles in which the run begins"""

CASE = """
name = "faults"

[time]
start = 2024-06-03T08:00:00
step_s = 1800
steps = 16

[profiles.day]
file = "day.csv"
time = "hour"
resample = "previous"

[[networks]]
name = "dn1"
feeder = "three_bus"
v_min_pu = 0.97
v_max_pu = 1.03

[[networks]]
name = "dn2"
feeder = "three_bus"
v_min_pu = 0.97
v_max_pu = 1.03

[[loads]]
network = "dn1"
factor = "day.load_1"

[[loads]]
network = "dn2"
factor = "day.load_2"

[[generators]]
name = "pv"
network = "dn1"
bus = "3"
p_mw = "day.pv"

[prices]
buy = "day.price"
sell = 120.0
export_ratio = 0.25

[[stations]]
name = "A"
network = "dn1"
bus = "3"

[[stations]]
name = "B"
network = "dn1"
bus = "2"

[[stations]]
name = "C"
network = "dn2"
bus = "3"

[roads]
distance_km = [[0.0, 8.0, 14.0], [8.0, 0.0, 8.0], [14.0, 8.0, 0.0]]
speed_km_h = 30.0
install_min = 5.0
rounding = "up"
congestion = "day.traffic"

[[trucks]]
name = "T1"
station = "A"
energy_mwh = 2.0
p_max_mw = 1.0
s_max_mva = 1.1
eta_charge = 0.95
eta_discharge = 0.95
soc_min = 0.1
soc_max = 0.9
soc_initial = 0.4
cycles_max_per_day = 2.0
trips_max_per_day = 3
cost_per_mwh_charged = 2.0
fuel_per_km = 0.2
labour_per_h = 6.0

[[trucks]]
name = "T2"
station = "C"
energy_mwh = 1.0
p_max_mw = 0.5
eta_charge = 0.95
eta_discharge = 0.95
soc_min = 0.1
soc_max = 0.9
soc_initial = 0.5
cycles_max_per_day = 2.0
trips_max_per_day = 3
cost_per_mwh_charged = 2.0
fuel_per_km = 0.2
labour_per_h = 6.0

[[batteries]]
name = "bess"
network = "dn1"
bus = "2"
energy_mwh = 1.6
p_max_mw = 0.6
loss_coefficient = 0.02
soc_min = 0.1
soc_max = 0.9
soc_initial = 0.5
cycles_max_per_day = 1.5
cost_per_mwh_charged = 2.0
usable_energy_share = "day.bess_holds"
availability = "day.bess"

[[links]]
name = "mvdc"
availability = "day.link"
terminals = [
    { network = "dn1", bus = "3", s_max_mva = 0.6, loss_coefficient = 0.02 },
    { network = "dn2", bus = "3", s_max_mva = 0.6, loss_coefficient = 0.02 },
]

[forecast]
kind = "perfect"
outage = "day.silence"

[controller]
use = "joint"
time_limit_s = 3600.0
replan_routes = 4
gap_of_saving = 0.35
samples = 10
errors = { load_std = 0.02, generation_std = 0.05 }
"""

TRUCKS, STORES, TERMINALS = ("T1", "T2"), ("T1", "T2", "bess"), ("mvdc-1", "mvdc-2")
RATING = {"T1": (1.0, 1.1), "T2": (0.5, 0.5), "bess": (0.6, 0.6), "mvdc-1": (0.6, 0.6), "mvdc-2": (0.6, 0.6)}
"""largest P and S of each device [MW, MVA]"""
CYCLES = {"T1": 2.0, "T2": 2.0, "bess": 1.5}


def profile(values: Sequence[float]) -> np.ndarray:
    """A day's column of the steps of the run; as its first value before, and its last after."""
    column = np.full(STEPS_PER_DAY, float(values[-1]))
    column[:DAY] = values[0]
    column[DAY : DAY + STEPS] = values
    return column


def at_steps(plain: float, changed: Mapping[int, float]) -> list[float]:
    """A series of the run that differs from its plain value in some steps."""
    return [changed.get(step, plain) for step in range(STEPS)]


def write_case(folder: Path, **series: Sequence[float]) -> Path:
    """Write the config and its profiles into a folder; series replace those of a run without faults."""
    sun = 3.4 * np.sin(np.pi * (np.arange(STEPS) + 3) / 24)
    plain: dict[str, Sequence[float]] = {
        "load_1": [0.5] * STEPS,
        "load_2": list(0.7 + 0.02 * np.arange(STEPS)),
        "pv": list(sun),
        "price": [40.0] * 8 + [110.0] * 8,
        "traffic": [0.0] * STEPS,
        "link": [1.0] * STEPS,
        "bess": [1.0] * STEPS,
        "bess_holds": [1.0] * STEPS,
        "silence": [0.0] * STEPS,
    }
    unknown = set(series) - set(plain)
    assert not unknown, unknown
    table = pd.DataFrame({name: profile(values) for name, values in (plain | series).items()})
    table.insert(0, "hour", np.arange(STEPS_PER_DAY) / 2)
    folder.mkdir(parents=True, exist_ok=True)
    table.to_csv(folder / "day.csv", index=False)
    path = folder / "faults.toml"
    path.write_text(CASE)
    return path


def rows(done: Run, device: str, column: str) -> np.ndarray:
    """A column of table `device`, step by step."""
    table = done.table("device")
    return table.loc[table["device"] == device, column].to_numpy()


def worst(done: Run, steps: int) -> np.ndarray:
    """By how much limits break in every step: of voltage [pu], of loading [%]; shape (step, 2)."""
    found = np.zeros((steps, 2))
    for one in done.violations():
        kind = int(one.kind == "loading")
        found[one.step, kind] = max(found[one.step, kind], one.excess)
    return found


def assert_safe(done: Run, steps: int = STEPS, idle: Run | None = None) -> None:
    """What every run keeps, whatever fails: ratings, windows, cycles, trips, balances, and the grid's limits.

    Where idling breaks limits of the grid, too, the run may break them by no more.
    """
    summary, step, device = done.summary, done.table("step"), done.table("device")
    every = summary["solver"]["fallbacks"] == steps
    assert (summary["status"], summary["steps"], len(step)) == ("fell_back" if every else "completed", steps, steps)
    assert np.isfinite(device[["p_set_mw", "q_set_mvar", "p_mw", "q_mvar"]]).all(axis=None)
    for name in (*STORES, *TERMINALS):
        p_max, s_max = RATING[name]
        requested = np.hypot(rows(done, name, "p_set_mw"), rows(done, name, "q_set_mvar"))
        gave = np.hypot(rows(done, name, "p_mw"), rows(done, name, "q_mvar"))
        there = rows(done, name, "availability")
        assert (requested <= s_max * (1 + 2e-6) + 1e-6).all()
        assert (gave <= s_max * there * (1 + 1e-9)).all()
        assert (np.abs(rows(done, name, "p_set_mw")) <= p_max * (1 + 1e-6) + 1e-6).all()
        assert (np.abs(rows(done, name, "p_mw")) <= p_max * there * (1 + 1e-9)).all()
    for name in STORES:
        soc = rows(done, name, "soc") / rows(done, name, "usable_energy_share")
        assert soc.min() >= 0.1 - 1e-9
        assert soc.max() <= 0.9 + 1e-9
        assert rows(done, name, "cycles_today").max() <= CYCLES[name] * (1 + 1e-9)
    for name in TRUCKS:
        away = rows(done, name, "phase") != "parked"
        assert not np.any(rows(done, name, "p_mw")[away])
        assert rows(done, name, "trips_today").max() <= 3
    least = np.zeros((steps, 2)) if idle is None else worst(idle, steps)
    assert (worst(done, steps) <= least + 1e-9).all()
    assert summary["balance_error_rel_max"] < 1e-7
    assert summary["grid"]["diverged_steps"] == 0
    assert summary["solver"]["failures"] == (step["failure"] != "").sum()
    assert summary["solver"]["fallbacks"] == (step["fallback"] != "").sum()
    # what stands in for a plan is said to, and so is why
    assert (step.loc[step["fallback"] != "", "failure"] != "").all()
    assert (step.loc[step["fallback"] == "", "solver_status"].isin(["optimal", "feasible"])).all()


def run_case(folder: Path, *overrides: str, controller: str | None = None, **series: Sequence[float]) -> Run:
    """Run the case with what its profiles do."""
    return run(write_case(folder, **series), controller=controller, overrides=overrides, out=folder / "run")


def notes(done: Run, kind: NoteKind) -> dict[int, float]:
    """Steps whose plan says something of a kind, and the value it names; the largest where it is said twice."""
    found: dict[int, float] = {}
    for step, text in done.table("step").set_index("step")["solver_notes"].items():
        for one in json.loads(text):
            if one["kind"] == kind:
                found[int(step)] = max(found.get(int(step), -np.inf), float(one["value"]))
    return found
