"""Steps of a plan file in time: how long they are, and whether they are those of the run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise

FaultOfRow = tuple[int, str, str]
"""line, column, message"""


def after(moment: datetime, seconds: int) -> datetime:
    """Return the time some seconds later; in a time zone, with the offset that holds then."""
    later = timedelta(seconds=seconds)
    return moment + later if moment.tzinfo is None else (moment.astimezone(UTC) + later).astimezone(moment.tzinfo)


@dataclass(frozen=True, kw_only=True)
class RunTimes:
    """When the steps of a run are.

    Attributes
    ----------
    start : when the first begins; ``None`` where that is not known
    step_s : how long each is [s]
    steps : how many a plan is to cover
    """

    start: datetime | None
    step_s: int
    steps: int

    def begin(self, step: int, step_s: int | None = None) -> datetime:
        """Return when a step begins, of ``step_s`` seconds where the run's own are not meant."""
        assert self.start is not None
        return after(self.start, step * (step_s or self.step_s))

    def seconds(self, time: datetime) -> float:
        """Return the time since the start [s]; what has no offset is by the clock of the other."""
        assert self.start is not None
        if self.start.tzinfo is None:
            return (time.replace(tzinfo=None) - self.start).total_seconds()
        local = time if time.tzinfo is not None else time.replace(tzinfo=self.start.tzinfo)
        return (local.astimezone(UTC) - self.start.astimezone(UTC)).total_seconds()


@dataclass(frozen=True, kw_only=True)
class TimedRow:
    """Step of a row of the file, and what the row says of it; ``None`` where it says nothing.

    Attributes
    ----------
    line : in the file
    step : its number, in steps of the file
    time : when it begins
    step_s : how long it is [s]
    """

    line: int
    step: int
    time: datetime | None
    step_s: int | None


def steps_of_times(rows: Sequence[TimedRow], run: RunTimes) -> tuple[list[int], int, list[FaultOfRow]]:
    """Number rows that say only when they begin: their steps, how long these are [s], and what is wrong.

    Steps are as long as the file says, or as the smallest distance of two times, or those of the run.
    """
    if run.start is None:
        return [], run.step_s, [(1, "time", "the start of the run is not known here; count steps in a column step")]
    seconds = [run.seconds(one.time) for one in rows if one.time is not None]
    each = sorted(set(seconds))
    stated = next((one.step_s for one in rows if one.step_s is not None), None)
    gap = max(1, int(min((b - a for a, b in pairwise(each)), default=run.step_s)))
    length = stated or (gap if gap % run.step_s == 0 or run.step_s % gap == 0 else run.step_s)
    end = run.steps * run.step_s
    faults = []
    for one, second in zip(rows, seconds, strict=True):
        if not 0 <= second < end:
            ends = f"{run.start.isoformat()} to {after(run.start, end).isoformat()}"
            faults.append((one.line, "time", f"{one.time} lies outside the run, which goes from {ends}"))
        elif second % length:
            message = f"{one.time}: no step of {length} s begins then; the first one does at {run.start.isoformat()}"
            faults.append((one.line, "time", message))
    return [int(second // length) for second in seconds], length, faults


def steps_per_row(rows: Sequence[TimedRow], run: RunTimes, hold: bool, gapless: bool) -> tuple[int, list[FaultOfRow]]:
    """Return for how many steps of the run a step of the file is played, and what forbids that.

    Longer steps are refused unless ``hold`` is set, and never played in part. A file that says nothing of times has
    the steps of the run, or, with ``hold``, fills the run. It is refused as ambiguous where both fit: where it ends
    inside the run, without gaps, and would fill it with longer steps.
    """
    if not rows:
        return 1, []
    stated, line = _stated_length(rows, run)
    last = max(one.step for one in rows) + 1
    if stated is None and hold:
        if run.steps % last:
            message = (
                f"its {last} steps do not divide the {run.steps} of the run; say in a column step_s how long they are"
            )
            return 1, [(1, "step", message)]
        stated = run.steps // last * run.step_s
    elif stated is None and gapless and last < run.steps and run.steps % last == 0:
        longer = run.steps // last * run.step_s
        message = (
            f"has steps 0 to {last - 1}, which do not cover the run's {run.steps}: each may be {run.step_s} s long, or "
            f"{longer} s. --hold (controller.hold = true) plays them as {longer} s; a column step_s with {run.step_s} "
            "says that the plan ends there"
        )
        return 1, [(1, "step", message)]
    length = stated or run.step_s
    faults = list(_contradictions(rows, run, length))
    if length % run.step_s:
        message = f"its steps are {length} s long, which does not fit the config's {run.step_s} s; give it in these"
        return 1, [*faults, (line, "step_s", message)]
    ratio = length // run.step_s
    if ratio > 1 and not hold:
        message = (
            f"its steps are {length} s long, those of the config {run.step_s} s; --hold (controller.hold = true) plays "
            f"each for {ratio} steps of the run"
        )
        return 1, [*faults, (line, "step_s", message)]
    return ratio, faults


def _stated_length(rows: Sequence[TimedRow], run: RunTimes) -> tuple[int | None, int]:
    """Length of the steps that the file says or that follows from its times [s], and the line; ``None`` if neither."""
    for one in rows:
        if one.step_s is not None:
            return one.step_s, one.line
    if run.start is not None:
        for one in rows:
            if one.time is not None and one.step > 0:
                length = run.seconds(one.time) / one.step
                # what fits no steps is a contradiction, not a length
                return (int(length) if length > 0 and length % run.step_s == 0 else run.step_s), one.line
        if any(one.time is not None for one in rows):
            return run.step_s, rows[0].line
    return None, 1


def _contradictions(rows: Sequence[TimedRow], run: RunTimes, length: int) -> Iterator[FaultOfRow]:
    """Rows whose length is not that of the first, or whose time is not that of their step."""
    for one in rows:
        if one.step_s is not None and one.step_s != length:
            yield one.line, "step_s", f"{one.step_s} contradicts {length} of the first row; all steps have one length"
        elif one.time is not None and run.start is not None and run.seconds(one.time) != one.step * length:
            begin = run.begin(one.step, length).isoformat()
            yield (
                one.line,
                "time",
                f"{one.time.isoformat()}: step {one.step} of {length} s begins at {begin}; correct one of the two",
            )
