"""A run resumes wherever its project lies, from every moment at which it was killed, and never from what is damaged."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import duckdb
import pytest

from cases.waiting_run import write_case
from gridferry.networks.faults import InputError
from gridferry.sim.loop.run_output import written
from gridferry.sim.loop.runner import Run, run
from gridferry.sim.results.report import page
from gridferry.sim.results.run_directory import load_run


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project with a config in a folder, data beside it, a plug-in with a helper, and a run of 2 of 4 steps."""
    place = tmp_path_factory.mktemp("project") / "before"
    for name in ("cases", "data"):
        (place / name).mkdir(parents=True)
    config = write_case(place / "cases", "import helper\nfrom gridferry.controllers.idle import Idle as Mine\n")
    (place / "cases" / "helper.py").write_text("")
    (place / "cases" / "day.csv").rename(place / "data" / "day.csv")
    config.write_text(config.read_text().replace('"day.csv"', '"../data/day.csv"') + '[controllers."mine.py:Mine"]\n')
    run(config, steps=2, out=place / "out")
    return place


@pytest.fixture
def halfway(project, tmp_path):
    """A copy of the project elsewhere."""
    return shutil.copytree(project, tmp_path / "after")


def resumed(halfway: Path, **options: Any) -> Run:
    return run(halfway / "cases" / "case.toml", out=halfway / "out", resume=True, **options)


def test_moved_project_resumes(tmp_path, project):
    before = shutil.copytree(project, tmp_path / "before")
    run(before / "cases" / "case.toml", steps=3, out=before / "out", resume=True)
    done = resumed(Path(shutil.move(before, tmp_path / "after")))
    assert (done.summary["steps"], done.manifest["resumed_at_step"]) == (4, 3)
    assert "segments" not in done.manifest
    assert not [name for name in done.manifest["inputs"] if str(before) in name]


def test_copied_project_resumes_on_its_own_files(project, halfway):
    helper = project / "cases" / "helper.py"
    helper.write_text("of no concern to the copy\n")
    assert resumed(halfway).summary["steps"] == 4
    helper.write_text("")


@pytest.mark.parametrize("name", ["data/day.csv", "cases/helper.py", "cases/mine.py"])
def test_file_that_changed_as_its_project_moved_is_named_where_it_is_now(halfway, name):
    (halfway / name).write_text((halfway / name).read_text() + "\n")
    with pytest.raises(InputError) as refused:
        resumed(halfway)
    (fault,) = refused.value.faults
    assert (fault.key, fault.message[:11]) == (str(halfway / name), "has changed")


def test_other_values_are_another_config_wherever_it_lies(halfway):
    with pytest.raises(InputError, match="not the one this run was started with"):
        resumed(halfway, overrides=["seed=7"])


def killed_after(directory: Path, *names: str) -> None:
    """Leave in a directory only what a run had written when it was killed."""
    for path in directory.iterdir():
        if path.name not in names:
            path.unlink()
    manifest = json.loads((directory / "manifest.json").read_text())
    (directory / "manifest.json").write_text(json.dumps(manifest | {"status": "running"}))


@pytest.mark.parametrize("names", [("manifest.json",), ("manifest.json", "config.toml")])
def test_run_that_was_killed_before_its_first_step_begins_again(halfway, names):
    killed_after(halfway / "out", *names)
    for name in ("config.toml.part", "results.duckdb.part", "results.duckdb.part.wal"):
        (halfway / "out" / name).write_bytes(b"DUCK")
    done = resumed(halfway)
    assert (done.summary["steps"], done.manifest["resumed_at_step"]) == (4, None)
    assert not list((halfway / "out").glob("*.part*"))


CHECKPOINTS = {
    "{}": "its checkpoint has no grids, peak_import_mw, plan, state",
    "[]": "no JSON object",
    "null": "no JSON object",
    "7": "no JSON object",
    '{"state": {}, "plan": {}, "grids": {}}': "",
    "no JSON": "JSONDecodeError",
}


