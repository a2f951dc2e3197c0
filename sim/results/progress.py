"""Progress of runs and studies: a panel in a terminal, a line a minute elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from time import monotonic

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text

from gridferry.sim.config.schema import Config
from gridferry.sim.results.live_state import LiveState

_LINE_EVERY_S = 60.0
_BAR = 14


@dataclass
class RunProgress:
    """What is shown of a run under way.

    Attributes
    ----------
    name, currency : of the run
    steps : that it has
    clock : tells the time [s]
    """

    name: str
    currency: str
    steps: int
    clock: Callable[[], float] = monotonic
    _began: float = field(init=False)
    _printed: float = field(init=False)
    _first: int = field(init=False, default=-1)
    _v_pu: tuple[float, float] = field(init=False, default=(float("inf"), float("-inf")))

    def __post_init__(self) -> None:
        self._began = self._printed = self.clock()

    def lines(self, live: LiveState, width: int = 80) -> list[str]:
        """Return what a panel shows after a step, in lines of at most this width."""
        self._count(live)
        done = round(_BAR * live.step / self.steps)
        bar = "━" * done + "─" * (_BAR - done)
        first = f" {bar} {live.step}/{self.steps}  {_clock(live)}  {self._left(live)} left"
        low, high = self._v_pu
        second = f"V {live.v_min_pu:.4f}–{live.v_max_pu:.4f} pu, so far {low:.4f}–{high:.4f}  {self._cost(live)}"
        third = "  ".join(live.devices)
        troubles = f"{live.diverged} diverged, {live.fallbacks} fallbacks" if live.diverged or live.fallbacks else ""
        shown = [_cut(self.name, width - len(first)) + first, second, third, troubles]
        return [_cut(one, width) for one in shown if one]

    def line(self, live: LiveState) -> str:
        """Return a line for a file, once a minute; else nothing."""
        self._count(live)
        if self.clock() - self._printed < _LINE_EVERY_S:
            return ""
        self._printed = self.clock()
        parts = (f"step {live.step}/{self.steps}", _clock(live), f"{self._left(live)} left")
        voltages = f"V {live.v_min_pu:.4f}–{live.v_max_pu:.4f} pu"
        return f"{self.name}: {', '.join((*parts, voltages, self._cost(live)))}"

    def _count(self, live: LiveState) -> None:
        self._first = live.step - 1 if self._first < 0 else self._first
        low, high = self._v_pu
        self._v_pu = min(low, live.v_min_pu), max(high, live.v_max_pu)

    def _left(self, live: LiveState) -> str:
        each = (self.clock() - self._began) / (live.step - self._first)
        return str(timedelta(seconds=round(each * (self.steps - live.step))))

    def _cost(self, live: LiveState) -> str:
        return f"cost {live.cost:,.2f} {self.currency}"


def _clock(live: LiveState) -> str:
    return datetime.fromisoformat(live.time).strftime("%a %d %b %H:%M")


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: max(width - 1, 0)] + "…"


@contextmanager
def live_progress(config: Config, steps: int | None, console: Console) -> Iterator[Callable[[LiveState], None]]:
    """Show a panel with clock, time left, voltages, cost and devices; without a terminal, print a line a minute."""
    shown = RunProgress(config.name, config.currency, steps or config.time.steps)
    if not console.is_terminal:

        def write(live: LiveState) -> None:
            if line := shown.line(live):
                console.print(line, markup=False, highlight=False, soft_wrap=True)

        yield write
        return
    with Live(console=console, transient=True) as panel:

        def show(live: LiveState) -> None:
            panel.update(Group(*(Text(one, no_wrap=True) for one in shown.lines(live, min(console.width, 120)))))

        yield show


@contextmanager
def study_progress(name: str) -> Iterator[Callable[[int, int], None]]:
    """Show the progress of a study and the time left on stderr; nothing without a terminal."""
    console = Console(stderr=True)
    parts = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    times = (TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*parts, *times, console=console, transient=True, disable=not console.is_terminal) as progress:
        update = partial(progress.update, progress.add_task(name, total=None))
        yield lambda done, total: update(completed=done, total=total)
