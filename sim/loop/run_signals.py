"""Signals that end a run: Ctrl-C, SIGTERM as schedulers and containers send it, SIGHUP of a terminal that is closed."""

from __future__ import annotations

import functools
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ParamSpec

from rich.console import Console

from gridferry.sim.exit_codes import FAILED
from gridferry.sim.results.live_state import LiveState

P = ParamSpec("P")


@contextmanager
def ending_signals(handler: Callable[[int, object], None]) -> Iterator[None]:
    """Give the signals that end a run to a handler; outside the main thread, where none arrive, do nothing."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = handle_signals(handler)
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, signal.SIG_DFL if old is None else old)


def handle_signals(handler: Callable[[int, object], None]) -> dict[signal.Signals, Any]:
    """Give the signals that end a run to a handler, and return what handled them before."""
    named = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    # ``nohup`` ignores the signal for the run's sake
    heeded = [signal.SIGINT, *(one for one in named if signal.getsignal(one) is not signal.SIG_IGN)]
    return {number: signal.signal(number, handler) for number in heeded}


def raise_interrupt(number: int, frame: object) -> None:
    """Handle a signal as Python handles Ctrl-C."""
    raise KeyboardInterrupt


def interruptible(command: Callable[P, int]) -> Callable[P, int]:
    """Let a command that is ended by a signal while it does no run say so, with the exit code of a run that is."""

    @functools.wraps(command)
    def ended(*args: P.args, **kwargs: P.kwargs) -> int:
        try:
            with ending_signals(raise_interrupt):
                return command(*args, **kwargs)
        except KeyboardInterrupt:
            Console(stderr=True, highlight=False, soft_wrap=True).print("interrupted")
            return FAILED

    return ended


class Interrupt:
    """Turns a signal into the end of the run after the step at hand, so that no transaction is torn.

    A second signal does not wait.
    """

    def __init__(self, progress: Callable[[LiveState], None] | None):
        self.asked = False
        self._progress = progress

    def ask(self, number: int, frame: object) -> None:
        """Handle a signal."""
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True

    def after_step(self, live: LiveState) -> None:
        """Show the progress, then stop if that was asked for."""
        if self._progress is not None:
            self._progress(live)
        if self.asked:
            raise KeyboardInterrupt
