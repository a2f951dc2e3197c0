"""Runs that are ended by SIGTERM, and runs that start at once into one directory."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from gridferry.sim.loop.runner import RunInterruptedError, load_run, run
from gridferry.sim.results.live_state import LiveState
from soak.processes import DONE, REFUSED, Ended, forked

_STEPS = 96
INTERRUPTED = 3


def terminated(number: int, folder: Path, rng: random.Random) -> Iterator[str]:
    """End runs by SIGTERM after a random step; yields ``kept`` or a failure."""
    for count in range(number):
        out, said = folder / f"term-{count}", folder / f"said-{count}"
        after = rng.randrange(1, 20)
        ended = forked(partial(_run, out, said), partial(_terminate, said, after, rng.uniform(0.0, 0.02)))
        kept = forked(partial(_kept, out, said))
        yield "kept" if (ended.code, kept.code) == (INTERRUPTED, DONE) else f"FAILED: {ended} {kept.text}"


def _run(out: Path, said: Path) -> int:
    file = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def progress(live: LiveState) -> None:
        os.write(file, f"{live.step}\n".encode())

    try:
        run("three_bus", steps=_STEPS, out=out, progress=progress)
    except RunInterruptedError:
        return INTERRUPTED
    return DONE


def _terminate(said: Path, after: int, pause_s: float, process: int) -> None:
    while not (said.exists() and said.read_text().count("\n") >= after):
        if os.waitid(os.P_PID, process, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            return
        time.sleep(0.001)
    time.sleep(pause_s)
    os.kill(process, signal.SIGTERM)


def _kept(out: Path, said: Path) -> None:
    """Raise `AssertionError` unless every step that was done is in the record, the summary and the plan."""
    done, found = int(said.read_text().split()[-1]), load_run(out)
    assert found.summary["steps"] == done < _STEPS, (found.summary["steps"], done)
    assert found.table("step")["step"].tolist() == list(range(done))
    assert found.manifest["failure"] == f"interrupted after {done} of {_STEPS} steps"
    assert len({line.partition(",")[0] for line in (out / "plan.csv").read_text().splitlines()}) == 1 + done


def at_once(number: int, folder: Path, runs: int = 3) -> Iterator[str]:
    """Start runs at the same time into one directory; yields ``one``, if the others were refused, or a failure."""
    for count in range(number):
        gate, out = folder / f"gate-{count}", folder / f"once-{count}"
        ends: list[Ended] = []
        with _Together(gate, out, runs) as together:
            ends = together.ends()
        refused = [
            one for one in ends if one.code == REFUSED and ("in use by" in one.text or "contains a run" in one.text)
        ]
        good = sorted(one.code for one in ends) == [DONE] + [REFUSED] * (runs - 1) and len(refused) == runs - 1
        yield "one" if good and load_run(out).summary["steps"] == 2 else f"FAILED: {ends}"


class _Together:
    """Processes that begin their runs when a file appears."""

    def __init__(self, gate: Path, out: Path, runs: int):
        self.gate, self.out, self.runs = gate, out, runs
        self.results: list[Path] = []
        self.pids: list[int] = []

    def __enter__(self) -> _Together:
        for number in range(self.runs):
            result = self.gate.with_name(f"{self.gate.name}-{number}")
            self.results.append(result)
            process = os.fork()
            if not process:
                ended = forked(self._begin)
                result.write_text(f"{ended.code} {ended.text}")
                os._exit(0)
            self.pids.append(process)
        self.gate.touch()
        return self

    def _begin(self) -> None:
        while not self.gate.exists():
            time.sleep(0.0005)
        run("three_bus", steps=2, out=self.out)

    def ends(self) -> list[Ended]:
        for process in self.pids:
            os.waitpid(process, 0)
        texts = [one.read_text().partition(" ") for one in self.results]
        return [Ended(int(code), text) for code, _, text in texts]

    def __exit__(self, *error: object) -> None:
        pass
