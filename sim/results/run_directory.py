"""Run directories: names of files, writing, and opening of a finished run."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from gridferry.networks.faults import Fault, InputError
from gridferry.sim.results.metrics import RunFacts, Violation, violations
from gridferry.sim.results.record_tables import (
    CLOSED,
    INFO_TABLES,
    all_tables,
    views,
)
from gridferry.sim.results.run_lock import refuse_in_use

DATABASE = "results.duckdb"
SUMMARY = "summary.json"
MANIFEST = "manifest.json"
PLAN = "plan.csv"
CONFIG = "config.toml"
REPORT = "report.html"
FAILURES = "failures.txt"
"""what failed of the controller, with tracebacks"""
EXPORT = "export"
"""folder of exported tables"""
FORESIGHT = "foresight"
"""folder of the run with foresight"""
UNFINISHED = ("running", "failed")
"""status of runs that can be resumed; any other is that of a run with all its steps"""


@dataclass(frozen=True)
class Notebook:
    """A page that a notebook shows.

    Attributes
    ----------
    html : the page
    height : that it gets in the notebook [px]
    """

    html: str
    height: int

    def _repr_html_(self) -> str:
        source = escape(self.html)
        return f'<iframe srcdoc="{source}" width="100%" height="{self.height}" style="border: 0"></iframe>'

    def save(self, path: str | Path) -> Path:
        """Write the page to a file, and return its path."""
        Path(path).write_text(self.html, encoding="utf-8")
        return Path(path)


@dataclass(frozen=True)
class Run:
    """A run, opened from its directory.

    Attributes
    ----------
    directory : where it is
    summary : the figures of ``summary.json``
    manifest : versions, seed, hashes, times and status of ``manifest.json``
    """

    directory: Path
    summary: dict[str, Any]
    manifest: dict[str, Any]

    def tables(self) -> list[str]:
        """Return the names of the tables: common ones, those of the kinds, those of constant data.

        Of all runs are bus, line, network, device, position, plan, cost, step; those of kinds are called as in the
        config; bus_info, line_info, device_info, kind_info and column_info do not change.
        """
        with open_results(self.directory) as connection:
            return all_tables(connection)

    def table(self, name: str) -> pd.DataFrame:
        """Return one of `tables`, ordered by step; raises ``KeyError`` with the names for another."""
        with open_results(self.directory) as connection:
            tables = all_tables(connection)
            if name not in tables:
                raise KeyError(f"no such table {name!r}; there is {', '.join(tables)}")
            order = "rowid" if name in INFO_TABLES else "step, rowid"
            return connection.execute(f'SELECT * FROM "{name}" ORDER BY {order}').df()

    def dataset(self, name: str) -> Any:
        """Return one of `tables` as an `xarray.Dataset` over time and what it is about; needs ``gridferry[xarray]``."""
        from gridferry.sim.results.export import dataset

        return dataset(self, name)

    def plot(self) -> Notebook:
        """Return the report's page, to be shown in a notebook."""
        from gridferry.sim.results.report.page import page

        return Notebook(page(self), 900)

    def map(self, step: int = 0) -> Notebook:
        """Return the map of the networks, with its slider at a step, to be shown in a notebook.

        Raises
        ------
        ValueError
            for a step that was not recorded.
        """
        from gridferry.sim.results.report.page import page

        if not 0 <= step < self.summary["steps"]:
            raise ValueError(f"step {step} was not recorded; there are {self.summary['steps']}")
        return Notebook(page(self, step), 620)

    def violations(self, most: int | None = None) -> list[Violation]:
        """Return the limit violations in the AC grid, worst first."""
        with open_results(self.directory) as connection:
            return violations(connection, run_facts(self), most)


class _Figures(BaseModel):
    """What commands read of a ``summary.json``; a single figure is looked at where it is shown."""

    model_config = ConfigDict(strict=True)

    status: str
    config: str
    controller: str
    currency: str
    steps: int
    step_s: float
    seed: int
    cost: dict[str, Any]
    grid: dict[str, Any]
    solver: dict[str, Any] = {}
    kinds: dict[str, dict[str, Any]] = {}


