"""``plan.csv``: a schedule of all devices in long format, written by a run and read from anywhere.

One row per step and device, columns ``step,device,p_mw,q_mvar,station``; other columns are ignored. ``station`` is the
station a truck is to be parked at or driving to, and stays empty for everything else. What the file leaves out: a
device without a row at a step gives no power in it; a truck without a row, or with an empty station, stays where it was
last sent (at first, where it starts); after the last row everything idles. Numbers read back exactly as written.
"""

from __future__ import annotations

import csv
import io
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from gridferry.controllers.contract import Plant
from gridferry.networks.faults import Fault, InputError, no_such

COLUMNS = ("step", "device", "p_mw", "q_mvar", "station")
PLAN_HEADER = ",".join(COLUMNS) + "\n"
"""First line of the file."""

_FAULTS_SHOWN = 50


@dataclass(frozen=True, eq=False)
class PlannedSchedule:
    """Setpoints of every step of a run; arrays are read-only.

    Attributes
    ----------
    p_mw, q_mvar : injection of every device [MW, Mvar]
    destination : station that each truck is to be parked at or driving to
    """

    p_mw: Float[np.ndarray, "step device"]
    q_mvar: Float[np.ndarray, "step device"]
    destination: Int[np.ndarray, "step truck"]

    def __post_init__(self) -> None:
        for values in (self.p_mw, self.q_mvar, self.destination):
            values.setflags(write=False)


# ---------------------------------------------------------------------------------------------------------------- write


def plan_rows(
    plant: Plant,
    first_step: int,
    p_mw: Float[np.ndarray, "step device"],
    q_mvar: Float[np.ndarray, "step device"],
    destination: Int[np.ndarray, "step truck"],
) -> str:
    """Return the lines of a batch of steps, to be appended below `PLAN_HEADER` or earlier batches."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    stations = [station.name for station in plant.stations]
    not_trucks = [""] * (plant.n_device - len(plant.trucks))
    p_rows, q_rows, sent_rows = p_mw.tolist(), q_mvar.tolist(), destination.tolist()
    for offset, (p, q, sent) in enumerate(zip(p_rows, q_rows, sent_rows, strict=True)):
        step = first_step + offset
        places = [stations[one] for one in sent] + not_trucks
        writer.writerows(
            (step, name, repr(p_one), repr(q_one), place)
            for name, p_one, q_one, place in zip(plant.device_names, p, q, places, strict=True)
        )
    return text.getvalue()


def write_plan(path: Path, plant: Plant, schedule: PlannedSchedule) -> None:
    """Write a schedule of a whole run."""
    rows = plan_rows(plant, 0, schedule.p_mw, schedule.q_mvar, schedule.destination)
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
    """Fills the arrays line by line and collects the faults."""

    def __init__(self, source: str, plant: Plant):
        self.source = source
        self.plant = plant
        self.faults: list[Fault] = []
        self.devices = {name: index for index, name in enumerate(plant.device_names)}
        self.stations = {station.name: index for index, station in enumerate(plant.stations)}
        self.p_mw = np.zeros((plant.steps, plant.n_device))
        self.q_mvar = np.zeros((plant.steps, plant.n_device))
        self.sent = np.full((plant.steps, len(plant.trucks)), -1, dtype=np.int64)
        self.line_of: dict[tuple[int, int], int] = {}

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
        return PlannedSchedule(self.p_mw, self.q_mvar, self._destination())

    def _places(self, header: list[str]) -> dict[str, int]:
        missing = [name for name in COLUMNS if name not in header]
        others = [name for name in header if name not in COLUMNS]
        for name in missing:
            says = no_such("column", name, [one for one in others if one] or header)
            self._fault(1, name, f"{says}; the header must name {PLAN_HEADER.strip()}, separated by commas")
        for name in COLUMNS:
            if header.count(name) > 1:
                self._fault(1, name, "named twice in the header; keep one")
        if self.faults:
            raise InputError(self.faults)
        return {name: header.index(name) for name in COLUMNS}

    def _row(self, line: int, header: list[str], places: dict[str, int], cells: list[str]) -> None:
        if len(cells) != len(header):
            self._fault(line, "", f"has {len(cells)} cells, the header {len(header)}; one comma between two cells")
            return
        step = self._step(line, cells[places["step"]])
        device = self._device(line, cells[places["device"]])
        p = self._power(line, "p_mw", cells[places["p_mw"]])
        q = self._power(line, "q_mvar", cells[places["q_mvar"]])
        station = None if device is None else self._station(line, device, cells[places["station"]])
        if step is None or device is None:
            return
        earlier = self.line_of.setdefault((step, device), line)
        if earlier != line:
            name = self.plant.device_names[device]
            self._fault(line, "step", f'{step}: device "{name}" has this step in line {earlier} already; keep one')
            return
        self.p_mw[step, device] = p
        self.q_mvar[step, device] = q
        if station is not None:
            self.sent[step, device] = station

    def _step(self, line: int, text: str) -> int | None:
        number = _number(text)
        if number is None or not number.is_integer():
            self._fault(line, "step", f'"{text}" is no whole number; count steps from 0')
        elif not 0 <= number < self.plant.steps:
            self._fault(line, "step", f"{text} lies outside the run, whose steps are 0 to {self.plant.steps - 1}")
        else:
            return int(number)
        return None

    def _device(self, line: int, text: str) -> int | None:
        if text not in self.devices:
            self._fault(line, "device", f'"{text}": {no_such("device", text, self.devices)}')
        return self.devices.get(text)

    def _power(self, line: int, column: str, text: str) -> float:
        number = _number(text)
        if number is not None and math.isfinite(number):
            return number
        self._fault(line, column, f'"{text}" is no finite number; write 0 for no power')
        return 0.0

    def _station(self, line: int, device: int, text: str) -> int | None:
        if not text:
            return None
        if device >= len(self.plant.trucks):
            name = self.plant.device_names[device]
            self._fault(line, "station", f'"{text}": "{name}" is no truck; leave the cell empty')
            return None
        truck = self.plant.trucks[device]
        index = self.stations.get(text)
        if index is None or index not in truck.stations:
            allowed = [self.plant.stations[one].name for one in truck.stations]
            kind = "station" if index is None else f'station that truck "{truck.name}" may use'
            self._fault(line, "station", f'"{text}": {no_such(kind, text, allowed)}')
            return None
        return index

    def _destination(self) -> Int[np.ndarray, "step truck"]:
        """Fill the steps at which a truck is not sent anywhere with the place it was last sent to."""
        steps = np.arange(self.plant.steps)[:, None]
        last = np.maximum.accumulate(np.where(self.sent >= 0, steps, -1), axis=0)
        home = np.array([truck.initial_station for truck in self.plant.trucks], dtype=np.int64)
        sent = np.take_along_axis(self.sent, np.maximum(last, 0), axis=0)
        return np.where(last >= 0, sent, home[None, :])

    def _fault(self, line: int, column: str, message: str) -> None:
        self.faults.append(Fault(self.source, f"line {line}{', ' if column else ''}{column}", message))


def _number(text: str) -> float | None:
    """Read a number as files write it; Python's own ``1_000`` is none."""
    try:
        return None if "_" in text else float(text)
    except ValueError:
        return None
