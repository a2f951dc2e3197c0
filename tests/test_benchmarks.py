"""The benchmarks run, and what they compare gives the same answers; how fast is for `make bench` to say."""

import re
import subprocess
import sys

import pytest

from cases import REPOSITORY


@pytest.mark.slow
def test_benchmarks_run_in_small_and_what_they_compare_agrees():
    root = REPOSITORY
    command = [sys.executable, "-m", "benchmarks", "--smoke"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=3600, cwd=root)
    assert done.returncode == 0, done.stderr
    assert len(re.findall(r"of processors +[0-9.]+ x +[0-9.]+ x\n", done.stdout)) == 7
    apart = [float(found) for found in re.findall(r"voltages apart by ([0-9.e+-]+) pu", done.stdout)]
    assert len(apart) == 7
    assert max(apart) < 1e-7
    costs = [float(found) for found in re.findall(r"cost +([0-9.]+) +bound", done.stdout)]
    assert len(costs) == 2
    assert abs(costs[0] - costs[1]) <= 1e-2 * costs[0]
    assert "ours / power-grid-model alone" in done.stdout
    cost, bound = re.findall(r"closed loop cost ([0-9.]+) USD, bound ([0-9.]+) \(certified\)", done.stdout)[0]
    assert abs(float(cost) - float(bound)) <= 0.01 * float(bound)
    assert len(re.findall(r"routes (?:decided|kept) +[0-9]+ steps", done.stdout)) == 4
    tuned, own = re.findall(
        r"individual confidence ([0-9.]+), certified .*\n  the controller's own: ([0-9.]+)", done.stdout
    )[0]
    assert tuned == own
