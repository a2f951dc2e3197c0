"""Promise that `Device.simulate_many` agrees with `Device.step`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from gridferry.controllers.conformance.devices.step import Given, Tried, is_number
from gridferry.controllers.conformance.devices.trial import Trial
from gridferry.controllers.devices import Device, Outcomes

_TOLERANCE = 1e-9
_STEPS = 4
"""of a schedule"""
_SURROUNDINGS = 6
"""as many of the last states that were tried begin all schedules once"""


def many_at_once(trial: Trial) -> Iterator[str]:
    """Compare, for a kind with a `Device.simulate_many` of its own."""
    if type(trial.device).simulate_many is Device.simulate_many:
        return
    steps = trial.walk.steps
    schedules = [steps[k : k + _STEPS] for k in range(len(steps) - _STEPS + 1)]
    for begin in [*schedules[:1], *schedules[-_SURROUNDINGS:]]:
        for of_each in (False, True):
            yield from _compare(trial, begin, schedules, of_each)


def _compare(
    trial: Trial, begin: Sequence[Tried], schedules: Sequence[Sequence[Tried]], of_each: bool
) -> Iterator[str]:
    """Do all schedules from a state, surrounded alike or by series of their own."""
    device = trial.device
    series: dict[str, np.ndarray] = {}
    if of_each:
        series = {
            key: np.array([[one.now.series.get(key, of.default) for one in steps] for steps in schedules])
            for key, of in device.series.items()
        }
    many = trial.do_many(begin[0].before, schedules, begin, series)
    for sample, steps in enumerate(schedules):
        state = begin[0].before
        for step, (one, around) in enumerate(zip(steps, begin, strict=True)):
            own = {key: float(values[sample, step]) for key, values in series.items()}
            now = replace(around.now, series={**around.now.series, **own})
            alone = trial.do(state, Given(request=one.request, now=now, congestion=around.congestion))
            for what, found, right in _values(device, alone, many, sample, step):
                if not _same(found, right):
                    yield (
                        f"{trial.example(alone, alone.before)}: simulate_many gives {what} = {found}, step {right}; "
                        "step is right (controllers.devices.stores.many.with_rest_alone does schedules one by one)"
                    )
            state = alone.after


def _values(
    device: Device[Any], alone: Tried, many: Outcomes, sample: int, step: int
) -> Iterator[tuple[str, Any, Any]]:
    """Every value of a step of a schedule, as found among many and as it is alone."""
    for port, did in enumerate(alone.outcome.ports):
        for name in ("bus", "p_mw", "q_mvar"):
            yield name, getattr(many, name)[sample, step, port].item(), getattr(did, name)
    yield "stored_mwh", many.stored_mwh[sample, step].item(), device.stored_mwh(alone.after)
    for name in {*many.money, *alone.outcome.money}:
        found = many.money[name][sample, step].item() if name in many.money else None
        yield f"money.{name}", found, alone.outcome.money.get(name, 0.0)


def _same(found: Any, right: Any) -> bool:
    if is_number(found) and is_number(right):
        return math.isclose(found, right, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE)
    return bool(found == right)
