"""What an exact finish costs beside the relaxed solve that it follows: ``python -m benchmarks exact_finish``.

Where a relaxation is not tight the exact equations are solved from its solution (cold), or from the exact solution of a
similar problem (warm), as for the next margins, or for the cost after the violation. Only time inside solvers counts,
in processor time: building and compiling models, which costs the same for either, is left out.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

from gridferry.controllers.conformance.sample_plants import at_start
from gridferry.controllers.contract import ControllerError
from gridferry.controllers.model import exact_finish
from gridferry.controllers.model.solution import Dispatch, Solved, solve_dispatch
from gridferry.controllers.solve import problem
from gridferry.sim.case.case import build_case
from gridferry.sim.case.loading import load_config

PLANS = Path(__file__).parent.parent / "tests" / "cases" / "plans"
HIGH = ("networks.dn1.v_max_pu=1.002", "networks.dn2.v_max_pu=1.002", 'controller.on_infeasible="relax"')
CASES: tuple[tuple[str, str | None, tuple[str, ...]], ...] = (
    ("link_at_negative_prices", None, ()),
    ("battery_at_negative_prices", None, ()),
    ("no_room_for_pv", None, ()),
    ("trucks_at_the_upper_voltage", None, ()),
    ("trucks_at_negative_prices", None, ()),
    ("mvdc_2dn", "mvdc_drcc", HIGH),
)


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


def open_tasks(config: str | Path, use: str | None, settings: tuple[str, ...]) -> list[Dispatch]:
    """Tasks of the first plan of a case whose relaxations are not tight, each kind of objective once."""
    found: dict[str, Dispatch] = {}

    def kept(relaxed: Solved) -> Solved:
        found.setdefault(relaxed.dispatch.options.aim, relaxed.dispatch)
        return finish(relaxed)

    finish = exact_finish.finish
    case = build_case(load_config(config, [*settings, "controller.time_limit_s=900"], use))
    with patch.object(exact_finish, "finish", kept):
        try:
            case.controller().plan(at_start(case.plant), case.forecaster.at(0))
        except ControllerError as error:
            print(f"  {config}: {str(error)[:80]}")
    return [replace(one, deadline=float("inf")) for one in found.values()]


def measured(task: Dispatch) -> tuple[float, float, float]:
    """Seconds of the relaxed solve, of a cold finish, and of a warm one; NaN where no power flow is found."""
    seconds = []
    relaxed, near = None, None
    for begin in ("relaxed", "cold", "warm"):
        with inside_solvers() as clock:
            if relaxed is None or begin == "warm":
                relaxed = solve_dispatch(replace(task, near=near))
                spent = clock.seconds
            if begin == "relaxed":
                seconds.append(spent)
                continue
            spent = clock.seconds if begin == "warm" else 0.0
            done = exact_finish._locally(relaxed)
            seconds.append(clock.seconds - spent if done is not None else float("nan"))
        near = relaxed.model
    return seconds[0], seconds[1], seconds[2]


def main(*, smoke: bool = False) -> tuple[float, float]:
    """Print a line for each case and objective; return the medians of the ratios, cold and warm."""
    cold, warm = [], []
    print("  relaxed [s]  cold [s]  warm [s]   cold x   warm x   case, what is minimised")
    for name, use, settings in CASES[:1] if smoke else CASES:
        config = PLANS / f"{name}.toml" if (PLANS / f"{name}.toml").exists() else name
        for task in open_tasks(config, use, settings):
            first, began, again = measured(task)
            cold.append(began / first)
            warm.append(again / first)
            row = f"  {first:11.3f}  {began:8.3f}  {again:8.3f}  {cold[-1]:7.2f}  {warm[-1]:7.2f}"
            print(f"{row}   {name}, {task.options.aim.value}", flush=True)
    medians = (_median(cold), _median(warm))
    print(f"  median: cold {medians[0]:.2f} x, warm {medians[1]:.2f} x")
    return medians


def _median(ratios: list[float]) -> float:
    known = [one for one in ratios if one == one]
    return statistics.median(known) if known else float("nan")


if __name__ == "__main__":
    main()
