"""Run times of commands in separate processes, compared with importing pandapower alone.

Importing pandapower is what nobody who solves a power flow with it gets around. The processes take turns, so that the
machine's noise falls on all of them; seconds of the processors say more than the clock where others use them too.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from statistics import median

YARDSTICK = "import pandapower"
_COMMAND = ["-m", "gridferry.sim.cli"]


def processes(folder: str, smoke: bool) -> dict[str, list[str]]:
    """Arguments of the interpreter, by what is printed; the idle run comes before what reports it."""
    idle = ["run", "three_bus", "--controller", "idle", "--out", f"{folder}/run", "--overwrite"]
    return {
        YARDSTICK: ["-c", YARDSTICK],
        "run three_bus --controller idle": [*_COMMAND, *idle, *(["--steps", "3"] if smoke else [])],
        "report RUN": [*_COMMAND, "report", f"{folder}/run"],
        "check three_bus": [*_COMMAND, "check", "three_bus"],
        **{f"list {one}": [*_COMMAND, "list", one] for one in ("networks", "controllers", "configs")},
    }


def seconds(arguments: list[str]) -> tuple[float, float]:
    """Time a process from its start to its end: by the clock, and of the processors."""
    before, started = os.times(), time.perf_counter()
    subprocess.run([sys.executable, *arguments], stdout=subprocess.DEVNULL, check=True)
    taken, after = time.perf_counter() - started, os.times()
    used = after.children_user - before.children_user + after.children_system - before.children_system
    return taken, used


def main(smoke: bool = False, rounds: int = 7) -> dict[str, float]:
    """Print seconds and ratios; returns the ratios to importing pandapower, by the clock."""
    rounds = 1 if smoke else rounds
    with tempfile.TemporaryDirectory() as folder:
        turns = processes(folder, smoke)
        for arguments in () if smoke else turns.values():  # the first writes byte code and reads from a cold disk
            seconds(arguments)
        times: dict[str, list[tuple[float, float]]] = {name: [] for name in turns}
        for _ in range(rounds):
            for name, arguments in turns.items():
                times[name].append(seconds(arguments))
    middle = {name: [median(column) for column in zip(*taken, strict=True)] for name, taken in times.items()}
    clock, processors = middle[YARDSTICK]
    print(f"whole processes, in turn, median of {rounds}; of {YARDSTICK}: clock, processors")
    for name, (taken, used) in middle.items():
        ratios = f"{taken / clock:5.2f} x {used / processors:5.2f} x"
        print(f"  {name:32s} {taken:6.2f} s  {used:6.2f} s of processors  {ratios}")
    return {name: taken / clock for name, (taken, _) in middle.items()}
