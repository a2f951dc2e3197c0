"""A small part of ``make soak``: every attack a few times, and a tenth of the mutated inputs."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest

from soak.damage import damaged
from soak.kills import CASES, attack
from soak.signals import at_once, terminated

_INPUTS = 5000


def kept(outcomes: list[str]) -> None:
    assert outcomes
    assert not [one for one in outcomes if one.startswith("FAILED")]


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_killed_run_resumes_to_the_same_results(tmp_path, case):
    kept([outcome for _, outcome in attack(case, range(2), tmp_path, random.Random(1))])


@pytest.mark.slow
def test_sigterm_keeps_every_step_done(tmp_path):
    kept(list(terminated(1, tmp_path, random.Random(1))))


@pytest.mark.slow
def test_of_runs_that_start_at_once_into_one_directory_one_runs(tmp_path):
    kept(list(at_once(1, tmp_path)))


@pytest.mark.slow
def test_damaged_run_directory_gives_one_message(tmp_path):
    kept([f"{outcome} ({name})" for name, outcome in damaged(tmp_path, 5)])


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_mutated_input_is_read_or_refused_in_one_line(seed):
    words = [sys.executable, "-m", "soak.mutation", str(_INPUTS), str(seed), "--short"]
    done = subprocess.run(words, cwd=Path(__file__).parent, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
