"""Repair of schedules for the published second stage [A, eqs. 43-45], and their fitness.

Wanted stations and powers become trips with their delays and power within every limit: none while a truck drives, its
state of charge constant. Many schedules are repaired at once, and what is left is done by devices as it is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from gridferry.controllers import tolerances
from gridferry.controllers.contract import Forecast, Observation, Plant, hold
from gridferry.controllers.devices.planning.routing import trips_left
from gridferry.controllers.devices.traits import Traveller, storage_of, traveller_of
from gridferry.controllers.model.ahead import SocAtHorizon, day_ends
from gridferry.controllers.schedule import itinerary
from gridferry.controllers.schedule.ac_evaluation import Evaluation, ScheduleEvaluator, Schedules
from gridferry.controllers.schedule.ac_flow import AcFlow
from gridferry.controllers.schedule.itinerary import Itinerary
from gridferry.controllers.schedule.storage_limits import StoreAhead, keep_limits

_DIVERGED = 1e3
"""what a step without a power flow counts for [pu]; any other violation is small against it"""


@dataclass(frozen=True, kw_only=True, eq=False)
class RepairedSchedules(Schedules):
    """Repaired schedules: devices can do them unchanged.

    Attributes
    ----------
    parked : whether what travels is parked; true for positions without routes
    short_mwh : largest shortfall of energy due [MWh]
    """

    parked: Bool[np.ndarray, "sample horizon position"]
    short_mwh: Float[np.ndarray, " sample"]


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
        self._plant, self._observation = plant, observation
        self._v_margin_pu = v_margin_pu
        self.day = plant.days_from(observation.step, forecast.steps)
        ends, soc_at_end = day_ends(plant, observation.step, forecast.steps, soc_at_horizon)
        self._stores = [
            (
                number,
                StoreAhead(
                    store,
                    float(observation.states[number].energy_mwh),
                    float(observation.states[number].cycles_today),
                    {at: soc * store.energy_mwh for at, soc in store.due(ends, forecast.steps, soc_at_end).items()},
                ),
            )
            for number, device in enumerate(plant.devices)
            if (store := storage_of(device)) is not None
        ]
        self._evaluator = ScheduleEvaluator(plant, observation, forecast)
        if plant.roads is not None:
            self._transit = plant.roads.transit_steps(forecast.congestion, plant.step_s)

    # ---------------------------------------------------------------------------------------------------- repairing

    def repair(
        self,
        targets: Int[np.ndarray, "sample horizon position"],
        p_mw: Float[np.ndarray, "sample horizon port"],
        q_mvar: Float[np.ndarray, "sample horizon port"],
    ) -> RepairedSchedules:
        """Repair schedules: trips take their travel times, and power is within all limits.

        What is no store rests.
        """
        plant, samples = self._plant, len(targets)
        position, parked = targets.copy(), np.ones(targets.shape, dtype=bool)
        rest = hold(plant, self._observation)
        p, q = np.zeros_like(p_mw) + rest.p_mw[0], np.zeros_like(q_mvar)
        short = np.zeros(samples)
        for number, device in enumerate(plant.devices):
            if (traveller := traveller_of(device)) is not None:
                column = plant.positions_of[number].start
                routes = [self._route(number, traveller, targets[sample, :, column]) for sample in range(samples)]
                position[:, :, column] = [one.station for one in routes]
                parked[:, :, column] = [one.parked for one in routes]
        for number, state in self._stores:
            port = plant.port_columns[number].start
            present = np.all(parked[:, :, plant.positions_of[number]], axis=-1)
            limited = keep_limits(state, p_mw[:, :, port], q_mvar[:, :, port], present, self.day, plant.step_h)
            p[:, :, port], q[:, :, port] = limited.p_mw, limited.q_mvar
            short = np.maximum(short, limited.short_mwh)
        return RepairedSchedules(p_mw=p, q_mvar=q, position=position, parked=parked, short_mwh=short)

    def _route(self, number: int, traveller: Traveller, targets: Int[np.ndarray, " horizon"]) -> Itinerary:
        state = self._observation.states[number]
        return itinerary.drive(
            targets,
            self._transit,
            traveller.stations,
            int(state.station),
            int(state.transit_steps),
            self.day,
            trips_left(traveller.trips_max_per_day, self.day, int(state.trips_today)),
        )

    # ------------------------------------------------------------------------------------------------------ fitness

    def fitness(self, given: RepairedSchedules) -> tuple[Float[np.ndarray, " sample"], Float[np.ndarray, " sample"]]:
        """Return the cost of every schedule, and its violation of limits of the grid and of energy due, 0 if none.

        Cost is infinite where a power flow has no solution. Violations are summed over the steps, the largest voltage
        and the largest relative current of each [pu]; of energy due, as a share of the rated energy.
        """
        found = self.evaluate(given)
        cost = np.where(found.flow.converged.all(axis=-1), found.cost, np.inf).sum(axis=1)
        return cost, self.violation(given, found)

    def evaluate(self, given: RepairedSchedules) -> Evaluation:
        """Evaluate schedules from the measured state under the forecast."""
        return self._evaluator.evaluate(given)

    def violation(self, given: RepairedSchedules, found: Evaluation) -> Float[np.ndarray, " sample"]:
        """Return the violation of limits of the grid and of energy due by evaluated schedules; see `fitness`."""
        rated = min((state.store.energy_mwh for _, state in self._stores), default=1.0)
        short = np.where(given.short_mwh > tolerances.ENERGY_SHORT * rated, given.short_mwh / rated, 0.0)
        return short + limit_violation(found.flow, self._v_margin_pu).sum(axis=1)


def limit_violation(flow: AcFlow, v_margin_pu: float = 0.0) -> Float[np.ndarray, "sample horizon"]:
    """Violation of limits by each network's worst voltage, without the slack bus, and worst relative current.

    Summed over the networks [pu]; large where one has no power flow.
    """
    violation = np.zeros(flow.v.shape[:-1])
    loading: np.ndarray | None = None
    spans = zip(flow.plant.feeders, flow.plant.bus_slices, flow.plant.branch_slices, strict=True)
    for k, (feeder, buses, branches) in enumerate(spans):
        others = np.flatnonzero(np.arange(feeder.n_bus) != feeder.slack)
        size = flow.v_pu[..., buses][..., others]
        low, high = feeder.v_min_pu[others] + v_margin_pu, feeder.v_max_pu[others] - v_margin_pu
        beyond = np.maximum(low - size, size - high).max(axis=-1, initial=0.0)
        here = np.where(beyond > tolerances.VOLTAGE_AC_PU, beyond, 0.0)
        if np.isfinite(feeder.i_max_pu).any():
            loading = flow.loading if loading is None else loading
            over = loading[..., branches].max(axis=-1) - 1.0
            here = here + np.where(over > tolerances.LOADING_AC, over, 0.0)
        violation += np.where(flow.converged[..., k], here, _DIVERGED)
    return violation
