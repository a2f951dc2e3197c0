"""``plan.csv``: schedules of all devices in long format.

One row per step and port or position, columns ``step,device,p_mw,q_mvar,position``; other columns are ignored. A port
and a position of one name share a row. ``position`` is a label: of a truck, the station it is to be parked at or
driving to; it stays empty for what has no position. Files that call this column ``station``, its old name, are read,
too. What the file leaves out: a port without a row at a step rests in it; a position without a row, or with an
empty cell, stays as it was last set (at first, as it is when the run begins); after the last row everything idles.
Numbers read back exactly as written.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from gridferry.controllers.contract import Plant
from gridferry.controllers.devices import Now
from gridferry.networks.faults import Fault, InputError, no_such

COLUMNS = ("step", "device", "p_mw", "q_mvar", "position")
_OLD_NAMES = {"position": "station"}
PLAN_HEADER = ",".join(COLUMNS) + "\n"
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
    """

    p_mw: Float[np.ndarray, "step port"]
    q_mvar: Float[np.ndarray, "step port"]
    position: Int[np.ndarray, "step position"]

    def __post_init__(self) -> None:
        for values in (self.p_mw, self.q_mvar, self.position):
            values.setflags(write=False)


# ---------------------------------------------------------------------------------------------------------------- write


def plan_rows(
    plant: Plant,
    first_step: int,
    p_mw: Float[np.ndarray, "step port"],
    q_mvar: Float[np.ndarray, "step port"],
    position: Int[np.ndarray, "step position"],
) -> str:
    """Return the lines of a batch of steps, to be appended below `PLAN_HEADER` or earlier batches."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    rows = rows_of_step(plant)
    for offset, values in enumerate(zip(p_mw.tolist(), q_mvar.tolist(), position.tolist(), strict=True)):
        writer.writerows(
            (first_step + offset, name, repr(p), repr(q), label or "")
            for name, p, q, label in values_of_step(plant, rows, *values)
        )
    return text.getvalue()


def values_of_step(
    plant: Plant, rows: Sequence[PlanRow], p_mw: Sequence[float], q_mvar: Sequence[float], position: Sequence[int]
) -> Iterator[tuple[str, float, float, str | None]]:
    """Return name, P, Q [MW, Mvar] and label of each row of a step; 0 and ``None`` where it has none."""
    for row in rows:
        p, q = (0.0, 0.0) if row.port is None else (p_mw[row.port], q_mvar[row.port])
        label = None if row.position is None else plant.positions[row.position].labels[position[row.position]]
        yield row.name, p, q, label


def write_plan(path: Path, plant: Plant, schedule: PlannedSchedule) -> None:
    """Write the schedule of a run."""
    rows = plan_rows(plant, 0, schedule.p_mw, schedule.q_mvar, schedule.position)
    path.write_text(PLAN_HEADER + rows, encoding="utf-8", newline="\n")


# ----------------------------------------------------------------------------------------------------------------- read


def read_plan(path: Path, plant: Plant) -> PlannedSchedule:
    """Read the schedule of a run of ``plant.steps`` steps.

    Raises
    ------
    InputError
        with every fault of the file: line, column, value, what is wrong and the way out.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise InputError(Fault(str(path), "", "no such file; give the path of a plan.csv")) from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(Fault(str(path), "", f"cannot be read as UTF-8 text: {error}")) from error
    return _Reader(str(path), plant).read(text)


class _Reader:
    """Reader of a plan file, which collects its faults."""

    def __init__(self, source: str, plant: Plant):
        self.source = source
        self.plant = plant
        self.faults: list[Fault] = []
        self.rows = {row.name: row for row in rows_of_step(plant)}
        self.p_mw = np.tile(np.array([port.rest_mw for port in plant.ports]), (plant.steps, 1))
        self.q_mvar = np.zeros((plant.steps, plant.n_port))
        self.set_to = np.full((plant.steps, len(plant.positions)), -1, dtype=np.int64)
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
        if self.faults:
            more = len(self.faults) - _FAULTS_SHOWN
            rest = [Fault(self.source, "", f"and {more} more faults like these")] if more > 0 else []
            raise InputError(self.faults[:_FAULTS_SHOWN] + rest)
        return PlannedSchedule(self.p_mw, self.q_mvar, self._set_to())

    def _places(self, header: list[str]) -> dict[str, int]:
        called = {name: name if name in header else _OLD_NAMES.get(name, name) for name in COLUMNS}
        missing = [name for name in COLUMNS if called[name] not in header]
        others = [name for name in header if name not in COLUMNS]
        for name in missing:
            message = no_such("column", name, [one for one in others if one] or header)
            self._fault(1, name, f"{message}; the header must name {PLAN_HEADER.strip()}, separated by commas")
        for name in COLUMNS:
            if header.count(called[name]) > 1:
                self._fault(1, called[name], "named twice in the header; keep one")
            elif name == called[name] and _OLD_NAMES.get(name) in header:
                self._fault(1, name, f'named twice in the header, "{_OLD_NAMES[name]}" being its old name; keep one')
        if self.faults:
            raise InputError(self.faults)
        self.position_column = called["position"]
        return {name: header.index(called[name]) for name in COLUMNS}

    def _row(self, line: int, header: list[str], places: dict[str, int], cells: list[str]) -> None:
        if len(cells) != len(header):
            self._fault(line, "", f"has {len(cells)} cells, the header {len(header)}; one comma between two cells")
            return
        step = self._step(line, cells[places["step"]])
        row = self._device(line, cells[places["device"]])
        p = self._power(line, "p_mw", cells[places["p_mw"]])
        q = self._power(line, "q_mvar", cells[places["q_mvar"]])
        index = None if row is None else self._position(line, row, cells[places["position"]])
        if step is None or row is None:
            return
        earlier = self.line_of.setdefault((step, row.name), line)
        if earlier != line:
            self._fault(line, "step", f'{step}: device "{row.name}" has this step in line {earlier} already; keep one')
            return
        if row.port is not None:
            self.p_mw[step, row.port] = p
            self.q_mvar[step, row.port] = q
        if index is not None:
            self.set_to[step, row.position] = index

    def _step(self, line: int, text: str) -> int | None:
        number = _number(text)
        if number is None or not number.is_integer():
            self._fault(line, "step", f'"{text}" is no whole number; count steps from 0')
        elif not 0 <= number < self.plant.steps:
            self._fault(line, "step", f"{text} lies outside the run, whose steps are 0 to {self.plant.steps - 1}")
        else:
            return int(number)
        return None

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

    def _set_to(self) -> Int[np.ndarray, "step position"]:
        """Fill steps without a position with the last one."""
        steps = np.arange(self.plant.steps)[:, None]
        last = np.maximum.accumulate(np.where(self.set_to >= 0, steps, -1), axis=0)
        first = Now(self.plant.step_h)
        begin = [at for device in self.plant.devices for at in device.at(device.initial_state(first))]
        set_to = np.take_along_axis(self.set_to, np.maximum(last, 0), axis=0)
        return np.where(last >= 0, set_to, np.array(begin, dtype=np.int64)[None, :])

    def _fault(self, line: int, column: str, message: str) -> None:
        self.faults.append(Fault(self.source, f"line {line}{', ' if column else ''}{column}", message))


def _number(text: str) -> float | None:
    """Read a number; Python's digit groups ``1_000`` are refused."""
    try:
        return None if "_" in text else float(text)
    except ValueError:
        return None
