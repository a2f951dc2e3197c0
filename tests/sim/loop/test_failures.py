"""A failing controller is loud: on stderr at once and at the end, in a file, in the report, in the exit code."""

from __future__ import annotations

import json
from pathlib import Path

from cases.command_line import command
from gridferry.sim.results.report import write_report
from gridferry.sim.results.run_directory import load_run

PLUGIN = """
import os

from gridferry.controllers import Controller, hold


class Mine(Controller):
    '''Fail from a step on.'''

    def plan(self, observation, forecast):
        if observation.step >= {first}:
            raise RuntimeError(f"a <wire> is loose at {{observation.step}}")
        return hold(self.plant, observation)


class Chatty(Mine):
    '''Print in every way.'''

    def plan(self, observation, forecast):
        print("printed")
        os.write(1, b"written\\n")
        os.system("echo echoed")
        return hold(self.plant, observation)
"""


def test_failures_are_reported_at_once_counted_at_the_end_and_kept(gridferry, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(PLUGIN.format(first=1))
    code, _, err = gridferry("run", "three_bus", "--controller", "mine.py:Mine", "--steps", 4, "--out", "run")
    assert code == 0  # one plan of its own was dispatched
    first, count = err.splitlines()
    where = f"({tmp_path}/mine.py, line 12)"
    assert first.startswith(f"run: step 1: the controller raised RuntimeError: a <wire> is loose at 1 {where}; ")
    assert "dispatched instead: idle" in first
    assert count == "run: the controller failed in 3 of 4 steps; 3 fell back: see failures.txt and the report"
    kept = Path("run/failures.txt").read_text()
    assert kept.count("RuntimeError: a <wire> is loose at 3\n") == 1
    assert kept.count("Traceback") == 3
    page = write_report("run").read_text()
    assert "<h2>Failures of the controller</h2>" in page
    assert "a &lt;wire&gt; is loose at 2" in page
    gridferry("run", "three_bus", "--controller", "idle", "--steps", 1, "--out", "run", "--overwrite")
    assert not Path("run/failures.txt").exists()


def test_a_run_that_fell_back_in_every_step_is_of_no_use(gridferry, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(PLUGIN.format(first=0))
    options = ("run", "three_bus", "--controller", "mine.py:Mine", "--steps", 2, "--out", "run")
    code, out, _ = gridferry(*options)
    assert code == 3
    assert "every step fell back" in out
    assert load_run("run").summary["status"] == "fell_back"
    code, out, _ = gridferry(*options, "--overwrite", "--json")
    assert (code, json.loads(out)["status"]) == (3, "fell_back")


def test_nothing_but_json_is_on_stdout_whatever_a_plugin_prints(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(PLUGIN.format(first=0))
    for more in ((), ("--set", "controller.own_process=false")):
        options = ("--controller", "mine.py:Chatty", "--steps", 1, "--out", "run", "--overwrite", "--json", *more)
        done = command("run", "three_bus", *options, cwd=tmp_path)
        assert json.loads(done.stdout)["status"] == "completed"
        assert sorted(done.stderr.split()) == ["echoed", "printed", "written"]
