"""Walk a controller through a day without a grid: devices do what they are asked as far as they can, forecasts perfect.

Enough to see what a controller asks for in plausible situations; the closed loop with the AC grid is `gridferry run`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from gridferry.controllers.conformance.sample_plants import Sample, at_start, look_ahead
from gridferry.controllers.contract import Controller, Forecast, Observation, Plan, Plant
from gridferry.controllers.plans.first_step import observed, step_first_row


@dataclass(frozen=True, eq=False)
class Moment:
    """One step: what the controller was given, and what it returned."""

    observation: Observation
    forecast: Forecast
    plan: Plan


def rehearse(sample: Sample, controller: Controller, steps: int) -> Iterator[Moment]:
    """Yield the first ``steps`` steps of the sample's run, row 0 of each plan having acted on the next."""
    plant = sample.plant
    observation = at_start(plant)
    for step in range(min(steps, plant.steps)):
        forecast = look_ahead(sample, step, plant.horizon_steps)
        plan = controller.plan(observation, forecast)
        yield Moment(observation, forecast, plan)
        observation = after(plant, observation, plan, forecast)


def after(plant: Plant, observation: Observation, plan: Plan, forecast: Forecast) -> Observation:
    """Return what is measured a step later, when row 0 of the plan has acted as far as physics lets it."""
    states = [state for state, _ in step_first_row(plant, plan, observation, forecast)]
    return replace(observation, step=observation.step + 1, previous_plan=plan, **observed(plant, states))
