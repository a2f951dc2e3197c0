"""Study files of the kind ``closed_loop``: one config, controllers and settings as rows, seeds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from re import sub
from typing import Annotated, Any, Literal

import pandas as pd
from pydantic import Field

from gridferry.controllers.devices.config_parts import Name, Part
from gridferry.networks.faults import Fault, InputError, no_such
from gridferry.sim.case.case import build_case
from gridferry.sim.case.loading import load_config
from gridferry.sim.config.loaded import LoadedConfig
from gridferry.sim.config.named_code import named_in
from gridferry.sim.study.config import config_of_study, find_study, overrides, read_study
from gridferry.sim.study.published_runs import PublishedTableConfig, read_published


class LoopRowConfig(Part):
    """One controller with its settings."""

    label: Annotated[str, Field(min_length=1)]
    """label in the table, and name of the folder"""
    controller: Annotated[str, Field(min_length=1)] | None = None
    """the controller, as ``--controller`` takes it; the config's own when not given"""
    set: Annotated[dict[str, Any], Field(default_factory=dict)]
    """settings of the config that differ, such as ``"controller.gap" = 1e-3``"""

    @property
    def folder(self) -> str:
        """Name of the folder of its runs."""
        return sub(r"[^\w.-]+", "-", self.label).strip("-.")


class LoopStudyConfig(Part):
    """A study of closed-loop runs."""

    kind: Literal["closed_loop"]
    """``closed_loop``"""
    name: Name
    """its runs are under ``runs/<name>``"""
    title: str = ""
    """title in one line"""
    config: Annotated[str, Field(min_length=1)]
    """config file, relative to the study, or the name of one that comes with the project"""
    seeds: Annotated[int, Field(ge=1)] = 1
    """every row is run with this many seeds, counted from ``seed``"""
    seed: Annotated[int, Field(ge=0)] | None = None
    """the first seed; the config's own when not given"""
    steps: Annotated[int, Field(ge=1)] | None = None
    """simulate only the first steps of each run"""
    reference: str | None = None
    """label of a second reference row, compared with all others seed by seed"""
    rows: Annotated[list[LoopRowConfig], Field(min_length=1)]
    """rows to compare; savings are relative to the first row"""
    published: str | None = None
    """CSV of published figures, relative to the study"""
    tables: Annotated[list[PublishedTableConfig], Field(default_factory=list)]
    """tables of published figures beside those of a row"""
    causes: Annotated[dict[str, str], Field(default_factory=dict)]
    """why figures differ, by the keys that the rows of tables name"""


@dataclass(frozen=True, eq=False)
class LoopStudy:
    """A closed-loop study with its config.

    Attributes
    ----------
    config : what the file says
    path : the file
    case : the config file that is run
    rows : that config as each row has it
    published : the published figures; empty without a file
    """

    config: LoopStudyConfig
    path: Path
    case: Path
    rows: tuple[LoadedConfig, ...]
    published: pd.DataFrame

    @property
    def seeds(self) -> range:
        """The seeds of every row."""
        first = self.rows[0].config.seed if self.config.seed is None else self.config.seed
        return range(first, first + self.config.seeds)

    @property
    def steps(self) -> int:
        """Steps of the runs of the first row, and of every other unless its settings say otherwise."""
        return self.config.steps or self.rows[0].config.time.steps


def load_loop_study(name: str | Path) -> LoopStudy:
    """Read and check a closed-loop study; the case of every row is built once.

    Parameters
    ----------
    name : a file, or the name of a study that comes with the project

    Raises
    ------
    InputError
        with every fault of the file, and of what its rows make of the config.
    """
    path = find_study(name)
    config = read_study(LoopStudyConfig, path)
    faults = _row_faults(path, config)
    case = config_of_study(path, config.config, "config")
    loaded: list[LoadedConfig] = []
    for number, row in enumerate(config.rows):
        try:
            one = load_config(case, overrides(row.set), row.controller, config.seed, named_in(path))
            steps = build_case(one).plant.steps
        except InputError as error:
            faults += [_at_row(path, number, fault) for fault in error.faults]
            continue
        loaded.append(one)
        if config.steps is not None and config.steps > steps:
            faults.append(
                Fault(
                    str(path),
                    f"steps = {config.steps}",
                    f"{case} has {steps} steps; give 1 to {steps}, or leave it out",
                )
            )
    published = pd.DataFrame()
    if config.published is not None:
        labels = [row.label for row in config.rows]
        published = read_published(path, path.parent / config.published, config.tables, config.causes, labels, faults)
    if faults:
        raise InputError(dict.fromkeys(faults))
    return LoopStudy(config, path, case, tuple(loaded), published)


def _row_faults(path: Path, config: LoopStudyConfig) -> list[Fault]:
    faults: list[Fault] = []
    folders: list[str] = []
    for number, row in enumerate(config.rows):
        folder = row.folder.casefold()
        if not folder or folder in folders:
            message = (
                f'"{row.label}": names no folder of its own; give every row a label with letters or digits that differ'
            )
            faults.append(Fault(str(path), f"rows[{number}].label", message))
        folders.append(folder)
        if "seed" in row.set:
            message = "the study counts the seeds, so that rows can be compared; take it out and set seed and seeds"
            faults.append(Fault(str(path), f"rows[{number}].set: seed", message))
    labels = [row.label for row in config.rows]
    if config.reference is not None and config.reference not in labels:
        faults.append(Fault(str(path), f'reference = "{config.reference}"', no_such("row", config.reference, labels)))
    return faults


def _at_row(path: Path, number: int, fault: Fault) -> Fault:
    """Add the place in the study to a fault."""
    if fault.source.startswith("--set"):
        return Fault(str(path), f"rows[{number}].set: {fault.key}", fault.message)
    if fault.source == "--controller":
        return Fault(str(path), f"rows[{number}].controller: {fault.key}", fault.message)
    return fault
