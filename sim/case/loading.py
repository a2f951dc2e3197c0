"""Loading of configs: a checked config, or all of its faults."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gridferry.networks.faults import InputError
from gridferry.sim.case.case import case_faults
from gridferry.sim.config.loaded import LoadedConfig
from gridferry.sim.config.named_code import Refusal, refusal_of
from gridferry.sim.config.reading import read_config


def load_config(
    path: str | Path,
    overrides: Sequence[str] = (),
    controller: str | None = None,
    seed: int | None = None,
    refusal: Refusal = refusal_of,
) -> LoadedConfig:
    """Read and check a config.

    Parameters
    ----------
    path : a file, or the name of a config that comes with the project
    overrides : ``key=value`` settings, see `gridferry.sim.config.overrides.parse_setting`
    controller : replaces the config's controller; its settings are then those of ``[controllers.<name>]``
    seed : replaces the config's seed
    refusal : says which code, named by the config or by a setting, may not run

    Raises
    ------
    InputError
        with every fault of the file's values, and then also of what does not fit together; `build_case` finds
        the latter where the values are right.
    """
    reading = read_config(path, overrides, controller, seed, refusal)
    if reading.loaded is None:
        raise InputError(reading.faults)
    if reading.faults:
        faults = case_faults(reading.loaded, reading.sure)
        raise InputError([*reading.faults, *reading.genuine(faults)])
    return reading.loaded
