"""``--overwrite`` removes what a run wrote, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cases.waiting_run import write_case
from gridferry.sim.results.run_directory import load_run

STEP = ("--steps", 1)


@pytest.fixture
def ran(gridferry, tmp_path):
    """A run in ``out``, with its report, export and foresight."""
    config = write_case(tmp_path)
    assert gridferry("run", config, *STEP, "--out", "out", "--regret")[0] == 0
    assert gridferry("report", "out")[0] == 0
    assert gridferry("export", "out")[0] == 0
    return config


def files(folder: Path) -> set[str]:
    return {str(one.relative_to(folder)) for one in folder.rglob("*") if not one.is_dir()}


def test_what_no_run_wrote_stays(gridferry, ran):
    out = Path("out")
    kept = {"thesis.txt", "data/my.csv", "export/mine.csv", "foresight/notes.md", "runs/b/manifest.json"}
    for name in kept:
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_text(name)
    for name in ("manifest.json.part", "results.duckdb.wal", "run.lock", "traceback.txt"):
        (out / name).write_text("left by one that was killed")
    assert gridferry("run", ran, "--steps", 2, "--out", "out", "--overwrite")[0] == 0
    new = {"config.toml", "manifest.json", "results.duckdb", "summary.json", "plan.csv"}
    assert files(out) == kept | new
    assert all((out / name).read_text() == name for name in kept)
    assert load_run("out").summary["steps"] == 2


def test_folders_of_a_run_go_with_their_last_file(gridferry, ran):
    assert {one.name for one in Path("out").iterdir() if one.is_dir()} == {"export", "foresight"}
    assert gridferry("run", ran, *STEP, "--out", "out", "--overwrite")[0] == 0
    assert not [one for one in Path("out").iterdir() if one.is_dir()]


@pytest.mark.parametrize("manifest", ['{"name": "my app", "version": "1.0"}', "[]", "no JSON", '{"versions": {}}'])
def test_folder_with_a_manifest_of_something_else_is_refused_and_kept(gridferry, tmp_path, manifest):
    config = write_case(tmp_path)
    (tmp_path / "manifest.json").write_text(manifest)
    (tmp_path / "plan.csv").write_text("mine")
    before = {one: one.read_bytes() for one in tmp_path.iterdir()}
    code, _, err = gridferry("run", config, *STEP, "--out", ".", "--overwrite")
    assert code == 2
    assert "manifest.json is not that of a run" in err
    assert {one: one.read_bytes() for one in tmp_path.iterdir()} == before


def test_run_of_an_earlier_version_is_replaced(gridferry, ran):
    path = Path("out/manifest.json")
    manifest = json.loads(path.read_text())
    del manifest["config_file"]
    path.write_text(json.dumps(manifest))
    assert gridferry("run", ran, *STEP, "--out", "out", "--overwrite")[0] == 0


def test_old_results_survive_a_run_that_cannot_start(gridferry, ran):
    before = {one: one.read_bytes() for one in Path("out").rglob("*") if one.is_file()}
    for arguments in (
        ("--steps", 0),
        ("--set", "trucks.T1.station=S9"),
        ("--set", "profiles.day.file=gone.csv"),
        ("--controller", "mine.py:Yours"),
        ("--resume",),
    ):
        assert gridferry("run", ran, "--out", "out", "--overwrite", *arguments)[0] == 2, arguments
    assert {one: one.read_bytes() for one in Path("out").rglob("*") if one.is_file()} == before


def test_what_the_run_reads_is_never_removed(gridferry, ran):
    out = Path("out")
    Path("over.toml").write_text('extends = "out/config.toml"\nname = "over"\n')
    Path("link.csv").symlink_to("out/plan.csv")
    # the profile of a case that somebody keeps under the name of a run's file
    (out / "summary.json").write_text(Path("day.csv").read_text())
    before = {one: one.read_bytes() for one in out.rglob("*") if one.is_file()}
    for arguments, name in (
        (("validate", "out/plan.csv", ran), "plan.csv"),
        (("validate", "link.csv", ran), "plan.csv"),
        (("validate", "out/export/plan.csv", ran, "--set", "time.steps=1"), "plan.csv"),
        (("validate", "out/foresight/plan.csv", ran), "plan.csv"),
        (("run", "out/config.toml"), "config.toml"),
        (("run", "over.toml"), "config.toml"),
        (("run", ran, "--set", "profiles.day.file=out/summary.json"), "summary.json"),
    ):
        code, message, err = gridferry(*arguments, "--out", "out", "--overwrite")
        assert (code, message) == (2, ""), arguments
        assert err.startswith(f"--out: out: {name} in it is read by this run"), arguments
        assert err.count("\n") == 1
    assert {one: one.read_bytes() for one in out.rglob("*") if one.is_file()} == before


def test_config_and_plug_in_beside_the_run_stay_and_are_used(gridferry, ran):
    for name in ("case.toml", "day.csv", "mine.py"):
        (Path("out") / name).write_text(Path(name).read_text())
    assert gridferry("run", "out/case.toml", *STEP, "--out", "out", "--overwrite")[0] == 0
    assert {"case.toml", "day.csv", "mine.py"} <= files(Path("out"))


def test_symbolic_links_are_removed_and_what_they_point_to_stays(gridferry, ran):
    out, else_where = Path("out"), Path("elsewhere")
    else_where.mkdir()
    names = ("summary.json", "report.html", "results.duckdb", "config.toml.part", "manifest.json.part", "bus.csv")
    for name in names:
        (else_where / name).write_text(name)
        (out / name).unlink(missing_ok=True)
        (out / name).symlink_to(else_where.resolve() / name)
    for folder in ("export", "foresight"):
        for one in (out / folder).iterdir():
            one.unlink()
        (out / folder).rmdir()
    (out / "export").symlink_to(else_where.resolve())
    (out / "foresight").symlink_to(else_where.resolve())
    assert gridferry("run", ran, *STEP, "--out", "out", "--overwrite")[0] == 0
    assert {one.name: one.read_text() for one in else_where.iterdir()} == {name: name for name in names}
    assert [one.name for one in out.iterdir() if one.is_symlink()] == ["bus.csv"]  # no run has such a file here


def test_directory_may_be_a_symbolic_link(gridferry, ran):
    Path("latest").symlink_to("out")
    assert gridferry("run", ran, "--steps", 2, "--out", "latest", "--overwrite")[0] == 0
    assert Path("latest").is_symlink()
    assert load_run("out").summary["steps"] == 2


def test_folder_in_the_place_of_a_file_is_refused(gridferry, ran):
    Path("out/report.html").unlink()
    Path("out/report.html").mkdir()
    code, _, err = gridferry("run", ran, *STEP, "--out", "out", "--overwrite")
    assert (code, err) == (2, "--out: out: report.html in it is a folder; choose another\n")
    assert Path("out/results.duckdb").exists()


def test_foresight_that_is_no_run_is_not_written_over(gridferry, ran):
    assert gridferry("run", ran, *STEP, "--out", "out", "--overwrite")[0] == 0
    Path("out/foresight").mkdir()
    Path("out/foresight/plan.csv").write_text("mine")
    for way in ("--overwrite", "--resume"):
        code, _, err = gridferry("run", ran, *STEP, "--out", "out", "--regret", way)
        assert code == 2
        assert "out/foresight: exists and is no run directory" in err
    assert Path("out/foresight/plan.csv").read_text() == "mine"


def test_resuming_writes_through_no_symbolic_link(gridferry, ran):
    Path("mine.toml").write_text(Path("out/config.toml").read_text() + "# mine\n")
    Path("out/config.toml").unlink()
    Path("out/config.toml").symlink_to(Path("mine.toml").resolve())
    assert gridferry("run", ran, "--out", "out", "--resume")[0] == 0
    assert Path("mine.toml").read_text().endswith("# mine\n")
