"""Golden results: runs of every shipped config whose figures may not change unless somebody means them to.

``cases.toml`` says what is run and within which tolerances it is compared. Where a change of results is meant,
``make golden`` (or ``python tests/golden/rewrite.py NAME ...``) writes the files anew, and their difference is reviewed
in git. Figures may be added to the summary; none may be missing.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from golden_cases import (
    CASES,
    HERE,
    GoldenCase,
    differences,
    exactly,
    figures,
    golden_figures,
    imbalances,
    mispredictions,
    plan_differences,
    plan_file,
    replayed,
)

EXACT = [case for case in CASES if case.money is None]
OPTIMISED = [case for case in CASES if case.money is not None]


def runs(cases: list[GoldenCase]) -> list[object]:
    return [pytest.param(case, id=case.name, marks=[pytest.mark.slow] * case.slow) for case in cases]


@pytest.mark.parametrize("case", runs(EXACT))
def test_an_exact_run_has_its_golden_figures_and_plan(case: GoldenCase, tmp_path: Path) -> None:
    done, found = case.play(tmp_path / "run")
    message = differences(case.name, golden_figures(case), found, exactly)
    message += plan_differences(case.name, plan_file(case), done.directory / "plan.csv")
    message += imbalances(done) + (mispredictions(done) if case.knows_what_happens() else [])
    assert not message, "\n".join(message)


@pytest.mark.parametrize("case", runs(OPTIMISED))
def test_an_optimised_run_costs_what_its_golden_run_costs_and_its_plan_replays_to_that(
    case: GoldenCase, tmp_path: Path
) -> None:
    done, found = case.play(tmp_path / "run")
    message = differences(case.name, case.compared(golden_figures(case)), found, case.allowed())
    again = case.replay_plan(done.directory / "plan.csv", tmp_path / "again")
    message += differences(f"{case.name}, replayed", replayed(found), again, exactly)
    message += imbalances(done) + (mispredictions(done) if case.knows_what_happens() else [])
    assert not message, "\n".join(message)


@pytest.mark.parametrize("case", OPTIMISED, ids=lambda case: case.name)
def test_a_golden_plan_of_an_optimiser_replays_to_its_golden_figures(case: GoldenCase, tmp_path: Path) -> None:
    again = case.replay_plan(plan_file(case), tmp_path / "run")
    message = differences(case.name, replayed(golden_figures(case)), again, exactly)
    assert not message, "\n".join(message)


@pytest.mark.parametrize("case", runs([case for case in CASES if not case.knows_what_happens()]))
def test_with_foresight_the_first_row_of_every_prediction_is_what_is_recorded(case: GoldenCase, tmp_path: Path) -> None:
    done, _ = replace(case, set=(*case.set, "forecast.foresight=true"), regret=False).play(tmp_path / "run")
    assert imbalances(done) + mispredictions(done) == []


# ------------------------------------------------------------------------------------------- the comparison compares


def test_a_changed_figure_and_a_missing_one_are_named_with_their_tolerance() -> None:
    golden = {"cost.grid": 2000.0, "grid.violations": 3, "status": "completed", "fleet.km": 0.0}
    assert differences("day", golden, golden | {"cost.new": 1.0, "cost.grid": 2000.0 + 1e-6}, exactly) == []
    found = {"cost.grid": 2000.0 + 3e-6, "grid.violations": 4, "status": "failed"}
    assert differences("day", golden, found, exactly) == [
        "day: cost.grid: golden 2000.0, found 2000.000003, tolerance 2e-06",
        "day: grid.violations: golden 3, found 4, tolerance 0",
        "day: status: golden 'completed', found 'failed', tolerance 0",
        "day: fleet.km: golden 0.0, found none",
    ]


@pytest.mark.parametrize("found", [float("nan"), float("inf"), None, "2.0"])
def test_what_is_no_finite_number_is_no_golden_figure(found: object) -> None:
    assert differences("day", {"cost.grid": 2.0}, {"cost.grid": found}, exactly)


def test_what_depends_on_the_machine_or_on_the_order_of_keys_is_not_compared() -> None:
    one = {"solver": {"calls": 2, "seconds_max": 0.1}, "violations": [{"step": 3, "says": "step 3: …"}]}
    other = {"violations": [{"step": 3, "says": "…"}], "solver": {"seconds_max": 0.2, "calls": 2}}
    assert figures(one) == figures(other) == {"solver.calls": 2, "violations.count": 1, "violations.0.step": 3}


def test_a_plan_differs_by_a_power_a_position_or_a_row(tmp_path: Path) -> None:
    golden, found = tmp_path / "golden.csv", tmp_path / "found.csv"
    head = "step,device,p_mw,q_mvar,position\n"
    golden.write_text(head + "0,T1,0.5,0.0,S1\n")
    for row, message in [
        ("0,T1,0.5000000001,0.0,S1\n", 0),
        ("0,T1,0.50000001,0.0,S1\n", 1),
        ("0,T1,0.5,0.0,S2\n", 1),
        ("0,T2,0.5,0.1,S1\n", 2),
        ("0,T1,0.5,0.0,S1\n1,T1,0.5,0.0,S1\n", 1),
    ]:
        found.write_text(head + row)
        assert len(plan_differences("day", golden, found)) == message


def test_every_shipped_config_every_controller_and_every_way_to_run_has_a_golden_case() -> None:
    shipped = {path.stem for path in (HERE.parents[1] / "configs").glob("*.toml")}
    # SimBench grids take seconds to read, and are compared with plain pandapower: tests/cases/test_simbench_day.py
    shipped = {name for name in shipped if not name.startswith("simbench")}
    assert shipped <= {case.config for case in CASES}
    controllers = {golden_figures(case)["controller"] for case in CASES}
    assert controllers >= {"idle", "rules", "replay", "mess_exact", "mess_two_stage", "mvdc_drcc", "joint"}
    ways = [(case.resume_at, case.validate, case.replay, case.regret or None) for case in CASES]
    assert all(any(one is not None for one in way) for way in zip(*ways, strict=True))
