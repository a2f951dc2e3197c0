"""Dry run of a controller: a day without a grid, with simulated devices and perfect forecasts.

It shows the requests of a controller in plausible situations; the closed loop with the AC grid is `gridferry run`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from gridferry.controllers.conformance.sample_plants import Sample, at_start, look_ahead
from gridferry.controllers.contract import Controller, Forecast, Observation, Plan, Plant
from gridferry.controllers.plans.first_step import observed, step_first_row


@dataclass(frozen=True, eq=False)
class Moment:
    """One step of a dry run: the controller's inputs and its plan."""

    observation: Observation
    forecast: Forecast
    plan: Plan


def dry_run(sample: Sample, controller: Controller, steps: int) -> Iterator[Moment]:
    """Yield the first ``steps`` steps of a sample's run; row 0 of each plan acts on the next step."""
    plant = sample.plant
    observation = at_start(plant)
    for step in range(min(steps, plant.steps)):
        forecast = look_ahead(sample, step, plant.horizon_steps)
        plan = controller.plan(observation, forecast)
        yield Moment(observation, forecast, plan)
        observation = after(plant, observation, plan, forecast)


def after(plant: Plant, observation: Observation, plan: Plan, forecast: Forecast) -> Observation:
    """Return the observation one step later, after the devices have done row 0 of the plan."""
    states = [state for state, _ in step_first_row(plant, plan, observation, forecast)]
    return replace(observation, step=observation.step + 1, previous_plan=plan, **observed(plant, states))
