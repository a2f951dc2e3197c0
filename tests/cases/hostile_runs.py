"""Runs with hostile controllers: whatever they do, a run is that of the same steps without a plan, or with a good one.

``assert_reality_unchanged`` takes acts of `cases.hostile`; ``BUILDS`` are plug-ins that cannot even be built.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
import pytest

from cases import hostile
from cases.hostile import ACTS, EITHER, FAILS
from gridferry.networks.faults import InputError
from gridferry.sim import Run, run

TIMEOUT_S = 4.0
_FAILURE = "controller_error"
_OF_THE_CLOCK = ["decision_seconds", "solver_seconds", "failure"]

BUILDS = {
    "import_ends_the_process": "import os\nos._exit(0)\n",
    "import_exits": "import sys\nsys.exit(0)\n",
    "import_interrupts": "raise KeyboardInterrupt\n",
    "import_is_no_python": "def :\n",
    "init_ends_the_process": "def __init__(self, plant, settings):\n        __import__('os')._exit(0)\n",
    "init_interrupts": "def __init__(self, plant, settings):\n        raise KeyboardInterrupt\n",
    "init_segfaults": "def __init__(self, plant, settings):\n        __import__('ctypes').string_at(0)\n",
    "says_nonsense": "steps_needed = 'many'\n",
}
"""what a plug-in does when it is imported, or what stands in its class, by name"""


def run_with(acts: Sequence[str], out: Path) -> Run:
    """Run the hostile controller: an act a step, none where it is empty."""
    settings = [f"controller.acts={json.dumps(list(acts))}", f"controller.step_timeout_s={TIMEOUT_S}"]
    return run(
        "three_bus", controller=f"{hostile.__file__}:Hostile", overrides=settings, steps=len(acts), out=out / "run"
    )


def record_of(done: Run) -> dict[str, pd.DataFrame]:
    """All that a run recorded, without times and the words of failures."""
    return {name: done.table(name).drop(columns=_OF_THE_CLOCK, errors="ignore") for name in done.tables()}


@cache
def reference(failing: tuple[bool, ...]) -> dict[str, pd.DataFrame]:
    """The record of a run that only fails in some steps, and has good plans in the others."""
    with TemporaryDirectory() as folder:
        return record_of(run_with([_FAILURE if one else "" for one in failing], Path(folder)))


def assert_reality_unchanged(acts: Sequence[str], out: Path) -> Run:
    """Run acts; each has to come to what the table says, and the run to what it would have been without them."""
    done = run_with(acts, out)
    step = done.table("step")
    for name, failure, fallback in zip(acts, step["failure"], step["fallback"], strict=True):
        expected = ACTS[name][0] if name else ""
        if expected == FAILS:
            assert fallback, f"{name} was taken for a plan"
            assert f"{hostile.__file__}, line " in failure, f"{name}: {failure}"
        elif not any(name and ACTS[name][0] == EITHER for name in acts):
            assert not failure, f"{name}: {failure}"
    expected_record = reference(tuple(step["fallback"] != ""))
    for table, found in record_of(done).items():
        pd.testing.assert_frame_equal(found, expected_record[table], obj=f"{table} after {', '.join(acts)}")
    return done


def assert_refused(name: str, folder: Path) -> None:
    """Start a run with a plug-in that cannot be built: it is bad input, and nothing is written."""
    imported, of_class = (BUILDS[name], "pass") if name.startswith("import") else ("", BUILDS[name])
    body = (
        f"from gridferry.controllers import Controller\n{imported}\n"
        f"class Built(Controller):\n    '''Built.'''\n    {of_class}\n    def plan(self, o, f): pass\n"
    )
    (folder / f"{name}.py").write_text(body)
    settings: Any = {"controller": f"{folder / name}.py:Built", "steps": 1, "out": folder / "run"}
    with pytest.raises(InputError, match=f"{name}.py"):
        run("three_bus", **settings)
    assert not (folder / "run").exists()
