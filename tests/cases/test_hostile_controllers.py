"""Whatever a controller does, its step falls back, and the simulation is what it would have been."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from cases.hostile import ACTS, FAILS, Hostile
from cases.hostile_runs import BUILDS, assert_reality_unchanged, assert_refused
from gridferry.controllers.conformance.findings import found
from gridferry.controllers.conformance.plan_promises import PLAN_PROMISES, Trial
from gridferry.controllers.conformance.sample_plants import three_bus
from gridferry.controllers.conformance.suite import _advice
from gridferry.controllers.plans import first_step

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


FOUND = {
    "exit_0": "SystemExit: 0",
    "own_base_exception": "Own: own",
    "memory_of_numpy": "memory['last'] is of type int64",
    "float_position": "position is of type float64; make it int64",
    "prediction_of_a_dict": "prediction is of type dict",
    "writes_roads": "copy the array first",
    "replaces_fields": "the observation and the forecast was changed",
    "overwrites_memory": "the simulation was changed behind what it was given",
    "replaces_a_function": "gridferry.controllers.plans.first_step.rating_faults of GridFerry was replaced",
}


@pytest.mark.parametrize("name", FOUND)
def test_check_finds_hostile_acts(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that end or hang a process are found in one of its own, see tests/controllers/isolation."""
    monkeypatch.setattr(first_step, "rating_faults", first_step.rating_faults)  # is put back afterwards
    sample = three_bus(step_s=1800)
    trial = Trial(Hostile, Hostile.Settings(acts=(name,) * sample.plant.steps), sample, 2)
    checks = (PLAN_PROMISES[one] for one in ("a plan needs no previous plan", "inputs are left as they are"))
    findings = [found(name, "", Hostile, partial(one, trial), _advice) for one in checks]
    assert any(FOUND[name] in one.explanation for one in findings), findings


def test_hostile_acts_are_failures_of_their_steps_and_change_nothing_else(tmp_path: Path) -> None:
    done = assert_reality_unchanged(["", *SOME, ""], tmp_path)
    failing = sum(ACTS[name][0] == FAILS for name in SOME)
    assert done.summary["solver"]["fallbacks"] == done.summary["solver"]["failures"] == failing
    assert done.summary["status"] == "completed"


@pytest.mark.parametrize("name", ["import_ends_the_process", "init_segfaults"])
def test_a_plugin_that_cannot_be_built_is_bad_input(name: str, tmp_path: Path) -> None:
    assert_refused(name, tmp_path)
