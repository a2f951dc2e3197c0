"""Trucks, links and batteries together: how long a decision takes, and how far it is from the proved bound.

* 2dn, 3dn: the closed loop of the case; decision times of steps that decided routes and of steps that kept them, beside
  the time inside Clarabel alone for the first step with its routes held, and what gaps were proved;
* certify: the plan of a day known beforehand, proved to 2 % of what it saves;
* loop: the closed loop of that day, and its cost beside the bound of the day. Asked for: within 1 %.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from unittest.mock import patch

import clarabel
import numpy as np
import pandas as pd

from gridferry.controllers.conformance.sample_plants import at_start
from gridferry.controllers.contract import AcFeedback, NoteKind, Termination
from gridferry.sim.case.case import build_case
from gridferry.sim.case.loading import load_config
from gridferry.sim.loop.runner import Run, run
from gridferry.sim.results.costs import operating_cost

PARTS = ("2dn", "3dn", "certify", "loop")
STEPS_3DN = 24
"""six hours: six decisions about routes, at the horizons that take longest; a day takes minutes"""
SMALL = ("time.steps=8", "time.horizon_steps=8", "controller.time_limit_s=3600.0")
PERFECT = "forecast.kind=perfect"
LITTLE = 0.1
"""steps that save less than this share of what the first plan does are left out where gaps are shares of savings"""


@dataclass(frozen=True)
class Floor:
    """The first step of a case with the routes of its first plan held.

    Attributes
    ----------
    clarabel_s : time inside Clarabel [s]
    calls : how often it was called
    plan_s : time of the whole plan [s]
    """

    clarabel_s: float
    calls: int
    plan_s: float


@contextmanager
def inside_clarabel() -> Iterator[list[float]]:
    """Collect the seconds of every call of Clarabel, its setup included."""
    taken: list[float] = []
    bare = clarabel.DefaultSolver

    class Timed:
        def __init__(self, *problem: object):
            self._problem = problem

        def solve(self) -> object:
            began = time.perf_counter()
            answer = bare(*self._problem).solve()
            taken.append(time.perf_counter() - began)
            return answer

    with patch.object(clarabel, "DefaultSolver", Timed):
        yield taken


def floor_of(config: str, overrides: Sequence[str]) -> Floor:
    """Time the first step again, its routes held as a correction holds them; nothing is asked to be corrected."""
    case = build_case(load_config(config, overrides))
    plant, controller, observation, forecast = (
        case.plant,
        case.controller(),
        at_start(case.plant),
        case.forecaster.at(0),
    )
    none = np.zeros(plant.n_bus)
    feedback = AcFeedback(none, none, np.zeros(plant.n_branch), plan=controller.plan(observation, forecast))
    with inside_clarabel() as taken:
        began = time.perf_counter()
        controller.plan(replace(observation, ac_feedback=feedback), forecast)
        seconds = time.perf_counter() - began
    return Floor(sum(taken), len(taken), seconds)


def _decided_at(notes: str) -> float:
    """Step that decided the routes of a plan, of what is recorded of it; NaN where it decided them itself."""
    values = [float(one["value"]) for one in json.loads(notes) if one["kind"] == NoteKind.BOUND_FOR_ROUTES]
    return values[0] if values else float("nan")


def decided(steps: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Split steps into those that decide routes, those with fixed routes, and those with a fallback."""
    fell_back = steps["fallback"].fillna("") != ""
    since = steps["solver_notes"].map(_decided_at)
    kept = since.notna() & (since < steps["step"]) & ~fell_back
    return steps[~kept & ~fell_back], steps[kept], steps[fell_back]


def say_times(label: str, seconds: pd.Series) -> None:
    if len(seconds):
        print(
            f"  {label:<16} {len(seconds):5d} steps   mean {seconds.mean():7.3f} s"
            f"   95 % {seconds.quantile(0.95):7.3f} s   largest {seconds.max():7.3f} s"
        )


def say_floor(floor: Floor, routes: pd.Series, kept: pd.Series) -> None:
    ratios = [f"that plan in all {floor.plan_s / floor.clarabel_s:.2f} x"]
    for label, times in (("kept", kept), ("decided", routes)):
        if len(times):
            first, mean, most = times.iloc[0], times.mean(), times.max()
            of_floor = [f"{one / floor.clarabel_s:.2f} x" for one in (first, mean, most)]
            ratios.append(
                f"decisions with routes {label} {of_floor[0]} (first), {of_floor[1]} (mean), {of_floor[2]} (largest)"
            )
    print(f"  floor: {floor.clarabel_s:.3f} s inside Clarabel (calls: {floor.calls}), first step, routes held")
    for one in ratios:
        print(f"    {one}")


def say_gap(label: str, gaps: pd.Series, form: str) -> None:
    known = gaps.dropna()
    if len(known):
        print(f"    {label:<52} mean {known.mean():{form}}   largest {known.max():{form}}   (steps: {len(known)})")


