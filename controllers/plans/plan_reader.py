"""Reading of plan files as people write them: long or wide, by step or by time, as spreadsheets save them.

What the file leaves out: a port without a row at a step rests in it; a position without a row, or with an empty cell,
stays as it was last set (at first, as it is when the run begins). Columns that are none of a plan's are ignored where
one says the device. Files without ``time`` or ``step_s`` are read where that is unambiguous
(`gridferry.controllers.plans.plan_times`).
"""

from __future__ import annotations

import csv
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Int

from gridferry.controllers.contract import Plant
from gridferry.controllers.devices import Now
from gridferry.controllers.plans.plan_columns import PlanColumns, ValueColumn, columns_of, has_steps
from gridferry.controllers.plans.plan_file import PlannedSchedule, PlanRow, rows_of_step
from gridferry.controllers.plans.plan_times import RunTimes, TimedRow, steps_of_times, steps_per_row
from gridferry.networks.faults import Fault, InputError, no_such
from gridferry.networks.tables.stamps import NO_TIME, StampError, Stamps, found_out, iso
from gridferry.networks.tables.text import Text, has_decimal_comma, number_of, read_text

PowerUnit = Literal["MW", "kW", "W"]
_MEGAWATTS = {"MW": 1.0, "kW": 1e-3, "W": 1e-6}
_FAULTS_SHOWN = 50
_1970 = datetime(1970, 1, 1)


@dataclass(frozen=True, kw_only=True)
class _Cells:
    """What a row of the file says of a device."""

    at: TimedRow
    row: PlanRow
    p_mw: float
    q_mvar: float
    position: int | None


def read_plan(
    path: Path,
    plant: Plant,
    start: datetime | None = None,
    *,
    hold: bool = False,
    steps: int | None = None,
    unit: PowerUnit = "MW",
) -> PlannedSchedule:
    """Read the schedule of a run of ``plant.steps`` steps.

    Parameters
    ----------
    start : when the run begins; times in the file are not compared with it where it is not given
    hold : play a plan of longer steps, each for as many steps of the run as it lasts; refused otherwise
    steps : how many of the run's first steps the plan is for; all where not given
    unit : of powers whose columns do not name theirs

    Raises
    ------
    InputError
        with every fault of the file: line, column, value, what is wrong and the way out.
    """
    try:
        text = read_text(path, has_steps)
    except FileNotFoundError:
        raise InputError(Fault(str(path), "", "no such file; give the path of a plan.csv")) from None
    except (OSError, csv.Error) as error:
        words = getattr(error, "strerror", None) or str(error)
        raise InputError(Fault(str(path), "", f"cannot be read ({words}); give another")) from error
    if text.fault is not None:
        raise InputError(text.fault)
    times = RunTimes(start=start, step_s=plant.step_s, steps=plant.steps if steps is None else steps)
    return _Reader(str(path), plant, times, hold, _MEGAWATTS[unit]).read(text)