@pytest.mark.parametrize("text", CHECKPOINTS)
def test_checkpoint_that_is_none_is_refused_and_stores_do_not_start_again(halfway, text):
    with duckdb.connect(str(halfway / "out" / "results.duckdb")) as connection:
        connection.execute("UPDATE checkpoint SET state = ?", [text])
    before = load_run(halfway / "out").summary
    with pytest.raises(InputError, match=r"is damaged \(.*\); run it into a new directory") as refused:
        resumed(halfway)
    assert CHECKPOINTS[text] in str(refused.value)
    assert load_run(halfway / "out").summary == before


DAMAGES = {
    "DELETE FROM checkpoint": "table bus has 2 of the 0 steps",
    "UPDATE checkpoint SET next_step = 1": "table bus has 2 of the 1 steps",
    "UPDATE checkpoint SET next_step = NULL": "its checkpoint",
    "DELETE FROM bus WHERE step = 1": "table bus has 1 of the 2 steps",
    "DELETE FROM plan": "table plan has 0 of the 2 steps",
    "DELETE FROM trucks WHERE step = 0": "table trucks has 1 of the 2 steps",
    "DELETE FROM line WHERE step = 1 AND line = (SELECT min(line) FROM line)": "table line has 3 rows, and 4 belong to",
    "INSERT INTO step SELECT * FROM step": "table step has 4 rows, and 2 belong to 2 steps",
    "DROP TABLE cost": "no table cost",
    "DROP TABLE step": "no table step",
    "DROP TABLE checkpoint": "no table checkpoint",
    "DROP TABLE trucks": "no table trucks",
    "DROP TABLE kind_info": "no table kind_info",
    "ALTER TABLE bus DROP COLUMN v_pu": "table bus: v_pu",
    "UPDATE bus SET v_pu = 1.0 WHERE step = 1": "values of bus were changed after the run had written them",
    """UPDATE checkpoint SET state = regexp_replace(state, '"energy_mwh": [0-9.]+', '"energy_mwh": 0.75')""": (
        "values of checkpoint were changed"
    ),
}


@pytest.mark.parametrize("sql", DAMAGES)
def test_damaged_database_is_refused_by_resume_in_one_line(halfway, sql):
    with duckdb.connect(str(halfway / "out" / "results.duckdb")) as connection:
        connection.execute(sql)
    with pytest.raises(InputError, match="damaged") as refused:
        resumed(halfway)
    (fault,) = refused.value.faults
    assert DAMAGES[sql] in fault.message
    assert "\n" not in fault.message


@pytest.mark.parametrize("name", ["results.duckdb", "config.toml"])
def test_part_of_a_run_that_is_gone_is_refused(halfway, name):
    (halfway / "out" / name).unlink()
    with pytest.raises(InputError, match=rf"is damaged \({name} is missing\); run it into a new directory"):
        resumed(halfway)


def test_killed_overwrite_leaves_a_directory_that_is_written_anew(halfway):
    """Whatever file the removal was killed before, the same command does its work."""
    files = list(written(halfway / "out"))
    for kept in range(len(files)):
        folder = halfway.parent / f"killed-{kept}"
        shutil.copytree(halfway / "out", folder)
        for path in files[: len(files) - kept]:
            (folder / path.name).unlink()
        if kept:
            begun = run(halfway / "cases" / "case.toml", steps=1, out=folder, overwrite=True)
        else:
            begun = run(halfway / "cases" / "case.toml", steps=1, out=folder)
        assert begun.summary["steps"] == 1


@pytest.mark.parametrize(("controller", "limit", "cut"), [("mess_exact", "0.001", True), ("rules", "60", False)])
def test_record_says_that_equal_plans_cannot_be_promised_where_a_time_limit_struck(tmp_path, controller, limit, cut):
    settings = [f"controllers.mess_exact.time_limit_s={limit}"]
    done = run("three_bus", controller=controller, overrides=settings, steps=1, out=tmp_path / "out")
    assert done.summary["solver"].get("time_limit_steps", 0) == int(cut)
    assert load_run(done.directory).manifest["repeats"] is not cut
    assert ("equal plans cannot be promised" in page(done)) == cut
