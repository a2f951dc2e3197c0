"""Violations of limits by evaluated schedules: of the grid in AC, and of energies due; doing nothing for comparison."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from gridferry.controllers import tolerances
from gridferry.controllers.contract import Forecast, Note, NoteKind, Observation, Plant, hold
from gridferry.controllers.devices.traits import balanced_mwh, places_due, storage_of
from gridferry.controllers.model.ahead import SocAtHorizon, day_ends
from gridferry.controllers.model.solution import Dispatch
from gridferry.controllers.plans.violation import RelativeViolation
from gridferry.controllers.schedule.ac_evaluation import Evaluation, Schedules
from gridferry.controllers.schedule.grid_limits import GridLimits, GridViolation, slack_buses


@dataclass(frozen=True, kw_only=True, eq=False)
class EnergyDue:
    """Energy due of a store.

    Attributes
    ----------
    name : of the device, with its kind
    device : its number in the plant
    column : of the store on the axis of stores
    at : steps of the horizon before it is due
    least_mwh, rated_mwh : what is due, and what counts as 1 of what is missing, the rated energy [MWh]
    """

    name: str
    device: int
    column: int
    at: int
    least_mwh: float
    rated_mwh: float


def energies_due(
    plant: Plant, observation: Observation, forecast: Forecast, soc_at_horizon: SocAtHorizon
) -> tuple[EnergyDue, ...]:
    """Return all energies due over a forecast's horizon."""
    ends, soc_at_end = day_ends(plant, observation.step, forecast.steps, soc_at_horizon)
    stores = list(plant.stores)
    found: list[EnergyDue] = []
    for number, device in enumerate(plant.devices):
        store, balanced = storage_of(device), balanced_mwh(device)
        if balanced is not None:
            name, column = f"{device.port_kind} {device.name}", stores.index(device)
            found += [
                EnergyDue(name=name, device=number, column=column, at=at, least_mwh=0.0, rated_mwh=balanced)
                for at in ends
            ]
        if store is None:
            continue
        usable = forecast.of(device).get("usable_energy_share", np.ones(forecast.steps))
        found += [
            EnergyDue(
                name=f"{device.port_kind} {device.name}",
                device=number,
                column=stores.index(device),
                at=at,
                least_mwh=soc * store.energy_mwh * float(usable[at - 1]),
                rated_mwh=store.energy_mwh,
            )
            for at, soc in store.due(ends, forecast.steps, soc_at_end).items()
        ]
    return tuple(found)


@dataclass(frozen=True, kw_only=True, eq=False)
class PlaceDue:
    """Station at which a device is due, as at its depot.

    Attributes
    ----------
    name : of the device, with its kind
    column : of its position on the axis of all positions
    at : steps of the horizon before it is due
    station : where
    """

    name: str
    column: int
    at: int
    station: int


