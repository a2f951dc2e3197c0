"""Study files: configs, settings, evaluation, published figures."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import pandas as pd
from pydantic import ConfigDict, Field

from gridferry.controllers.devices.config_parts import Name, Part
from gridferry.controllers.settings import read_settings
from gridferry.controllers.uncertainty.error_settings import ErrorSettings
from gridferry.networks.faults import Fault, InputError, no_such
from gridferry.sim.config.document import read_toml, toml_text, value_text
from gridferry.sim.config.reading import configs_dir, find_config

S = TypeVar("S", bound=Part)

PUBLISHED_COLUMNS = ("table", "scenario", "value", "metric", "result")
"""Columns that a file of published figures must have."""


class RowConfig(Part):
    """One variant of a table."""

    label: str
    """label in the table"""
    scenario: str | None = None
    """its ``scenario`` in the file of published figures; without it nothing is published"""
    value: float | None = None
    """its ``value`` there"""
    set: Annotated[dict[str, Any], Field(default_factory=dict)]
    """settings of the config that differ, such as ``"controller.confidence" = 0.9``"""


class TableConfig(Part):
    """Variants of one config side by side."""

    name: Name
    """the table's name in the file of published figures"""
    title: str = ""
    """title in one line"""
    config: Annotated[str, Field(min_length=1)]
    """config file, relative to the study, or the name of one that comes with the project"""
    reference: dict[str, Any] | None = None
    """settings of the variant that cost improvements are relative to"""
    draws: Annotated[int, Field(ge=1)] = 1
    """figures are means over this many values of ``controller.seed``, from 0 on; the config's own seed where 1"""
    days: Annotated[int, Field(ge=1)] | None = None
    """days sampled to evaluate each plan; the study's when not given"""
    rows: Annotated[list[RowConfig], Field(min_length=1)]
    """the variants"""


class StudyKind(StrEnum):
    """Kind of study: what is done with its rows."""

    DAY_AHEAD = "day_ahead"
    """plans a day and evaluates the plan on sampled days"""
    CLOSED_LOOP = "closed_loop"
    """runs them in closed loop, seed by seed"""


class StudyConfig(Part):
    """A study of day-ahead plans."""

    kind: Literal["day_ahead"] = "day_ahead"
    """``day_ahead``; of the kind ``closed_loop`` is another file, `gridferry.sim.study.closed_loop_config`"""
    name: Name
    title: str = ""
    """title in one line"""
    published: str | None = None
    """CSV of published figures, relative to the study"""
    days: Annotated[int, Field(ge=1)] = 10_000
    """days sampled to evaluate each plan in AC"""
    seed: Annotated[int, Field(ge=0)] = 0
    """seed of the days on which plans are evaluated; they differ from the days a plan was made with"""
    errors: ErrorSettings | None = None
    """forecast errors of those days, laid over the config's ``forecast.errors`` without bias; the controller's
    ``errors`` when not given, or those of the config"""
    tables: Annotated[list[TableConfig], Field(min_length=1)]

    # numbers may be written without a decimal point
    model_config = ConfigDict(frozen=True, extra="forbid", strict=False, use_attribute_docstrings=True)


@dataclass(frozen=True, eq=False)
class Study:
    """A study with its config files.

    Attributes
    ----------
    config : what the file says
    path : the file
    configs : config file of every table
    published : the published figures, with the columns `PUBLISHED_COLUMNS`; empty without a file
    """

    config: StudyConfig
    path: Path
    configs: tuple[Path, ...]
    published: pd.DataFrame


def load_study(name: str | Path) -> Study:
    """Read and check a study.

    Parameters
    ----------
    name : a file, or the name of a study that comes with the project

    Raises
    ------
    InputError
        with every fault of the file, and files that are not there.
    """
    path = find_study(name)
    config = read_study(StudyConfig, path)
    faults: list[Fault] = []
    configs: list[Path] = []
    for number, table in enumerate(config.tables):
        try:
            configs.append(config_of_study(path, table.config, f"tables[{number}].config"))
        except InputError as error:
            faults += error.faults
    published = pd.DataFrame(columns=list(PUBLISHED_COLUMNS))
    if config.published is not None:
        published = _published(path, config.published, faults)
    if faults:
        raise InputError(faults)
    return Study(config, path, tuple(configs), published)


def overrides(settings: dict[str, Any]) -> tuple[str, ...]:
    """Write settings as ``--set`` takes them."""
    return tuple(f"{key}={toml_text(value)}" for key, value in settings.items())


def study_kind(path: Path) -> StudyKind:
    """Return the kind of a study file; raises `InputError` for one that there is not."""
    kind = read_toml(path).get("kind", StudyKind.DAY_AHEAD)
    if not isinstance(kind, str) or kind not in list(StudyKind):
        raise InputError(Fault(str(path), f"kind = {value_text(kind)}", no_such("kind of study", kind, StudyKind)))
    return StudyKind(kind)


def read_study(model: type[S], path: Path) -> S:
    """Read a study file by its model; raises `InputError` with every fault of its values."""
    try:
        return read_settings(model, read_toml(path), str(path), "", path.parent)
    except InputError as error:
        raise InputError(Fault(one.source, one.key.lstrip("."), one.message) for one in error.faults) from None


def config_of_study(path: Path, name: str, key: str) -> Path:
    """Find the config that a study names: beside it, or one that comes with the project; raises `InputError`."""
    beside = path.parent / name
    try:
        return beside if beside.is_file() else find_config(name)
    except InputError as error:
        raise InputError(Fault(str(path), key, f'"{name}": {error}')) from None


def find_study(name: str | Path) -> Path:
    """Find a study by its path, or by its name among those that come with the project; raises `InputError`."""
    path = Path(name)
    ours = configs_dir() / "studies"
    for one in (path, ours / path, ours / f"{path}.toml"):
        if one.is_file():
            return one
    there = sorted(one.stem for one in ours.glob("*.toml"))
    raise InputError(Fault(str(path), "", f"{no_such('study', path.stem, there)}; or give the path of a study file"))


def _published(path: Path, name: str, faults: list[Fault]) -> pd.DataFrame:
    file = path.parent / name
    try:
        table = pd.read_csv(file)
    except (OSError, ValueError) as error:
        faults.append(Fault(str(path), "published", f'"{name}": cannot be read: {error}'))
        return pd.DataFrame(columns=list(PUBLISHED_COLUMNS))
    missing = [column for column in PUBLISHED_COLUMNS if column not in table.columns]
    if missing:
        faults.append(Fault(str(file), "", f"has no column {', '.join(missing)}; add it"))
    return table
