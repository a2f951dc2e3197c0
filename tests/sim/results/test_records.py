"""How old what is on disk may be."""

from __future__ import annotations

import duckdb
import pytest

from gridferry.sim.case.loading import load_config
from gridferry.sim.case.plant import build_plant
from gridferry.sim.results.records import BUS_COLUMNS, LINE_COLUMNS, NETWORK_COLUMNS, Recorder, StepRecord


class Clock:
    """Time that passes when a test says so [s]."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def record(step: int) -> StepRecord:
    """A step of the three-bus feeder of which nothing is known."""
    tables = (("bus", BUS_COLUMNS, 3), ("line", LINE_COLUMNS, 2), ("network", NETWORK_COLUMNS, 1))
    unknown = {name: {key: [float("nan")] * width for key in columns} for name, columns, width in tables}
    return StepRecord(step=step, **unknown, device=[], plan=[], row={}, checkpoint={})


@pytest.fixture
def recorder(tmp_path):
    loaded = load_config("three_bus")
    clock = Clock()
    path, plant, steps = tmp_path / "results.duckdb", build_plant(loaded).plant, loaded.config.record.flush_steps
    recorder = Recorder(path, plant, ["dn1"], [100.0], steps, clock)
    yield recorder, clock
    recorder.close()


def lasting(recorder, clock, *seconds):
    """Add steps that last so long, and return how many were on disk after each."""
    kept = []
    for step, one in enumerate(seconds):
        clock.now += one
        recorder.add(record(step))
        kept += recorder._connection.execute("SELECT count(*) FROM step").fetchone()
    return kept


def test_quick_steps_are_committed_96_at_a_time(recorder):
    assert lasting(*recorder, *[0.01] * 100) == [0] * 95 + [96] * 5


def test_step_that_lasts_longer_than_5_s_is_committed_when_it_ends(recorder):
    assert lasting(*recorder, 5.1, 60.0, 60.0) == [1, 2, 3]


@pytest.mark.parametrize("seconds", [0.1, 0.7, 1.0, 2.0, 2.4, 3.0, 4.9])
def test_nothing_waits_longer_than_5_s_where_steps_last_equally_long(recorder, seconds):
    kept = lasting(*recorder, *[seconds] * 30)
    longest = max(number + 1 - done for number, done in enumerate(kept))
    assert longest * seconds <= 5.0
    assert len(set(kept)) <= 30 * seconds / 2.0 + 1 or seconds > 2.5  # and not every step has a transaction of its own


def test_what_is_recorded_can_reach_no_other_file(recorder, tmp_path):
    (tmp_path / "secret.csv").write_text("a\n1\n")
    with pytest.raises(duckdb.PermissionException):
        recorder[0]._connection.execute(f"SELECT * FROM read_csv('{tmp_path}/secret.csv')")
