"""Runs that are killed, resumed, killed again: they end with the results of an uninterrupted run, or say why not."""

from __future__ import annotations

import json
import random
import re
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from cases.fault_run import write_case
from gridferry.sim.loop.runner import load_run, run
from soak.processes import DONE, REFUSED, Ended, die_at_file_event, forked, kill_after, kill_at_change

_TIMED = re.compile(r".*seconds.*")
_AGAIN = 0.4
"""share of resumed runs that are killed, too"""


@dataclass(frozen=True)
class Killed:
    """A case whose runs are killed; without a config it is the small case for faults, of all kinds of devices."""

    name: str
    config: str
    options: dict[str, Any]
    steps: int


CASES = (
    Killed("rules", "three_bus", {"overrides": ["record.flush_steps=2"]}, 10),
    Killed(
        "exact",
        "three_bus",
        {"controller": "mess_exact", "overrides": ["record.flush_steps=1", "time.horizon_steps=6"]},
        4,
    ),
    Killed("joint", "", {"overrides": ["record.flush_steps=1", "time.horizon_steps=4"]}, 3),
    Killed(
        "late trucks, regret",
        "late_trucks",
        {"controller": "rules", "overrides": ["record.flush_steps=2"], "regret": True},
        8,
    ),
)


def attack(case: Killed, counts: Sequence[int], folder: Path, rng: random.Random) -> Iterator[tuple[str, str]]:
    """Kill runs of a case; yields how each was killed and what came of it: ``identical``, ``refused`` or a failure.

    ``counts`` are the numbers of the kills. Half of them come before a file event (opening for writing, renaming,
    removing), one after the other, a quarter at a change of a database's size, a quarter at a random moment.
    """
    if not case.config:
        case = replace(case, config=str(write_case(folder)))
    begun = time.perf_counter()
    whole = forked(partial(_run, case, folder / "whole"))
    lasts_s = time.perf_counter() - begun
    if whole.code != DONE:
        yield "none", f"FAILED: {whole.text}"
        return
    for count in counts:
        out = folder / f"run-{count}"
        how, ended = _first(case, out, count, lasts_s, rng)
        yield how, _outcome(case, folder, out, ended, lasts_s, rng)
        shutil.rmtree(out, ignore_errors=True)


def _run(case: Killed, out: Path, *, resume: bool = False, event: int = 0) -> None:
    if event:
        die_at_file_event(out, event)
    run(case.config, steps=case.steps, out=out, resume=resume, **case.options)


def _first(case: Killed, out: Path, count: int, lasts_s: float, rng: random.Random) -> tuple[str, Ended]:
    match count % 4:
        case 0 | 2:
            return "file event", forked(partial(_run, case, out, event=count // 2 + 1))
        case 1:
            changes = kill_at_change(out, rng.randrange(1, 12))
            return "change of a database", forked(partial(_run, case, out), changes)
    return "random moment", forked(partial(_run, case, out), kill_after(rng.uniform(0, 1.1 * lasts_s)))


def _outcome(case: Killed, folder: Path, out: Path, ended: Ended, lasts_s: float, rng: random.Random) -> str:
    kills = 1
    while True:
        if ended.code not in (DONE, REFUSED) and not ended.killed:
            return f"FAILED after {kills} kills, code {ended.code}: {ended.text}"
        if ended.code == REFUSED:
            if "no run to resume" not in ended.text:
                return f"FAILED: refused after {kills} kills: {ended.text}"
            ended = forked(partial(_run, case, out))  # killed before anything of it was written: it is started
            continue
        if ended.code == DONE:
            same = forked(partial(_compare, folder / "whole", out))
            return "identical" if same.code == DONE else f"FAILED: {same.text}"
        resumed = partial(_run, case, out, resume=True)
        if rng.random() < _AGAIN and kills < 4:
            ended, kills = forked(resumed, kill_after(rng.uniform(0, lasts_s))), kills + 1
        else:
            ended = forked(resumed)


def _compare(whole: Path, other: Path) -> None:
    """Raise `AssertionError` where two runs differ in anything but times."""
    for left, right in ((whole, other), (whole / "foresight", other / "foresight")):
        if not left.exists():
            continue
        one, two = load_run(left), load_run(right)
        assert _untimed(one.summary) == _untimed(two.summary), "summary"
        assert (left / "plan.csv").read_bytes() == (right / "plan.csv").read_bytes(), "plan"
        for table in one.tables():
            a, b = one.table(table), two.table(table)
            columns = [name for name in a if not _TIMED.fullmatch(str(name))]
            assert a[columns].equals(b[columns]), table
        assert not list(other.rglob("*.part*")), "parts of files are left"
        assert not list(other.rglob("run.lock")), "a lock is left"


def _untimed(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _untimed(one) for key, one in value.items() if not _TIMED.fullmatch(key)}
    return json.loads(json.dumps(value))
