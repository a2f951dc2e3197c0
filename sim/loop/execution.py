"""Verdict on a run: whether it is feasible, and whether devices did what its plan requested.

Executed as planned means, with a tolerance of 1e-6:

* no port fell short of its setpoint on any local day, by energy, of what its rating gives in that day's steps; Q counts
  likewise. A port that takes a limit has no shortfall of P, one that follows a profile has none at all;
* no store missed the energy due at the end of a local day, by state of charge;
* nothing that is due at a place, as a truck at its depot, was elsewhere;
* every position was reached or headed for, and every step had a row in a plan that was replayed.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import duckdb
import numpy as np

from gridferry.controllers.contract import NoteKind, Plant
from gridferry.controllers.devices import Act, Port
from gridferry.controllers.devices.traits import balanced_mwh, places_due, storage_of

_TOLERANCE = 1e-6
"""of a rating, and of a state of charge"""


class VerdictKind(StrEnum):
    """Verdict on a run."""

    EXECUTED = "feasible and executed"
    NOT_EXECUTED = "feasible, not executed as planned"
    INFEASIBLE = "infeasible"
    """a limit is violated in AC, or a power flow has no solution"""


@dataclass(frozen=True, kw_only=True)
class Execution:
    """By how much a run did not do what its plan requested.

    Attributes
    ----------
    shortfall_of_rating_max : largest shortfall of a port on a day, of the energy that its rating gives in that day
    shortfall_port : its name; empty where there is none
    energy_due_shortfall_max : largest shortfall of energy due at the end of a day, of the rated energy
    energy_due_store : of which store; empty where none
    places_violated : how often a device was not where it was due
    positions_not_reached : steps of positions that were neither reached nor headed for
    steps_without_row : steps in which a replayed plan has no row of a device
    """

    shortfall_of_rating_max: float
    shortfall_port: str
    energy_due_shortfall_max: float
    energy_due_store: str
    places_violated: int
    positions_not_reached: int
    steps_without_row: int

    @property
    def reasons(self) -> list[str]:
        """What was not executed as planned, in words; empty if all was."""
        found = []
        if (short := self.shortfall_of_rating_max) > _TOLERANCE:
            units = " (kW given for MW?)" if short > 10.0 else ""
            found.append(f"{self.shortfall_port} was short of its setpoints by {short:.3g} of its rating{units}")
        if self.energy_due_shortfall_max > _TOLERANCE:
            by = self.energy_due_shortfall_max
            found.append(f"{self.energy_due_store} missed soc_end at the end of a day by {by:.4g}")
        if self.places_violated:
            found.append(f"trucks were not at their depots when due, {self.places_violated} times")
        if self.positions_not_reached:
            found.append(f"positions were not reached in {self.positions_not_reached} steps")
        if self.steps_without_row:
            found.append(f"the plan does not cover {self.steps_without_row} steps")
        return found


def verdict_of(feasible: bool, execution: Execution) -> VerdictKind:
    """Return the verdict on a run."""
    if not feasible:
        return VerdictKind.INFEASIBLE
    return VerdictKind.NOT_EXECUTED if execution.reasons else VerdictKind.EXECUTED


def execution_of(connection: duckdb.DuckDBPyConnection, plant: Plant) -> Execution:
    """Return by how much a record did not do what the plan requested."""
    short, port = max(_shortfalls(connection, plant), default=(0.0, ""))
    due, store = max(_energy_shortfalls(connection, plant), default=(0.0, ""))
    (positions,), (rows,) = (
        connection.execute(query).fetchall()[0]
        for query in (
            'SELECT count(*) FROM "plan" JOIN position ON "plan".step = position.step '
            'AND "plan".device = position.position WHERE "plan".station <> position.label',
            f"SELECT count(*) FROM step WHERE solver_notes LIKE '%\"{NoteKind.NO_ROW.value}\"%'",
        )
    )
    return Execution(
        shortfall_of_rating_max=short,
        shortfall_port=port if short > 0 else "",
        energy_due_shortfall_max=due,
        energy_due_store=store if due > 0 else "",
        places_violated=_places_violated(connection, plant),
        positions_not_reached=positions,
        steps_without_row=rows,
    )


def _shortfalls(connection: duckdb.DuckDBPyConnection, plant: Plant) -> list[tuple[float, str]]:
    """Shortfall of each port on each day, of what its rating gives in that day's steps, and the port's name."""
    steps = connection.execute("SELECT count(*) FROM step").fetchall()[0][0]
    hours = np.bincount([plant.day_of(step) for step in range(steps)], minlength=1) * plant.step_h
    ports = {plant.ports[index].name: plant.ports[index] for index in plant.planned}
    total: dict[tuple[str, int], float] = {}
    rows = connection.execute(
        "SELECT device, step, shortfall_mwh, abs(q_set_mvar - q_mvar) FROM device "
        "WHERE shortfall_mwh > 0 OR q_set_mvar <> q_mvar"
    ).fetchall()
    for name, step, p_mwh, q_mvar in rows:
        port, day = ports[name], plant.day_of(step)
        short = 0.0 if port.act is not Act.SETPOINT else p_mwh or 0.0
        short += plant.step_h * q_mvar if port.sets_q else 0.0
        total[name, day] = total.get((name, day), 0.0) + short
    return [(float(short / (_rating(ports[name]) * hours[day])), name) for (name, day), short in total.items()]


def _places_violated(connection: duckdb.DuckDBPyConnection, plant: Plant) -> int:
    """How often a device was not at the station where it was due; what was due after the last step is not."""
    steps = connection.execute("SELECT count(*) FROM step").fetchall()[0][0]
    violated = 0
    for device in plant.devices:
        for at, station in places_due(device, plant.clock_h(0, steps + 1)):
            (there,) = connection.execute(
                f"SELECT count(*) FROM {device.table} "
                "WHERE device = ? AND step = ? AND destination = ? AND transit_steps = 0",
                [device.name, at - 1, plant.stations[station].name],
            ).fetchall()[0]
            violated += not there
    return violated


def _rating(port: Port) -> float:
    """Rating of a port [MVA]; 1 where none is known."""
    known = [one for one in (port.s_max_mva, max(port.p_max_mw, -port.p_min_mw)) if 0 < one < np.inf]
    return known[0] if known else 1.0


def _energy_shortfalls(connection: duckdb.DuckDBPyConnection, plant: Plant) -> list[tuple[float, str]]:
    """Shortfall of the energy due of each store at the end of each day, of its rated energy, and its name."""
    found = []
    for device in plant.devices:
        store, whole, due = storage_of(device), balanced_mwh(device), 0.0
        if store is not None and store.soc_end_min is not None:
            whole, due = store.energy_mwh, store.soc_end_min
        if whole is None:
            continue
        rows = connection.execute(
            "SELECT step, energy_mwh, usable_energy_share FROM device WHERE device = ? AND energy_mwh IS NOT NULL",
            [device.name],
        ).fetchall()
        for step, energy_mwh, usable in rows:
            if plant.steps_left_of_day(step) == 1:
                short = due * (1.0 if usable is None else usable) - energy_mwh / whole
                found.append((max(short, 0.0), device.name))
    return found
