"""The worker processes of a study, and how they end: when told to, and with the process that started them."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from typing import Any

from gridferry.sim.exit_codes import FAILED
from gridferry.sim.loop.run_signals import ending_signals, handle_signals

_told: Any = None
"""In a worker: the flag that the study sets when it is told to end."""


@contextmanager
def worker_pool(workers: int, *, finish_step: bool) -> Iterator[ProcessPoolExecutor]:
    """Start worker processes; a signal that ends a run is told to them, and raised as ``KeyboardInterrupt`` here.

    Parameters
    ----------
    finish_step : let them end by themselves, as soon as `told_to_end`; a second signal does not wait for it.
        Otherwise they are killed at once.
    """
    # a forked process would not survive the threads of this one, nor of the AC engine
    context = multiprocessing.get_context("spawn")
    told = context.RawValue("b", 0)
    others = set(multiprocessing.active_children())

    def tell(number: int, frame: object) -> None:
        if told.value or not finish_step:
            for worker in set(multiprocessing.active_children()) - others:
                worker.kill()
        told.value = 1
        raise KeyboardInterrupt

    with ending_signals(tell), ProcessPoolExecutor(workers, context, _begin, (told,)) as pool:
        try:
            yield pool
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _begin(told: Any) -> None:
    global _told
    _told = told
    handle_signals(_note)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _note(number: int, frame: object) -> None:
    """Handle a signal that reaches all processes, as Ctrl-C does, outside a run."""
    _told.value = 1


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(FAILED)


def told_to_end() -> bool:
    """Whether this worker is to end."""
    return bool(_told is not None and _told.value)
