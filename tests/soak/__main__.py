"""``python -m tests.soak``: promise, how it was tested, figure; the exit code is 1 where one is not kept."""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before numpy
sys.path.insert(0, str(Path(__file__).parent.parent))


@dataclass
class Row:
    """Row of the table.

    Attributes
    ----------
    promise, how : what is promised, and how it was tested
    kept, tries : how often it was kept
    failures : what was not, the first few
    """

    promise: str
    how: str
    kept: int = 0
    tries: int = 0
    seconds: float = 0.0
    failures: list[str] = field(default_factory=list)

    def count(self, outcome: str) -> None:
        """Count an outcome; a failure begins with FAILED."""
        failed = outcome.startswith("FAILED")
        self.tries, self.kept = self.tries + 1, self.kept + (not failed)
        if failed and len(self.failures) < 20:
            self.failures.append(outcome)


def kills(number: int, folder: Path, rng: random.Random) -> list[Row]:
    """Kill runs of every case and resume them, in two processes."""
    from soak.kills import CASES

    rows = []
    for case in CASES:
        row, how = Row(f"a killed run resumes to the same results: {case.name}", ""), Counter[str]()
        place = folder / case.name.replace(", ", "-").replace(" ", "-")
        counts = range(max(1, number // len(CASES)))
        shares = [one for one in (counts[::2], counts[1::2]) if one]
        with ProcessPoolExecutor(len(shares)) as workers:
            places = [place / str(share.start) for share in shares]
            seeds = [rng.randrange(2**31) for _ in shares]
            done = list(workers.map(_killed, [case.name] * len(shares), shares, places, seeds))
        for killed, outcome in [one for some in done for one in some]:
            how[killed] += 1
            row.count(outcome)
        row.how = (
            "SIGKILL at a " + ", ".join(f"{name} ({count})" for name, count in how.items()) + ", forked after import"
        )
        rows.append(row)
        print("\n  ".join([f"{row.promise}: {row.kept} of {row.tries}", *row.failures]), file=sys.stderr, flush=True)
    return rows


def _killed(name: str, counts: Sequence[int], folder: Path, seed: int) -> list[tuple[str, str]]:
    from soak.kills import CASES, attack

    folder.mkdir(parents=True)
    (case,) = (one for one in CASES if one.name == name)
    return list(attack(case, counts, folder, random.Random(seed)))


def terms(number: int, folder: Path, rng: random.Random) -> list[Row]:
    """End runs by SIGTERM."""
    from soak.signals import terminated

    row = Row("SIGTERM keeps every step done", "three_bus, rules, SIGTERM after a random step")
    for outcome in terminated(number, folder, rng):
        row.count(outcome)
    return [row]


def starts(number: int, folder: Path, rng: random.Random) -> list[Row]:
    """Start runs at once into one directory."""
    from soak.signals import at_once

    row = Row("of three runs that start at once into one directory, one runs", "forked, released by a file")
    for outcome in at_once(number, folder):
        row.count(outcome)
    return [row]


def damages(number: int, folder: Path, rng: random.Random) -> list[Row]:
    """Damage run directories."""
    from soak.damage import damaged

    how = "compare, export, report and run --resume in each; the one that reads the damage refuses"
    row = Row("a damaged run directory gives one message", how)
    for name, outcome in damaged(folder, number):
        row.count(outcome if not outcome.startswith("FAILED") else f"{outcome} ({name})")
    return [row]


def _mutated(number: int, seed: int) -> dict[str, tuple[int, float, dict[str, int]]]:
    from soak.mutation import mutate

    found = mutate(number, seed)
    return {
        name: (one.inputs, one.seconds, {key: count for key, (count, _, _) in one.defects.items()})
        for name, one in found.items()
    }


def mutations(number: int, folder: Path, rng: random.Random) -> list[Row]:
    """Read mutated inputs in two processes."""
    rows: dict[str, Row] = {}
    parts, batches = 2, 10
    with ProcessPoolExecutor(parts) as workers:
        made = workers.map(partial(_mutated, number // batches), [rng.randrange(2**31) for _ in range(batches)])
        for found in made:
            for name, (inputs, seconds, defects) in found.items():
                row = rows.setdefault(
                    name, Row(f"a mutated input is read or refused in one line: {name}", "in process")
                )
                row.tries, row.seconds = row.tries + inputs, row.seconds + seconds
                row.kept += inputs - sum(defects.values())
                row.failures += [f"{count} × {key}" for key, count in defects.items()]
    return list(rows.values())


def listed(module: str, promise: str, number: int, folder: Path, rng: random.Random) -> list[Row]:
    """Attack by the list of another module, if it is there: it yields how, and an outcome."""
    try:
        found = import_module(f"soak.{module}")
    except ModuleNotFoundError as error:
        if error.name != f"soak.{module}":
            raise
        return []
    row = Row(promise, f"the list in tests/soak/{module}.py")
    attacks: Callable[[int, Path], Iterator[tuple[str, str]]] = getattr(found, "attacks", partial(_attempts, found))
    for how, outcome in attacks(number, folder):
        row.count(outcome if not outcome.startswith("FAILED") else f"{outcome} ({how})")
    return [row]


def _attempts(module: Any, number: int, folder: Path) -> Iterator[tuple[str, str]]:
    """Faults of a list, each tried in a folder of its own."""
    for count, fault in enumerate(module.REMOTE_FAULTS[:number]):
        try:
            message, seconds = module.attempt(fault, folder / str(count))
            yield fault.name, f"ended after {seconds:.1f} s: {message}"
        except Exception as error:
            yield fault.name, f"FAILED: {type(error).__name__}: {error}"


PARTS: dict[str, tuple[Callable[[int, Path, random.Random], list[Row]], int, int]] = {
    "kills": (kills, 220, 4),
    "signals": (terms, 20, 1),
    "starts": (starts, 20, 1),
    "damages": (damages, 60, 6),
    "mutations": (mutations, 100_000, 10_000),
    "hostile": (partial(listed, "hostile_controllers", "a hostile controller is a fallback or a clean end"), 60, 6),
    "remotes": (partial(listed, "remote_faults", "a remote fault ends within its time-out"), 42, 2),
}
"""parts by name: what it does, how often, and how often in the short version"""


def soak(chosen: Sequence[str], share: float, seed: int, short: bool = False) -> list[Row]:
    """Do the chosen parts, and return the rows of the table."""
    rows: list[Row] = []
    for name in chosen:
        part, often, seldom = PARTS[name]
        number = max(1, round(share * (seldom if short else often)))
        with tempfile.TemporaryDirectory(prefix="soak-") as folder:
            begun = time.perf_counter()
            # absolute and without symbolic links, since file events are known by their paths
            made = part(number, Path(folder).resolve(), random.Random(f"{seed} {name}"))
            lasted = time.perf_counter() - begun
        for row in made:
            row.seconds = row.seconds or lasted / len(made)
            print(f"{name}: {row.kept} of {row.tries}, {row.seconds:.0f} s", file=sys.stderr, flush=True)
        rows += made
    return rows


def main() -> int:
    """Print the table; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all when none is given")
    parser.add_argument("--share", type=float, default=1.0, help="share of the numbers (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    unknown = set(options.parts) - set(PARTS)
    if unknown:
        parser.error(f"no such part: {', '.join(sorted(unknown))}; there is {', '.join(PARTS)}")
    rows = soak(options.parts or list(PARTS), options.share, options.seed)
    print("| promise | how tested | figure |\n| --- | --- | --- |")
    for row in rows:
        print(f"| {row.promise} | {row.how} | {row.kept:,} of {row.tries:,} ({row.seconds:.0f} s) |")
    failures = [(row.promise, one) for row in rows for one in row.failures]
    for promise, one in failures:
        print(f"\n{promise}: {one}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
