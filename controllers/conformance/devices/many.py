"""A kind that does many steps at once does what `Device.step` does in each."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from gridferry.controllers.conformance.devices.step import Given, Tried, is_number
from gridferry.controllers.conformance.devices.trial import Trial
from gridferry.controllers.conformance.findings import BrokenPromiseError
from gridferry.controllers.devices import Device, Now, Outcomes

_TOLERANCE = 1e-9
_SURROUNDINGS = 6
"""as many of those that were tried surround all steps once"""


def many_at_once(trial: Trial) -> None:
    """Compare, for a kind with a `Device.step_many` of its own."""
    if type(trial.device).step_many is Device.step_many:
        return
    steps = trial.walk.steps
    around = [Given(request=one.request, now=replace(one.now, series={}), congestion=one.congestion) for one in steps]
    for given in around[-_SURROUNDINGS:]:
        _compare(trial, given.now, given.congestion, of_each=True)
    for tried in [*steps[:1], *steps[-_SURROUNDINGS:]]:
        _compare(trial, tried.now, tried.congestion, of_each=False)


def _compare(trial: Trial, now: Now, congestion: float, of_each: bool) -> None:
    """Do all steps of the walk again, surrounded alike or by series of their own."""
    device, steps = trial.device, trial.walk.steps
    series: dict[str, list[float]] = {}
    if of_each:
        series = {key: [one.now.series.get(key, of.default) for one in steps] for key, of in device.series.items()}
    values = {key: np.array(one, dtype=np.float64) for key, one in series.items()}
    after, done = trial.do_many(steps, now, congestion, values)
    rows = {name: one.tolist() for name, one in after.items()}
    for sample, tried in enumerate(steps):
        own = replace(now, series={**now.series, **{key: one[sample] for key, one in series.items()}})
        alone = trial.do(tried.before, Given(request=tried.request, now=own, congestion=congestion))
        its_state = {name: one[sample] for name, one in rows.items()}
        for what, found, right in _values(device, alone, its_state, done, sample):
            if not _same(found, right):
                raise BrokenPromiseError(
                    f"{trial.said(alone, alone.before)}: step_many gives {what} = {found}, step gives {right}; "
                    "step says what is right (controllers.devices.store_many.with_rest_alone does samples one by one)"
                )


def _values(
    device: Device[Any], alone: Tried, after: dict[str, Any], done: Outcomes, sample: int
) -> Iterator[tuple[str, Any, Any]]:
    """Every value of a sample, as found among many and as it is alone."""
    for name in device.state_fields:
        yield f"state.{name}", after[name], getattr(alone.after, name)
    for port, did in enumerate(alone.outcome.ports):
        for name in ("bus", "p_mw", "q_mvar"):
            yield name, getattr(done, name)[sample, port].item(), getattr(did, name)
    yield "position", tuple(done.position[sample].tolist()), device.at(alone.after)
    yield "stored_mwh", done.stored_mwh[sample].item(), device.stored_mwh(alone.after)
    for name in {*done.money, *alone.outcome.money}:
        found = done.money[name][sample].item() if name in done.money else None
        yield f"money.{name}", found, alone.outcome.money.get(name, 0.0)


def _same(found: Any, right: Any) -> bool:
    if is_number(found) and is_number(right):
        return math.isclose(found, right, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE)
    return bool(found == right)
