"""A schedule on sampled days: loads, sun, prices and traffic err, trucks may come late, AC says what limits hold.

Each sample is a reality of its own, drawn as the reality of a run is (`gridferry.sim.case.forecast_errors`). In it the
devices simulate the whole schedule, trucks among them, and every step is solved in AC.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import numpy as np

from gridferry.controllers.contract import Forecast, Observation
from gridferry.controllers.schedule.ac_evaluation import Schedules, evaluate
from gridferry.controllers.schedule.grid_limits import plain_limits
from gridferry.controllers.schedule.limit_violation import ScheduleLimits, energies_due, places_due_of
from gridferry.controllers.tolerances import CERTIFIED_WITH
from gridferry.controllers.uncertainty.certificate import certified_share
from gridferry.controllers.uncertainty.error_settings import ErrorSettings
from gridferry.networks.faults import Fault, InputError
from gridferry.sim.case.case import Case, build_case
from gridferry.sim.case.conditions import Conditions, build_conditions
from gridferry.sim.config.loaded import LoadedConfig
from gridferry.sim.loop.base_case import observation_at_start
from gridferry.sim.study.estimates import Estimate, mean, share


@dataclass(frozen=True)
class SampledDays:
    """What a schedule came to on sampled days.

    Attributes
    ----------
    samples : days drawn
    good : share of days on which AC keeps every voltage, rating, import and export in every step
    certified : share that `good` is not below, with a confidence of `CERTIFIED_WITH` [Clopper and Pearson 1934]
    due_kept : share of days on which energies, and devices at their depots, are where they are due, too
    late_days : share of days on which a truck arrived later than under the forecast
    late_steps : mean number of steps, over days, in which a truck was not where the forecast has it
    operating_cost : mean of all cost terms, over days with a power flow in every step [currency]
    """

    samples: int
    good: Estimate
    certified: float
    due_kept: Estimate
    late_days: Estimate
    late_steps: float
    operating_cost: Estimate

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON-able data; unknown figures are ``None``."""
        return _known(asdict(self))

    def __str__(self) -> str:
        good, cost = self.good, self.operating_cost
        return (
            f"{self.samples} sampled days: {good.value:.2%} keep every limit of the grid in AC "
            f"({self.certified:.2%} certified with {CERTIFIED_WITH:.0%} confidence), {self.due_kept.value:.2%} what is "
            f"due, too; trucks late on {self.late_days.value:.2%}; operating cost {cost.value:,.2f} "
            f"({cost.low:,.2f} to {cost.high:,.2f})"
        )


def sample_days(loaded: LoadedConfig, samples: int, steps: int | None = None) -> SampledDays:
    """Evaluate the schedule that a config replays on sampled days.

    Parameters
    ----------
    loaded : with the controller ``replay``; ``forecast.errors`` says what errs
    steps : only the first ones; all when not given

    Raises
    ------
    InputError
        where nothing errs, or the config is wrong.
    """
    case, errors = build_case(loaded), _without_bias(loaded.config.forecast.errors)
    if not any(errors.of(one).errs for one in errors.quantities()):
        message = "nothing errs, so all sampled days are alike; give forecast.errors, such as load_std = 0.05"
        raise InputError(Fault(str(loaded.path), "forecast.errors", message))
    plant, start = case.plant, observation_at_start(case)
    expected = build_conditions(loaded, plant, case.networks)
    simulated = slice(plant.steps if steps is None else min(steps, plant.steps))
    forecast = expected.rows(simulated)
    schedules = Schedules.of_plan(case.controller().plan(start, forecast), forecast.steps)
    limits = _limits(case, start, forecast)
    at = evaluate(plant, schedules, start, forecast).reached[0]
    good, due, late, cost = (np.zeros(samples) for _ in range(4))
    for number, reality in enumerate(realities(case, expected, errors, samples, loaded.config.seed)):
        found = evaluate(plant, schedules, start, reality.rows(simulated))
        violation = limits.violation(found)
        grid = violation.grid
        solved = not grid.unsolved.any()
        good[number] = solved and not grid.broken.any()
        due[number] = good[number] and not violation.relative.largest.any()
        late[number] = ((found.reached[0] != at) & (at >= 0)).sum()
        cost[number] = found.cost.sum() if solved else np.nan
    kept = int(good.sum())
    return SampledDays(
        samples=samples,
        good=share(kept, samples),
        certified=certified_share(kept, samples),
        due_kept=share(float(due.sum()), samples),
        late_days=share(int((late > 0).sum()), samples),
        late_steps=float(late.mean()),
        operating_cost=mean(cost[np.isfinite(cost)]),
    )


def realities(case: Case, expected: Forecast, errors: ErrorSettings, samples: int, seed: int) -> Iterator[Conditions]:
    """Draw days around what is expected for all steps of a case."""
    # what draws errors takes half a second to import
    from gridferry.sim.case.forecast_errors import with_errors

    values = {one.name: getattr(expected, one.name) for one in fields(expected)}
    conditions = Conditions(**values)
    for number in range(samples):
        yield with_errors(case.plant, conditions, errors, seed_of_day(seed, number))


def seed_of_day(seed: int, number: int) -> int:
    """Return the seed of a sampled day: a run with it has that reality, where reality is what errs."""
    return (seed << 32) + 1 + number


def _without_bias(errors: ErrorSettings) -> ErrorSettings:
    """Errors around what is expected; a bias is that of forecasts."""
    return errors.model_copy(
        update={name: errors.of(name).model_copy(update={"bias": 1.0}) for name in errors.quantities()}
    )


def _limits(case: Case, start: Observation, forecast: Forecast) -> ScheduleLimits:
    plant, grid = case.plant, case.loaded.config.grid
    of_grid = replace(
        plain_limits(plant),
        v_tolerance_pu=grid.v_tolerance_pu,
        loading_tolerance=grid.loading_tolerance_percent / 100.0,
    )
    return ScheduleLimits(
        grid=of_grid,
        due=energies_due(plant, start, forecast, "store"),
        places=places_due_of(plant, 0, forecast.steps),
    )


def _known(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _known(one) for key, one in value.items()}
    return None if isinstance(value, float) and not np.isfinite(value) else value
