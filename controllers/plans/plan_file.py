"""``plan.csv``: schedules of all devices in long format.

One row per step and port or position, columns ``step,device,p_mw,q_mvar,position,time,step_s``; other columns are
ignored. A port and a position of one name share a row. ``position`` is a label: of a truck, the station it is to be
parked at or driving to; it stays empty for what has no position. Files that call this column ``station``, its old
name, are read, too. ``time`` is when the step begins and ``step_s`` how long it is [s]; files without them are read
where that is unambiguous (`gridferry.controllers.plans.plan_times`). What the file leaves out: a port without a row at
a step rests in it; a position without a row, or with an empty cell, stays as it was last set (at first, as it is when
the run begins). Numbers read back exactly as written.
"""

from __future__ import annotations

import csv
import io
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int

from gridferry.controllers.contract import Plant
from gridferry.controllers.devices import Now
from gridferry.controllers.plans.plan_times import RunTimes, TimedRow, steps_per_row
from gridferry.networks.faults import Fault, InputError, no_such, no_text

COLUMNS = ("step", "device", "p_mw", "q_mvar", "position")
_OLD_NAMES = {"position": "station"}
_TIMES = ("time", "step_s")
PLAN_HEADER = ",".join((*COLUMNS, *_TIMES)) + "\n"
"""First line of the file."""

_FAULTS_SHOWN = 50


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


# ---------------------------------------------------------------------------------------------------------------- write


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


# ----------------------------------------------------------------------------------------------------------------- read


def read_plan(
    path: Path, plant: Plant, start: datetime | None = None, *, hold: bool = False, steps: int | None = None
) -> PlannedSchedule:
    """Read the schedule of a run of ``plant.steps`` steps.

    Parameters
    ----------
    start : when the run begins; times in the file are not compared with it where it is not given
    hold : play a plan of longer steps, each for as many steps of the run as it lasts; refused otherwise
    steps : how many of the run's first steps the plan is for; all where not given

    Raises
    ------
    InputError
        with every fault of the file: line, column, value, what is wrong and the way out.
    """
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise InputError(Fault(str(path), "", "no such file; give the path of a plan.csv")) from None
    except OSError as error:
        raise InputError(Fault(str(path), "", f"cannot be read ({error.strerror}); give another")) from error
    if fault := no_text(str(path), raw):
        raise InputError(fault)
    times = RunTimes(start=start, step_s=plant.step_s, steps=plant.steps if steps is None else steps)
    return _Reader(str(path), plant, times, hold).read(raw.decode("utf-8-sig"))


@dataclass(frozen=True, kw_only=True)
class _Cells:
    """A row of the file, read."""

    at: TimedRow
    row: PlanRow
    p_mw: float
    q_mvar: float
    position: int | None


