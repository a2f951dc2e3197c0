"""Walk a controller through a day without a grid: stores and trips by their plain laws, forecasts perfect.

Enough to see what a controller asks for in plausible situations; the closed loop with the AC grid is `gridferry run`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from gridferry.controllers.conformance.sample_plants import Sample, at_start, look_ahead, read_only
from gridferry.controllers.contract import Controller, Forecast, Observation, Plan, Plant


@dataclass(frozen=True, eq=False)
class Moment:
    """One step: what the controller was given, and what it returned."""

    observation: Observation
    forecast: Forecast
    plan: Plan


def rehearse(sample: Sample, controller: Controller, steps: int, horizon: int | None = None) -> Iterator[Moment]:
    """Yield the first ``steps`` steps of the sample's run, row 0 of each plan having acted on the next.

    ``horizon`` is how far forecasts look, ``plant.horizon_steps`` when not given; at the end of the run they shrink.
    """
    plant = sample.plant
    observation = at_start(plant)
    for step in range(min(steps, plant.steps)):
        forecast = look_ahead(sample, step, horizon or plant.horizon_steps)
        plan = controller.plan(observation, forecast)
        yield Moment(observation, forecast, plan)
        observation = after(plant, observation, plan, forecast)


def after(plant: Plant, observation: Observation, plan: Plan, forecast: Forecast) -> Observation:
    """Return what is measured a step later, when row 0 of the plan has acted as far as physics lets it."""
    departs = (observation.transit_steps == 0) & (plan.destination[0] != observation.station)
    transit = observation.transit_steps.copy()
    if plant.roads is not None:
        tau = plant.roads.transit_steps(forecast.congestion[:1], plant.step_s)[0]
        transit[departs] = tau[observation.station[departs], plan.destination[0][departs]]
    parked = np.append(transit == 0, np.ones(len(plant.batteries), dtype=bool))
    p = np.where(parked, plan.p_mw[0, : len(plant.storages)], 0.0)
    q = np.where(parked, plan.q_mvar[0, : len(plant.storages)], 0.0)
    energy, cycles = _stores(plant, observation, p, q)
    used = departs | (np.hypot(p, q)[: len(plant.trucks)] > 0.0)
    new_day = plant.step_of_day(observation.step + 1) == 0
    return read_only(
        replace(
            observation,
            step=observation.step + 1,
            energy_mwh=energy,
            station=np.where(departs, plan.destination[0], observation.station),
            transit_steps=np.maximum(transit - 1, 0),
            trips_today=np.zeros_like(observation.trips_today) if new_day else observation.trips_today + departs,
            cycles_today=np.zeros_like(cycles) if new_day else cycles,
            used_today=np.zeros_like(observation.used_today) if new_day else observation.used_today | used,
            previous_plan=plan,
        )
    )


def _stores(
    plant: Plant, observation: Observation, p: Float[np.ndarray, " storage"], q: Float[np.ndarray, " storage"]
) -> tuple[Float[np.ndarray, " storage"], Float[np.ndarray, " storage"]]:
    """Energies and cycles a step later [A, eqs. 37, 38]; a store stops where its window ends."""
    energy, cycles = observation.energy_mwh.copy(), observation.cycles_today.copy()
    for index, store in enumerate(plant.storages):
        stored, drawn = max(-p[index], 0.0) * store.eta_charge, max(p[index], 0.0) / store.eta_discharge
        change = plant.step_h * (stored - drawn - store.loss_coefficient * np.hypot(p[index], q[index]))
        low, high = store.soc_min * store.energy_mwh, store.soc_max * store.energy_mwh
        energy[index] = np.clip(energy[index] + change, min(low, energy[index]), max(high, energy[index]))
        cycles[index] += plant.step_h * (stored + drawn) / (2.0 * store.energy_mwh)
    return energy, cycles
