"""Signals that end a run: after the step at hand, results kept, the rest to be had with ``--resume``."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cases.waiting_run import released, waiting, write_case
from gridferry.sim.loop.run_signals import ending_signals, interruptible, raise_interrupt
from gridferry.sim.results.live_state import LiveState
from gridferry.sim.results.run_directory import load_run

SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")

STUDY = """
kind = "closed_loop"
name = "small"
config = "case.toml"
seeds = 2
rows = [{ label = "mine", controller = "mine.py:Mine" }]
"""

TELLS_ITS_PARENT = """
import os
import signal
from pathlib import Path

from gridferry.controllers.idle import Idle
from gridferry.sim.study.workers import ending_requested


class Mine(Idle):
    '''Idle, but at step 2 of the run it ends the study that started it, and goes on when that has told it.'''

    def plan(self, observation, forecast):
        flag = Path(__file__).with_name("WAIT")
        if observation.step == 2 and flag.exists():
            flag.unlink(missing_ok=True)
            os.kill(os.getppid(), signal.{signal})
            while not ending_requested():
                os.sched_yield()
        return super().plan(observation, forecast)
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_signal_ends_a_run_after_the_current_step_and_it_resumes(gridferry, tmp_path, name):
    config = write_case(tmp_path)
    process = waiting("run", config, "--out", "out", "--json", cwd=tmp_path)
    process.send_signal(getattr(signal, name))
    code, out, err = released(process)
    assert code == 3
    assert "interrupted; resume with the same command and --resume" in err
    summary = json.loads(out)
    assert (summary["status"], summary["steps"]) == ("failed", 3)
    assert load_run("out").manifest["failure"] == "interrupted after 3 of 4 steps"
    assert len(Path("out/plan.csv").read_text().splitlines()) == 1 + 3
    code, out, _ = gridferry("run", config, "--out", "out", "--resume", "--json")
    assert (code, json.loads(out)["steps"]) == (0, 4)


@pytest.mark.slow
def test_second_signal_does_not_wait_for_the_step(tmp_path):
    config = write_case(tmp_path)
    process = waiting("run", config, "--out", "out", "--json", cwd=tmp_path)
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGHUP)
    out, err = process.communicate()  # the step never comes to its end: nobody gives it its line
    assert process.returncode == 3, err
    assert json.loads(out)["steps"] == 2


@pytest.mark.parametrize("name", SIGNALS)
def test_signal_ends_validate_too_with_what_was_replayed(gridferry, monkeypatch, tmp_path, name):
    @contextmanager
    def ended_at_step_2(*shown: object) -> Iterator[Callable[[LiveState], None]]:
        yield lambda live: os.kill(os.getpid(), getattr(signal, name)) if live.step == 2 else None

    monkeypatch.setattr("gridferry.sim.commands.validate.live_progress", ended_at_step_2)
    config = write_case(tmp_path)
    (tmp_path / "idle.csv").write_text("step,device,p_mw,q_mvar,station\n")
    code, out, err = gridferry("validate", "idle.csv", config, "--out", "out", "--json")
    assert (code, json.loads(out)["steps"]) == (3, 2)
    assert err.startswith("interrupted\n")


@pytest.mark.parametrize("name", SIGNALS)
def test_signal_while_a_command_does_no_run_gives_the_same_exit_code(capsys, name):
    @interruptible
    def reading() -> int:
        os.kill(os.getpid(), getattr(signal, name))
        return 0

    before = signal.getsignal(getattr(signal, name))
    assert reading() == 3
    assert capsys.readouterr().err == "interrupted\n"
    assert signal.getsignal(getattr(signal, name)) is before


@pytest.mark.long
@pytest.mark.slow
def test_signal_ends_a_study_and_its_workers_and_the_same_command_goes_on(gridferry, tmp_path):
    write_case(tmp_path, TELLS_ITS_PARENT.replace("{signal}", "SIGTERM"))
    (tmp_path / "study.toml").write_text(STUDY)
    (tmp_path / "WAIT").touch()
    words = [sys.executable, "-m", "gridferry.sim.cli", "study", "study.toml", "--workers", "2"]
    # a pipe that a worker holds open would keep this from returning
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == "interrupted; the same command resumes it\n"
    ended = [load_run(one.parent).manifest for one in Path("runs").glob("small/mine/*/manifest.json")]
    assert ended
    assert {one["status"] for one in ended} <= {"failed", "completed"}
    assert "interrupted after 3 of 4 steps" in [one["failure"] for one in ended]
    code, out, _ = gridferry("study", "study.toml", "--json")
    assert code == 0
    assert 3 in [load_run(one["directory"]).manifest["resumed_at_step"] for one in json.loads(out)["rows"][0]["runs"]]


@pytest.mark.slow
def test_workers_end_when_the_study_is_killed(tmp_path):
    write_case(tmp_path, TELLS_ITS_PARENT.replace("{signal}", "SIGKILL"))
    (tmp_path / "study.toml").write_text(STUDY)
    (tmp_path / "WAIT").touch()
    words = [sys.executable, "-m", "gridferry.sim.cli", "study", "study.toml", "--workers", "2"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL  # and not before all of its pipes were closed


def test_signal_that_nohup_ignores_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with ending_signals(raise_interrupt):
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
            assert signal.getsignal(signal.SIGTERM) is raise_interrupt
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGHUP, before)
