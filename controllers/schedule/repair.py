"""Repair of schedules for the published second stage [A, eqs. 43-45], and the fitness of what is left of them.

Wanted stations and powers become trips with their delays and power within every limit: none while a truck drives, its
state of charge constant. Many schedules are repaired at once, and what is left is done by devices as it is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from gridferry.controllers.contract import Forecast, Observation, Plant
from gridferry.controllers.devices.routing import trips_left
from gridferry.controllers.devices.trucks.driving import charged_km
from gridferry.controllers.model.ahead import SocAtHorizon, day_ends
from gridferry.controllers.schedule import itinerary
from gridferry.controllers.schedule.ac_evaluation import Schedules
from gridferry.controllers.schedule.ac_flow import AcFlow, ac_flow
from gridferry.controllers.schedule.itinerary import Itinerary
from gridferry.controllers.schedule.settlement import settle
from gridferry.controllers.schedule.storage_limits import StoreState, keep_limits

_V_TOLERANCE_PU = 5e-7
"""a voltage outside its limits by less is inside: solvers and AC flows agree to less than this [pu]"""
_I_TOLERANCE = 5e-6
"""likewise for currents, as a share of the rating"""
_FLOW_TOLERANCE_PU = 1e-10
_DIVERGED = 1e3
"""what a step without a power flow counts for [pu]; any other violation is small against it"""


@dataclass(frozen=True, kw_only=True, eq=False)
class RepairedSchedules(Schedules):
    """Schedules that devices do as they are.

    Attributes
    ----------
    position : where every truck is parked or driving to
    parked : whether it is parked
    device_cost : driving, wear and feed-in by step [currency]
    short_mwh : the most by which energy due is missed [MWh]
    """

    parked: Bool[np.ndarray, "sample horizon position"]
    device_cost: Float[np.ndarray, "sample horizon"]
    short_mwh: Float[np.ndarray, " sample"]


class ScheduleRepair:
    """Repairs schedules from one measured state under one forecast, and tells their fitness.

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
        self._plant, self._observation, self._forecast = plant, observation, forecast
        self._v_margin_pu = v_margin_pu
        self.day = plant.days_from(observation.step, forecast.steps)
        ends, soc_at_end = day_ends(plant, observation.step, forecast.steps, soc_at_horizon)
        self._states = [
            StoreState(
                store,
                float(observation.energy_mwh[index]),
                float(observation.states[index].cycles_today),
                {at: soc * store.energy_mwh for at, soc in store.due(ends, forecast.steps, soc_at_end).items()},
            )
            for index, store in enumerate(plant.storages)
        ]
        if plant.roads is not None:
            self._transit = plant.roads.transit_steps(forecast.congestion, plant.step_s)
            self._trips = plant.roads.trips(forecast.congestion)
        self._fixed_bus = np.array([battery.bus for battery in plant.batteries], dtype=np.int64)
        self._net_load = forecast.net_load_mw(plant)
        tariff = np.array([one.feed_in_tariff for one in plant.generators])
        self._feed_in = plant.step_h * forecast.profiled_mw(plant) @ tariff

    # ---------------------------------------------------------------------------------------------------- repairing

    def repair(
        self,
        wanted: Int[np.ndarray, "sample horizon truck"],
        p_mw: Float[np.ndarray, "sample horizon port"],
        q_mvar: Float[np.ndarray, "sample horizon port"],
    ) -> RepairedSchedules:
        """Drive to the wanted stations with the delays of the roads, and keep power within every limit; links rest."""
        plant, samples, horizon = self._plant, len(wanted), len(self.day)
        station, parked = wanted.copy(), np.zeros(wanted.shape, dtype=bool)
        p, q = np.zeros_like(p_mw), np.zeros_like(q_mvar)
        cost, short = np.tile(self._feed_in, (samples, 1)), np.zeros(samples)
        for index, state in enumerate(self._states):
            present = np.ones((samples, horizon), dtype=bool)
            ways: list[Itinerary] = []
            if index < len(plant.trucks):
                ways = [self._way(index, wanted[sample, :, index]) for sample in range(samples)]
                station[:, :, index] = [way.station for way in ways]
                present = parked[:, :, index] = np.array([way.parked for way in ways])
            kept = keep_limits(state, p_mw[:, :, index], q_mvar[:, :, index], present, self.day, plant.step_h)
            p[:, :, index], q[:, :, index] = kept.p_mw, kept.q_mvar
            short = np.maximum(short, kept.short_mwh)
            cost += plant.step_h * state.store.cost_per_mwh_charged * np.maximum(-kept.p_mw, 0.0)
            for sample, way in enumerate(ways):
                cost[sample] += self._driving(index, way, kept.p_mw[sample], kept.q_mvar[sample])
        return RepairedSchedules(p_mw=p, q_mvar=q, position=station, parked=parked, device_cost=cost, short_mwh=short)

    def _way(self, index: int, wanted: Int[np.ndarray, " horizon"]) -> Itinerary:
        truck, seen = self._plant.trucks[index], self._observation
        return itinerary.drive(
            wanted,
            self._transit,
            truck.stations,
            int(seen.position[index]),
            int(seen.transit_steps[index]),
            self.day,
            trips_left(truck.trips_max_per_day, self.day, int(seen.states[index].trips_today)),
        )

    def _driving(
        self, index: int, way: Itinerary, p_mw: Float[np.ndarray, " horizon"], q_mvar: Float[np.ndarray, " horizon"]
    ) -> Float[np.ndarray, " horizon"]:
        tariff = self._plant.trucks[index].cost
        km = charged_km(tariff, self._trips.km, self._plant.trucks[index].stations)
        used = bool(self._observation.states[index].used_today)
        return itinerary.trip_cost(tariff, way, km, p_mw, q_mvar, self.day, self._plant.step_h, used)

    # ------------------------------------------------------------------------------------------------------ fitness

    def fitness(self, given: RepairedSchedules) -> tuple[Float[np.ndarray, " sample"], Float[np.ndarray, " sample"]]:
        """Return the cost of every schedule, and its violation of limits of the grid and of energy due, 0 if none.

        Cost is infinite where a power flow has no solution. Violations are summed over the steps, the largest voltage
        and the largest relative current of each [pu]; of energy due, as a share of the rated energy.
        """
        plant = self._plant
        rated = min((store.energy_mwh for store in plant.storages), default=1.0)
        violation = np.where(given.short_mwh > 1e-9 * rated, given.short_mwh / rated, 0.0)
        flow = ac_flow(plant, *self._injections(given), _FLOW_TOLERANCE_PU)
        terms = settle(plant, flow.import_mw, self._forecast.buy_price, {"devices": given.device_cost})
        cost = np.where(flow.converged.all(axis=-1), sum(terms.values()), np.inf).sum(axis=1)
        return cost, violation + limit_violation(flow, self._v_margin_pu).sum(axis=1)

    def _injections(
        self, given: RepairedSchedules
    ) -> tuple[Float[np.ndarray, "sample horizon bus"], Float[np.ndarray, "sample horizon bus"]]:
        """Net injection of every bus: what is forecast, and the stores where they are [MW, Mvar]."""
        plant, trucks = self._plant, len(self._plant.trucks)
        shape = (*given.p_mw.shape[:2], plant.n_bus)
        p_bus, q_bus = (np.broadcast_to(-one, shape).copy() for one in (self._net_load, self._forecast.load_q_mvar))
        row, step = np.ogrid[: shape[0], : shape[1]]
        for index in range(len(plant.storages)):
            where = given.position[:, :, index] if index < trucks else None
            bus = self._fixed_bus[index - trucks] if where is None else plant.station_bus[where]
            p_bus[row, step, bus] += given.p_mw[:, :, index]
            q_bus[row, step, bus] += given.q_mvar[:, :, index]
        return p_bus, q_bus


def limit_violation(flow: AcFlow, v_margin_pu: float = 0.0) -> Float[np.ndarray, "sample horizon"]:
    """By how much the worst voltage, but the slack's, and the worst relative current of each network violate limits.

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
        here = np.where(beyond > _V_TOLERANCE_PU, beyond, 0.0)
        if np.isfinite(feeder.i_max_pu).any():
            loading = flow.loading if loading is None else loading
            over = loading[..., branches].max(axis=-1) - 1.0
            here = here + np.where(over > _I_TOLERANCE, over, 0.0)
        violation += np.where(flow.converged[..., k], here, _DIVERGED)
    return violation
