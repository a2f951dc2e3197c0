"""Comparison of a study's figures with published ones, and of the order of rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from math import isfinite
from typing import Any

import pandas as pd

from gridferry.sim.results.report.points import Sweep
from gridferry.sim.study.config import RowConfig, Study
from gridferry.sim.study.day_ahead import Figures, Table


@dataclass(frozen=True)
class Metric:
    """Metric that publications report.

    Attributes
    ----------
    name : as in the file of published figures
    heading : with its unit
    of, scale : which of our figures it is, and what that is multiplied by
    ordered : whether its order says anything; computation times do not compare
    """

    name: str
    heading: str
    of: str
    scale: float = 1.0
    ordered: bool = True

    def value(self, figures: Figures) -> float:
        """Return our figure in the published unit."""
        return self.scale * float(getattr(figures, self.of))


METRICS = (
    Metric("average_energy_loss", "loss [kWh]", "loss_kwh"),
    Metric("optimal_cost", "cost", "cost"),
    Metric("cost_improvement", "cost improvement [%]", "cost_improvement", 100.0),
    Metric("bus_voltage_reliability", "joint reliability [%]", "joint", 100.0),
    Metric("computation_time", "time [s]", "plan_seconds", ordered=False),
)
"""What is compared."""


@dataclass(frozen=True)
class Agreement:
    """Agreement of the order of rows with the published one, by a metric.

    Attributes
    ----------
    metric : by which
    pairs : pairs of rows with a published difference
    differing : those of them that come the other way round with us
    """

    metric: Metric
    pairs: int
    differing: tuple[tuple[str, str], ...]

    @property
    def agrees(self) -> bool:
        """Whether all pairs are in the published order."""
        return not self.differing


def published_figures(study: Study, table: Table) -> list[dict[str, float]]:
    """Published figures of every row of a table, by metric."""
    return [_of_row(study.published, table.config.name, row) for row in table.config.rows]


def agreements(study: Study, table: Table) -> list[Agreement]:
    """Compare the order of rows, metric by metric, where at least two are published."""
    published = published_figures(study, table)
    found = []
    for metric in METRICS:
        known = [
            (row.label, figures[metric.name], metric.value(row.figures))
            for row, figures in zip(table.rows, published, strict=True)
            if metric.ordered and metric.name in figures and row.figures is not None
        ]
        pairs = [(a, b) for a, b in combinations(known, 2) if a[1] != b[1]]
        if pairs:
            differing = tuple((a[0], b[0]) for a, b in pairs if (a[1] - b[1]) * (a[2] - b[2]) <= 0)
            found.append(Agreement(metric, len(pairs), differing))
    return found


def sweeps(study: Study, tables: tuple[Table, ...]) -> list[Sweep]:
    """Return every metric of every table over its rows, beside the published figures, for a page."""
    found = []
    for table in tables:
        published = published_figures(study, table)
        values = [one.value for one in table.config.rows]
        known = [one for one in values if one is not None]
        settings = dict.fromkeys(key for row in table.config.rows for key in row.set)
        for metric in METRICS:
            ours = [None if row.figures is None else _finite(metric.value(row.figures)) for row in table.rows]
            if metric.ordered and any(one is not None for one in ours):
                found.append(
                    Sweep(
                        title=table.config.title,
                        figure=metric.heading,
                        setting=", ".join(settings) or "row",
                        labels=[row.label for row in table.rows],
                        values=known if len(known) == len(values) else None,
                        ours=ours,
                        published=[one.get(metric.name) for one in published],
                    )
                )
    return found


def _finite(value: float) -> float | None:
    return value if isfinite(value) else None


def as_json(study: Study, tables: tuple[Table, ...]) -> dict[str, Any]:
    """Return the result as JSON-able values, without missing figures."""
    return {
        "study": study.config.name,
        "tables": [
            {
                "name": table.config.name,
                "rows": [
                    {"label": row.label}
                    | ({"failure": row.failure} if row.figures is None else {"figures": _known(vars(row.figures))})
                    | ({"published": published} if published else {})
                    for row, published in zip(table.rows, published_figures(study, table), strict=True)
                ],
                "order": {
                    one.metric.name: {"agrees": one.agrees, "pairs": one.pairs, "differing": list(one.differing)}
                    for one in agreements(study, table)
                },
            }
            for table in tables
        ],
    }


def _known(values: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in values.items() if value == value}


def _of_row(published: pd.DataFrame, table: str, row: RowConfig) -> dict[str, float]:
    if row.scenario is None:
        return {}
    chosen = (published["table"] == table) & (published["scenario"] == row.scenario)
    chosen &= published["value"].isna() if row.value is None else (published["value"] - row.value).abs() < 1e-9
    some = published[chosen]
    return {str(metric): float(result) for metric, result in zip(some["metric"], some["result"], strict=True)}
