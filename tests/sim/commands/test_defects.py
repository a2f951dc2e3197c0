"""An exception that nobody expected: exit code 4, one line, and a traceback where the line says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cases.waiting_run import write_case
from gridferry.sim.adapters.grid import GridSimulator
from gridferry.sim.exit_codes import DEFECT
from gridferry.sim.loop.runner import RunDefectError, run
from gridferry.sim.results.run_directory import load_run

STUDY = """
kind = "closed_loop"
name = "small"
config = "case.toml"
seeds = 1
rows = [{ label = "mine", controller = "mine.py:Mine" }, { label = "idle", controller = "idle" }]
"""


def breaking(*given: object, **more: object) -> None:
    raise KeyError("a defect\nof two lines")


def traceback_named(err: str) -> Path:
    """The file that the one line on stderr names."""
    message = r"KeyError: 'a defect\\nof two lines': a defect of GridFerry; please report it with (.*)\n"
    found = re.fullmatch(message, err)
    assert found, err
    return Path(found[1])


@pytest.fixture
def breaks_at_step_2(monkeypatch):
    """A grid simulator that has a defect."""
    step = GridSimulator.step

    def defective(self, time, inputs, max_advance):
        if time == 2 * 600:
            breaking()
        return step(self, time, inputs, max_advance)

    monkeypatch.setattr(GridSimulator, "step", defective)


def test_defect_in_a_step_ends_the_run_and_keeps_its_results(gridferry, breaks_at_step_2, tmp_path):
    config = write_case(tmp_path)
    code, out, err = gridferry("run", config, "--out", "out", "--json")
    assert (code, out) == (DEFECT, "") == (4, "")
    assert traceback_named(err) == Path("out/traceback.txt")
    text = Path("out/traceback.txt").read_text()
    assert text.startswith("Traceback (most recent call last):")
    assert 'raise KeyError("a defect' in text
    kept = load_run("out")
    assert (kept.summary["status"], kept.summary["steps"], kept.manifest["status"]) == ("failed", 2, "failed")


def test_defect_outside_the_steps_leaves_a_manifest_that_says_so(gridferry, monkeypatch, tmp_path):
    monkeypatch.setattr("gridferry.sim.loop.run_summary.summarise", breaking)
    with pytest.raises(RunDefectError) as caught:
        run(write_case(tmp_path), steps=1, out="out")
    assert isinstance(caught.value.__cause__, KeyError)
    assert caught.value.traceback == Path("out/traceback.txt")
    assert '"status": "failed"' in Path("out/manifest.json").read_text()
    monkeypatch.undo()
    assert run(tmp_path / "case.toml", steps=1, out=tmp_path / "out", resume=True).summary["status"] == "completed"


def test_traceback_of_a_validation_without_directory_outlives_it(gridferry, breaks_at_step_2, tmp_path):
    config = write_case(tmp_path)
    Path("idle.csv").write_text("step,device,p_mw,q_mvar,station\n")
    code, _, err = gridferry("validate", "idle.csv", config)
    assert code == 4
    kept = traceback_named(err)
    assert 'raise KeyError("a defect' in kept.read_text()
    kept.unlink()


@pytest.mark.parametrize(
    ("arguments", "broken"),
    [
        (("check", "case.toml"), "gridferry.sim.commands.check.build_case"),
        (("run", "case.toml"), "gridferry.sim.loop.runner.build_case"),
        (("compare", "out"), "gridferry.sim.commands.compare.load_all"),
        (("report", "out"), "gridferry.sim.commands.report.write_report"),
        (("export", "out"), "gridferry.sim.commands.export.export_run"),
        (("study", "case.toml"), "gridferry.sim.commands.study.find_study"),
        (("list", "configs"), "gridferry.sim.config.reading.list_configs"),
        (("new", "controller", "mine"), "gridferry.sim.commands.new.new_controller"),
        (("schema",), "gridferry.sim.config.json_schema.config_schema"),
    ],
)
def test_every_command_exits_4_with_its_traceback_in_a_temporary_file(
    gridferry, monkeypatch, tmp_path, arguments, broken
):
    write_case(tmp_path)
    monkeypatch.setattr(broken, breaking)
    code, out, err = gridferry(*arguments)
    assert (code, out) == (4, "")
    kept = traceback_named(err)
    assert 'raise KeyError("a defect' in kept.read_text()
    kept.unlink()
    assert not Path("runs").exists()


def test_study_keeps_its_other_runs_and_exits_4(gridferry, monkeypatch, tmp_path):
    from gridferry.sim.study.closed_loop_jobs import figures_of_run

    def defective(made):
        return breaking() if "mine" in str(made.directory) else figures_of_run(made)

    monkeypatch.setattr("gridferry.sim.study.closed_loop_jobs.figures_of_run", defective)
    write_case(tmp_path)
    Path("study.toml").write_text(STUDY)
    code, out, err = gridferry("study", "study.toml")
    assert code == 4
    assert err.startswith("KeyError: 'a defect\\nof two lines'; traceback: ")
    assert "1 of" not in out
    assert load_run("runs/small/idle/0").summary["status"] == "completed"
