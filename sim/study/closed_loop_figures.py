"""Figures of a closed-loop study: of a run, and of a row over its seeds, paired with other rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import fsum
from statistics import fmean, stdev
from typing import TypeVar

from gridferry.sim.results.costs import operating_cost
from gridferry.sim.results.display import figure
from gridferry.sim.results.run_directory import Run, open_results

N = TypeVar("N", int, float)

_TIE = 1e-9
"""costs that differ by less than this share of themselves are the same"""


@dataclass(frozen=True)
class RunFigures:
    """Figures of a run; ``None`` if its summary lacks one.

    Attributes
    ----------
    steps : simulated
    cost : of energy and devices, without income [currency]
    controllable_cost : as in the summary [currency]
    violations : limits of buses and lines broken in AC
    broken_steps : steps in which one was, or whose power flow diverged
    diverged_steps, fallbacks : as in the summary
    decision_seconds, decision_seconds_max : decision time, total and of the longest step [s]
    """

    steps: int
    cost: float | None
    controllable_cost: float | None
    violations: int | None
    broken_steps: int
    diverged_steps: int | None
    fallbacks: int | None
    decision_seconds: float | None
    decision_seconds_max: float | None


@dataclass(frozen=True)
class RowFigures:
    """Figures of a row over the runs that did not fail; ``None`` if undefined.

    Attributes
    ----------
    runs, failures : runs that came to their end, and those that did not
    cost, controllable_cost : means [currency/run]
    saving : mean over the seeds that both have of the first row's cost less this row's [currency/run]
    saving_share : that, relative to the size of the first row's mean cost
    saving_deviation : standard deviation of that difference from seed to seed [currency/run]
    excess, excess_deviation : likewise this row's cost less the reference's, and its deviation [currency/run]
    reference_better : on how many seeds the reference costs less
    pairs : seeds that this row and the reference both have
    joint_reliability : share of the runs in which no limit of a bus or line broke in AC, and no power flow diverged
    step_reliability : likewise of the steps of all runs
    violations, diverged_steps, fallbacks : sums over the runs
    decision_seconds_mean, decision_seconds_max : deciding, mean and longest of all steps [s]
    """

    runs: int
    failures: int
    cost: float | None
    controllable_cost: float | None
    saving: float | None
    saving_share: float | None
    saving_deviation: float | None
    excess: float | None
    excess_deviation: float | None
    reference_better: int | None
    pairs: int | None
    joint_reliability: float | None
    step_reliability: float | None
    violations: int | None
    diverged_steps: int | None
    fallbacks: int | None
    decision_seconds_mean: float | None
    decision_seconds_max: float | None


def figures_of_run(run: Run) -> RunFigures:
    """Collect the figures of a run; raises `InputError` if its results cannot be opened."""
    with open_results(run.directory) as connection:
        diverged = connection.execute("SELECT DISTINCT step FROM network WHERE NOT converged").fetchall()
    broken = {step for (step,) in diverged} | {one.step for one in run.violations()}

    def known(path: str) -> float | None:
        value = figure(run.summary, path)
        return None if value is None else float(value)

    def count(path: str) -> int | None:
        value = figure(run.summary, path)
        return None if value is None else int(value)

    return RunFigures(
        steps=int(run.summary["steps"]),
        cost=operating_cost(run.summary),
        controllable_cost=known("cost.controllable_cost"),
        violations=count("grid.violations"),
        broken_steps=len(broken),
        diverged_steps=count("grid.diverged_steps"),
        fallbacks=count("solver.fallbacks"),
        decision_seconds=known("solver.decision_seconds_total"),
        decision_seconds_max=known("solver.decision_seconds_max"),
    )


def figures_of_row(
    runs: Sequence[RunFigures | None],
    first: Sequence[RunFigures | None],
    reference: Sequence[RunFigures | None] | None,
) -> RowFigures:
    """Average the runs of a row, and pair them with the first row's and the reference's.

    Parameters
    ----------
    runs, first, reference : runs of this row, of the first and of the reference, in the order of the same seeds;
        ``None`` is one that failed
    """
    done = [one for one in runs if one is not None]
    saved = [theirs - mine for mine, theirs in _pairs(runs, first)]
    base = [theirs for _, theirs in _pairs(runs, first)]
    pairs = None if reference is None or reference is runs else _pairs(runs, reference)
    excess = [] if pairs is None else [mine - theirs for mine, theirs in pairs]
    steps = sum(one.steps for one in done)
    seconds = _all([one.decision_seconds for one in done])
    longest = _all([one.decision_seconds_max for one in done])
    return RowFigures(
        runs=len(done),
        failures=len(runs) - len(done),
        cost=_mean(_all([one.cost for one in done])),
        controllable_cost=_mean(_all([one.controllable_cost for one in done])),
        saving=_mean(saved),
        saving_share=fmean(saved) / abs(fmean(base)) if base and fmean(base) != 0.0 else None,
        saving_deviation=_deviation(saved),
        excess=_mean(excess),
        excess_deviation=_deviation(excess),
        reference_better=None if pairs is None else sum(_less(theirs, mine) for mine, theirs in pairs),
        pairs=None if pairs is None else len(pairs),
        joint_reliability=_mean([float(one.broken_steps == 0) for one in done]),
        step_reliability=1.0 - sum(one.broken_steps for one in done) / steps if steps else None,
        violations=_sum([one.violations for one in done]),
        diverged_steps=_sum([one.diverged_steps for one in done]),
        fallbacks=_sum([one.fallbacks for one in done]),
        decision_seconds_mean=fsum(seconds) / steps if seconds and steps else None,
        decision_seconds_max=max(longest) if longest else None,
    )


def _pairs(mine: Sequence[RunFigures | None], theirs: Sequence[RunFigures | None]) -> list[tuple[float, float]]:
    """Costs of two rows on the seeds that both have."""
    return [
        (a.cost, b.cost)
        for a, b in zip(mine, theirs, strict=True)
        if a is not None and b is not None and a.cost is not None and b.cost is not None
    ]


def _less(a: float, b: float) -> bool:
    return b - a > _TIE * max(abs(a), abs(b))


def _all(values: Sequence[N | None]) -> list[N]:
    """Return the values if all are known, else none, as a mean over some would not compare."""
    known = [one for one in values if one is not None]
    return known if len(known) == len(values) else []


def _mean(values: Sequence[float]) -> float | None:
    return fmean(values) if values else None


def _deviation(values: Sequence[float]) -> float | None:
    return stdev(values) if len(values) > 1 else None


def _sum(values: Sequence[int | None]) -> int | None:
    known = _all(values)
    return sum(known) if known else None
