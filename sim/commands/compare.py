"""``gridferry compare``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from networks.faults import Fault, InputError
from sim.cli import DONE
from sim.commands.run import print_json
from sim.display import print_table, run_table
from sim.run_directory import Run, load_run


def compare_command(directories: Sequence[Path], as_json: bool) -> int:
    """Print the figures of runs side by side."""
    runs: list[Run] = []
    faults: list[Fault] = []
    for directory in directories:
        try:
            runs.append(load_run(directory))
        except InputError as error:
            faults += error.faults
    if faults:
        raise InputError(faults)
    if as_json:
        print_json({"runs": [run.summary | {"directory": str(run.directory)} for run in runs]})
    else:
        print_table(run_table(runs))
    return DONE
