"""Figures of runs beside published ones, figure by figure, with the causes of differences."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
from pydantic import Field

from gridferry.controllers.devices.config_parts import Name, Part
from gridferry.networks.faults import Fault, no_such
from gridferry.sim.results.run_directory import Run

COLUMNS = ("scenario", "metric", "printed", "value", "unit")
"""Columns that a file of published figures must have; ``printed`` as it was published, where it was."""


class PublishedRowConfig(Part):
    """One published figure, and which of ours it is compared with."""

    metric: str
    """its ``metric`` in the file of published figures"""
    unit: str | None = None
    """its ``unit`` there, where a metric has two"""
    figure: str | None = None
    """our figure: a key of the summary such as ``cost.grid``, or one of `FIGURES`; without it there is none"""
    scale: float = 1.0
    """what ours is multiplied by"""
    over: str | None = None
    """label of a row whose figure ours is a difference to"""
    percent: bool = False
    """the difference is in percent of that row's figure"""
    cause: Annotated[list[str], Field(default_factory=list)]
    """keys of ``causes``: why they differ"""


class PublishedTableConfig(Part):
    """Published figures beside those of one row of the study."""

    name: Name
    title: str = ""
    """title in one line"""
    row: str
    """label of the row whose first run is compared"""
    scenarios: Annotated[list[str], Field(min_length=1)]
    """their ``scenario`` in the file of published figures"""
    rows: Annotated[list[PublishedRowConfig], Field(min_length=1)]


@dataclass(frozen=True)
class Compared:
    """A published figure and ours; ``None`` where there is none."""

    metric: str
    unit: str
    printed: str
    published: float
    ours: float | None
    cause: tuple[str, ...]

    @property
    def agrees(self) -> bool:
        """Whether ours is the published figure to its printed digits."""
        digits = len(self.printed.partition(".")[2])
        return self.ours is not None and abs(self.ours - self.published) <= 0.5 * 10.0**-digits + 1e-9


@dataclass(frozen=True)
class ComparedTable:
    """A table of published figures and ours."""

    config: PublishedTableConfig
    rows: tuple[Compared, ...]


def read_published(
    path: Path,
    file: Path,
    tables: list[PublishedTableConfig],
    causes: Mapping[str, str],
    labels: Sequence[str],
    faults: list[Fault],
) -> pd.DataFrame:
    """Read published figures; faults of the file, and names of tables that do not exist, are added to ``faults``.

    Parameters
    ----------
    path : the study
    file : the file of published figures
    causes, labels : causes and rows of the study, by the names that tables have for them
    """
    try:
        published = pd.read_csv(file, dtype={"printed": str}, keep_default_na=False, na_values={"value": [""]})
    except (OSError, ValueError) as error:
        faults.append(Fault(str(path), "published", f'"{file.name}": cannot be read: {error}'))
        return pd.DataFrame(columns=list(COLUMNS))
    missing = [column for column in COLUMNS if column not in published.columns]
    if missing:
        faults.append(Fault(str(file), "", f"has no column {', '.join(missing)}; add it"))
        return pd.DataFrame(columns=list(COLUMNS))
    for number, table in enumerate(tables):
        for k, row in enumerate(table.rows):
            key = f"tables[{number}].rows[{k}]"
            if len(_of_row(published, table, row)) != 1:
                known = published[published["scenario"].isin(table.scenarios)]["metric"]
                faults.append(Fault(str(path), f"{key}.metric", no_such("published figure", row.metric, list(known))))
            unknown = [one for one in row.cause if one not in causes]
            faults += [Fault(str(path), f"{key}.cause", no_such("cause", one, list(causes))) for one in unknown]
            unknown = [one for one in (table.row, row.over) if one is not None and one not in labels]
            faults += [Fault(str(path), key, no_such("row", one, list(labels))) for one in unknown]
            if row.figure is not None and "." not in row.figure and row.figure not in FIGURES:
                message = f"{no_such('figure', row.figure, list(FIGURES))}; or give a key of the summary"
                faults.append(Fault(str(path), f"{key}.figure", message))
    return published


def compared(
    tables: list[PublishedTableConfig], published: pd.DataFrame, runs: Mapping[str, Run]
) -> tuple[ComparedTable, ...]:
    """Return the tables of which there is a run, of ``runs`` by the label of their row."""
    return tuple(
        ComparedTable(table, tuple(_compared(table, row, published, runs) for row in table.rows))
        for table in tables
        if table.row in runs
    )


