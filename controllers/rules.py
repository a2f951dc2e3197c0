"""Published price and station rules, for any number of stores and stations: the baseline without an optimiser.

Charge at low prices, discharge at high prices, at a share of the rating; a truck charges where the local surplus is
largest and discharges where the net load is [A, as the public reproduction replaces stage 1 by rules]. Added to the
published rules: a trip is planned with its travel time; the energy due at the end of the day, cycles and trips are
budgeted, so that devices can do all requests; and nothing is traded at a loss. Prices are low or high relative to the
day: nothing is traded before the forecast reaches the end of the day. Links rest, and reactive power is zero: without a
model of the grid its best sign is unknown.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any

import numpy as np
from jaxtyping import Float, Int
from pydantic import Field, model_validator

from gridferry.controllers.contract import (
    Controller,
    ControllerError,
    ControllerSettings,
    Forecast,
    Observation,
    Plan,
    Plant,
    SolverOutcome,
    Termination,
    hold,
)
from gridferry.controllers.devices import Now
from gridferry.controllers.devices.traits import Traveller, storage_of, traveller_of
from gridferry.controllers.plans.first_step import requests_of_row
from gridferry.controllers.routes.trips_now import TripsNow
from gridferry.controllers.store_rule import Prices, StoreRule
from gridferry.networks.feeder import Feeder

Share = Annotated[float, Field(ge=0, le=1)]


_UNSEEN = "the forecast ends before the day does: nothing is traded"


class Rules(Controller):
    """Price and station rules: charge at low prices, discharge at high prices; no optimiser."""

    class Settings(ControllerSettings):
        """Options of `Rules`; the defaults are the published figures where there are any."""

        charge_quantile: Share = 0.25
        """charge at or below this quantile of the day's prices"""
        discharge_quantile: Share = 0.75
        """discharge at or above this quantile of the day's prices"""
        power_share: Annotated[float, Field(gt=0, le=1)] = 0.8
        """share of the rated power that is used"""
        moderate: bool = False
        """also trade around the median price: charge below it, discharge above it, at ``moderate_share``"""
        moderate_share: Share = 0.3
        """share of the rated power that is used around the median"""
        surplus_mw: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.3
        """minimum surplus of generation over load for charging at a station [MW]"""
        advantage_mw: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.1
        """minimum difference in surplus or net load for a trip [MW]"""
        min_stay_h: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 2.0
        """minimum time between arrival and the next departure [h]"""

        @model_validator(mode="after")
        def _in_order(self) -> Rules.Settings:
            if self.charge_quantile >= self.discharge_quantile:
                cheap, expensive = self.charge_quantile, self.discharge_quantile
                raise ValueError(f"charge_quantile = {cheap} is not below discharge_quantile = {expensive}")
            return self

    settings: Settings

    def __init__(self, plant: Plant, settings: Settings):
        super().__init__(plant, settings)
        self._stores = tuple(_stores(plant, settings.power_share))
        ohm = [_ohm_to_slack(feeder) for feeder in plant.feeders]
        self._station_ohm = np.array(
            [ohm[s.network][s.bus - plant.bus_slices[s.network].start] for s in plant.stations], dtype=np.float64
        )
        self._min_stay = int(np.ceil(settings.min_stay_h / plant.step_h - 1e-9))

    @property
    def steps_needed(self) -> int:
        """Steps of a day, or of the run where that is shorter."""
        plant = self.plant
        longest = max([plant.steps_in_24_h, *(plant.steps_of_coming_day(at - 1) for at, _ in plant.clock_changes)])
        return min(longest, plant.steps)

    def plan(self, observation: Observation, forecast: Forecast) -> Plan:
        """Return one row: power of every store, and station of every truck.

        Raises
        ------
        ControllerError
            where a measured energy, a price, or the net load at a station is not finite.
        """
        plant = self.plant
        if not np.isfinite(observation.energy_mwh).all():
            raise ControllerError(f"step {observation.step}: a measured energy is not finite")
        memory = _Memory.of(observation, len(plant.positions))
        prices = self._prices(observation, forecast, memory)
        parked_since = [
            observation.step + int(left) if left > 0 else since
            for left, since in zip(observation.transit_steps, memory.parked_since, strict=True)
        ]
        plan = hold(plant, observation)
        p_mw, position = plan.p_mw, plan.position
        moves = any(one.traveller is not None for one in self._stores)
        net_load = self._net_load(observation.step, forecast, prices) if moves else np.zeros((0, 0))
        ahead = _Ahead(TripsNow(plant, observation.step, forecast), prices, net_load)
        granted, at = self._granted(observation, plan), observation.position.copy()
        for one in self._stores:
            state = observation.states[one.number]
            if one.traveller is not None:
                if observation.transit_steps[one.position] > 0:
                    continue
                since = parked_since[one.position]
                stayed = None if since is None else observation.step - since
                here = (int(state.station),) if granted[one.number].plugged else ()
                stations = self._open(one.traveller, here, np.delete(at, one.position))
                target = self._target(one, stations, state, stayed, ahead)
                at[one.position] = target
                if target != state.station:
                    position[0, one.position] = target
                    continue
            reserve = ahead.trips.reserve_mwh(plant.devices[one.number], state)
            p = one.rule.power(state.energy_mwh - reserve, state.cycles_today, prices)
            p = max(p, -one.rule.fills_mw(state.energy_mwh)) if reserve else p
            p_mw[0, one.port] = one.rule.store.reachable(p, state.p_mw, plant.step_h)
        granted = self._granted(observation, plan)
        for one in self._stores:
            now = granted[one.number]
            p_mw[0, one.port] = np.clip(p_mw[0, one.port], -now.p_max_mw, now.p_max_mw) if now.plugged else 0.0
        outcome = SolverOutcome(termination=Termination.RULE, ended="" if prices.sees_day else _UNSEEN)
        return replace(plan, solver=outcome, memory=memory.next(prices, parked_since).to_json())

    # ------------------------------------------------------------------------------------------------------- prices

    def _prices(self, observation: Observation, forecast: Forecast, memory: _Memory) -> Prices:
        """Prices until the end of tomorrow or of the run, and the thresholds of today.

        The thresholds are quantiles of the coming day's prices, fixed at its first step, or where the forecast first
        reaches the end of the day; before that there are none, and all prices are alike.
        """
        plant = self.plant
        left_of_run = plant.steps - observation.step
        left_of_day = min(plant.steps_left_of_day(observation.step), left_of_run)
        coming = plant.steps_of_coming_day(observation.step)
        buy = forecast.buy_price[: min(2 * coming, left_of_run)]
        if not np.isfinite(buy).all():
            raise ControllerError(f"step {observation.step}: a forecast price is not finite")
        day = plant.day_of(observation.step)
        low, median, high = memory.thresholds
        if len(buy) < left_of_day:
            low = median = high = 0.0
        elif memory.day != day:
            quantiles = (self.settings.charge_quantile, 0.5, self.settings.discharge_quantile)
            low, median, high = (float(one) for one in np.quantile(buy[:coming], quantiles))
        return Prices(
            buy=buy,
            low=low,
            median=median,
            high=high,
            moderate_share=self.settings.moderate_share if self.settings.moderate else 0.0,
            left_of_day=left_of_day,
            day=day,
        )

    # ------------------------------------------------------------------------------------------------------ stations

    def _net_load(self, step: int, forecast: Forecast, prices: Prices) -> Float[np.ndarray, "rest station"]:
        """Net load at every station for the rest of the day, as far as it is known [MW]."""
        rows = min(prices.left_of_day, forecast.steps)
        net: Float[np.ndarray, "rest station"] = forecast.load_p_mw[:rows, self.plant.station_bus]
        for one in self.plant.profiled:
            at = self.plant.station_bus == one.bus
            net[:, at] -= one.injected(forecast.of(one.device))[:rows, None]
        if not np.isfinite(net).all():
            raise ControllerError(f"step {step}: the forecast net load at a station is not finite")
        return net

    def _granted(self, observation: Observation, plan: Plan) -> Sequence[Now]:
        """Return what couplings grant to the devices that stay where they are."""
        plant = self.plant
        row = (one[0].tolist() for one in (plan.p_mw, plan.q_mvar, plan.position))
        devices, states = plant.devices, observation.states
        requests = requests_of_row(plant, states, *row)
        stay = [k for k, device in enumerate(devices) if requests[k].position == device.at(states[k])]
        nows: Sequence[Now] = [Now(plant.step_h)] * len(stay)
        for coupling in plant.couplings:
            nows = coupling.grant(
                [devices[k] for k in stay], [states[k] for k in stay], [requests[k] for k in stay], nows
            )
        found = dict(zip(stay, nows, strict=True))
        return [found.get(k, Now(plant.step_h)) for k in range(len(devices))]

    def _open(self, traveller: Traveller, here: tuple[int, ...], others: Int[np.ndarray, " other"]) -> tuple[int, ...]:
        """Stations that have a place for a truck, that where it is plugged in among them."""
        places = [np.inf if one.places is None else one.places for one in self.plant.stations]
        return tuple(
            station
            for station in traveller.stations
            if station in here or np.count_nonzero(others == station) < places[station]
        )

    def _target(
        self,
        one: _Store,
        stations: tuple[int, ...],
        state: Any,
        stayed: int | None,
        ahead: _Ahead,
    ) -> int:
        """Station for a parked truck: its own, unless it is time to leave for where it is due, or for a better one.

        The next period is today's first one of charging or discharging. The truck departs as late as possible to be on
        time, and is late only if it can still work there longer than it drives.
        """
        here, prices, rule, trips = int(state.station), ahead.prices, one.rule, ahead.trips
        device, rests = self.plant.devices[one.number], stayed is not None and stayed < self._min_stay
        if not trips.left(device, state):
            return here
        due = trips.due_now(device, state)
        if due is not None:
            return due if due in stations and trips.may_begin(device, state, due, rule.e_min) else here
        if rests or not stations:
            return here
        period = rule.next_period(state.energy_mwh, state.cycles_today, prices)
        if period is None:
            return here
        load = ahead.net_load[period.start : period.stop].mean(axis=0)
        choose = self._charging_station if period.charges else self._highest_net_load
        target = choose(stations, here, load)
        if target == here:
            return here
        steps = int(trips.transit_steps[here, target])
        if not trips.may_begin(device, state, target, rule.e_min):
            return here
        lost = max(0, steps - period.start)
        on_time = steps >= period.start
        if not on_time or period.stop - period.start - lost < max(lost, 1):
            return here
        return target if rule.may_leave(state.energy_mwh, steps, prices) else here

    def _charging_station(self, stations: tuple[int, ...], here: int, load: Float[np.ndarray, " station"]) -> int:
        """Station with the largest surplus, or else the one electrically nearest to its slack bus."""
        best = min(stations, key=lambda station: (load[station], station))
        if -load[best] > self.settings.surplus_mw:
            gain = load[here] - load[best]
            return best if here not in stations or gain >= self.settings.advantage_mw else here
        return min(stations, key=lambda station: (self._station_ohm[station], station != here, station))

    def _highest_net_load(self, stations: tuple[int, ...], here: int, load: Float[np.ndarray, " station"]) -> int:
        """Station with the highest net load."""
        best = max(stations, key=lambda station: (load[station], -station))
        gain = load[best] - load[here]
        return best if here not in stations or gain >= self.settings.advantage_mw else here


