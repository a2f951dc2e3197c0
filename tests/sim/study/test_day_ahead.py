"""Studies: what is read, refused, gathered, and compared with published figures."""

from __future__ import annotations

import json
import math
from dataclasses import fields
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from gridferry.networks.faults import InputError
from gridferry.sim.cli import app
from gridferry.sim.loop.runner import run
from gridferry.sim.study.config import PUBLISHED_COLUMNS, Study, TableConfig, load_study
from gridferry.sim.study.day_ahead import Figures, Row, Table, run_study
from gridferry.sim.study.published import agreements, published_figures

TINY = """
name = "tiny"
published = "published.csv"
days = 20

[[tables]]
name = "t"
config = "mvdc_2dn"
reference = {{ "controller.scenario" = "none" }}
draws = {draws}
rows = [
    {{ label = "nothing", scenario = "I", set = {{ "controller.scenario" = "none" }} }},
    {{ label = "forecast", scenario = "II", set = {{ "controller.scenario" = "deterministic" }} }},
]
"""


DRIVER = '''
from dataclasses import replace

import numpy as np

from gridferry.controllers.contract import Controller, ControllerSettings, hold


class Settings(ControllerSettings):
    to: int = 0


class Driver(Controller):
    """Drives to a station and stays there."""

    Settings = Settings

    def plan(self, observation, forecast):
        plan = hold(self.plant, observation, forecast.steps)
        return replace(plan, position=np.full_like(plan.position, self.settings.to))
'''


def write(folder: Path, text: str, published: str = "t,I,,optimal_cost,9\nt,II,,optimal_cost,4\n") -> Path:
    (folder / "published.csv").write_text("table,scenario,value,metric,result\n" + published)
    file = folder / "tiny.toml"
    file.write_text(text)
    return file


def figures(cost: float, joint: float = 0.5) -> Figures:
    some = {one.name: 1.0 for one in fields(Figures)}
    return Figures(**some | {"cost": cost, "joint": joint, "step": joint, "cost_improvement": float("nan")})


def test_the_shipped_study_is_read_with_every_published_figure_in_its_place() -> None:
    study = load_study("han2025")
    tables = [Table(one, tuple(Row(row.label, None) for row in one.rows)) for one in study.config.tables]
    placed = sum(len(one) for table in tables for one in published_figures(study, table))
    assert placed == len(study.published)


def test_faults_of_a_study_are_all_named_with_their_place(tmp_path: Path) -> None:
    text = TINY.format(draws=0).replace('config = "mvdc_2dn"', 'config = "mvdc_9dn"\ncolour = 1')
    with pytest.raises(InputError) as caught:
        load_study(write(tmp_path, text))
    assert {fault.key for fault in caught.value.faults} == {"tables.0.draws", "tables.0.colour"}
    text = TINY.format(draws=1).replace('config = "mvdc_2dn"', 'config = "mvdc_9dn"').replace("published.csv", "no.csv")
    with pytest.raises(InputError) as caught:
        load_study(write(tmp_path, text))
    assert {fault.key for fault in caught.value.faults} == {"tables[0].config", "published"}


def test_settings_that_no_config_takes_are_refused_before_anything_is_planned(tmp_path: Path) -> None:
    text = TINY.format(draws=1).replace('"controller.scenario" = "deterministic"', '"controller.confidenze" = 0.9')
    file = write(
        tmp_path, text.replace('reference = { "controller.scenario" = "none" }', 'reference = { "seed" = -1 }')
    )
    planned: list[int] = []
    with pytest.raises(InputError) as caught:
        run_study(file, progress=lambda done, total: planned.append(done))
    named = {(fault.source, fault.key.partition(" = ")[0]) for fault in caught.value.faults}
    assert named == {
        (str(file), "tables[0].rows[1].set: controller.confidenze"),
        (str(file), "tables[0].reference: seed"),
    }
    assert planned == []


def test_an_unknown_study_is_answered_with_those_there_are() -> None:
    with pytest.raises(InputError, match="han2025"):
        load_study("han2026")


def test_order_is_compared_pair_by_pair_where_both_are_published() -> None:
    config = TableConfig.model_validate(
        {
            "name": "t",
            "config": "c",
            "rows": [{"label": name, "scenario": name} for name in ("a", "b", "c")] + [{"label": "d"}],
        }
    )
    rows = [("t", name, math.nan, "optimal_cost", cost) for name, cost in (("a", 1.0), ("b", 2.0), ("c", 3.0))]
    rows.append(("t", "a", math.nan, "bus_voltage_reliability", 90.0))
    published = pd.DataFrame(rows, columns=list(PUBLISHED_COLUMNS))
    study = Study(load_study("han2025").config, Path("s"), (Path("c"),), published)
    ours = tuple(Row(name, figures(cost)) for name, cost in (("a", 10.0), ("b", 30.0), ("c", 20.0), ("d", 0.0)))
    (only,) = agreements(study, Table(config, ours))
    assert (only.metric.name, only.pairs, only.differing) == ("optimal_cost", 3, (("b", "c"),))


def test_figures_are_means_over_draws_and_gains_are_against_the_reference(tmp_path: Path) -> None:
    (table,) = run_study(write(tmp_path, TINY.format(draws=2)))
    nothing, forecast = (row.figures for row in table.rows)
    assert nothing is not None
    assert forecast is not None
    assert nothing.cost == pytest.approx(132.86, rel=1e-3)
    assert nothing.loss_kwh == pytest.approx(3490.90, rel=1e-3)
    assert nothing.cost_improvement == 0.0
    assert forecast.cost_improvement == pytest.approx((nothing.cost - forecast.cost) / nothing.cost)
    assert nothing.joint == 0.0