class _Reader:
    """Reader of a plan file, which collects its faults."""

    def __init__(self, source: str, plant: Plant, times: RunTimes, hold: bool):
        self.source = source
        self.plant = plant
        self.times = times
        self.hold = hold
        self.faults: list[Fault] = []
        self.rows = {row.name: row for row in rows_of_step(plant)}
        self.found: list[_Cells] = []
        self.line_of: dict[tuple[int, str], int] = {}
        self.position_column = "position"

    def read(self, text: str) -> PlannedSchedule:
        reader = csv.reader(io.StringIO(text))
        try:
            header = [name.strip() for name in next(reader, [])]
            places = self._places(header)
            for cells in reader:
                if any(cell.strip() for cell in cells):
                    self._row(reader.line_num, header, places, [cell.strip() for cell in cells])
        except csv.Error as error:
            self._fault(reader.line_num, "", f"is no CSV: {error}")
        rows = [] if self.faults else [one.at for one in self.found]  # those that cannot be read would be missing
        ratio, faults = steps_per_row(rows, self.times, self.hold, self._gapless())
        for fault in faults:
            self._fault(*fault)
        schedule = self._schedule(ratio)
        if self.faults:
            more = len(self.faults) - _FAULTS_SHOWN
            rest = [Fault(self.source, "", f"and {more} more faults like these")] if more > 0 else []
            raise InputError(self.faults[:_FAULTS_SHOWN] + rest)
        return schedule

    def _gapless(self) -> bool:
        """Whether a device has a row in every step up to the file's last."""
        last = max((one.at.step for one in self.found), default=-1)
        return last + 1 in Counter(one.row.name for one in self.found).values()

    def _schedule(self, ratio: int) -> PlannedSchedule:
        plant = self.plant
        p_mw = np.tile(np.array([port.rest_mw for port in plant.ports]), (plant.steps, 1))
        q_mvar = np.zeros((plant.steps, plant.n_port))
        set_to = np.full((plant.steps, len(plant.positions)), -1, dtype=np.int64)
        names = list(self.rows)
        given = np.zeros((plant.steps, len(names)), dtype=bool)
        for one in self.found:
            steps = slice(one.at.step * ratio, (one.at.step + 1) * ratio)
            if steps.stop > plant.steps:
                longer = "" if ratio == 1 else f" of {ratio * plant.step_s} s"
                message = f"{one.at.step} lies outside the run, whose steps{longer} are 0 to {plant.steps // ratio - 1}"
                self._fault(one.at.line, "step", message)
                continue
            given[steps, names.index(one.row.name)] = True
            if one.row.port is not None:
                p_mw[steps, one.row.port] = one.p_mw
                q_mvar[steps, one.row.port] = one.q_mvar
            if one.position is not None:
                set_to[steps.start, one.row.position] = one.position
        named = given.any(axis=0) if given.any() else np.ones(len(names), dtype=bool)
        absent = ~given & named
        without = {int(step): ", ".join(np.array(names)[absent[step]]) for step in np.flatnonzero(absent.any(axis=1))}
        return PlannedSchedule(
            p_mw, q_mvar, self._positions(set_to), np.logical_or.accumulate(set_to >= 0, axis=0), without
        )

    def _places(self, header: list[str]) -> dict[str, int]:
        called = {name: name if name in header else _OLD_NAMES.get(name, name) for name in COLUMNS}
        missing = [name for name in COLUMNS if called[name] not in header]
        others = [name for name in header if name not in COLUMNS]
        for name in missing:
            message = no_such("column", name, [one for one in others if one] or header)
            self._fault(1, name, f"{message}; the header must name {','.join(COLUMNS)}, separated by commas")
        for name in (*COLUMNS, *_TIMES):
            if header.count(called.get(name, name)) > 1:
                self._fault(1, called.get(name, name), "named twice in the header; keep one")
            elif name == called.get(name) and _OLD_NAMES.get(name) in header:
                self._fault(1, name, f'named twice in the header, "{_OLD_NAMES[name]}" being its old name; keep one')
        if self.faults:
            raise InputError(self.faults)
        self.position_column = called["position"]
        there = {name: header.index(called[name]) for name in COLUMNS}
        return there | {name: header.index(name) for name in _TIMES if name in header}

    def _row(self, line: int, header: list[str], places: dict[str, int], cells: list[str]) -> None:
        if len(cells) != len(header):
            self._fault(line, "", f"has {len(cells)} cells, the header {len(header)}; one comma between two cells")
            return
        step = self._step(line, cells[places["step"]])
        row = self._device(line, cells[places["device"]])
        p = self._power(line, "p_mw", cells[places["p_mw"]])
        q = self._power(line, "q_mvar", cells[places["q_mvar"]])
        index = None if row is None else self._position(line, row, cells[places["position"]])
        time = self._time(line, cells[places["time"]]) if "time" in places else None
        step_s = self._step_s(line, cells[places["step_s"]]) if "step_s" in places else None
        if step is None or row is None:
            return
        earlier = self.line_of.setdefault((step, row.name), line)
        if earlier != line:
            self._fault(line, "step", f'{step}: device "{row.name}" has this step in line {earlier} already; keep one')
            return
        at = TimedRow(line=line, step=step, time=time, step_s=step_s)
        self.found.append(_Cells(at=at, row=row, p_mw=p, q_mvar=q, position=index))

    def _step(self, line: int, text: str) -> int | None:
        number = _number(text)
        if number is None or not number.is_integer():
            self._fault(line, "step", f'"{text}" is no whole number; count steps from 0')
        elif not 0 <= number < self.plant.steps:
            self._fault(line, "step", f"{text} lies outside the run, whose steps are 0 to {self.plant.steps - 1}")
        else:
            return int(number)
        return None

    def _time(self, line: int, text: str) -> datetime | None:
        try:
            return datetime.fromisoformat(text) if text else None
        except ValueError:
            self._fault(line, "time", f'"{text}" is no time; write it as 2024-07-15T00:15:00')
            return None

    def _step_s(self, line: int, text: str) -> int | None:
        number = _number(text) if text else None
        if text and (number is None or not number.is_integer() or number <= 0):
            self._fault(line, "step_s", f'"{text}" is no whole number of seconds above 0')
            return None
        return None if number is None else int(number)

    def _device(self, line: int, text: str) -> PlanRow | None:
        if text not in self.rows:
            self._fault(line, "device", f'"{text}": {no_such("device", text, self.rows)}')
        return self.rows.get(text)

    def _power(self, line: int, column: str, text: str) -> float:
        number = _number(text)
        if number is not None and math.isfinite(number):
            return number
        self._fault(line, column, f'"{text}" is no finite number; write 0 for no power')
        return 0.0

    def _position(self, line: int, row: PlanRow, text: str) -> int | None:
        if not text:
            return None
        if row.position is None:
            self._fault(line, self.position_column, f'"{text}": "{row.name}" has no position; leave the cell empty')
            return None
        position = self.plant.positions[row.position]
        labels = {position.labels[one]: one for one in position.choices}
        if text not in labels:
            message = no_such(f'position of "{row.name}"', text, list(labels))
            self._fault(line, self.position_column, f'"{text}": {message}')
        return labels.get(text)

    def _positions(self, given: Int[np.ndarray, "step position"]) -> Int[np.ndarray, "step position"]:
        """Fill steps without a position, -1, with the last one."""
        steps = np.arange(self.plant.steps)[:, None]
        last = np.maximum.accumulate(np.where(given >= 0, steps, -1), axis=0)
        first = Now(self.plant.step_h)
        begin = [at for device in self.plant.devices for at in device.at(device.initial_state(first))]
        set_to = np.take_along_axis(given, np.maximum(last, 0), axis=0)
        return np.where(last >= 0, set_to, np.array(begin, dtype=np.int64)[None, :])

    def _fault(self, line: int, column: str, message: str) -> None:
        self.faults.append(Fault(self.source, f"line {line}{', ' if column else ''}{column}", message))


def _number(text: str) -> float | None:
    """Read a number; Python's digit groups ``1_000`` are refused."""
    try:
        return None if "_" in text else float(text)
    except ValueError:
        return None
