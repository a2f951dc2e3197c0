"""``plan.csv``: schedules of all devices in long format, and how it is written.

One row per step and port or position, columns ``step,device,p_mw,q_mvar,position,time,step_s``. A port and a position
of one name share a row. ``position`` is a label: of a truck, the station it is to be parked at or driving to; it stays
empty for what has no position. ``time`` is when the step begins and ``step_s`` how long it is [s]. Numbers read back
exactly as written (`gridferry.controllers.plans.plan_reader`).
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int

from gridferry.controllers.contract import Plant
from gridferry.controllers.plans.plan_times import RunTimes

COLUMNS = ("step", "device", "p_mw", "q_mvar", "position")
PLAN_HEADER = ",".join((*COLUMNS, "time", "step_s")) + "\n"
"""First line of the file."""


@dataclass(frozen=True, kw_only=True)
class PlanRow:
    """Subject of a row: device, and port or position.

    Attributes
    ----------
    name : as in the column ``device``
    port : the port of this name, along those of the plant; ``None`` where there is none
    position : the position of this name, along those of the plant; ``None`` where there is none
    """

    name: str
    port: int | None
    position: int | None


def rows_of_step(plant: Plant) -> tuple[PlanRow, ...]:
    """Return the rows of a step: the ports that a plan sets, then the positions without such a port."""
    ports = {plant.ports[index].name: index for index in plant.planned}
    positions = {one.name: index for index, one in enumerate(plant.positions)}
    names = dict.fromkeys([*ports, *positions])
    return tuple(PlanRow(name=name, port=ports.get(name), position=positions.get(name)) for name in names)


@dataclass(frozen=True, eq=False)
class PlannedSchedule:
    """Setpoints of every step of a run; arrays are read-only.

    Attributes
    ----------
    p_mw, q_mvar : injection of every port [MW, Mvar]
    position : what each position is set to, an index into its labels
    position_named : where the file has said so, in that step or before
    without_row : steps that the file does not cover, and the devices without a row in them, of those that it names
    """

    p_mw: Float[np.ndarray, "step port"]
    q_mvar: Float[np.ndarray, "step port"]
    position: Int[np.ndarray, "step position"]
    position_named: Bool[np.ndarray, "step position"]
    without_row: Mapping[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for values in (self.p_mw, self.q_mvar, self.position, self.position_named):
            values.setflags(write=False)


def values_of_step(
    plant: Plant, rows: Sequence[PlanRow], p_mw: Sequence[float], q_mvar: Sequence[float], position: Sequence[int]
) -> Iterator[tuple[str, float, float, str | None]]:
    """Return name, P, Q [MW, Mvar] and label of each row of a step; 0 and ``None`` where it has none."""
    for row in rows:
        p, q = (0.0, 0.0) if row.port is None else (p_mw[row.port], q_mvar[row.port])
        label = None if row.position is None else plant.positions[row.position].labels[position[row.position]]
        yield row.name, p, q, label


def write_plan(path: Path, plant: Plant, schedule: PlannedSchedule, start: datetime) -> None:
    """Write the schedule of a run that begins at ``start``."""
    rows, times = rows_of_step(plant), RunTimes(start=start, step_s=plant.step_s, steps=plant.steps)
    values = zip(schedule.p_mw.tolist(), schedule.q_mvar.tolist(), schedule.position.tolist(), strict=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write(PLAN_HEADER)
        csv.writer(file, lineterminator="\n").writerows(
            (step, name, repr(p), repr(q), label or "", times.begin(step).isoformat(), plant.step_s)
            for step, row in enumerate(values)
            for name, p, q, label in values_of_step(plant, rows, *row)
        )