_FACTS = TypeAdapter(RunFacts)


def run_facts(run: Run) -> RunFacts:
    """Return the facts of a run that its figures need beside the tables."""
    return _FACTS.validate_python(run.manifest["facts"])


def load_run(directory: str | Path) -> Run:
    """Open a run directory; raises `InputError` if it is not one."""
    folder = Path(directory)
    refuse_in_use(folder)
    summary, manifest = read_json(folder / SUMMARY), read_json(folder / MANIFEST)
    apart = summary.get("where_solved")  # where steps diverged
    checks: tuple[tuple[str, Callable[[Any], object], Any], ...] = (
        (SUMMARY, _Figures.model_validate, (apart if isinstance(apart, dict) else {}) | summary),
        (MANIFEST, _FACTS.validate_python, manifest.get("facts")),
    )
    for name, validate, content in checks:
        try:
            validate(content)
        except ValidationError as error:
            wrong = [(".".join(map(str, one["loc"])), one["msg"]) for one in error.errors(include_url=False)]
            words = "; ".join(f"{key}: {message}" if key else message for key, message in wrong)
            message = f"is not that of a run, or is damaged ({words}); give another run directory"
            raise InputError(Fault(str(folder / name), "", message)) from None
    return Run(folder, summary, manifest)


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON file of a run directory; raises `InputError` if it is missing or invalid."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        way = (
            "the run is not finished: continue it with gridferry run ... --resume"
            if (path.parent / DATABASE).is_file()
            else "give a run directory"
        )
        raise InputError(Fault(str(path), "", f"no such file; {way}")) from None
    except OSError as error:
        raise InputError(Fault(str(path), "", f"cannot be read ({error.strerror}); give a run directory")) from None
    except (ValueError, RecursionError) as error:
        raise InputError(Fault(str(path), "", f"is no JSON ({error}); give another run directory")) from None
    if not isinstance(content, dict):
        raise InputError(Fault(str(path), "", "is no JSON object; give another run directory"))
    return content


@contextmanager
def open_results(directory: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open the results of a run for reading, without access to other files.

    Raises
    ------
    InputError
        where they are missing, in use, no database, or cannot be read as the results of a run.
    """
    refuse_in_use(directory)
    path = directory / DATABASE
    if not path.is_file():
        raise InputError(Fault(str(directory), DATABASE, "no such file; give a run directory"))
    try:
        connection = duckdb.connect(str(path), read_only=True, config=CLOSED)
    except duckdb.Error as error:
        message = str(error).splitlines()[0]
        raise InputError(
            Fault(str(path), "", f"cannot be opened ({message}); wait for the run that writes it, or give another")
        ) from None
    with connection:
        try:
            shown = views(connection)
            if shown:
                message = f"{', '.join(shown)}: a view where a run has a table; give another run directory"
                raise InputError(Fault(str(path), "", message))
            yield connection
        except duckdb.Error as error:
            message = (
                f"cannot be read as the results of a run ({str(error).splitlines()[0]}); give another run directory"
            )
            raise InputError(Fault(str(path), "", message)) from error


def make_folder(path: Path, key: str) -> None:
    """Create a folder and its parents; raises `InputError` for ``key`` on failure."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(Fault(key, str(path), f"cannot be created ({error.strerror}); choose another")) from None


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON file atomically: a killed run leaves the old one or the new one."""
    with in_one_piece(path) as target:
        target.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")


@contextmanager
def in_one_piece(path: Path) -> Iterator[Path]:
    """Give a path next to a file, which then replaces it; a symbolic link is replaced, not followed."""
    target = beside(path)
    target.unlink(missing_ok=True)
    try:
        yield target
    except OSError as error:  # of a full disk the system says no file
        error.filename = error.filename or str(path)
        raise
    target.replace(path)


def beside(path: Path) -> Path:
    """Path at which a file is written before it replaces another."""
    return path.with_name(path.name + ".part")


def wal_beside(path: Path) -> Path:
    """Path of the log that DuckDB keeps of a database while that is written beside another."""
    return path.with_name(f"{beside(path).name}.wal")