def places_due_of(plant: Plant, step: int, horizon: int) -> tuple[PlaceDue, ...]:
    """Return where devices are due over a horizon."""
    clock_h = plant.clock_h(step, horizon + 1)
    return tuple(
        PlaceDue(name=f"{device.port_kind} {device.name}", column=columns.start, at=at, station=station)
        for device, columns in zip(plant.devices, plant.positions_of, strict=True)
        for at, station in places_due(device, clock_h)
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class ScheduleViolation:
    """By how much schedules violate limits.

    Attributes
    ----------
    grid : of the grid
    due : energies due
    short_mwh : what is missing of them [MWh]
    places : where devices are due
    away : whether they are elsewhere
    """

    grid: GridViolation
    due: tuple[EnergyDue, ...]
    short_mwh: Float[np.ndarray, "sample due"]
    places: tuple[PlaceDue, ...]
    away: Bool[np.ndarray, "sample place"]

    @property
    def relative(self) -> RelativeViolation:
        """Violation of all limits over the horizon, on the one scale."""
        samples = len(self.short_mwh)
        short = self.short_mwh / np.array([one.rated_mwh for one in self.due])
        grid = [one.reshape(samples, -1) for one in self.grid.scaled]
        unsolved = self.grid.unsolved.reshape(samples, -1).sum(axis=1)
        return RelativeViolation.of(unsolved, [*grid, short, self.away.astype(float)])

    def notes(self, step: int, sample: int = 0) -> tuple[Note, ...]:
        """Return notes on the largest violation of each kind by a schedule.

        Parameters
        ----------
        step : the first one of the horizon
        """
        grid, feeders = self.grid, self.grid.plant.feeders
        names = [f"network {number + 1} ({one.name})" for number, one in enumerate(feeders)]
        buses = [f"bus {bus} of {name}" for one, name in zip(feeders, names, strict=True) for bus in one.bus_names]
        lines = [
            f"branch {line} of {name}" for one, name in zip(feeders, names, strict=True) for line in one.branch_names
        ]
        free, short = ~slack_buses(grid.plant), self.short_mwh[sample]
        found = []
        for kind, by, at in (
            (NoteKind.VIOLATED_V_LOW, grid.v_low_pu[sample] * free, buses),
            (NoteKind.VIOLATED_V_HIGH, grid.v_high_pu[sample] * free, buses),
            (NoteKind.VIOLATED_LOADING, grid.loading[sample], lines),
            (NoteKind.VIOLATED_EXCHANGE, grid.exchange_mw[sample], [f"exchange of {name}" for name in names]),
        ):
            if by.max(initial=0.0) > 0:
                t, column = divmod(int(by.argmax()), by.shape[1])
                found.append(Note(kind, float(by[t, column]), f"{at[column]} at step {step + t}"))
        if short.max(initial=0.0) > 0:
            one = self.due[int(short.argmax())]
            place = f"{one.name} at the end of step {step + one.at - 1}"
            found.append(Note(NoteKind.VIOLATED_ENERGY, float(short.max()), place))
        for row in np.flatnonzero(self.away[sample]).tolist():
            where = self.places[row]
            place = f"{where.name}, depot, at the end of step {step + where.at - 1}"
            found.append(Note(NoteKind.VIOLATED_OTHER, 1.0, place))
        return tuple(found)


@dataclass(frozen=True, kw_only=True, eq=False)
class ScheduleLimits:
    """Limits of the grid, energies due, and where devices are due, that schedules are evaluated against."""

    grid: GridLimits
    due: tuple[EnergyDue, ...]
    places: tuple[PlaceDue, ...]

    @classmethod
    def of(cls, dispatch: Dispatch) -> ScheduleLimits:
        """Return the limits that a dispatch is planned within, margins among them."""
        outlook, limits = dispatch.outlook, dispatch.limits
        grid = GridLimits(
            plant=outlook.plant,
            v_low_pu=np.sqrt(limits.v_low_sq),
            v_high_pu=np.sqrt(limits.v_high_sq),
            loading=limits.rating,
            v_tolerance_pu=tolerances.VOLTAGE_PU,
            loading_tolerance=tolerances.LOADING,
        )
        due = energies_due(outlook.plant, outlook.observation, outlook.forecast, outlook.soc_at_horizon)
        places = places_due_of(outlook.plant, outlook.observation.step, outlook.horizon)
        return cls(grid=grid, due=due, places=places)

    def violation(self, found: Evaluation) -> ScheduleViolation:
        """Return by how much evaluated schedules violate limits."""
        stored = found.energy_mwh[:, [one.at for one in self.due], [one.column for one in self.due]]
        short = np.array([one.least_mwh for one in self.due]) - stored
        return ScheduleViolation(
            grid=self.grid.violation(found.flow),
            due=self.due,
            short_mwh=np.where(short > tolerances.ENERGY_DUE_MWH, short, 0.0),
            places=self.places,
            away=found.reached[:, [one.at - 1 for one in self.places], [one.column for one in self.places]]
            != np.array([one.station for one in self.places], dtype=np.int64),
        )


def beside_rest(plant: Plant, observation: Observation, given: Schedules) -> Schedules:
    """Return the first of some schedules, and doing nothing."""
    rest = Schedules.of_plan(hold(plant, observation, given.p_mw.shape[1]), given.p_mw.shape[1])
    pairs = {name: (getattr(given, name)[:1], getattr(rest, name)) for name in ("p_mw", "q_mvar", "position")}
    return Schedules(**{name: np.concatenate(pair) for name, pair in pairs.items()})


def rest_is_better(violation: ScheduleViolation, found: Evaluation) -> bool:
    """Whether doing nothing violates limits less than the schedule beside it, or alike and costs less.

    What a solver and a tight relaxation leave is no violation.
    """
    relative = violation.relative
    kept = not relative.unsolved.any() and bool((relative.largest <= tolerances.LIMITS_KEPT).all())
    order = 0 if kept else relative.at(0).compared(relative.at(1))
    cost = found.cost.sum(axis=1)
    return order > 0 or (order == 0 and bool(cost[1] < cost[0] - tolerances.SAME_COST * max(1.0, abs(cost[1]))))
