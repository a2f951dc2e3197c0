"""A run goes on only with what it was started with, unless that is accepted, and then says so."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from cases.waiting_run import write_case
from gridferry.networks.faults import InputError
from gridferry.sim.case.input_files import input_files
from gridferry.sim.case.loading import load_config
from gridferry.sim.loop.runner import run
from gridferry.sim.results.run_directory import load_run

HELPED = """
import helper
from tools.more import NUMBER
from gridferry.controllers.idle import Idle


class Mine(Idle):
    pass
"""


@pytest.fixture
def halfway(gridferry, tmp_path):
    """The config of a run in ``out`` that has 2 of its 4 steps."""
    config = write_case(tmp_path, HELPED)
    (tmp_path / "helper.py").write_text("WORD = 1\n")
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "__init__.py").write_text("")
    (tmp_path / "tools" / "more.py").write_text("from . import most\nNUMBER = 1\n")
    (tmp_path / "tools" / "most.py").write_text("")
    (tmp_path / "beside.py").write_text("")
    assert gridferry("run", config, "--steps", 2, "--out", "out")[0] == 0
    return config


def contents(folder: Path) -> dict[Path, bytes]:
    return {one: one.read_bytes() for one in folder.iterdir()}


@pytest.mark.parametrize("name", ["day.csv", "mine.py", "helper.py", "tools/more.py", "tools/most.py"])
def test_changed_file_is_named_and_nothing_is_written(gridferry, halfway, name):
    before = contents(Path("out"))
    Path(name).write_text(Path(name).read_text() + "\n")
    code, out, err = gridferry("run", halfway, "--out", "out", "--resume", "--json")
    assert (code, out) == (2, "")
    (message,) = err.splitlines()
    assert message.startswith(f"--resume: {Path(name).absolute()}: has changed since the run was started; ")
    assert "--accept-changes" in message
    assert contents(Path("out")) == before


def test_all_that_changed_is_listed_files_and_versions_old_and_new(gridferry, halfway):
    path = Path("out/manifest.json")
    manifest = json.loads(path.read_text())
    numpy, python = manifest["versions"]["numpy"], manifest["versions"]["python"]
    manifest["versions"] |= {"numpy": "1.0.0", "python": "3.9.1"}
    path.write_text(json.dumps(manifest))
    Path("day.csv").write_text(Path("day.csv").read_text() + "\n")
    Path("mine.py").write_text(HELPED.replace("import helper", "import beside"))
    code, _, err = gridferry("run", halfway, "--out", "out", "--resume")
    assert code == 2
    for words in (
        f"numpy: was 1.0.0 when the run was started, is now {numpy};",
        f"python: was 3.9.1 when the run was started, is now {python};",
        "day.csv: has changed since",
        "mine.py: has changed since",
        "beside.py: was not read when the run was started",
    ):
        assert words in err
    assert err.endswith("5 faults\n")  # helper.py is read no longer, but it is what it was


def test_file_that_is_gone_is_named(gridferry, halfway):
    Path("mine.py").write_text(HELPED.replace("import helper", ""))
    Path("helper.py").unlink()
    _, _, err = gridferry("run", halfway, "--out", "out", "--resume")
    assert re.search(r"helper\.py: is gone; it was read when the run was started", err)


def test_comments_of_the_config_and_other_files_are_no_change(gridferry, halfway):
    halfway.write_text("# a comment\n" + halfway.read_text())
    Path("notes.csv").write_text("")
    Path("beside.py").write_text("anything = 1\n")
    code, out, _ = gridferry("run", halfway, "--out", "out", "--resume", "--json")
    assert (code, json.loads(out)["steps"]) == (0, 4)
    assert "segments" not in load_run("out").manifest
    # nor is the name of the config: that in the run's own directory says the same
    assert gridferry("run", "out/config.toml", "--out", "out", "--resume")[0] == 0


def test_accepted_changes_are_recorded_with_the_step_that_they_hold_from(gridferry, halfway):
    first = load_run("out").manifest["inputs"]
    changed = str(Path("day.csv").absolute())
    Path("day.csv").write_text(Path("day.csv").read_text() + "\n")
    accepted = ("run", halfway, "--out", "out", "--resume", "--accept-changes")
    assert gridferry(*accepted, "--steps", 3)[0] == 0
    manifest = load_run("out").manifest
    assert [one["from_step"] for one in manifest["segments"]] == [0, 2]
    old, new = manifest["segments"]
    assert old["inputs"] == first
    assert new["inputs"] == manifest["inputs"]
    assert {name for name in first if old["inputs"][name] != new["inputs"][name]} == {changed}
    assert new["versions"] == manifest["versions"]
    # going on without further changes keeps the record, and is no longer refused
    assert gridferry("run", halfway, "--out", "out", "--resume")[0] == 0
    assert load_run("out").manifest["segments"] == manifest["segments"]


def test_accepting_changes_is_for_resuming_only(gridferry, halfway):
    code, _, err = gridferry("run", halfway, "--out", "new", "--accept-changes")
    assert code == 2
    assert err.startswith("--accept-changes: ")
    assert not Path("new").exists()


def test_run_with_foresight_is_checked_likewise(gridferry, halfway, tmp_path):
    run(halfway, steps=2, out="both", regret=True)
    Path("day.csv").write_text(Path("day.csv").read_text() + "\n")
    with pytest.raises(InputError, match=r"day\.csv: has changed"):
        run(halfway, out="both", regret=True, resume=True)
    done = run(halfway, out="both", regret=True, resume=True, accept_changes=True)
    assert done.summary["regret"]["cost"] == 0.0
    for directory in ("both", "both/foresight"):
        assert [one["from_step"] for one in load_run(directory).manifest["segments"]] == [0, 2]


def test_run_that_recorded_nothing_yet_begins_with_what_there_is(gridferry, halfway):
    for name in ("results.duckdb", "summary.json"):  # neither has been written before the first step
        Path("out", name).unlink()
    Path("day.csv").write_text(Path("day.csv").read_text() + "\n")
    code, out, _ = gridferry("run", halfway, "--out", "out", "--resume", "--json")
    assert (code, json.loads(out)["steps"]) == (0, 4)
    assert load_run("out").manifest["resumed_at_step"] is None


SOURCES = """
name = "sources"
[time]
start = 2024-01-01T00:00:00
step_s = 3600
steps = 2
[profiles.a]
file = "p.csv"
time = "t"
[[networks]]
name = "module"
feeder = "grids.mine:three"
[[networks]]
name = "file"
feeder = "grid.py:three"
[[networks]]
name = "json"
feeder = "net.json"
[[networks]]
name = "matpower"
feeder = "net.m"
[roads]
graph = "roads.csv"
[controller]
use = "packaged.plans:Mine"
table = "notes.txt"
[controllers.other]
table = "unused.txt"
"""


def test_every_kind_of_file_that_a_case_names_is_found(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    named = {"p.csv", "grid.py", "net.json", "net.m", "roads.csv", "notes.txt"}
    code = {"grids/mine.py", "grids/lines.py", "packaged/plans.py", "packaged/inner/__init__.py", "helper.py"}
    others = {"unused.txt", "sources", "module", "json.py", "grids/other.py", "packaged/other.py"}
    for name in named | code | others | {"grids/__init__.py", "packaged/__init__.py"}:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    (tmp_path / "grids/mine.py").write_text("from .lines import anything\n")
    (tmp_path / "packaged/plans.py").write_text(
        "import numpy\nimport packaged.inner\nimport helper\nfrom gridferry.controllers.idle import Idle as Mine\n"
    )
    (tmp_path / "packaged/inner/__init__.py").write_text("from . import gone\n")
    (tmp_path / "helper.py").write_text("")
    config = tmp_path / "case.toml"
    config.write_text(SOURCES)
    found = {str(one.relative_to(tmp_path)) for one in input_files(load_config(config))}
    assert found - {"packaged/__init__.py", "grids/__init__.py"} == named | code
