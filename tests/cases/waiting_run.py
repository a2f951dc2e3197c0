"""A run of a few idle steps that waits where a test wants it to, in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

CASE = """
extends = "three_bus"
name = "short"
[time]
steps = 4
[profiles.day]
file = "day.csv"
[controller]
use = "mine.py:Mine"
own_process = false
"""

WAITS = """
import sys
from pathlib import Path

from gridferry.controllers.idle import Idle

HERE = Path(__file__).parent


class Mine(Idle):
    '''Idle, but at step 2 it says so and waits for a line, where there is a file WAIT.'''

    def plan(self, observation, forecast):
        if observation.step == 2 and (HERE / "WAIT").exists():
            print("waiting", flush=True)  # to stderr, as all that plug-ins print
            sys.stdin.readline()
        return super().plan(observation, forecast)
"""


def write_case(folder: Path, plugin: str = WAITS) -> Path:
    """Write the config, its profile and its plug-in, and return the config."""
    from gridferry.sim.config.reading import configs_dir

    (folder / "day.csv").write_text((configs_dir() / "data" / "three_bus_profiles.csv").read_text())
    (folder / "mine.py").write_text(plugin)
    (folder / "case.toml").write_text(CASE)
    return folder / "case.toml"


def start(*arguments: object, cwd: Path) -> subprocess.Popen[str]:
    """Start the command as users do."""
    words = [sys.executable, "-m", "gridferry.sim.cli", *map(str, arguments)]
    pipe = subprocess.PIPE
    return subprocess.Popen(words, cwd=cwd, stdin=pipe, stdout=pipe, stderr=pipe, text=True)


def waiting(*arguments: object, cwd: Path) -> subprocess.Popen[str]:
    """Start the command on the case, and return when its run waits."""
    (cwd / "WAIT").touch()
    process = start(*arguments, cwd=cwd)
    assert process.stderr is not None
    message = process.stderr.readline()
    assert message == "waiting\n", (message, process.communicate())
    (cwd / "WAIT").unlink()
    return process


def released(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Let the run go on; returns exit code, stdout, stderr."""
    out, err = process.communicate("\n")
    assert "Traceback" not in out + err
    return process.returncode, out, err
