"""Controller `joint` in closed loop when devices fail: links, batteries, trucks; foreseen or not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cases.fault_run import STEPS, STORES, TERMINALS, assert_safe, at_steps, notes, rows, run_case, write_case
from gridferry.controllers.contract import NoteKind
from gridferry.sim.loop.runner import run

FAULT = "forecast.kind=errors"
"""without sizes of errors everything is forecast as it happens, but for the devices"""
LINK_OUT = list(range(9, 13))
TWO_HOURS = at_steps(1.0, dict.fromkeys(LINK_OUT, 0.0))


# ---------------------------------------------------------------------------------------------------------- links


def test_a_foreseen_outage_of_a_link_is_planned_around(tmp_path: Path) -> None:
    done = run_case(tmp_path, link=TWO_HOURS)
    assert_safe(done)
    flow = np.abs(rows(done, "mvdc-2", "p_set_mw"))
    assert flow[LINK_OUT].max() < 1e-6
    assert flow[[6, 7, 8]].min() > 0.1
    assert flow[13:].max() > 0.1
    assert done.summary["fleet"]["shortfall_mwh"] < 1e-6
    assert (done.table("device")["clipped"] == "").all()
    assert done.summary["solver"]["fallbacks"] == 0


def test_an_unforeseen_outage_of_a_link_surprises_for_one_step_at_either_end(tmp_path: Path) -> None:
    done = run_case(tmp_path, FAULT, link=TWO_HOURS)
    assert_safe(done)
    requested, gave = rows(done, "mvdc-2", "p_set_mw"), rows(done, "mvdc-2", "p_mw")
    assert np.abs(gave[LINK_OUT]).max() == 0.0
    # asked once after it failed, not asked once after it is back
    assert abs(requested[9]) > 0.1
    assert np.abs(requested[10:14]).max() < 1e-6
    assert np.abs(requested[14:]).max() > 0.1
    device = done.table("device")
    clipped = device[device["clipped"].str.contains("out_of_service")]
    assert sorted(zip(clipped["step"], clipped["device"], strict=True)) == [(9, name) for name in TERMINALS]
    assert done.summary["fleet"]["clipped_steps"] == 2
    short = 0.5 * sum(abs(rows(done, name, "p_set_mw")[9]) for name in TERMINALS)
    assert done.summary["fleet"]["shortfall_mwh"] == pytest.approx(short, abs=1e-6)
    assert done.summary["solver"]["fallbacks"] == 0


# ------------------------------------------------------------------------------------------------------ batteries

HALF = [1.0] * 7 + [0.5] * 9


@pytest.mark.parametrize("forecast", [[], [FAULT]], ids=["foreseen", "unforeseen"])
def test_a_battery_that_loses_half_its_strings_goes_on_with_the_others(tmp_path: Path, forecast: list[str]) -> None:
    done = run_case(tmp_path, *forecast, bess_holds=HALF)
    assert_safe(done)
    energy, loss = rows(done, "bess", "energy_mwh"), rows(done, "bess", "loss_mwh")
    start, p = rows(done, "bess", "energy_start_mwh"), rows(done, "bess", "p_mw")
    assert rows(done, "bess", "usable_energy_share").tolist() == HALF
    # half of what it held in the step of the loss, beside 2 % of what passes the converter
    converter = 0.5 * 0.02 * np.hypot(p, rows(done, "bess", "q_mvar"))
    lost = np.where(np.arange(STEPS) == 7, start / 2, 0.0)
    np.testing.assert_allclose(loss, lost + converter, atol=1e-9)
    # plans after it keep to what is left: 10 to 90 % of 0.8 MWh, half of that at the end
    planned = rows(done, "bess", "energy_plan_mwh")[8:]
    assert planned.min() >= 0.08 - 1e-6
    assert planned.max() <= 0.72 + 1e-6
    np.testing.assert_allclose(planned, energy[8:], atol=1e-5)
    assert energy[-1] >= 0.4 - 1e-6
    assert done.summary["fleet"]["soc_end_by_device"]["bess"] == pytest.approx(energy[-1] / 1.6)
    assert done.summary["solver"]["fallbacks"] == 0


def test_a_battery_out_of_service_gives_nothing_and_then_takes_part_again(tmp_path: Path) -> None:
    done = run_case(tmp_path, FAULT, bess=at_steps(1.0, {2: 0.0, 3: 0.0, 4: 0.3}))
    assert_safe(done)
    requested, gave = rows(done, "bess", "p_set_mw"), rows(done, "bess", "p_mw")
    assert not gave[[2, 3]].any()
    # out of service, it is not asked again; derated, it is taken to be out still, and then derated still
    assert np.abs(requested[[3, 4]]).max() < 1e-6
    assert abs(requested[5]) <= 0.3 * 0.6 + 1e-6
    assert np.abs(requested[6:]).max() > 0.3 * 0.6


# --------------------------------------------------------------------------------------------------------- trucks

JAM = ("forecast.errors.congestion.bias=1e-6", FAULT)
"""the roads are said to be free"""
JAMMED_MIN = 5000.0
"""minutes of delay: no trip begun then ends within the run"""


@pytest.mark.slow
def test_a_truck_that_never_arrives_is_planned_without(tmp_path: Path) -> None:
    free = run_case(tmp_path / "free", *JAM)
    leaves = int(np.flatnonzero(rows(free, "T1", "departed"))[0])
    jam = at_steps(0.0, dict.fromkeys(range(leaves, leaves + 3), JAMMED_MIN))
    jammed = run_case(tmp_path / "jammed", *JAM, traffic=jam)
    assert_safe(jammed)
    # nothing is known of it until it is late
    for name in STORES:
        before = slice(0, leaves + 1)
        np.testing.assert_allclose(rows(free, name, "p_mw")[before], rows(jammed, name, "p_mw")[before], atol=1e-6)
    assert set(rows(jammed, "T1", "phase")[leaves:]) == {"in_transit"}
    assert not rows(jammed, "T1", "p_set_mw")[leaves:].any()
    assert not rows(jammed, "T1", "p_mw")[leaves:].any()
    # routes are decided anew as soon as it is seen
    assert leaves + 1 not in notes(jammed, NoteKind.BOUND_FOR_ROUTES)
    assert jammed.summary["solver"]["failures"] == 0
    # the others work on
    late = slice(leaves + 1, STEPS)
    assert np.abs(rows(jammed, "mvdc-2", "p_mw")[late]).max() > 0.3
    assert np.abs(rows(jammed, "bess", "p_mw")[late]).max() > 0.01
    assert jammed.summary["cost"]["profit"] < free.summary["cost"]["profit"]


@pytest.mark.long
def test_energy_that_a_lost_truck_owes_is_said_to_be_missing_and_stops_nothing_else(tmp_path: Path) -> None:
    jammed = at_steps(0.0, dict.fromkeys(range(6), JAMMED_MIN))
    done = run_case(tmp_path, *JAM, "trucks.T1.soc_initial=0.15", "trucks.T1.soc_end=0.8", "trucks.T1.station=C",
                    traffic=jammed)  # fmt: skip
    assert_safe(done)
    (leaves, *_) = np.flatnonzero(rows(done, "T1", "departed"))
    assert leaves < 6
    step = done.table("step")
    owed = 0.8 * 2.0 - rows(done, "T1", "energy_mwh")[leaves]
    assert owed > 0.5
    missing = notes(done, NoteKind.VIOLATED_ENERGY)
    assert [missing[at] for at in range(leaves + 1, STEPS)] == pytest.approx([owed] * (STEPS - leaves - 1), rel=5e-3)
    assert set(step.loc[leaves + 1 :, "solver_status"]) == {"feasible"}
    assert done.summary["solver"]["fallbacks"] == 0
    assert done.summary["fleet"]["soc_end_by_device"]["bess"] >= 0.5 - 5e-6
    assert np.abs(rows(done, "mvdc-2", "p_mw")[leaves + 1 :]).max() > 0.1


# ------------------------------------------------------------------------------------------------- all of it at once


def mixture(seed: int) -> dict[str, list[float]]:
    """Series of a run in which anything may fail."""
    drawn = np.random.default_rng(seed)

    def spells(plain: float, rate: float, *values: float) -> list[float]:
        series, step = np.full(STEPS, plain), 0
        while step < STEPS:
            if drawn.random() < rate:
                length = int(drawn.integers(1, 4))
                series[step : step + length] = drawn.choice(values)
                step += length
            step += 1
        return [float(one) for one in series]

    return {
        "load_1": list(drawn.uniform(0.3, 1.0, STEPS)),
        "load_2": spells(0.9, 0.1, 2.0, 4.0, 8.0),
        "price": list(drawn.uniform(-30.0 if seed % 2 == 0 else 20.0, 150.0, STEPS)),
        "traffic": spells(0.0, 0.15, 20.0, 60.0, JAMMED_MIN),
        "link": spells(1.0, 0.2, 0.0, 0.5),
        "bess": spells(1.0, 0.15, 0.0, 0.3),
        "bess_holds": list(np.where(np.arange(STEPS) < drawn.integers(3, 14), 1.0, drawn.choice([0.4, 0.7]))),
        "silence": spells(0.0, 0.1, 1.0),
    }


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_whatever_fails_together_the_run_stays_safe(tmp_path: Path, seed: int) -> None:
    series = mixture(seed)
    case = write_case(tmp_path, **series)
    forecast = list(JAM) if seed in (1, 2) else []
    settings = [*forecast, "controller.ac_corrections=2"]
    done = run(case, overrides=settings, out=tmp_path / "run")
    idle = run(case, controller="idle", overrides=forecast, out=tmp_path / "idle")
    assert_safe(done, idle=idle)
    assert done.summary["solver"]["fallbacks"] >= np.count_nonzero(series["silence"])


@pytest.mark.slow
def test_without_a_device_in_service_a_run_is_that_of_idling(tmp_path: Path) -> None:
    nothing = [0.0] * STEPS
    case = write_case(tmp_path, link=nothing, bess=nothing)
    out = [f"trucks.{name}.availability=0.0" for name in ("T1", "T2")]
    done = run(
        case, overrides=[*out, *(f"{kind}.soc_end=free" for kind in ("trucks.T1", "trucks.T2"))], out=tmp_path / "a"
    )
    idle = run(case, controller="idle", out=tmp_path / "b")
    assert_safe(done)
    for name in (*STORES, *TERMINALS):
        assert np.abs(rows(done, name, "p_set_mw")).max() < 1e-6
    assert done.summary["cost"]["profit"] == pytest.approx(idle.summary["cost"]["profit"], abs=1e-2)
