"""``gridferry export``."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from gridferry.sim.commands.output import print_json
from gridferry.sim.exit_codes import DONE
from gridferry.sim.results.export import export_run


def export_command(directory: Path, to: str, out: Path | None, for_spreadsheets: bool, as_json: bool) -> int:
    """Export the tables of a run and print the paths."""
    written = export_run(directory, to, out, for_spreadsheets=for_spreadsheets)
    if as_json:
        print_json({"files": [str(path) for path in written]})
        return DONE
    console = Console(highlight=False, soft_wrap=True)
    for path in written:
        console.print(f"wrote {path}", markup=False)
    return DONE
