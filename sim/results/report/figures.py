"""Tables of the figures of runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gridferry.sim.results.display import figure_rows
from gridferry.sim.results.report.markup import cell, table, text


def figures_table(summaries: Sequence[Mapping[str, Any]], columns: Sequence[str] = ()) -> str:
    """Return all figures of runs, a column each."""
    rows, heading = [], ""
    for section, label, shown in figure_rows(summaries):
        first = "" if section == heading else text(section)
        rows.append(f"<tr><td>{first}</td><td>{text(label)}</td>{''.join(map(cell, shown))}</tr>")
        heading = section
    return table("figures", ["", "", *columns] if columns else [], rows)