def _of_row(published: pd.DataFrame, table: PublishedTableConfig, row: PublishedRowConfig) -> pd.DataFrame:
    chosen = published["scenario"].isin(table.scenarios) & (published["metric"] == row.metric)
    chosen &= True if row.unit is None else published["unit"] == row.unit
    # scenarios of one table may print a figure twice
    return published[chosen].drop_duplicates(["printed", "value", "unit"])


def _compared(
    table: PublishedTableConfig, row: PublishedRowConfig, published: pd.DataFrame, runs: Mapping[str, Run]
) -> Compared:
    given = _of_row(published, table, row).iloc[0]
    ours = None if row.figure is None else figure(runs[table.row], row.figure)
    if ours is not None and row.over is not None:
        base = figure(runs[row.over], row.figure or "") if row.over in runs else None
        ours = None if base is None else (ours - base) * (100.0 / abs(base) if row.percent else 1.0)
    ours = None if ours is None else row.scale * ours
    value, unit = float(given["value"]), str(given["unit"])
    return Compared(row.metric, unit, str(given["printed"]) or f"{value:.3f}", value, ours, tuple(row.cause))


# ------------------------------------------------------------------------------------------------------- our figures


def figure(run: Run, name: str) -> float | None:
    """Return a figure of a run, by its name in `FIGURES` or its key of the summary; ``None`` where it has none."""
    if name in FIGURES:
        return FIGURES[name](run)
    value: Any = run.summary
    for key in name.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    return None if value is None else float(value)


def _stores(run: Run) -> pd.DataFrame:
    """Steps of all stores."""
    device = run.table("device")
    return device[device["soc"].notna()]


def _price_of(column: str) -> Callable[[Run], float | None]:
    """Mean buying price over the energy of a column."""

    def mean(run: Run) -> float | None:
        energy = _stores(run).groupby("step")[column].sum()
        price = run.table("step").set_index("step")["buy_price"]
        return float((energy * price).sum() / energy.sum()) if energy.sum() > 0 else None

    return mean


def _spread(run: Run) -> float | None:
    sold, bought = FIGURES["price_discharging"](run), FIGURES["price_charging"](run)
    return None if sold is None or bought is None else sold - bought


def _departure(number: int) -> Callable[[Run], float | None]:
    """Step of a departure."""

    def step(run: Run) -> float | None:
        device = run.table("device")
        steps = device[device["departed"].fillna(False).astype(bool)]["step"].tolist()
        return float(steps[number]) if number < len(steps) else None

    return step


def _transit_h(run: Run) -> float:
    """Hours on the road."""
    return float((run.table("device")["phase"] == "in_transit").sum() * run.summary["step_s"] / 3600.0)


def _soc_start(run: Run) -> float:
    stores, rated = _stores(run), run.table("device_info").set_index("device")["energy_mwh"]
    first = stores[stores["step"] == 0].set_index("device")["energy_start_mwh"]
    return float((first / rated).min())


FIGURES: dict[str, Callable[[Run], float | None]] = {
    "price_low": lambda run: float(np.quantile(run.table("step")["buy_price"], 0.25)),
    "price_high": lambda run: float(np.quantile(run.table("step")["buy_price"], 0.75)),
    "price_charging": _price_of("charged_mwh"),
    "price_discharging": _price_of("discharged_mwh"),
    "price_spread": _spread,
    "charged_less_discharged": lambda run: run.summary["fleet"]["charged_mwh"] - run.summary["fleet"]["discharged_mwh"],
    "soc_start": _soc_start,
    "transit_h": _transit_h,
    **{f"departure_{number}": _departure(number - 1) for number in (1, 2, 3)},
}
"""Figures that are no keys of the summary: prices [currency/MWh], energies [MWh], steps of departures, hours."""


def table_as_json(tables: tuple[ComparedTable, ...]) -> Iterator[dict[str, Any]]:
    """Yield the tables as JSON-able values."""
    for table in tables:
        rows = [
            {"metric": one.metric, "unit": one.unit, "published": one.published, "printed": one.printed}
            | ({} if one.ours is None else {"ours": one.ours})
            | {"agrees": one.agrees, "cause": list(one.cause)}
            for one in table.rows
        ]
        yield {"name": table.config.name, "row": table.config.row, "rows": rows}
