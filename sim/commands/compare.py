"""``gridferry compare``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gridferry.networks.faults import Fault, InputError
from gridferry.sim.commands.output import print_json, print_table
from gridferry.sim.exit_codes import DONE
from gridferry.sim.results.averages import grouped
from gridferry.sim.results.display import mean_table, run_table
from gridferry.sim.results.run_directory import Run, load_run


def compare_command(directories: Sequence[Path], mean: bool, as_json: bool) -> int:
    """Print the figures of runs side by side, or the means over runs of the same config and controller."""
    runs: list[Run] = []
    faults: list[Fault] = []
    for directory in directories:
        try:
            runs.append(load_run(directory))
        except InputError as error:
            faults += error.faults
    if faults:
        raise InputError(faults)
    if mean:
        groups = grouped([run.summary for run in runs])
        if as_json:
            print_json({"groups": [vars(one) for one in groups]})
        else:
            print_table(mean_table(groups))
        return DONE
    if as_json:
        print_json({"runs": [run.summary | {"directory": str(run.directory)} for run in runs]})
    else:
        print_table(run_table(runs))
    return DONE
