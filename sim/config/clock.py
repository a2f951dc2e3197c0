"""The clock of a run: when its steps begin by local time, and where the clocks change."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property

from gridferry.controllers.plans.plan_times import after

_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Clock:
    """The steps of a run.

    Attributes
    ----------
    start : beginning of the first step, by local time: naive, with an offset, or in a time zone
    step_s : step length [s]
    steps : number of steps
    """

    start: datetime
    step_s: int
    steps: int

    def at(self, step: int) -> datetime:
        """When a step begins, by local time; in a time zone with the offset that holds then."""
        return after(self.start, step * self.step_s)

    @cached_property
    def midnight(self) -> datetime:
        """Local midnight of the first day, from which seconds are counted; where clocks skip it, when they do."""
        return after(self.start.replace(hour=0, minute=0, second=0, microsecond=0, fold=0), 0)

    @property
    def begin_s(self) -> int:
        """Start of the run [s]."""
        return round((_absolute(self.start) - _absolute(self.midnight)).total_seconds())

    @property
    def end_s(self) -> int:
        """End of the run [s]."""
        return self.begin_s + self.steps * self.step_s

    @property
    def start_of_day_s(self) -> int:
        """What the local clock shows at the start, from midnight on [s]."""
        start = self.start
        return start.hour * 3600 + start.minute * 60 + start.second

    def text(self, second: int) -> str:
        """Write a time as a date and time of the run's clock."""
        try:
            return after(self.midnight, int(second)).isoformat(timespec="minutes")
        except OverflowError:  # beyond the calendar
            return f"hour {second / 3600:g}"

    @cached_property
    def changes(self) -> tuple[tuple[int, int], ...]:
        """Changes of the local clock, in the run and shortly after: when, from the start on, and by how much [s, s]."""
        if self.start.tzinfo is None:
            return ()
        return tuple(self._changes())

    def _changes(self) -> Iterator[tuple[int, int]]:
        begin = _absolute(self.start)
        end, zone = begin + timedelta(seconds=self.steps * self.step_s) + 2 * _DAY, self.start.tzinfo
        offset = self.start.utcoffset()
        before = begin
        while before < end:
            after = before + _DAY
            if after.astimezone(zone).utcoffset() != offset:
                low, high = before, after
                while high - low > timedelta(seconds=1):
                    middle = low + timedelta(seconds=(high - low) // timedelta(seconds=2))
                    low, high = (middle, high) if middle.astimezone(zone).utcoffset() == offset else (low, middle)
                now = high.astimezone(zone).utcoffset()
                assert now is not None and offset is not None
                yield (high - begin) // timedelta(seconds=1), (now - offset) // timedelta(seconds=1)
                before, offset = high, now
            else:
                before = after


def _absolute(moment: datetime) -> datetime:
    """Time that differences may be taken of: those within a time zone are of what its clocks show."""
    return moment if moment.tzinfo is None else moment.astimezone(UTC)
