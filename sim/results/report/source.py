"""What a page is made from: a run, its open results, and the frames that its pictures have along time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import duckdb
import numpy as np
import pandas as pd

from gridferry.sim.results.record_tables import all_tables
from gridferry.sim.results.report.markup import text
from gridferry.sim.results.run_directory import Run

_MOST_FRAMES = 2016
_MOST_CELLS = 500_000
"""values of buses and branches in a page; a page of more would be slow and large"""


@dataclass(frozen=True)
class Source:
    """A run, opened to be drawn.

    A page has a frame per step; of a long run, one per several steps, with the lowest and the highest value in it.

    Attributes
    ----------
    run : the run
    results : its open database
    figures : specifications of pictures for the scripts of the page, by name; filled by `picture`
    """

    run: Run
    results: duckdb.DuckDBPyConnection
    figures: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def tables(self) -> list[str]:
        """Names of the tables."""
        return all_tables(self.results)

    @cached_property
    def begins(self) -> list[str]:
        """When the steps begin, by the run's clock: ``2024-08-16 14:30``."""
        rows = self.results.execute("SELECT time FROM step ORDER BY step").fetchall()
        return [time[:16].replace("T", " ") for (time,) in rows]

    @property
    def steps(self) -> int:
        """Number of steps."""
        return len(self.begins)

    @cached_property
    def block(self) -> int:
        """Steps of a frame."""
        elements = sum(self.results.execute(f"SELECT count(*) FROM {t}_info").fetchall()[0][0] for t in ("bus", "line"))
        most = max(24, min(_MOST_FRAMES, _MOST_CELLS // max(elements, 1)))
        return max(1, -(-self.steps // most))

    @property
    def frames(self) -> int:
        """Number of frames."""
        return -(-self.steps // self.block)

    @property
    def times(self) -> list[str]:
        """When the frames begin."""
        return self.begins[:: self.block]

    def clock(self, step: int) -> str:
        """When a step begins, for people."""
        return pd.Timestamp(self.begins[step]).strftime("%a %d %b %Y, %H:%M")

    def frame(self, query: str) -> pd.DataFrame:
        """Return what a query gives."""
        return self.results.execute(query).df()

    def series(self, rows: pd.DataFrame, name: str = "name", value: str = "value") -> dict[str, dict[str, Any]]:
        """Return values over frames, by name in the order of the rows.

        Parameters
        ----------
        rows : columns ``step``, and those of name and value

        Returns
        -------
        ``values`` : a number or ``None`` per frame; where frames have several steps the highest, and ``low`` the lowest
        """
        found = {}
        for key, own in rows.groupby(name, sort=False):
            frame = own["step"].to_numpy(np.int64) // self.block
            values = own[value].to_numpy(np.float64, na_value=np.nan)
            values[~np.isfinite(values)] = np.nan
            high = np.full(self.frames, -np.inf)
            low = np.full(self.frames, np.inf)
            np.fmax.at(high, frame, values)
            np.fmin.at(low, frame, values)
            found[str(key)] = {"values": rounded(high)} | ({"low": rounded(low)} if self.block > 1 else {})
        return found

    def grid(self, table: str, column: str, network: str, names: list[str]) -> tuple[np.ndarray, np.ndarray]:
        """Return the lowest and the highest value of each element in each frame, (element, frame)."""
        rows = self.results.execute(
            f"SELECT {table}, step // {self.block} AS frame, min({column}) AS low, max({column}) AS high "
            f"FROM {table} WHERE network = ? AND NOT isnan({column}) GROUP BY ALL",
            [network],
        ).df()
        shape = (len(names), self.frames)
        at = pd.Index(names).get_indexer(pd.Index(rows[table])), rows["frame"].to_numpy(np.int64)
        low, high = np.full(shape, np.nan), np.full(shape, np.nan)
        low[at], high[at] = rows["low"], rows["high"]
        return low, high

    def picture(self, name: str, caption: str, figure: Mapping[str, Any]) -> str:
        """Add a picture to the page, and return the HTML that holds its place."""
        self.figures[name] = {**figure, "label": caption}
        shown = f"<figcaption>{text(caption)}</figcaption>" if caption else ""
        long = ' class="long"' if len(figure.get("panels", ())) > 5 else ""
        return f'<figure id="plot-{text(name)}"{long}>{shown}<div data-figure="{text(name)}"></div></figure>'


def rounded(values: np.ndarray, digits: int = 5) -> list[float | None]:
    """Return numbers with so many significant digits; ``None`` for what is no number."""
    form = f"%.{digits}g"
    return [float(form % one) if np.isfinite(one) else None for one in values.tolist()]


def limits(*values: float | None) -> list[float]:
    """Limits that are there, each once."""
    return sorted({float(one) for one in values if one is not None and np.isfinite(one)})


def panel(unit: str, series: list[dict[str, Any]], title: str = "", at: list[float] | None = None) -> dict[str, Any]:
    """Return a panel of values over time for the scripts of a page."""
    return {"title": title, "unit": unit, "series": series, "limits": at or [], "zero": not at}
