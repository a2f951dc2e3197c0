"""Promises of controllers about their plans, by name, and their test on a sample plant."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from gridferry.controllers.conformance.dry_run import Moment, dry_run
from gridferry.controllers.conformance.findings import BrokenPromiseError, Promise, values_of
from gridferry.controllers.conformance.sample_plants import (
    Sample,
    at_start,
    look_ahead,
    read_only,
    with_state,
)
from gridferry.controllers.contract import (
    Controller,
    ControllerError,
    ControllerSettings,
    Forecast,
    Observation,
    Plan,
    Plant,
)
from gridferry.controllers.devices.traits import storage_of, travels
from gridferry.controllers.plans.first_step import rating_faults
from gridferry.controllers.plans.plan_json import plan_from_json, plan_to_json
from gridferry.controllers.plans.returned_plan import ReturnedPlanError, checked_plan
from gridferry.networks.read_only import own_copy


class Trial:
    """Test of one controller on one sample plant."""

    def __init__(self, cls: type[Controller], settings: ControllerSettings, sample: Sample, steps: int):
        self.cls = cls
        self.settings = settings
        self.sample = sample
        self.plant = sample.plant
        self.steps = steps
        self.values = values_of([sample.plant, sample.day])
        self._day: list[Moment] = []

    def fresh(self) -> Controller:
        """Build a new instance of the controller."""
        return self.cls(own_copy(self.plant), self.settings)

    def request_plan(self, controller: Controller, observation: Observation, forecast: Forecast) -> Any:
        """Call the controller as the closed loop does, with its own copies; the result is not checked."""
        return controller.plan(own_copy(observation), own_copy(forecast.first(controller.steps_read)))

    def day(self) -> list[Moment]:
        """Dry run of the first steps with full look-ahead, cached."""
        if not self._day:
            self._day = list(dry_run(self.sample, _Checked(self), self.steps))
        return self._day

    def plan_at(self, observation: Observation, forecast: Forecast) -> Plan:
        """Return the checked plan of a new instance."""
        controller = self.fresh()
        read = forecast.first(controller.steps_read)
        return _checked(self.plant, observation, read, self.request_plan(controller, observation, read))


class _Checked(Controller):
    """The controller under test, with every plan checked before it acts."""

    def __init__(self, trial: Trial):
        super().__init__(trial.plant, trial.settings)
        self._trial, self._tried = trial, trial.fresh()

    def plan(self, observation: Observation, forecast: Forecast) -> Plan:
        read = forecast.first(self._tried.steps_read)
        return _checked(self.plant, observation, read, self._trial.request_plan(self._tried, observation, read))


def _checked(plant: Plant, observation: Observation, forecast: Forecast, returned: object) -> Plan:
    at = f"step {observation.step}"
    try:
        plan = checked_plan(plant, forecast.steps, returned)
    except ReturnedPlanError as error:
        raise BrokenPromiseError(f"{at}: {error}") from error
    for fault in rating_faults(plant, plan):
        raise BrokenPromiseError(f"{at}: {fault}; keep row 0 within the rating")
    for index, position in enumerate(plant.positions):
        here = int(observation.position[index])
        wrong = [int(one) for one in plan.position[:, index] if int(one) not in {*position.choices, here}]
        if wrong:
            raise BrokenPromiseError(
                f"{at}: {position.name} is set to {wrong[0]}; it may be set to {sorted(position.choices)}"
            )
        if (plan.position[: observation.transit_steps[index], index] != here).any():
            raise BrokenPromiseError(
                f"{at}: {position.name} is on the road to {position.labels[here]} and sent elsewhere; repeat that "
                "position until it arrives"
            )
    return plan


def _same(a: Plan, b: Plan) -> bool:
    """Whether two plans are equal but for the time the solver took."""
    first, second = (plan_to_json(replace(plan, solver=replace(plan.solver, seconds=0.0))) for plan in (a, b))
    return first == second


def _walk(trial: Trial) -> None:
    trial.day()


def _shortest_forecast(trial: Trial) -> None:
    trial.plan_at(at_start(trial.plant), look_ahead(trial.sample, 0, 1))


def _end_of_run(trial: Trial) -> None:
    for left in (3, 2, 1):
        step = trial.plant.steps - left
        trial.plan_at(replace(at_start(trial.plant), step=step), look_ahead(trial.sample, step, left))


def _on_the_road(trial: Trial) -> None:
    plant = trial.plant
    for device in plant.devices:
        if travels(device):
            last = plant.position_columns(device).start
            on_the_way = {"station": plant.positions[last].choices[-1], "transit_steps": 2}
            observation = with_state(plant, at_start(plant), device, **on_the_way)
            trial.plan_at(observation, look_ahead(trial.sample, 0, plant.horizon_steps))


def _full_and_empty(trial: Trial) -> None:
    for side in ("soc_min", "soc_max"):
        observation = at_start(trial.plant)
        for device in trial.plant.stores:
            if (storage := storage_of(device)) is not None:
                energy = storage.energy_mwh * getattr(storage, side)
                observation = with_state(trial.plant, observation, device, energy_mwh=energy)
        trial.plan_at(observation, look_ahead(trial.sample, 0, trial.plant.horizon_steps))


def _repeatable(trial: Trial) -> Iterator[str]:
    moments = [trial.day()[0], trial.day()[-1]]
    used = trial.fresh()
    for moment in reversed(moments):  # out of order: what was planned for before must not matter
        controllers = [used, used, trial.fresh()]
        plans = [trial.request_plan(one, moment.observation, moment.forecast) for one in controllers]
        if not all(_same(plan, moment.plan) for plan in plans):
            yield (
                f"step {moment.observation.step}: equal inputs gave another plan; keep nothing in the controller, "
                "draw with a seed from the settings, and put what must be remembered into Plan.memory"
            )


def _without_previous_plan(trial: Trial) -> None:
    last = trial.day()[-1]
    trial.plan_at(replace(last.observation, previous_plan=None), last.forecast)


def _through_json(trial: Trial) -> Iterator[str]:
    last = trial.day()[-1]
    try:
        text = json.dumps(plan_to_json(last.plan), allow_nan=False)
    except (TypeError, ValueError) as error:
        yield (f"the plan is no JSON ({error}); put plain numbers, strings and lists into Plan.memory")
        return
    back = plan_from_json(json.loads(text))
    if plan_to_json(back) != plan_to_json(last.plan):
        yield "Plan.memory comes back from JSON changed; use text keys, and lists for tuples"
    if last.observation.previous_plan is not None:
        previous = plan_from_json(json.loads(json.dumps(plan_to_json(last.observation.previous_plan))))
        again = trial.request_plan(trial.fresh(), replace(last.observation, previous_plan=previous), last.forecast)
        if not _same(again, last.plan):
            yield ("a previous plan read back from JSON gave another plan; a resumed run would differ")


def _nan_forecast(trial: Trial) -> Iterator[str]:
    given = look_ahead(trial.sample, 0, trial.plant.horizon_steps)
    nothing = {
        device: {key: np.full_like(values, np.nan) for key, values in series.items()}
        for device, series in given.series.items()
    }
    spoilt_fields: dict[str, Any] = {
        name: np.full_like(getattr(given, name), np.nan) for name in ("buy_price", "load_p_mw", "congestion")
    }
    for name, values in {**spoilt_fields, "series": nothing}.items():
        spoilt = read_only(replace(given, **{name: values}))
        try:
            trial.plan_at(at_start(trial.plant), spoilt)
        except ControllerError:
            continue
        except BrokenPromiseError as error:
            yield f"with {name} not a number: {error}"
        except Exception as error:
            yield (f"with {name} not a number it raised {type(error).__name__}: {error}; raise ControllerError")


def _inputs_unchanged(trial: Trial) -> Iterator[str]:
    """Find changes of inputs other than arrays, which are read-only, of the plant behind them, and of our functions."""
    last = trial.day()[-1]
    plant = own_copy(trial.plant)
    controller = trial.cls(plant, trial.settings)
    observation, forecast = own_copy(last.observation), own_copy(last.forecast.first(controller.steps_read))
    given = {"plant": plant, "observation": observation, "forecast": forecast}
    functions = _functions()
    before = {name: values_of(one) for name, one in given.items()}
    controller.plan(observation, forecast)
    changed = [name for name, one in given.items() if values_of(one) != before[name]]
    if changed:
        yield f"the {' and the '.join(changed)} was changed; make a copy, and change that"
    if values_of([trial.sample.plant, trial.sample.day]) != trial.values:
        yield "the simulation was changed behind what it was given; compute, and return a plan"
    now = _functions()
    replaced = [name for name, one in functions.items() if now.get(name) is not one]
    if replaced:
        yield f"{replaced[0]} of GridFerry was replaced; derive a class, or write a function of your own"


def _functions() -> dict[str, Any]:
    """Functions and classes of ours that are loaded, by module and name."""
    return {
        f"{module}.{name}": value
        for module, loaded in list(sys.modules.items())
        if module.startswith("gridferry.") and hasattr(loaded, "__dict__")
        for name, value in list(vars(loaded).items())
        if callable(value)
    }


PLAN_PROMISES: Mapping[str, Promise[Trial]] = {
    "plans have the right shapes, are finite, and keep to ratings and stations": _walk,
    "a forecast of one step is enough": _shortest_forecast,
    "the forecast may shrink at the end of the run": _end_of_run,
    "a truck on the road keeps its destination": _on_the_road,
    "full and empty stores are planned for": _full_and_empty,
    "equal inputs give equal plans": _repeatable,
    "a plan needs no previous plan": _without_previous_plan,
    "a plan survives JSON": _through_json,
    "a forecast that is not a number gives a finite plan or a ControllerError": _nan_forecast,
    "inputs are left as they are": _inputs_unchanged,
}
