"""Steps without a power flow: costs and energies are over the other steps, and are not taken for those of the run.

Six hours of two networks; in hours 2 and 3 the load of the first is more than its lines can carry. A battery charges
0.5 MWh in hour 1 and 1 MWh in each of hours 2 and 3, and gives 1 MWh in each of hours 4 and 5.
"""

from __future__ import annotations

import json
import textwrap
from pathlib import Path

import pytest

from gridferry.sim import Run, load_run, validate
from gridferry.sim.commands.run import run_command
from gridferry.sim.loop.execution import VerdictKind
from gridferry.sim.results.costs import operating_cost
from gridferry.sim.results.display import figure_rows
from gridferry.sim.study.closed_loop_figures import figures_of_run

CHARGED = [0.0, -0.5, -1.0, -1.0, 1.0, 1.0]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("diverged")
    (folder / "day.csv").write_text("hour,factor\n" + "".join(f"{h},{8 if h in (2, 3) else 0.5}\n" for h in range(6)))
    rows = "".join(f"{step},B,{p},0,\n" for step, p in enumerate(CHARGED))
    (folder / "plan.csv").write_text("step,device,p_mw,q_mvar,position\n" + rows)
    (folder / "case.toml").write_text(
        textwrap.dedent("""
            name = "diverging"
            prices.buy = 100.0
            prices.sell = 150.0
            [time]
            start = 2024-05-01T00:00:00
            step_s = 3600
            steps = 6
            [profiles.day]
            file = "day.csv"
            time = "hour"
            [[networks]]
            name = "dn1"
            feeder = "ieee33"
            [[networks]]
            name = "dn2"
            feeder = "three_bus"
            [[loads]]
            network = "dn1"
            factor = "day.factor"
            [[loads]]
            network = "dn2"
            factor = 0.1
            [[batteries]]
            name = "B"
            network = "dn1"
            bus = "18"
            energy_mwh = 8.0
            p_max_mw = 1.0
            cost_per_mwh_charged = 10.0
            soc_end = "free"
            [controllers.replay]
            file = "plan.csv"
        """)
    )
    return folder


@pytest.fixture(scope="module")
def done(folder: Path) -> Run:
    code = run_command(
        str(folder / "case.toml"), "replay", (), None, None, folder / "run", False, False, False, False, True
    )
    assert code == 3
    return load_run(folder / "run")


def test_the_status_says_that_steps_diverged_and_the_run_has_all_its_steps(done: Run, folder: Path) -> None:
    assert (done.summary["status"], done.manifest["status"], done.summary["steps"]) == ("diverged", "diverged", 6)
    assert (done.summary["verdict"], done.summary["grid"]) == ("infeasible", {"diverged_steps": 2})


def test_costs_and_energies_are_over_the_same_steps_and_stand_apart(done: Run) -> None:
    assert "cost" not in done.summary
    assert operating_cost(done.summary) is None
    apart = done.summary["where_solved"]
    network = done.table("network").query("step not in (2, 3)")
    assert apart["steps"] == 4
    assert apart["cost"]["ess"] == pytest.approx(0.5 * 10.0)
    assert (apart["fleet"]["charged_mwh"], apart["fleet"]["discharged_mwh"]) == (0.5, 2.0)
    assert apart["kinds"]["batteries"]["totals"]["charged_mwh"] == 0.5
    # the second network has a power flow in hours 2 and 3, too, and counts only with the first
    assert network["converged"].all()
    assert apart["grid"]["import_mwh"] == pytest.approx(network["import_mw"].sum(), rel=1e-12)
    assert apart["cost"]["grid"] == pytest.approx(100.0 * network["import_mw"].sum(), rel=1e-12)
    assert done.summary["fleet"]["soc_end"] == (4.0 + 2.5 - 2.0) / 8.0
    assert "charged_mwh" not in done.summary["fleet"]


def test_tables_and_studies_have_no_cost_of_such_a_run_under_a_plain_name(done: Run) -> None:
    rows = {(section, label): shown[0] for section, label, shown in figure_rows([done.summary])}
    assert ("cost", "profit, USD") not in rows
    assert rows["only 4 of 6 steps: cost", "profit, USD"] == f"{done.summary['where_solved']['cost']['profit']:,.2f}"
    assert rows["run", "status"] == "diverged"
    figures = figures_of_run(done)
    assert (figures.cost, figures.violations, figures.diverged_steps) == (None, None, 2)


def test_a_run_of_diverged_steps_alone_has_no_profit_and_is_no_success(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = ["loads.0.factor=8.0"]
    code = run_command(
        str(folder / "case.toml"), "idle", settings, None, 3, folder / "all", False, False, False, False, True
    )
    summary = json.loads(capsys.readouterr().out)
    assert (code, summary["status"], summary["verdict"]) == (3, "diverged", "infeasible")
    assert (summary["where_solved"]["steps"], summary["where_solved"]["cost"]["profit"]) == (0, 0.0)


def test_a_schedule_with_a_diverged_step_is_infeasible(folder: Path) -> None:
    found = validate(folder / "plan.csv", folder / "case.toml", out=folder / "validated")
    assert (found.kind, found.diverged) == (VerdictKind.INFEASIBLE, [2, 3])
    assert "operating_cost" not in found.run.summary["base_case"]
    assert found.run.summary["base_case"]["diverged_steps"] == 2
