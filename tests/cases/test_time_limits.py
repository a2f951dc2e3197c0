"""Nothing is begun after a time limit, however long what was begun before takes.

Time is work here: the clock stands still but for a second that every compilation and every call of a solver takes.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import clarabel
import cvxpy as cp
import highspy
import pytest

from gridferry.controllers.conformance.sample_plants import Sample, at_start, look_ahead, three_bus, two_feeders
from gridferry.controllers.contract import Controller, ControllerError
from gridferry.controllers.joint import Joint
from gridferry.controllers.mess_exact import MessExact
from gridferry.controllers.mess_two_stage import MessTwoStage
from gridferry.controllers.mvdc_drcc import MvdcDrcc
from gridferry.controllers.solve.exact import interior_point
from gridferry.controllers.uncertainty.error_settings import ErrorSettings

ERRORS = {"errors": ErrorSettings(load_std=0.02)}
SETTINGS: dict[type[Controller], dict[str, Any]] = {
    MessExact: {"gap": 1e-2},
    MessTwoStage: {"iterations": 3},
    MvdcDrcc: {**ERRORS, "on_infeasible": "relax"},
    Joint: ERRORS,
}


class Work:
    """A clock, and when each piece of work was begun [s]."""

    def __init__(self) -> None:
        self.now = 0.0
        self.begun: list[float] = []

    def counted(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            self.begun.append(self.now)
            self.now += 1.0
            return function(*given, **named)

        return call


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Work:
    clock = Work()
    monkeypatch.setattr(time, "perf_counter", lambda: clock.now)
    for owner, name in (
        (cp.Problem, "get_problem_data"),
        (clarabel, "DefaultSolver"),
        (highspy.Highs, "run"),
        (interior_point, "solve_ipopt"),
    ):
        monkeypatch.setattr(owner, name, clock.counted(getattr(owner, name)))
    return clock


def day(use: type[Controller], *, kept: bool) -> Sample:
    """Three hours, on which limits can be kept or not."""
    sample = three_bus(3600) if use in (MessExact, MessTwoStage) else two_feeders(3600)
    if kept:
        return sample
    feeders = tuple(one.with_limits(0.9999, 1.0001) for one in sample.plant.feeders)
    return replace(sample, plant=replace(sample.plant, feeders=feeders))


@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.parametrize("use", list(SETTINGS))
def test_nothing_is_begun_after_the_time_limit(use: type[Controller], kept: bool, work: Work) -> None:
    sample = day(use, kept=kept)
    forecast, seen = look_ahead(sample, 0, 3), at_start(sample.plant)
    for limit_s in (1.0, 4.0, 9.0):
        controller = use(sample.plant, use.Settings(**SETTINGS[use], time_limit_s=limit_s))
        began, work.begun = work.now, []
        try:
            controller.plan(seen, forecast)
        except ControllerError as error:
            assert error.out_of_time
        # minimised violations and an exact finish may take a tenth more each; whether devices may rest is not counted
        late = [at for at in work.begun if at - began >= 1.2 * limit_s + 1.0]
        assert len(late) <= 2
        assert len(work.begun) > 0