class _Reader:
    """Reader of a plan file, which collects its faults.

    Parameters
    ----------
    scale : MW in the unit of the file's powers
    """

    def __init__(self, source: str, plant: Plant, times: RunTimes, hold: bool, scale: float):
        self._source, self._plant, self._times, self._hold, self._scale = source, plant, times, hold, scale
        self._faults: dict[tuple[str, str], list[int]] = {}
        self._rows = {row.name: row for row in rows_of_step(plant)}
        self._found: list[_Cells] = []
        self._decimal = "."
        self._moments: dict[str, datetime] = {}
        self._last_time: dict[str, datetime] = {}

    def read(self, text: Text) -> PlannedSchedule:
        """Read the lines of a file; raises `InputError` with all its faults."""
        header = [name.strip() for name in text.columns]
        columns = columns_of(header, self._rows, lambda column, message: self._fault(1, column, message))
        self._raise()
        lines = list(self._lines(text, len(header)))
        self._settle_decimal(columns, lines)
        if columns.time is not None:
            self._read_times([(line, cells[columns.time]) for line, cells in lines])
        for line, cells in lines:
            self._line(line, cells, columns)
        if columns.step is not None:
            self._check_numbers()
        elif not self._faults:
            self._count_steps()
        self._check_repeats()
        rows = [] if self._faults else [one.at for one in self._found]  # those that cannot be read would be missing
        ratio, faults = steps_per_row(rows, self._times, self._hold, self._gapless())
        for fault in faults:
            self._fault(*fault)
        schedule = self._schedule(ratio)
        self._raise()
        return schedule

    # ----------------------------------------------------------------------------------------------------------- lines

    def _lines(self, text: Text, width: int) -> Iterator[tuple[int, list[str]]]:
        """Cells of each line that has any; those that a spreadsheet dropped at its end are empty."""
        for number, line in zip(text.numbers[1:], text.lines[1:], strict=True):
            try:
                cells = [cell.strip() for cell in next(csv.reader([line], delimiter=text.separator), [])]
            except csv.Error as error:
                self._fault(number, "", f"is no CSV: {error}")
                continue
            if not any(cells):
                continue
            if any(cells[width:]):
                message = f"has {len(cells)} cells, the header {width}; one {text.separator!r} between two cells"
                self._fault(number, "", message)
                continue
            yield number, [*cells[:width], *[""] * (width - len(cells))]

    def _settle_decimal(self, columns: PlanColumns, lines: Sequence[tuple[int, list[str]]]) -> None:
        comma = has_decimal_comma([cells[one.place] for _, cells in lines] for one in columns.powers)
        if comma is None:
            self._fault(1, "", "powers such as 1,234 can be read in two ways; write them with a decimal point")
        self._decimal = "," if comma else "."

    def _read_times(self, cells: Sequence[tuple[int, str]]) -> None:
        """Read the time column, in ISO or in the only way that it can be read in."""
        given = [(line, text) for line, text in cells if text]
        texts = [text for _, text in given]
        try:
            self._moments = {text: datetime.fromisoformat(text) for text in texts}
            return
        except ValueError:
            pass
        if any(_is_iso(text) for text in texts):
            for line, text in given:
                if _is_iso(text):
                    self._moments[text] = datetime.fromisoformat(text)
                else:
                    self._fault(line, "time", f'"{text}" is no time; write it as 2024-07-15T00:15:00')
            return
        try:
            found = iso(texts)
        except StampError:
            try:
                found = found_out(texts, self._in_run)
            except StampError as error:
                line, text = given[error.row or 0]
                no_time = f'"{text}" is no time; write it as 2024-07-15T00:15:00'
                self._fault(line, "time", no_time if error.message.endswith(NO_TIME) else error.message)
                return
        zone = UTC if found.aware else None
        self._moments = {
            text: (_1970 + timedelta(microseconds=micros)).replace(tzinfo=zone)
            for text, micros in zip(texts, found.micros.tolist(), strict=True)
        }

    def _in_run(self, stamps: Stamps) -> bool:
        """Whether times have a moment in common with the run."""
        if self._times.start is None:
            return True
        ends = (_1970 + timedelta(microseconds=int(one)) for one in (stamps.micros.min(), stamps.micros.max()))
        first, last = (self._times.seconds(one.replace(tzinfo=UTC if stamps.aware else None)) for one in ends)
        return last >= 0 and first < self._times.steps * self._times.step_s

    def _line(self, line: int, cells: list[str], columns: PlanColumns) -> None:
        step = -1 if columns.step is None else self._step(line, cells[columns.step])
        time = None if columns.time is None else self._moments.get(cells[columns.time])
        if columns.step is None and columns.time is not None and not cells[columns.time]:
            self._fault(line, "time", "missing time; fill it in, or count steps in a column step")
        step_s = None if columns.step_s is None else self._step_s(line, cells[columns.step_s])
        for row in self._rows_in(line, cells, columns):
            given = columns.of(row.name)
            texts = {what: cells[one.place] for what, one in given.items()}
            if columns.device is None:
                if not any(texts.values()):
                    continue
                texts |= {what: "0" for what in given if what != "position" and not texts[what]}
            p, q = (
                self._power(line, given[what], texts[what]) if what in given else 0.0 for what in ("p_mw", "q_mvar")
            )
            index = (
                self._position(line, row, given["position"].heading, texts["position"]) if "position" in given else None
            )
            if step is not None:
                at = TimedRow(line=line, step=step, time=self._second_pass(row.name, time), step_s=step_s)
                self._found.append(_Cells(at=at, row=row, p_mw=p, q_mvar=q, position=index))

    def _rows_in(self, line: int, cells: list[str], columns: PlanColumns) -> list[PlanRow]:
        """Whose setpoints a line has."""
        if columns.device is None:
            return list(self._rows.values())
        name = cells[columns.device]
        if name not in self._rows:
            self._fault(line, "device", f'"{name}": {no_such("device", name, self._rows)}')
            # what else is wrong with the line is told, too
            return [PlanRow(name="", port=None, position=None)]
        return [self._rows[name]]

    def _second_pass(self, name: str, time: datetime | None) -> datetime | None:
        """Take a time that the clocks show twice as the second one where a device's rows have come back to it."""
        if time is None or time.tzinfo is not None or self._times.start is None or self._times.start.tzinfo is None:
            return time
        before = self._last_time.get(name)
        if before is not None and self._times.seconds(time) <= self._times.seconds(before):
            time = time.replace(fold=1)
        self._last_time[name] = time
        return time

    # ----------------------------------------------------------------------------------------------------------- cells

    def _step(self, line: int, text: str) -> int | None:
        number, last = number_of(text), self._plant.steps - 1
        if number is None or not number.is_integer():
            self._fault(line, "step", f'"{text}" is no whole number; count steps from 0')
        elif not 0 <= number <= last + 1:  # a plan that counts from 1 is told as a whole
            self._fault(line, "step", f"{text} lies outside the run, whose steps are 0 to {last}")
        else:
            return int(number)
        return None

    def _step_s(self, line: int, text: str) -> int | None:
        number = number_of(text) if text else None
        if text and (number is None or not number.is_integer() or number <= 0):
            self._fault(line, "step_s", f'"{text}" is no whole number of seconds above 0')
            return None
        return None if number is None else int(number)

    def _power(self, line: int, column: ValueColumn, text: str) -> float:
        number, scale = number_of(text, self._decimal), column.scale or self._scale
        if number is not None and math.isfinite(number):
            return number if scale == 1.0 else number * scale
        self._fault(line, column.heading, f'"{text}" is no finite number; write 0 for no power')
        return 0.0

    def _position(self, line: int, row: PlanRow, column: str, text: str) -> int | None:
        if not text:
            return None
        if row.position is None:
            self._fault(line, column, f'"{text}": "{row.name}" has no position; leave the cell empty')
            return None
        position = self._plant.positions[row.position]
        labels = {position.labels[one]: one for one in position.choices}
        if text not in labels:
            message = no_such(f'position of "{row.name}"', text, list(labels))
            self._fault(line, column, f'"{text}": {message}')
        return labels.get(text)

    # ----------------------------------------------------------------------------------------------------------- steps

    def _count_steps(self) -> None:
        """Number rows by their times."""
        steps, length, faults = steps_of_times([one.at for one in self._found], self._times)
        for fault in faults:
            self._fault(*fault)
        if not faults:
            self._found = [
                replace(one, at=replace(one.at, step=step, step_s=length))
                for one, step in zip(self._found, steps, strict=True)
            ]

    def _check_numbers(self) -> None:
        """Refuse a plan that counts from 1."""
        numbers = {one.at.step for one in self._found}
        last = max(numbers, default=0)
        if min(numbers, default=0) == 1 and len(numbers) == last and self._counts_from_1(last):
            first = min(one.at.line for one in self._found)
            self._fault(
                first, "step", f"its steps are numbered 1 to {last}; they count from 0, so subtract 1 from each"
            )
            self._found = []

    def _counts_from_1(self, last: int) -> bool:
        times = [(one.at.step, one.at.time) for one in self._found if one.at.time is not None]
        if times and self._times.start is not None:
            return all(self._times.seconds(time) == 0 for step, time in times if step == 1)
        return last == self._times.steps or (self._hold and last > 1 and self._times.steps % last == 0)

    def _check_repeats(self) -> None:
        line_of: dict[tuple[int, str], int] = {}
        for one in (one for one in self._found if one.row.name and one.at.step >= 0):
            earlier = line_of.setdefault((one.at.step, one.row.name), one.at.line)
            if earlier != one.at.line:
                message = f'{one.at.step}: device "{one.row.name}" has this step in line {earlier} already; keep one'
                self._fault(one.at.line, "step", message)

    def _gapless(self) -> bool:
        """Whether a device has a row in every step up to the file's last."""
        last = max((one.at.step for one in self._found), default=-1)
        return last + 1 in Counter(one.row.name for one in self._found).values()

    # -------------------------------------------------------------------------------------------------------- schedule

    def _schedule(self, ratio: int) -> PlannedSchedule:
        plant = self._plant
        p_mw = np.tile(np.array([port.rest_mw for port in plant.ports]), (plant.steps, 1))
        q_mvar = np.zeros((plant.steps, plant.n_port))
        set_to = np.full((plant.steps, len(plant.positions)), -1, dtype=np.int64)
        names = list(self._rows)
        given = np.zeros((plant.steps, len(names)), dtype=bool)
        for one in self._found:
            steps = slice(one.at.step * ratio, (one.at.step + 1) * ratio)
            if steps.stop > plant.steps:
                longer = "" if ratio == 1 else f" of {ratio * plant.step_s} s"
                message = f"{one.at.step} lies outside the run, whose steps{longer} are 0 to {plant.steps // ratio - 1}"
                self._fault(one.at.line, "step", message)
                continue
            if not one.row.name:  # no device
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
        was_set = np.logical_or.accumulate(set_to >= 0, axis=0)
        return PlannedSchedule(p_mw, q_mvar, self._positions(set_to), was_set, without)

    def _positions(self, given: Int[np.ndarray, "step position"]) -> Int[np.ndarray, "step position"]:
        """Fill steps without a position, -1, with the last one."""
        steps = np.arange(self._plant.steps)[:, None]
        last = np.maximum.accumulate(np.where(given >= 0, steps, -1), axis=0)
        first = Now(self._plant.step_h)
        begin = [at for device in self._plant.devices for at in device.at(device.initial_state(first))]
        set_to = np.take_along_axis(given, np.maximum(last, 0), axis=0)
        return np.where(last >= 0, set_to, np.array(begin, dtype=np.int64)[None, :])

    # ---------------------------------------------------------------------------------------------------------- faults

    def _fault(self, line: int, column: str, message: str) -> None:
        self._faults.setdefault((column, message), []).append(line)

    def _raise(self) -> None:
        """Raise the faults, one of a kind for all its lines."""
        if not self._faults:
            return
        every = sorted(self._faults.items(), key=lambda one: one[1][0])
        faults = [
            Fault(
                self._source,
                f"line {lines[0]}{', ' if column else ''}{column}",
                message + (f" (and in {len(lines) - 1} more lines)" if len(lines) > 1 else ""),
            )
            for (column, message), lines in every
        ]
        more = len(faults) - _FAULTS_SHOWN
        rest = [Fault(self._source, "", f"and {more} more faults like these")] if more > 0 else []
        raise InputError(faults[:_FAULTS_SHOWN] + rest)


def _is_iso(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True
