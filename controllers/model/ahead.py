"""Inputs of devices' blocks: the one place where the dispatch model reads observation and forecast."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial
from typing import Literal

import numpy as np
from jaxtyping import Complex, Float, Int

from gridferry.controllers.contract import Forecast, Observation, Plant
from gridferry.controllers.devices.planning.block import Ahead, TripsAhead
from gridferry.networks.droop import solve_with_droops
from gridferry.networks.feeder import Feeder
from gridferry.networks.power_flow import solve_sweep

SocAtHorizon = Literal["store", "free"] | float
"""least state of charge where a horizon ends inside a day: as the store has it for midnight, free, or a number"""


def day_ends(
    plant: Plant, step: int, horizon: int, soc_at_horizon: SocAtHorizon
) -> tuple[tuple[int, ...], float | None]:
    """Return the steps of a horizon at which energy is due at the end of a day, and the share due at its end.

    The latter is a state of charge, ``None`` where it is free or the horizon ends with a day or with the run.
    """
    day = plant.days_from(step, horizon)
    midnights = tuple(int(midnight) for midnight in np.flatnonzero(np.diff(day)) + 1)
    run_ends = step + horizon >= plant.steps
    if run_ends or plant.day_of(step + horizon) != plant.day_of(step + horizon - 1) or soc_at_horizon == "store":
        return (*midnights, horizon), None
    return midnights, None if soc_at_horizon == "free" else float(soc_at_horizon)


@dataclass(frozen=True, eq=False)
class Outlook:
    """Observation and forecast of a plant, divided among its devices.

    Attributes
    ----------
    soc_at_horizon : least state of charge where the horizon ends inside a day
    fixed : positions decided before, of all positions; ``None`` where they are to be decided
    zero_transit_time : see `Ahead`
    v_pu : voltages that Q(U) is linearised at; not given: those that the last plan predicted, and beyond it those of AC
        with all devices at rest
    """

    plant: Plant
    observation: Observation
    forecast: Forecast
    soc_at_horizon: SocAtHorizon = "store"
    fixed: Int[np.ndarray, "horizon position"] | None = None
    zero_transit_time: bool = False
    v_pu: Float[np.ndarray, "horizon bus"] | None = None

    def ahead_of(self, number: int) -> Ahead:
        """Return the share of a device, by its number in the plant."""
        device = self.plant.devices[number]
        ends, soc_at_end = self._ends
        return Ahead(
            step_h=self.plant.step_h,
            day=self._day,
            day_ends=ends,
            state=self.observation.states[number],
            clock_h=self._clock_h,
            series=self.forecast.of(device),
            trips=self._trips if any(one.with_routes for one in device.positions) else None,
            fixed=None if self.fixed is None else self.fixed[:, self.plant.position_columns(device)],
            soc_at_end=soc_at_end,
            zero_transit_time=self.zero_transit_time,
            v_pu={number: self._last_v_pu[:, port.buses[0]] for number, port in enumerate(device.ports) if port.q_of_v},
        )

    @property
    def horizon(self) -> int:
        """Number of steps."""
        return self.forecast.steps

    @cached_property
    def _day(self) -> Int[np.ndarray, " horizon"]:
        return self.plant.days_from(self.observation.step, self.horizon)

    @cached_property
    def _clock_h(self) -> Float[np.ndarray, " edge"]:
        return self.plant.clock_h(self.observation.step, self.horizon + 1)

    @cached_property
    def _ends(self) -> tuple[tuple[int, ...], float | None]:
        return day_ends(self.plant, self.observation.step, self.horizon, self.soc_at_horizon)

    @cached_property
    def _last_v_pu(self) -> Float[np.ndarray, "horizon bus"]:
        if self.v_pu is not None:
            return self.v_pu
        found, previous = self._v_pu_at_rest(), self.observation.previous_plan
        if previous is not None and previous.prediction is not None:
            known = previous.prediction.v_pu[1 : self.horizon + 1]
            found[: len(known)] = np.where(np.isfinite(known), known, found[: len(known)])
        return found

    def _v_pu_at_rest(self) -> Float[np.ndarray, "horizon bus"]:
        """Voltages of AC where nothing but loads and generators with a profile injects, 1 where there are none."""
        plant, forecast = self.plant, self.forecast
        p, q, available = -forecast.net_load_mw(plant), -forecast.load_q_mvar, np.zeros((self.horizon, plant.n_port))
        for one in plant.profiled:
            available[:, one.port] = forecast.of(one.device)[one.key]
        found = np.ones(p.shape)
        for number, (feeder, buses) in enumerate(zip(plant.feeders, plant.bus_slices, strict=True)):
            _, droops = plant.droops(number, available[:, list(plant.droop_ports)])
            if droops is not None:
                solve = partial(_swept, feeder)
                found[:, buses] = np.abs(solve_with_droops(feeder, solve, p[:, buses], q[:, buses], droops))
        return np.where(np.isfinite(found), found, 1.0)

    @cached_property
    def _trips(self) -> TripsAhead:
        roads = self.plant.roads
        if roads is None:
            raise ValueError("a plant with routes needs roads")
        congestion, step_s, step = self.forecast.congestion, self.plant.step_s, self.observation.step
        steps = roads.transit_steps(congestion, step_s, step=step)
        return TripsAhead(steps=steps, km=np.asarray(roads.trips(congestion, step_s=step_s, step=step).km))


def _swept(
    feeder: Feeder, p_mw: Float[np.ndarray, "row bus"], q_mvar: Float[np.ndarray, "row bus"]
) -> Complex[np.ndarray, "row bus"]:
    return solve_sweep(feeder, p_mw, q_mvar)[0]
