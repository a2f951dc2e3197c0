"""Memory that the series of a run need, before they are allocated."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from gridferry.networks.faults import InputError
from gridferry.sim.config.loaded import LoadedConfig
from gridferry.sim.config.schema import Config

_MOST = 8 << 30
"""bytes that the series of a run may take, however large the machine"""
_CONTAINER = Path("/sys/fs/cgroup/memory.max")


def refuse_oversize(loaded: LoadedConfig, n_bus: int, memory: int | None = None) -> None:
    """Raise `InputError` if the series of a run take more than half of the memory, or more than 8 GiB.

    Parameters
    ----------
    n_bus : buses of all networks
    memory : of this machine, or of its container [bytes]
    """
    config = loaded.config
    steps, memory = config.time.steps, _memory_bytes() if memory is None else memory
    needed = 8 * numbers_per_step(config, n_bus)
    room = min(memory // 2, _MOST)
    if steps * needed > room:
        message = (
            f"its series need {steps * needed / 2**30:.3g} GiB of memory, and a run may take {room / 2**30:.3g} GiB "
            f"here; take at most {room // needed:,} steps, longer ones, or fewer buses"
        )
        raise InputError(loaded.fault(("time", "steps"), message))


def numbers_per_step(config: Config, n_bus: int) -> int:
    """Numbers kept for every step: P and Q of all buses, and series of devices.

    They are kept as realised, as forecast where that errs, as read, and as the forecast of a horizon.
    """
    devices = sum(len(config.entries(kind)) * len(kind.series) for kind in config.kinds)
    copies = 3 if config.forecast.kind == "errors" else 2
    ahead = min(config.time.horizon_steps or config.time.steps, config.time.steps) / config.time.steps
    return int((copies + ahead) * (2 * n_bus + devices + 4)) + len(config.loads) * 2


def _memory_bytes() -> int:
    """Memory of this machine, or of its container if that has less [bytes]."""
    found = 2 * _MOST
    with suppress(AttributeError, OSError, ValueError):  # Windows does not say
        found = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    with suppress(OSError, ValueError):  # no container, or one without a limit
        found = min(found, int(_CONTAINER.read_text()))
    return found
