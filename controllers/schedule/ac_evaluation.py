"""What wanted stations and powers come to: trips with their delays, power within the limits, a fresh AC power flow.

The judge of the published second stage [A, eqs. 43-45]: no power while a truck drives, its state of charge constant,
and the cost of what is left from a power flow of its own. Many schedules are judged at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Complex, Float, Int

from gridferry.controllers.contract import Forecast, Observation, Plant, Prediction
from gridferry.controllers.model import energy_cost as costs
from gridferry.controllers.model.parts import MessOptions
from gridferry.controllers.model.storage_dispatch import soc_due, trips_left
from gridferry.controllers.schedule import itinerary
from gridferry.controllers.schedule.itinerary import Itinerary
from gridferry.controllers.schedule.storage_limits import StoreState, keep_limits
from gridferry.networks.admittance import branch_flows, bus_injections
from gridferry.networks.feeder import Feeder
from gridferry.networks.power_flow import solve_sweep

_V_TOLERANCE_PU = 5e-7
"""a voltage outside its limits by less is inside: solvers and AC flows agree to less than this [pu]"""
_I_TOLERANCE = 5e-6
"""likewise for currents, as a share of the rating"""
_SWEEP_TOLERANCE_PU = 1e-10
_DIVERGED = 1e3
"""what a step without a power flow counts for [pu]; any other miss of limits is small against it"""


@dataclass(frozen=True, eq=False)
class Schedules:
    """Schedules as they can be carried out.

    Attributes
    ----------
    station : where every truck is parked or driving to
    parked : whether it is parked
    p_mw, q_mvar : injection of every device, links at zero [MW, Mvar]
    energy_mwh : energy of every store [MWh]
    fleet_cost : driving and wear by step [currency]
    short_mwh : the most by which energy due is missed [MWh]
    """

    station: Int[np.ndarray, "row horizon truck"]
    parked: Bool[np.ndarray, "row horizon truck"]
    p_mw: Float[np.ndarray, "row horizon device"]
    q_mvar: Float[np.ndarray, "row horizon device"]
    energy_mwh: Float[np.ndarray, "row horizon+1 storage"]
    fleet_cost: Float[np.ndarray, "row horizon"]
    short_mwh: Float[np.ndarray, " row"]


class Judge:
    """Carries out and judges schedules from one measured state under one forecast.

    Parameters
    ----------
    options : voltage margin and end-of-horizon energy, as for the optimisation
    """

    def __init__(self, plant: Plant, observation: Observation, forecast: Forecast, options: MessOptions):
        self._plant, self._observation, self._forecast = plant, observation, forecast
        self._v_margin_pu = options.v_margin_pu
        self.day = plant.days_from(observation.step, forecast.steps)
        self._states = [
            StoreState(
                store,
                float(observation.energy_mwh[index]),
                float(observation.cycles_today[index]),
                {
                    at: soc * store.energy_mwh
                    for at, soc in soc_due(plant, observation.step, self.day, options, store).items()
                },
            )
            for index, store in enumerate(plant.storages)
        ]
        if plant.roads is not None:
            self._transit = plant.roads.transit_steps(forecast.congestion, plant.step_s)
            self._trips = plant.roads.trips(forecast.congestion)
        self._fixed_bus = np.array([battery.bus for battery in plant.batteries], dtype=np.int64)
        self._net_load = forecast.net_load_mw(plant)
        tariff = np.array([one.feed_in_tariff for one in plant.generators])
        self._feed_in = costs.feed_in_cost(forecast.generation_mw, tariff, plant.step_h)

    # ------------------------------------------------------------------------------------------------- carrying out

    def carry_out(
        self,
        wanted: Int[np.ndarray, "row horizon truck"],
        p_mw: Float[np.ndarray, "row horizon device"],
        q_mvar: Float[np.ndarray, "row horizon device"],
    ) -> Schedules:
        """Drive to the wanted stations with the delays of the roads, and keep power within every limit."""
        plant, rows, horizon = self._plant, len(wanted), len(self.day)
        station, parked = wanted.copy(), np.zeros(wanted.shape, dtype=bool)
        p, q = np.zeros_like(p_mw), np.zeros_like(q_mvar)
        energy = np.zeros((rows, horizon + 1, len(plant.storages)))
        cost, short = np.zeros((rows, horizon)), np.zeros(rows)
        for index, state in enumerate(self._states):
            present = np.ones((rows, horizon), dtype=bool)
            ways: list[Itinerary] = []
            if index < len(plant.trucks):
                ways = [self._way(index, wanted[row, :, index]) for row in range(rows)]
                station[:, :, index] = [way.station for way in ways]
                present = parked[:, :, index] = np.array([way.parked for way in ways])
            kept = keep_limits(state, p_mw[:, :, index], q_mvar[:, :, index], present, self.day, plant.step_h)
            p[:, :, index], q[:, :, index], energy[:, :, index] = kept.p_mw, kept.q_mvar, kept.energy_mwh
            short = np.maximum(short, kept.short_mwh)
            cost += plant.step_h * state.store.cost_per_mwh_charged * np.maximum(-kept.p_mw, 0.0)
            for row, way in enumerate(ways):
                cost[row] += self._driving(index, way, kept.p_mw[row], kept.q_mvar[row])
        return Schedules(station, parked, p, q, energy, cost, short)

    def _way(self, index: int, wanted: Int[np.ndarray, " horizon"]) -> Itinerary:
        truck, seen = self._plant.trucks[index], self._observation
        return itinerary.drive(
            wanted,
            self._transit,
            truck.stations,
            int(seen.station[index]),
            int(seen.transit_steps[index]),
            self.day,
            trips_left(truck, self.day, int(seen.trips_today[index])),
        )

    def _driving(
        self, index: int, way: Itinerary, p_mw: Float[np.ndarray, " horizon"], q_mvar: Float[np.ndarray, " horizon"]
    ) -> Float[np.ndarray, " horizon"]:
        tariff = self._plant.trucks[index].cost
        km = costs.charged_km(tariff, self._trips, self._plant.trucks[index].stations)
        used = bool(self._observation.used_today[index])
        return itinerary.trip_cost(tariff, way, km, p_mw, q_mvar, self.day, self._plant.step_h, used)

    # ---------------------------------------------------------------------------------------------------- judging

    def judge(self, given: Schedules) -> tuple[Float[np.ndarray, " row"], Float[np.ndarray, " row"]]:
        """Return the cost of every schedule, and by how much it misses limits of the grid or energy due, 0 if not.

        Cost is infinite where a power flow has no solution. Misses are summed over the steps, the largest voltage and
        the largest relative current of each [pu]; of energy due, as a share of the rated energy.
        """
        plant = self._plant
        cost = (given.fleet_cost + self._feed_in).sum(axis=1)
        rated = min((store.energy_mwh for store in plant.storages), default=1.0)
        miss = np.where(given.short_mwh > 1e-9 * rated, given.short_mwh / rated, 0.0)
        p_bus, q_bus = self._injections(given)
        for feeder, buses in zip(plant.feeders, plant.bus_slices, strict=True):
            v, converged = solve_sweep(feeder, p_bus[..., buses], q_bus[..., buses], _SWEEP_TOLERANCE_PU)
            import_mw = bus_injections(feeder, v)[..., feeder.slack].real - p_bus[..., buses][..., feeder.slack]
            # one network at a time is settled by itself
            paid = self._energy_cost(import_mw)
            cost += np.where(converged, paid, np.inf).sum(axis=1)
            over = np.where(converged, limits_missed(feeder, v, self._v_margin_pu), _DIVERGED)
            miss += over.sum(axis=1)
        return cost, miss

    def _energy_cost(self, import_mw: Float[np.ndarray, "row horizon"]) -> Float[np.ndarray, "row horizon"]:
        paid = np.maximum(import_mw, 0.0) - self._plant.export_price_ratio * np.maximum(-import_mw, 0.0)
        return self._plant.step_h * self._forecast.buy_price * paid

    def _injections(
        self, given: Schedules
    ) -> tuple[Float[np.ndarray, "row horizon bus"], Float[np.ndarray, "row horizon bus"]]:
        """Net injection of every bus: what is forecast, and the stores where they are [MW, Mvar]."""
        plant, trucks = self._plant, len(self._plant.trucks)
        shape = (*given.p_mw.shape[:2], plant.n_bus)
        p_bus, q_bus = (np.broadcast_to(-one, shape).copy() for one in (self._net_load, self._forecast.load_q_mvar))
        row, step = np.ogrid[: shape[0], : shape[1]]
        for index in range(len(plant.storages)):
            bus = plant.station_bus[given.station[:, :, index]] if index < trucks else self._fixed_bus[index - trucks]
            p_bus[row, step, bus] += given.p_mw[:, :, index]
            q_bus[row, step, bus] += given.q_mvar[:, :, index]
        return p_bus, q_bus

    # -------------------------------------------------------------------------------------------------- predicting

    def predict(self, given: Schedules) -> tuple[Prediction, float]:
        """Say what the first schedule means for grid and stores, and the cone gap of that power flow [pu²].

        Voltages and flows of a step without a solution are NaN.
        """
        plant, horizon = self._plant, len(self.day)
        p_bus, q_bus = self._injections(given)
        v_pu = np.empty((horizon, plant.n_bus))
        p_branch, q_branch = np.empty((horizon, plant.n_branch)), np.empty((horizon, plant.n_branch))
        imported, losses = np.empty((horizon, len(plant.feeders))), np.empty((horizon, len(plant.feeders)))
        gap = 0.0
        spans = zip(plant.feeders, plant.bus_slices, plant.branch_slices, strict=True)
        for k, (feeder, buses, branches) in enumerate(spans):
            v, _ = solve_sweep(feeder, p_bus[0][:, buses], q_bus[0][:, buses])
            flows, injected = branch_flows(feeder, v), bus_injections(feeder, v)
            v_pu[:, buses] = np.abs(v)
            p_branch[:, branches], q_branch[:, branches] = flows.s_parent_mva.real, flows.s_parent_mva.imag
            imported[:, k] = injected[:, feeder.slack].real - p_bus[0][:, buses][:, feeder.slack]
            losses[:, k] = injected.real.sum(axis=1)
            gap = max(gap, ac_cone_gap(feeder, v, flows.s_parent_mva))
        cost = costs.grid_cost(imported, self._forecast.buy_price, plant.export_price_ratio, plant.step_h)
        prediction = Prediction(
            v_pu=v_pu,
            p_branch_mw=p_branch,
            q_branch_mvar=q_branch,
            import_mw=imported,
            losses_mw=losses,
            energy_mwh=given.energy_mwh[0],
            cost=cost + given.fleet_cost[0] + self._feed_in,
        )
        return prediction, gap


def limits_missed(
    feeder: Feeder, v: Complex[np.ndarray, "row horizon bus"], v_margin_pu: float = 0.0
) -> Float[np.ndarray, "row horizon"]:
    """By how much the worst voltage, but the slack's, and the worst relative current are outside their limits [pu]."""
    others = np.flatnonzero(np.arange(feeder.n_bus) != feeder.slack)
    size = np.abs(v[..., others])
    low, high = feeder.v_min_pu[others] + v_margin_pu, feeder.v_max_pu[others] - v_margin_pu
    miss = np.maximum(low - size, size - high).max(axis=-1, initial=0.0)
    missed = np.where(miss > _V_TOLERANCE_PU, miss, 0.0)
    rated = np.isfinite(feeder.i_max_pu)
    if rated.any():
        flows = branch_flows(feeder, v)
        largest = np.maximum(flows.i_parent_pu, flows.i_child_pu)[..., rated]
        over = (largest / feeder.i_max_pu[rated]).max(axis=-1) - 1.0
        missed = missed + np.where(over > _I_TOLERANCE, over, 0.0)
    return missed


def ac_cone_gap(
    feeder: Feeder, v: Complex[np.ndarray, "horizon bus"], s_parent_mva: Complex[np.ndarray, "horizon branch"]
) -> float:
    """Largest ``ℓ w - p² - q²`` of the series impedances, ℓ from the voltages and p, q from the flows [pu²].

    NaN where a step has no power flow.
    """
    w_parent = v[:, feeder.parent] / (feeder.tap_parent * np.exp(1j * np.deg2rad(feeder.shift_deg)))
    w_child = v[:, feeder.child] / feeder.tap_child
    i_sq = np.abs((w_parent - w_child) / (feeder.r_pu + 1j * feeder.x_pu)) ** 2
    w_sq = np.abs(w_parent) ** 2
    series = s_parent_mva / feeder.base_mva - (feeder.g_parent_pu - 1j * feeder.b_parent_pu) * w_sq
    return float(np.max(np.abs(i_sq * w_sq - np.abs(series) ** 2), initial=0.0))
