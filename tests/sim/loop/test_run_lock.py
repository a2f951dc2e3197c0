"""A directory belongs to the run that is being written to it, for as long as that run lives."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from cases.waiting_run import released, waiting, write_case
from gridferry.networks.faults import InputError
from gridferry.sim.results.run_directory import load_run
from gridferry.sim.results.run_lock import LOCK, locked, refuse_in_use

HOLDS = """
import sys
from pathlib import Path
from gridferry.sim.results.run_lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.readline()
"""

CONTENDS = """
import sys
from pathlib import Path
from gridferry.networks.faults import InputError
from gridferry.sim.results import run_lock
run_lock._PAUSE_S = 0.0
taken = 0
while taken < 50:
    try:
        with run_lock.locked(Path("shared")):
            Path("inside").touch(exist_ok=False)
            Path("inside").unlink()
            taken += 1
    except InputError:
        pass
"""


def holder(directory: Path) -> subprocess.Popen[str]:
    """Another process that holds a directory until it is given a line."""
    words = [sys.executable, "-c", HOLDS, str(directory)]
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


@pytest.mark.slow
def test_nobody_takes_or_reads_the_directory_of_a_live_run_and_it_ends_with_its_own_figures(gridferry, tmp_path):
    config = write_case(tmp_path)
    first = waiting("run", config, "--out", "out", "--json", cwd=tmp_path)
    before = {one: one.stat().st_mtime_ns for one in Path("out").iterdir()}
    Path("idle.csv").write_text("step,device,p_mw,q_mvar,station\n")
    for arguments in (
        ("run", "three_bus", "--out", "out", "--steps", 1, "--overwrite"),
        ("run", config, "--out", "out", "--resume"),
        ("validate", "idle.csv", config, "--out", "out", "--overwrite"),
        ("report", "out"),
        ("export", "out"),
        ("compare", "out"),
    ):
        code, out, err = gridferry(*arguments)
        assert (code, out) == (2, ""), arguments
        assert f"in use by process {first.pid}" in err, arguments
    assert {one: one.stat().st_mtime_ns for one in Path("out").iterdir()} == before
    code, out, _ = released(first)
    assert code == 0
    summary = json.loads(out)
    assert (summary["status"], summary["steps"]) == ("completed", 4)
    assert not (tmp_path / "out" / LOCK).exists()


@pytest.mark.slow
def test_killed_run_leaves_no_lock_and_is_gone_on_with(gridferry, tmp_path):
    config = write_case(tmp_path)
    process = waiting("run", config, "--out", "out", "--set", "record.flush_steps=1", cwd=tmp_path)
    process.kill()
    process.communicate()
    code, out, _ = gridferry("run", config, "--set", "record.flush_steps=1", "--out", "out", "--resume", "--json")
    assert code == 0
    assert json.loads(out)["steps"] == 4
    assert load_run("out").manifest["resumed_at_step"] == 2


@pytest.mark.slow
def test_directory_of_the_run_with_foresight_is_locked_from_the_start(gridferry, tmp_path):
    config = write_case(tmp_path)
    first = waiting("run", config, "--out", "out", "--regret", cwd=tmp_path)
    code, _, err = gridferry("run", "three_bus", "--steps", 1, "--out", "out/foresight")
    assert code == 2
    assert f"in use by process {first.pid}" in err
    first.kill()
    first.communicate()


def test_lock_is_never_held_by_two(tmp_path):
    words = [sys.executable, "-c", CONTENDS]
    processes = [subprocess.Popen(words, cwd=tmp_path, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    assert [(one.communicate()[1], one.returncode) for one in processes] == [("", 0)] * 3
    assert not list(tmp_path.glob("shared/*"))


def test_locked_directory_is_refused_with_process_and_way_out_until_it_is_released(tmp_path):
    other = holder(tmp_path / "a")
    for take in (lambda: locked(tmp_path / "a").__enter__(), lambda: refuse_in_use(tmp_path / "a")):
        with pytest.raises(InputError, match=rf"/a: in use by process {other.pid}; wait .*, or (choose|give) another"):
            take()
    other.communicate("\n")
    assert not (tmp_path / "a").exists()  # nothing was written to it
    with locked(tmp_path / "a"):
        refuse_in_use(tmp_path / "a")  # its own process may look


def test_lock_file_of_a_dead_process_or_a_symbolic_link_means_nothing(tmp_path):
    (tmp_path / LOCK).write_text("1 somewhere")
    refuse_in_use(tmp_path)
    with locked(tmp_path):
        pass
    (tmp_path / "mine.txt").write_text("kept")
    (tmp_path / LOCK).symlink_to("mine.txt")
    with locked(tmp_path):
        assert not (tmp_path / LOCK).is_symlink()
    assert [one.name for one in tmp_path.iterdir()] == ["mine.txt"]
    assert (tmp_path / "mine.txt").read_text() == "kept"
