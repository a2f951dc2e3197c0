"""Signals that end a run: Ctrl-C, SIGTERM (schedulers, containers), SIGHUP (closed terminal)."""

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
    """Install a handler for the signals that end a run; does nothing outside the main thread."""
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
    """Install a handler for the signals that end a run, and return the previous handlers."""
    named = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    # ``nohup`` ignores the signal for the run's sake
    handled = [signal.SIGINT, *(one for one in named if signal.getsignal(one) is not signal.SIG_IGN)]
    return {number: signal.signal(number, handler) for number in handled}


def raise_interrupt(number: int, frame: object) -> None:
    """Handle a signal as Python handles Ctrl-C."""
    raise KeyboardInterrupt


def interruptible(command: Callable[P, int]) -> Callable[P, int]:
    """Wrap a command so that a signal ends it with a message and the exit code of an interrupted run."""

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
    """Interrupt: a signal ends the run after the current step, so that transactions are complete.

    A second signal does not wait.
    """

    def __init__(self, progress: Callable[[LiveState], None] | None):
        self.requested = False
        self._progress = progress

    def request(self, number: int, frame: object) -> None:
        """Handle a signal."""
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True

    def after_step(self, live: LiveState) -> None:
        """Show the progress, then stop if requested."""
        if self._progress is not None:
            self._progress(live)
        if self.requested:
            raise KeyboardInterrupt
