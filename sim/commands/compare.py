"""``gridferry compare``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from gridferry.sim.commands.output import print_json, print_tables, width
from gridferry.sim.exit_codes import DONE, NOT_SO
from gridferry.sim.results.comparison import grouped, load_all, unlike
from gridferry.sim.results.display import mean_tables, run_tables
from gridferry.sim.results.report import write_comparison
from gridferry.sim.results.run_directory import make_folder


def compare_command(directories: Sequence[Path], mean: bool, as_json: bool, page: Path | None = None) -> int:
    """Print the figures of runs side by side, or the means over runs that differ only in their seed.

    Runs that do not compare are marked; the exit code is then 1.

    Parameters
    ----------
    page : write a page of them there, too
    """
    runs = load_all(directories)
    differ = unlike(runs)
    if page is not None:
        make_folder(page.parent, "--html")
        write_comparison(page, "Comparison", runs)
    if mean:
        groups = grouped(runs)
        if as_json:
            print_json({"groups": [one.as_json() for one in groups], "unlike": differ})
        else:
            print_tables(mean_tables(groups, width()))
    elif as_json:
        print_json({"runs": [run.summary | {"directory": str(run.directory)} for run in runs], "unlike": differ})
    else:
        print_tables(run_tables(runs, width()))
    if differ and not as_json:
        what = "; ".join(f"{key}: {', '.join(dict.fromkeys(map(str, own)))}" for key, own in differ.items())
        Console(highlight=False, soft_wrap=True).print(f"not alike, so that sums do not compare: {what}", markup=False)
    if page is not None and not as_json:
        Console(highlight=False, soft_wrap=True).print(f"wrote {page}", markup=False)
    return NOT_SO if differ else DONE