def test_what_a_truck_drives_in_a_study_costs_what_it_costs_in_closed_loop(tmp_path: Path) -> None:
    (tmp_path / "driver.py").write_text(DRIVER)
    driver = f"{tmp_path / 'driver.py'}:Driver"
    rows = ", ".join(
        f'{{ label = "{to}", set = {{ "controller.use" = "{driver}", "controller.to" = {to} }} }}' for to in (0, 1)
    )
    tables = f'[[tables]]\nname = "t"\nconfig = "three_bus"\nrows = [{rows}]\n'
    (table,) = run_study(write(tmp_path, f'name = "driving"\ndays = 3\n[errors]\nload_std = 0.05\n{tables}'))
    stays, drives = (row.figures for row in table.rows)
    assert stays is not None
    assert drives is not None
    driven = run("three_bus", controller=driver, overrides=["controller.to=1"], out=tmp_path / "run").summary["cost"]
    assert driven["truck"] > 0
    assert drives.cost - stays.cost == pytest.approx(driven["truck"])
    assert drives.cost_mean - stays.cost_mean == pytest.approx(driven["truck"])
    assert drives.joint == stays.joint


def test_trucks_of_a_study_meet_the_traffic_of_every_day(tmp_path: Path) -> None:
    """Traffic that hardly errs leaves the costs of the forecast; traffic that errs makes trips longer and dearer."""
    driver = tmp_path / "driver.py"
    driver.write_text(DRIVER)
    use = f'"controller.use" = "{driver}:Driver", "controller.to" = 1, "roads.congestion" = 40.0'
    tables = f'[[tables]]\nname = "t"\nconfig = "three_bus"\nrows = [{{ label = "drives", set = {{ {use} }} }}]\n'
    text = 'name = "traffic"\ndays = 8\n[errors]\nload_std = 0\ngeneration_std = 0\ncongestion.relative_std = {std}\n'
    calm, rough = (
        run_study(write(tmp_path, text.format(std=std) + tables))[0].rows[0].figures for std in ("1e-9", "0.9")
    )
    assert calm is not None
    assert rough is not None
    assert calm.cost_mean == pytest.approx(calm.cost, rel=1e-6)
    assert calm.loss_mean_kwh == pytest.approx(calm.loss_kwh, rel=1e-6)
    assert calm.cost_mean_high - calm.cost_mean_low < 1e-6
    assert rough.cost_mean_high - rough.cost_mean_low > 1.0


def test_a_controller_without_errors_is_evaluated_by_those_of_the_config(tmp_path: Path) -> None:
    (tmp_path / "driver.py").write_text(DRIVER)
    use = f'"controller.use" = "{tmp_path / "driver.py"}:Driver", "controller.to" = 0'
    row = f'rows = [{{{{ label = "stays", set = {{{{ {use}{{more}} }}}} }}}}]\n'
    text = 'name = "staying"\ndays = 40\n{errors}[[tables]]\nname = "t"\nconfig = "three_bus"\n' + row
    of_config = ', "forecast.errors.load_std" = 0.08, "forecast.errors.load.bias" = 1.2'
    own = write(tmp_path, text.format(errors="[errors]\nload_std = 0.08\ngeneration_std = 0\n", more=""))
    (by_study,) = run_study(own)
    (by_config,) = run_study(write(tmp_path, text.format(errors="", more=of_config)))
    assert by_study.rows[0].figures is not None
    assert by_config.rows[0].figures is not None
    assert by_config.rows[0].figures.cost_mean == by_study.rows[0].figures.cost_mean
    with pytest.raises(InputError, match=r"add \[errors\] to the study, or to \[forecast\]"):
        run_study(write(tmp_path, text.format(errors="", more="")))


def test_a_plan_that_cannot_exist_is_a_row_without_figures(tmp_path: Path) -> None:
    text = TINY.format(draws=1).replace('"controller.scenario" = "deterministic"', '"networks.dn1.v_min_pu" = 1.02')
    (table,) = run_study(write(tmp_path, text))
    assert table.rows[1].figures is None
    assert "no plan keeps every limit; the tightest is bus" in table.rows[1].failure


def test_the_command_prints_one_json_object_with_ours_published_and_the_order(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["study", str(write(tmp_path, TINY.format(draws=1))), "--json"])
    assert done.exit_code == 0
    (table,) = json.loads(done.stdout)["tables"]
    assert [row["published"] for row in table["rows"]] == [{"optimal_cost": 9.0}, {"optimal_cost": 4.0}]
    for row in table["rows"]:
        of = row["figures"]
        assert of["joint_low"] <= of["joint"] <= of["joint_high"]
        assert of["cost_mean_low"] < of["cost_mean"] < of["cost_mean_high"]
        assert of["diverged"] == 0
    assert table["order"] == {"optimal_cost": {"agrees": True, "pairs": 1, "differing": []}}


def test_the_printed_table_says_what_reliability_evaluates(tmp_path: Path) -> None:
    rows = TINY.format(draws=1).replace('    { label = "forecast"', '    # { label = "forecast"')
    done = CliRunner().invoke(app, ["study", str(write(tmp_path, rows))])
    assert done.exit_code == 0
    assert "voltages of all buses and currents of rated branches, in AC" in " ".join(done.stdout.split())


@pytest.mark.slow
def test_several_processes_give_the_figures_of_one(tmp_path: Path) -> None:
    file = write(tmp_path, TINY.format(draws=1))
    (one,), (two,) = run_study(file, workers=1), run_study(file, workers=2)
    for a, b in zip(one.rows, two.rows, strict=True):
        assert a.figures is not None
        assert b.figures is not None
        assert a.figures.cost == pytest.approx(b.figures.cost, abs=1e-9)
        assert a.figures.joint == b.figures.joint
