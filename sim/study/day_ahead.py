"""Day-ahead studies: plan every variant, evaluate its plan by AC Monte Carlo, collect the figures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import as_completed
from dataclasses import dataclass, field, fields
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from gridferry.controllers.conformance.sample_plants import at_start
from gridferry.controllers.contract import Controller, ControllerError, NoteKind, Plan
from gridferry.controllers.uncertainty.error_model import Purpose
from gridferry.controllers.uncertainty.error_settings import ErrorSettings, assumed_by_controllers
from gridferry.controllers.uncertainty.plant_errors import plant_errors
from gridferry.networks.faults import Fault, InputError
from gridferry.sim.case.case import build_case
from gridferry.sim.case.loading import load_config
from gridferry.sim.config.named_code import named_in
from gridferry.sim.study.config import Study, TableConfig, load_study, overrides
from gridferry.sim.study.monte_carlo import reliability, reliability_in
from gridferry.sim.study.sampled_days import realities
from gridferry.sim.study.workers import worker_pool


@dataclass(frozen=True)
class Job:
    """One plan to be made and evaluated.

    Attributes
    ----------
    config : config file
    settings : overrides, as ``--set`` takes them
    days, seed : number of sampled days for the evaluation, and their seed
    errors : forecast errors of those days; the controller's when ``None``, or those of the config
    threads : threads of the AC engine, as `gridferry.sim.study.monte_carlo.reliability` takes them
    """

    config: Path
    settings: tuple[str, ...]
    days: int
    seed: int
    errors: ErrorSettings | None
    threads: int = field(default=0, compare=False)


@dataclass(frozen=True, kw_only=True)
class Figures:
    """Figures of a variant; means if it has several draws.

    Attributes
    ----------
    cost : controllable cost at the forecast, in AC [currency/day]
    loss_kwh : losses at the forecast, in AC [kWh]
    cost_mean, loss_mean_kwh : means over the sampled days
    joint, step, worst_bus_step : reliabilities, see `gridferry.sim.study.monte_carlo.Reliability`
    cost_mean_low, cost_mean_high, … : 95 % confidence intervals, for the days that were sampled
    diverged : power flows of sampled days that have no solution; such days are left out of the means
    plan_seconds : time to make the plan [s]
    cost_improvement : against the table's reference, a share of its cost; NaN without one
    individual_confidence, certified : confidence of single limits, tuned for a joint one, and certified share of days
        that keep all limits; NaN without
    """

    cost: float
    loss_kwh: float
    cost_mean: float
    cost_mean_low: float
    cost_mean_high: float
    loss_mean_kwh: float
    joint: float
    joint_low: float
    joint_high: float
    step: float
    worst_bus_step: float
    worst_bus_step_low: float
    worst_bus_step_high: float
    diverged: float
    plan_seconds: float
    cost_improvement: float = float("nan")
    individual_confidence: float = float("nan")
    certified: float = float("nan")


@dataclass(frozen=True)
class Row:
    """A variant and its figures; ``failure`` is the reason if there are none."""

    label: str
    figures: Figures | None
    failure: str = ""


@dataclass(frozen=True)
class Table:
    """A table of the study with its rows in order."""

    config: TableConfig
    rows: tuple[Row, ...]


def run_study(
    study: str | Path | Study, workers: int = 1, progress: Callable[[int, int], None] | None = None
) -> tuple[Table, ...]:
    """Make and evaluate all plans of a study; equal variants are made once.

    Parameters
    ----------
    workers : processes that share the work
    progress : called with the number of finished plans and their total

    Raises
    ------
    InputError
        for anything wrong with the study or its configs.
    """
    loaded = study if isinstance(study, Study) else load_study(study)
    _refuse_bad_variants(loaded)
    wanted = [
        (_jobs(loaded, number, None if row is None else row.set, workers), number, row)
        for number, table in enumerate(loaded.config.tables)
        for row in (*table.rows, *([None] if table.reference is not None else []))
    ]
    jobs = list(dict.fromkeys(job for some, _, _ in wanted for job in some))
    done: dict[Job, Figures | str] = {}
    for job, outcome in _outcomes(jobs, workers):
        done[job] = outcome
        if progress is not None:
            progress(len(done), len(jobs))
    tables = []
    for number, table in enumerate(loaded.config.tables):
        found = {id(row): _gathered([done[job] for job in some]) for some, at, row in wanted if at == number}
        reference = found.get(id(None))
        rows = tuple(_row(row.label, found[id(row)], reference) for row in table.rows)
        tables.append(Table(table, rows))
    return tuple(tables)


def evaluate(job: Job) -> Figures | str:
    """Make a plan for the day of a config and evaluate it; returns the reason if there is no plan.

    Raises
    ------
    InputError
        for a config, settings or a controller that no study can be made of.
    """
    case = build_case(load_config(job.config, job.settings))
    controller = case.controller()
    forecast = case.forecaster.at(0)
    seen = at_start(case.plant)
    started = perf_counter()
    try:
        plan = controller.plan(seen, forecast.first(controller.steps_read))
    except ControllerError as error:
        return f"{type(error).__name__}: {error}"
    seconds = perf_counter() - started
    if plan.steps != forecast.steps:
        message = f"plans {plan.steps} of {forecast.steps} steps; a study needs a plan of the whole day"
        raise InputError(Fault(str(job.config), "controller.use", message))
    errors = _errors(job, controller, case.loaded.config.forecast.errors)
    sources, model = plant_errors(case.plant, errors)
    calm = np.zeros((1, forecast.steps, len(sources.sources)))
    at_forecast = reliability(case.plant, plan, seen, forecast, sources, [calm])
    rows = np.arange(forecast.steps)
    first = case.plant.clock_steps(rows) - rows
    tolerance = case.loaded.config.grid.v_tolerance_pu
    if len(case.plant.positions) and errors.congestion.errs:
        whole = forecast.rows(np.minimum(np.arange(case.plant.steps), forecast.steps - 1))
        days = (one.rows(rows) for one in realities(case, whole, errors, job.days, job.seed))
        evaluated = reliability_in(case.plant, plan, seen, days, v_tolerance_pu=tolerance)
    else:
        samples = model.stream(job.days, forecast.steps, seed=job.seed, purpose=Purpose.OUT_OF_SAMPLE, first_step=first)
        evaluated = reliability(
            case.plant, plan, seen, forecast, sources, samples, v_tolerance_pu=tolerance, threads=job.threads
        )
    return Figures(
        cost=at_forecast.controllable_cost.value,
        loss_kwh=1e3 * at_forecast.losses_mwh,
        cost_mean=evaluated.controllable_cost.value,
        cost_mean_low=evaluated.controllable_cost.low,
        cost_mean_high=evaluated.controllable_cost.high,
        loss_mean_kwh=1e3 * evaluated.losses_mwh,
        joint=evaluated.joint.value,
        joint_low=evaluated.joint.low,
        joint_high=evaluated.joint.high,
        step=evaluated.step,
        worst_bus_step=evaluated.worst_bus_step.value,
        worst_bus_step_low=evaluated.worst_bus_step.low,
        worst_bus_step_high=evaluated.worst_bus_step.high,
        diverged=float(evaluated.diverged),
        plan_seconds=seconds,
        individual_confidence=_noted(plan, NoteKind.INDIVIDUAL_CONFIDENCE),
        certified=_noted(plan, NoteKind.JOINT_CERTIFIED, NoteKind.JOINT_NOT_REACHED),
    )


def _noted(plan: Plan, *kinds: NoteKind) -> float:
    notes = [note.value for kind in kinds if (note := plan.solver.note(kind)) is not None]
    return notes[0] if notes else float("nan")


def _errors(job: Job, controller: Controller, of_config: ErrorSettings) -> ErrorSettings:
    if job.errors is not None:
        try:
            return job.errors.over(assumed_by_controllers(of_config))
        except ValueError as error:
            raise InputError(Fault("study", "errors", str(error))) from error
    own = getattr(controller.settings, "errors", None)
    if isinstance(own, ErrorSettings):
        return own
    if not of_config.errs:
        message = "there are no forecast errors to evaluate the plan by; add [errors] to the study, or to [forecast]"
        raise InputError(Fault(str(job.config), "forecast.errors", message))
    return of_config


def _refuse_bad_variants(study: Study) -> None:
    """Check every variant before the first is planned; faults of settings name their place in the study."""
    faults: list[Fault] = []
    for number, (table, config) in enumerate(zip(study.config.tables, study.configs, strict=True)):
        places = [(f"tables[{number}].rows[{k}].set", row.set) for k, row in enumerate(table.rows)]
        if table.reference is not None:
            places.append((f"tables[{number}].reference", table.reference))
        for place, settings in places:
            try:
                build_case(load_config(config, overrides(settings), refusal=named_in(study.path)))
            except InputError as error:
                faults += [
                    Fault(str(study.path), f"{place}: {one.key}", one.message) if one.source == "--set" else one
                    for one in error.faults
                ]
    if faults:
        raise InputError(dict.fromkeys(faults))


def _jobs(study: Study, number: int, settings: dict[str, Any] | None, workers: int) -> list[Job]:
    """Plans of one row, or of the reference of a table, which has a single draw."""
    table = study.config.tables[number]
    chosen = table.reference if settings is None else settings
    assert chosen is not None
    draws = 1 if settings is None else table.draws
    threads = 0 if workers == 1 else 1
    return [
        Job(
            config=study.configs[number],
            settings=overrides(chosen | ({"controller.seed": draw} if draws > 1 else {})),
            days=table.days or study.config.days,
            seed=study.config.seed,
            errors=study.config.errors,
            threads=threads,
        )
        for draw in range(draws)
    ]


def _outcomes(jobs: list[Job], workers: int) -> Iterator[tuple[Job, Figures | str]]:
    if workers == 1:
        yield from ((job, evaluate(job)) for job in jobs)
        return
    with worker_pool(workers, finish_step=False) as pool:
        pending = {pool.submit(evaluate, job): job for job in jobs}
        for one in as_completed(pending):
            yield pending[one], one.result()


def _gathered(outcomes: list[Figures | str]) -> Figures | str:
    """Mean of the figures of all draws; the first failure where one has none."""
    for one in outcomes:
        if isinstance(one, str):
            return one
    values = {of.name: [getattr(one, of.name) for one in outcomes] for of in fields(Figures)}
    return Figures(**{name: float(np.mean(some)) for name, some in values.items()})


def _row(label: str, found: Figures | str, reference: Figures | str | None) -> Row:
    if isinstance(found, str):
        return Row(label, None, found)
    if isinstance(reference, Figures):
        gain = (reference.cost - found.cost) / abs(reference.cost)
        found = Figures(**(vars(found) | {"cost_improvement": gain}))
    return Row(label, found)