def say_gaps(routes: pd.DataFrame, kept: pd.DataFrame, currency: str) -> None:
    # what AC had corrected is bound for the routes at hand only
    proved = routes[routes["ac_corrections"] == 0]
    first = float(routes["saving"].iloc[0])
    print(
        f"  gaps where routes were decided, to the bound of all routes; the first plan saves {first:.2f} {currency}; "
        f"{len(routes) - len(proved)} steps corrected by AC left out, {proved['gap_abs'].isna().sum()} without a bound"
    )
    say_gap(f"in {currency}", proved["gap_abs"], "9.4f")
    if first > 0:
        worth = proved[proved["saving"] > LITTLE * first]
        say_gap(f"of the plan's saving, where over {LITTLE:.0%} of the first's", worth["gap_of_saving"], "9.4%")
        say_gap("of the first plan's saving", proved["gap_abs"] / first, "9.4%")
    print("  gaps where routes were kept, to the bound of the power for these routes")
    say_gap(f"in {currency}", kept["gap_abs"], "9.2e")
    say_gap("of the cost", kept["gap"], "9.2e")


def times(config: str, steps: int | None, overrides: Sequence[str] = ()) -> None:
    """Print decision times and gaps of a closed loop of the first steps, of all where ``None``."""
    with tempfile.TemporaryDirectory() as folder:
        done = run(config, overrides=overrides, steps=steps, out=Path(folder) / "run")
        rows = done.table("step")
    loaded = load_config(config, overrides).config
    routes, kept, fell_back = decided(rows)
    print(
        f"{config}: {len(rows)} of {loaded.time.steps} steps of {loaded.time.step_s / 60:g} min, horizon "
        f"{loaded.time.horizon_steps} steps; {len(fell_back)} fallbacks, {(rows['ac_corrections'] > 0).sum()} steps "
        f"corrected by AC, {(rows['solver_termination'] == Termination.TIME_LIMIT).sum()} stopped by the time limit"
    )
    say_times("routes decided", routes["decision_seconds"])
    say_times("routes kept", kept["decision_seconds"])
    say_times("all", rows["decision_seconds"])
    say_floor(floor_of(config, overrides), routes["decision_seconds"], kept["decision_seconds"])
    say_gaps(routes, kept, loaded.currency)


def certify(overrides: Sequence[str] = ()) -> float:
    """Print what is proved of the plan of a day known beforehand; returns the bound."""
    case = build_case(load_config("joint_2dn_certify", overrides))
    controller, forecast = case.controller(), case.forecaster.at(0)
    began = time.perf_counter()
    plan = controller.plan(at_start(case.plant), forecast)
    seconds = time.perf_counter() - began
    found, currency = plan.solver, case.loaded.config.currency
    gap, saving = found.objective - found.bound, found.reference - found.objective
    share = f"{gap / saving:.3%} of the saving of {saving:.4f}" if saving > 0 else f"nothing is saved ({saving:.4f})"
    print(f"joint_2dn_certify: plan of {plan.steps} steps in {seconds:.1f} s; {found.status.value}: {found.words}")
    print(
        f"  objective {found.objective:.4f} {currency}, bound {found.bound:.4f}, gap {gap:.4f}; {share}; "
        f"doing nothing {found.reference:.4f}"
    )
    return found.bound


def loop(bound: float | None, overrides: Sequence[str] = ()) -> None:
    """Print what the closed loop with perfect forecasts costs, beside a bound; its own first one where ``None``."""
    with tempfile.TemporaryDirectory() as folder:
        done: Run = run("joint_2dn", overrides=[PERFECT, *overrides], out=Path(folder) / "run")
        first = done.table("step").iloc[0]
    cost = operating_cost(done.summary)
    assert cost is not None
    whose = "certified" if bound is not None else "of its own first plan; of the part certify it is tighter"
    least = float(first["bound"]) if bound is None else bound
    print(f"joint_2dn, perfect forecasts, closed loop of {done.summary['steps']} steps")
    print(f"  closed loop cost {cost:.4f} {done.summary['currency']}, bound {least:.4f} ({whose})")
    print(f"  above the bound by {cost - least:.4f}, {(cost - least) / abs(least):.3%} (asked for: within 1 %)")


def main(*, smoke: bool = False, parts: Sequence[str] = PARTS, steps: int | None = None) -> None:
    """Print the parts; ``steps`` replaces those of the closed loops of ``2dn`` and ``3dn``."""
    small = SMALL if smoke else ()
    bound: float | None = None
    for part in (one for one in PARTS if one in parts):
        if part == "2dn":
            times("joint_2dn", steps, small)
        elif part == "3dn":
            times("joint_3dn", (2 if smoke else STEPS_3DN) if steps is None else steps, small)
        elif part == "certify":
            bound = certify(small)
        else:
            loop(bound, small)
        sys.stdout.flush()  # parts take minutes


if __name__ == "__main__":
    main()
