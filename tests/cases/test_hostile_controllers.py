"""Whatever a controller does, its step falls back, and the simulation is what it would have been."""

from __future__ import annotations

from pathlib import Path

import pytest

from cases.hostile import ACTS, FAILS
from cases.hostile_runs import BUILDS, assert_reality_unchanged, assert_refused

SOME = [
    "exit_0",
    "keyboard_interrupt",
    "own_base_exception",
    "unprintable",
    "odd_text",
    "recursion",
    "a_coroutine",
    "float_position",
    "memory_of_numpy",
    "prediction_of_a_dict",
    "beyond_the_rating",
    "a_lying_plan",
    "writes_roads",
    "writes_previous_plan",
    "replaces_fields",
    "overwrites_memory",
    "replaces_every_plant",
    "changes_the_process",
    "prints",
    "os_exit_0",
    "segfaults",
    "garbles",
    "blocks_in_c",
]
"""a few of each class; `make soak` takes all"""


def test_there_are_sixty_hostile_controllers() -> None:
    assert len(ACTS) + len(BUILDS) >= 60


def test_hostile_acts_are_failures_of_their_steps_and_change_nothing_else(tmp_path: Path) -> None:
    done = assert_reality_unchanged(["", *SOME, ""], tmp_path)
    failing = sum(ACTS[name][0] == FAILS for name in SOME)
    assert done.summary["solver"]["fallbacks"] == done.summary["solver"]["failures"] == failing
    assert done.summary["status"] == "completed"


@pytest.mark.parametrize("name", ["import_ends_the_process", "init_segfaults"])
def test_a_plugin_that_cannot_be_built_is_bad_input(name: str, tmp_path: Path) -> None:
    assert_refused(name, tmp_path)
