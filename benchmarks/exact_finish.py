"""What an exact finish costs beside the relaxed solve that it follows: ``python -m benchmarks exact_finish``.

Where a relaxation is not tight it is solved again with upper limits of losses, and then the exact equations from there
(cold), or from what is known (warm): the plan of the last step in closed loop, or the exact solution of a similar
problem in the same step, as for the next margins, or for the cost after the violation. Only time inside solvers counts,
in processor time: building and compiling models, which costs the same for either, is left out, and so is the search for
a better bound by spatial branching.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

from gridferry.controllers.model import exact_finish
from gridferry.controllers.model.exact_finish import previous_flow
from gridferry.controllers.model.solution import Dispatch, Solved, solve_dispatch
from gridferry.controllers.solve import InfeasibleError, problem
from gridferry.sim.loop.runner import run

PLANS = Path(__file__).parent.parent / "tests" / "cases" / "plans"
RELAX = 'controller.on_infeasible="relax"'
EVERY = "controller.replan_every=1"
HIGH = ("networks.dn1.v_max_pu=1.002", "networks.dn2.v_max_pu=1.002", "controller.max_rounds=1", RELAX)
CASES: tuple[tuple[str, str | None, tuple[str, ...], int], ...] = (
    ("battery_at_negative_prices", None, (), 4),
    ("link_at_negative_prices", None, (), 2),
    ("no_room_for_pv", None, (RELAX,), 3),
    ("street", None, (RELAX,), 3),
    ("without_resistance", None, (), 3),
    ("trucks_at_the_upper_voltage", None, (EVERY,), 2),
    ("trucks_at_negative_prices", None, (EVERY,), 2),
    ("mvdc_2dn", "mvdc_drcc", HIGH, 1),
)
"""config, controller, settings, and steps of the closed loop"""


class _Clock:
    """Processor time inside solvers, outermost calls only [s]."""

    def __init__(self) -> None:
        self.seconds, self._depth = 0.0, 0

    def timed(self, function: Any) -> Any:
        def call(*given: Any, **named: Any) -> Any:
            self._depth += 1
            began = time.process_time()
            try:
                return function(*given, **named)
            finally:
                self._depth -= 1
                self.seconds += (time.process_time() - began) * (self._depth == 0)

        return call


@contextmanager
def inside_solvers() -> Iterator[_Clock]:
    """Count the time of relaxed and exact solves."""
    clock = _Clock()
    with (
        patch.object(problem, "solve_form", clock.timed(problem.solve_form)),
        patch.object(problem, "solve_conic", clock.timed(problem.solve_conic)),
        patch.object(problem, "solve_exact", clock.timed(problem.solve_exact)),
    ):
        yield clock


def open_tasks(config: str | Path, use: str | None, settings: tuple[str, ...], steps: int) -> list[Dispatch]:
    """Tasks of the first steps of a case in closed loop whose relaxations are not tight.

    Of each step each kind of objective once, and once more where a similar problem is known.
    """
    found: dict[tuple[int, str, bool], Dispatch] = {}

    def kept(relaxed: Solved) -> Solved:
        task = relaxed.dispatch
        found.setdefault((task.outlook.observation.step, task.options.aim, task.near is not None), task)
        return finish(relaxed)

    finish = exact_finish.finish
    with (
        patch.object(exact_finish, "finish", kept),
        patch.object(exact_finish, "_globally", lambda found, tighter: found),
        TemporaryDirectory() as directory,
    ):
        overrides = [*settings, "controller.time_limit_s=900"]
        run(config, controller=use, overrides=overrides, steps=steps, out=Path(directory) / "run")
    return [replace(one, deadline=float("inf")) for one in found.values()]


def measured(task: Dispatch) -> tuple[float, float, float]:
    """Seconds of the relaxed solve, of a cold finish, and of a warm one.

    NaN where no power flow is found, or nothing is known to begin at.
    """
    with inside_solvers() as clock:
        tighter = solve_dispatch(task)
    relaxed = again = clock.seconds
    if not task.options.soft:
        with inside_solvers() as clock:
            try:
                tighter = solve_dispatch(replace(task, options=replace(task.options, bounded_losses=True)))
            except InfeasibleError:
                return relaxed, float("nan"), float("nan")
        again += clock.seconds
    solver = tighter.model.problem
    seconds: list[float] = []
    solved, previous = solver.values, previous_flow(tighter.model)
    for near, begin in ((None, None), (task.near, previous)):
        solver.values = solved
        with inside_solvers() as clock:
            done = exact_finish._locally(replace(tighter, dispatch=replace(task, near=near)), begin)
        known = not seconds or near or begin
        seconds.append(again - relaxed + clock.seconds if done is not None and known else float("nan"))
    return relaxed, seconds[0], seconds[1]


def main(*, smoke: bool = False) -> tuple[float, float]:
    """Print a line for each step and objective; return the medians of the cases' medians, cold and warm."""
    medians: list[tuple[float, float]] = []
    print("  relaxed [s]  cold [s]  warm [s]   cold x   warm x   case, step, what is minimised")
    for name, use, settings, steps in CASES[:1] if smoke else CASES:
        config = PLANS / f"{name}.toml" if (PLANS / f"{name}.toml").exists() else name
        ratios: list[tuple[float, float]] = []
        for task in open_tasks(config, use, settings, steps):
            first, cold, warm = measured(task)
            ratios.append((cold / first, warm / first))
            row = f"  {first:11.3f}  {cold:8.3f}  {warm:8.3f}  {cold / first:7.2f}  {warm / first:7.2f}"
            print(f"{row}   {name}, {task.outlook.observation.step}, {task.options.aim.value}", flush=True)
        medians.append((_median([one for one, _ in ratios]), _median([one for _, one in ratios])))
        tight = "" if ratios else ": its relaxations are tight, there is nothing to finish"
        print(f"  median: cold {medians[-1][0]:.2f} x, warm {medians[-1][1]:.2f} x, {name}{tight}", flush=True)
    every = (_median([one for one, _ in medians]), _median([one for _, one in medians]))
    print(f"  median of the cases: cold {every[0]:.2f} x, warm {every[1]:.2f} x")
    return every


def _median(ratios: list[float]) -> float:
    known = [one for one in ratios if one == one]
    return statistics.median(known) if known else float("nan")


if __name__ == "__main__":
    main()
