"""Repair of schedules for the published second stage [A, eqs. 43-45], and their fitness.

Wanted stations and powers become trips with their delays and power within every limit: none while a truck drives, its
state of charge constant. Many schedules are repaired at once, and what is left is done by devices as it is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int

from gridferry.controllers.contract import Forecast, Observation, Plant
from gridferry.controllers.devices.places.limits import StationLimits, parked_steps, vehicles
from gridferry.controllers.devices.planning.routing import trips_left
from gridferry.controllers.devices.traits import Traveller, storage_of, traveller_of
from gridferry.controllers.model.ahead import SocAtHorizon
from gridferry.controllers.schedule import itinerary
from gridferry.controllers.schedule.ac_evaluation import Evaluation, ScheduleEvaluator, Schedules
from gridferry.controllers.schedule.grid_limits import plain_limits
from gridferry.controllers.schedule.itinerary import Itinerary
from gridferry.controllers.schedule.limit_violation import (
    ScheduleLimits,
    beside_rest,
    energies_due,
    places_due_of,
    rest_is_better,
)
from gridferry.controllers.schedule.storage_limits import StoreAhead, keep_limits


@dataclass(frozen=True, kw_only=True, eq=False)
class RepairedSchedules(Schedules):
    """Repaired schedules: devices can do them unchanged.

    Attributes
    ----------
    parked : whether what travels is parked; true for positions without routes
    """

    parked: Bool[np.ndarray, "sample horizon position"]


class ScheduleRepair:
    """Repair and fitness of schedules, from one observation under one forecast.

    Parameters
    ----------
    soc_at_horizon, v_margin_pu : end-of-horizon energy and voltage margin, as for the optimisation
    """

    def __init__(
        self,
        plant: Plant,
        observation: Observation,
        forecast: Forecast,
        soc_at_horizon: SocAtHorizon,
        v_margin_pu: float = 0.0,
    ):
        self._plant, self._observation, self.step = plant, observation, observation.step
        self.day = plant.days_from(observation.step, forecast.steps)
        due = energies_due(plant, observation, forecast, soc_at_horizon)
        places = places_due_of(plant, observation.step, forecast.steps)
        self.limits = ScheduleLimits(grid=plain_limits(plant, v_margin_pu), due=due, places=places)
        self._stores = [
            (
                number,
                StoreAhead(
                    store,
                    float(observation.states[number].energy_mwh),
                    float(observation.states[number].cycles_today),
                    {one.at: one.least_mwh for one in due if one.device == number},
                    float(observation.states[number].p_mw),
                ),
            )
            for number, device in enumerate(plant.devices)
            if (store := storage_of(device)) is not None
        ]
        self._evaluator = ScheduleEvaluator(plant, observation, forecast)
        if plant.roads is not None:
            self._transit = plant.roads.transit_steps(forecast.congestion, plant.step_s, step=self.step)
            self._km = plant.roads.trips(forecast.congestion, step_s=plant.step_s, step=self.step).km

    # ---------------------------------------------------------------------------------------------------- repairing

    def repair(
        self,
        targets: Int[np.ndarray, "sample horizon position"],
        p_mw: Float[np.ndarray, "sample horizon port"],
        q_mvar: Float[np.ndarray, "sample horizon port"],
    ) -> RepairedSchedules:
        """Repair schedules: trips take their travel times, and power is within all limits.

        What is no store does as given.
        """
        plant, samples = self._plant, len(targets)
        position, parked = targets.copy(), np.ones(targets.shape, dtype=bool)
        drawn_mwh: dict[int, np.ndarray] = {}
        p, q = p_mw.copy(), q_mvar.copy()
        for number, device in enumerate(plant.devices):
            if (traveller := traveller_of(device)) is not None:
                column = plant.positions_of[number].start
                routes = [self._route(number, traveller, targets[sample, :, column]) for sample in range(samples)]
                position[:, :, column] = [one.station for one in routes]
                parked[:, :, column] = [one.parked for one in routes]
                drawn_mwh[number] = self._drawn_mwh(number, traveller, position[:, :, column])
        connected = self._connected(position, parked)
        everywhere = np.full(p_mw.shape[:2], np.inf)
        left_mw = np.array([np.full(position.shape[:2], one.p_max_mw) for one in plant.stations])
        for number, state in self._stores:
            port, columns = plant.port_columns[number].start, plant.positions_of[number]
            travels = columns.start < columns.stop
            at = (position[:, :, columns.start], *np.indices(position.shape[:2])) if travels else ()
            most_mw = np.where(connected[:, :, columns.start], left_mw[at], 0.0) if travels else everywhere
            state = replace(state, drawn_mwh=drawn_mwh[number]) if number in drawn_mwh else state
            limited = keep_limits(state, p_mw[:, :, port], q_mvar[:, :, port], most_mw, self.day, plant.step_h)
            p[:, :, port], q[:, :, port] = limited.p_mw, limited.q_mvar
            if travels:
                left_mw[at] -= np.abs(limited.p_mw)
        return RepairedSchedules(p_mw=p, q_mvar=q, position=position, parked=parked)

    def _connected(
        self, position: Int[np.ndarray, "sample horizon position"], parked: Bool[np.ndarray, "sample horizon position"]
    ) -> Bool[np.ndarray, "sample horizon position"]:
        """Where what is parked is plugged in, too."""
        plant, plugged = self._plant, parked.copy()
        limits = next((one for one in plant.couplings if isinstance(one, StationLimits)), None)
        columns = [plant.positions_of[number].start + own for number, own in vehicles(plant.devices)]
        if limits is not None and columns:
            states = self._observation.states
            before = [parked_steps(states[number]) for number, _ in vehicles(plant.devices)]
            at, here = (np.moveaxis(one[:, :, columns], -1, 0) for one in (position, parked))
            plugged[:, :, columns] = np.moveaxis(limits.plugged(at, here, before), 0, -1)
        return plugged

    def _route(self, number: int, traveller: Traveller, targets: Int[np.ndarray, " horizon"]) -> Itinerary:
        state, transit = self._observation.states[number], self._transit
        on_shift = getattr(traveller, "on_shift", None)
        if on_shift is not None:
            clock_h = self._plant.clock_h(self.step, len(transit))[:, None, None]
            # a trip outside the shift is one that does not end
            transit = np.where(on_shift(transit, clock_h, self._plant.step_h), transit, len(transit))
        return itinerary.drive(
            targets,
            transit,
            traveller.stations,
            int(state.station),
            int(state.transit_steps),
            self.day,
            trips_left(traveller.trips_max_per_day, self.day, int(state.trips_today)),
        )

    def _drawn_mwh(
        self, number: int, traveller: Traveller, station: Int[np.ndarray, "sample horizon"]
    ) -> Float[np.ndarray, "sample horizon"]:
        """Energy that trips take from a battery, in the steps in which they begin [MWh]."""
        drive_mwh = getattr(traveller, "drive_mwh", None)
        if drive_mwh is None:
            return np.zeros(station.shape)
        start = np.full((len(station), 1), self._observation.states[number].station)
        before = np.concatenate([start, station[:, :-1]], axis=1)
        return np.asarray(drive_mwh(self._km[np.arange(station.shape[1]), before, station]))

    # ------------------------------------------------------------------------------------------------------ fitness

    def fitness(self, given: RepairedSchedules) -> tuple[Float[np.ndarray, " sample"], Float[np.ndarray, " sample"]]:
        """Return the cost of every schedule, and the rank of its violation of limits, 0 where it keeps all.

        Cost is infinite where a power flow has no solution; see `RelativeViolation.rank`.
        """
        found = self.evaluate(given)
        cost = np.where(found.flow.converged.all(axis=-1), found.cost, np.inf).sum(axis=1)
        return cost, self.limits.violation(found).relative.rank

    def evaluate(self, given: Schedules) -> Evaluation:
        """Evaluate schedules from the measured state under the forecast."""
        return self._evaluator.evaluate(given)

    def better_of_rest_and(self, given: Schedules) -> tuple[Schedules, bool]:
        """Return the first of some schedules, or doing nothing, and whether that is better."""
        both = beside_rest(self._plant, self._observation, given)
        found = self.evaluate(both)
        rests = rest_is_better(self.limits.violation(found), found)
        at = slice(int(rests), int(rests) + 1)
        return Schedules(p_mw=both.p_mw[at], q_mvar=both.q_mvar[at], position=both.position[at]), rests
