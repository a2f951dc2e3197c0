"""Worker processes of a study; they end on request, and with the process that started them."""

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

_end_flag: Any = None
"""In a worker: flag that the study sets to request its end."""


@contextmanager
def worker_pool(workers: int, *, finish_step: bool) -> Iterator[ProcessPoolExecutor]:
    """Start worker processes; a signal that ends a run is passed on, and raised as ``KeyboardInterrupt`` here.

    Parameters
    ----------
    finish_step : let them end by themselves, as soon as `ending_requested`; a second signal does not wait for it.
        Otherwise they are killed at once.
    """
    # a forked process would not survive the threads of this one, nor of the AC engine
    context = multiprocessing.get_context("spawn")
    flag = context.RawValue("b", 0)
    others = set(multiprocessing.active_children())

    def request_end(number: int, frame: object) -> None:
        if flag.value or not finish_step:
            for worker in set(multiprocessing.active_children()) - others:
                worker.kill()
        flag.value = 1
        raise KeyboardInterrupt

    with ending_signals(request_end), ProcessPoolExecutor(workers, context, _begin, (flag,)) as pool:
        try:
            yield pool
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _begin(flag: Any) -> None:
    global _end_flag
    _end_flag = flag
    handle_signals(_note)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _note(number: int, frame: object) -> None:
    """Handle a signal outside a run, such as Ctrl-C, which reaches all processes."""
    _end_flag.value = 1


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(FAILED)


def ending_requested() -> bool:
    """Whether this worker was requested to end."""
    return bool(_end_flag is not None and _end_flag.value)
