"""Mutated inputs, read in this process: each ends in acceptance or in faults of one line, within its time."""

from __future__ import annotations

import os
import random
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gridferry.networks.faults import InputError
from soak.families import Family, families

HANGS_S = 20
_MEMORY_BYTES = 6 << 30


@dataclass
class Found:
    """Outcomes of a family.

    Attributes
    ----------
    inputs, accepted : numbers
    defects : what is none of a command's answers, by where it happened, with an input that does it
    """

    inputs: int = 0
    accepted: int = 0
    seconds: float = 0.0
    defects: dict[str, tuple[int, Any, str]] = field(default_factory=dict)

    def defect(self, key: str, content: Any, text: str) -> None:
        count = self.defects.get(key, (0,))[0]
        self.defects[key] = (count + 1, self.defects[key][1] if count else content, text)


def mutate(number: int, seed: int = 0, only: str = "", *, short: bool = False) -> dict[str, Found]:
    """Read mutated inputs of all families, and return what came of them by family."""
    found: dict[str, Found] = {}
    with tempfile.TemporaryDirectory() as place, quiet(), limited_memory():
        for family in families(Path(place)):
            if only and only not in family.name:
                continue
            begun = time.process_time()
            inputs = number * (family.short if short else family.share) // 100
            found[family.name] = _family(family, inputs, random.Random(f"{seed} {family.name}"))
            found[family.name].seconds = time.process_time() - begun
    return found


def _family(family: Family, number: int, rng: random.Random) -> Found:
    found = Found()
    for _ in range(number):
        content = family.draw(rng)
        found.inputs += 1
        try:
            with time_limit(HANGS_S):
                family.read(content)
            found.accepted += 1
        except InputError as error:
            bad = [one for one in error.faults if not (one.source and one.message) or len(str(one).splitlines()) != 1]
            if bad or not error.faults:
                found.defect(f"fault of more than a line: {bad[:1]}"[:200], content, str(bad))
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            frames = [one for one in traceback.extract_tb(error.__traceback__) if "site-packages" not in one.filename]
            where = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}"
            found.defect(f"{type(error).__name__} at {where}", content, "".join(traceback.format_exception(error)))
    return found


@contextmanager
def time_limit(seconds: int) -> Iterator[None]:
    """Raise `TimeoutError` after some seconds."""

    def ended(number: int, frame: object) -> None:
        raise TimeoutError("hangs")

    before = signal.signal(signal.SIGALRM, ended)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def limited_memory() -> Iterator[None]:
    """Bound the memory of this process, so that an input that takes too much of it fails here."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


@contextmanager
def quiet() -> Iterator[None]:
    """Drop what libraries print and warn of."""
    with (
        Path(os.devnull).open("w") as nothing,
        redirect_stdout(nothing),
        redirect_stderr(nothing),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        yield


def main() -> int:
    """``python -m soak.mutation NUMBER SEED [--short] [FAMILY]``: print what is found, and keep inputs that do it."""
    names = [one for one in sys.argv[3:] if one != "--short"]
    defects = 0
    found = mutate(int(sys.argv[1]), int(sys.argv[2]), *names[:1], short="--short" in sys.argv)
    for name, one in found.items():
        print(f"{name}: {one.inputs} inputs, {one.accepted} accepted, {one.seconds:.1f} s, {len(one.defects)} defects")
        for key, (count, content, text) in sorted(one.defects.items(), key=lambda item: -item[1][0]):
            folder = Path(tempfile.mkdtemp(prefix="soak-"))
            (folder / "traceback.txt").write_text(text)
            (folder / "input").write_bytes(content if isinstance(content, bytes) else repr(content).encode())
            print(f"   {count} × {key}: {folder}")
        defects += len(one.defects)
    return 1 if defects else 0


if __name__ == "__main__":
    sys.exit(main())
