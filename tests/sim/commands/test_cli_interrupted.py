"""Runs that are stopped, or fail: what they keep, and how they resume."""

import json
import signal

import pytest

from cases.command_line import command
from gridferry.sim.loop.runner import load_run
from gridferry.sim.results.run_directory import open_results

# what depends on the clock of the machine, or on where the run lies
OF_THE_MACHINE = ("solver", "directory")


PLUGIN = """
import os, signal
from pathlib import Path
from gridferry.controllers.contract import ControllerError
from gridferry.controllers.rules import Rules

class Mine(Rules):
    '''The rules, with something happening at step 25 where a file asks for it.'''

    def plan(self, observation, forecast):
        for name in ("SIGINT", "SIGKILL"):
            asked = Path(__file__).with_name(name)
            if observation.step == 25 and asked.exists():
                asked.unlink()
                os.kill(os.getpid(), getattr(signal, name))
        if observation.step == 3 and Path(__file__).with_name("FAIL").exists():
            raise ControllerError("no plan today")
        return super().plan(observation, forecast)
"""


def without_clock(summary):
    return {key: value for key, value in summary.items() if key not in OF_THE_MACHINE}


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """A plug-in's run of 40 steps, to compare interrupted ones with; its folder and its summary."""
    folder = tmp_path_factory.mktemp("plugin")
    (folder / "mine.py").write_text(PLUGIN)
    here = ("--set", "controller.own_process=false")  # its signals are for the process of the run
    options = (
        "three_bus",
        "--controller",
        f"{folder}/mine.py:Mine",
        *here,
        "--set",
        "record.flush_steps=7",
        "--steps",
        40,
    )
    done = command("run", *options, "--out", "whole", "--json", cwd=folder)
    assert done.returncode == 0
    return folder, options, json.loads(done.stdout)


@pytest.mark.slow
@pytest.mark.parametrize(("sent", "kept"), [("SIGINT", range(26, 27)), ("SIGKILL", range(21, 26))])
def test_run_that_is_stopped_keeps_its_results_and_resumes_to_the_same(gridferry, uninterrupted, tmp_path, sent, kept):
    folder, options, whole = uninterrupted
    (folder / sent).touch()
    stopped = command("run", *options, "--json", cwd=tmp_path)
    (directory,) = (tmp_path / "runs").iterdir()
    with open_results(directory) as results:
        steps, last = results.execute("SELECT count(*), max(step) FROM step").fetchone()
    # a killed run has what was written last, every 7 steps at least, and earlier where they take long
    assert steps in kept
    assert last == steps - 1
    if sent == "SIGINT":
        assert stopped.returncode == 3
        assert "--resume" in stopped.stderr
        message = json.loads(stopped.stdout)
        assert (message["status"], message["steps"]) == ("failed", 26)
        assert load_run(directory).manifest["failure"] == "interrupted after 26 of 40 steps"
    else:
        assert stopped.returncode == -signal.SIGKILL
    # a newer run of another name, and an older one that was finished, are not meant
    gridferry("run", "three_bus", "--steps", 1, "--set", "name=three_bus-2", "--set", 'controller.on_failure="stop"')
    code, out, err = gridferry("run", *options, "--resume", "--json")
    assert (code, err) == (0, "")
    resumed = json.loads(out)
    assert resumed["directory"] == str(directory.relative_to(tmp_path))
    assert without_clock(resumed) == without_clock(whole)
    assert (directory / "plan.csv").read_text() == (folder / "whole" / "plan.csv").read_text()
    assert gridferry("run", *options, "--resume")[0] == 2  # nothing is left to go on with


def test_run_whose_controller_stops_it_exits_3_and_keeps_the_results(gridferry, uninterrupted, tmp_path):
    spec = tmp_path / "mine.py"
    spec.write_text(PLUGIN)
    (tmp_path / "FAIL").touch()
    stopping = ("three_bus", "--controller", f"{spec}:Mine", "--set", "controller.on_failure=stop")
    code, out, err = gridferry("run", *stopping, "--out", "run", "--json")
    assert code == 3
    assert "step 3" in err
    assert "no plan today" in err
    assert "results so far: run" in err
    summary = json.loads(out)
    assert (summary["status"], summary["steps"]) == ("failed", 3)
    assert len(load_run("run").table("device")) == 3
    code, out, _ = gridferry("run", *stopping, "--out", "again")
    assert (code, out) == (3, "")


def test_run_that_fails_at_once_still_has_a_summary(gridferry, tmp_path):
    (tmp_path / "broken.py").write_text(PLUGIN.replace("observation.step == 3", "observation.step == 0"))
    (tmp_path / "FAIL").touch()
    options = ("--controller", "broken.py:Mine", "--set", "controller.on_failure=stop", "--out", "run", "--json")
    code, out, _ = gridferry("run", "three_bus", *options)
    assert code == 3
    assert json.loads(out)["steps"] == 0