@dataclass(frozen=True, eq=False)
class _Store:
    """A store of the plant: its positions on the axes, its rule, and its truck if it has one."""

    number: int
    port: int
    position: int
    rule: StoreRule
    traveller: Traveller | None


def _stores(plant: Plant, power_share: float) -> Iterator[_Store]:
    for number, device in enumerate(plant.devices):
        storage = storage_of(device)
        if storage is not None:
            port, position = plant.port_columns[number].start, plant.positions_of[number].start
            rule = StoreRule(storage, plant.step_h, power_share)
            yield _Store(number, port, position, rule, traveller_of(device))


@dataclass(frozen=True, eq=False)
class _Ahead:
    """Outlook of a step for all trucks: trips, prices, and the net load at every station."""

    trips: TripsNow
    prices: Prices
    net_load: Float[np.ndarray, "rest station"]


@dataclass(frozen=True)
class _Memory:
    """Memory of the rules: the thresholds and the day that they are of, when trucks parked."""

    day: int
    thresholds: tuple[float, float, float]
    parked_since: tuple[int | None, ...]

    @classmethod
    def of(cls, observation: Observation, positions: int) -> _Memory:
        """Read the memory of the previous plan; empty where there is none, or another controller's."""
        found = observation.previous_plan.memory.get("rules") if observation.previous_plan is not None else None
        if found is None:
            return cls(-1, (0.0, 0.0, 0.0), (None,) * positions)
        low, median, high = found["thresholds"]
        return cls(found["day"], (low, median, high), tuple(found["parked_since"]))

    def next(self, prices: Prices, parked_since: list[int | None]) -> _Memory:
        """Return the memory after this step."""
        if not prices.sees_day:
            return replace(self, parked_since=tuple(parked_since))
        return _Memory(prices.day, (prices.low, prices.median, prices.high), tuple(parked_since))

    def to_json(self) -> dict[str, Any]:
        """Return it as plain lists and numbers."""
        return {
            "rules": {
                "day": self.day,
                "thresholds": list(self.thresholds),
                "parked_since": list(self.parked_since),
            }
        }


def _ohm_to_slack(feeder: Feeder) -> Float[np.ndarray, " bus"]:
    """Sum of ``|r + jx|`` of the branches between the slack and every bus [ohm]."""
    ohm = np.hypot(feeder.r_pu, feeder.x_pu) * feeder.base_kv[feeder.child] ** 2 / feeder.base_mva
    above = {
        int(child): (int(parent), float(z)) for parent, child, z in zip(feeder.parent, feeder.child, ohm, strict=True)
    }
    total = np.zeros(feeder.n_bus)
    for bus in range(feeder.n_bus):
        at = bus
        while at in above:
            at, z = above[at]
            total[bus] += z
    return total
