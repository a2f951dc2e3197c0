"""Test walk of a device: ordinary steps, and requests beyond all limits.

Everything goes through `step_all`, as in a run. Draws have a seed: what is found once is found again.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from gridferry.controllers.conformance.devices.step import Given, Tried, fault_of_form, not_finite
from gridferry.controllers.conformance.findings import values_of
from gridferry.controllers.conformance.sample_plants import Sample, two_feeders
from gridferry.controllers.devices import (
    Coupling,
    Device,
    Now,
    Outcomes,
    Port,
    Request,
    Requests,
    Series,
    rest,
    states_of_json,
    states_to_json,
    step_all,
)
from gridferry.controllers.plugins.user_code import described, one_line

ANSWERED = "any finite request is answered"
FINITE = "what comes back is finite"
UNCHANGED = "states and what surrounds a step are left as they are"

_DRAWN_STEPS = 60
# beyond what any device can do [MW]; the squares are still finite
_EXTREMES = (1e-9, -1e-9, 1e6, -1e6, 1e150, -1e150)
_FAR_OFF = 10**9
_MOST_LABELS = 12


@dataclass(frozen=True, kw_only=True)
class Walk:
    """Completed steps of a test walk, and the first example of each broken promise."""

    steps: list[Tried] = field(default_factory=list)
    broken: dict[str, str] = field(default_factory=dict)


class _Watch(Coupling):
    """Coupling that records the state between `Device.move` and `Device.step`."""

    moved: Any = None
    values: Any = None

    def grant(
        self, devices: Sequence[Device[Any]], moved: Sequence[Any], requests: Sequence[Request], nows: Sequence[Now]
    ) -> Sequence[Now]:
        """Record the states."""
        (self.moved,) = moved
        self.values = values_of(self.moved)
        return nows


@dataclass(frozen=True)
class Trial:
    """A device under test and the steps of its test walk.

    Attributes
    ----------
    device : the device
    step_s : step length [s]
    """

    device: Device[Any]
    step_s: int

    @cached_property
    def sample(self) -> Sample:
        """Sample plant of the device."""
        return two_feeders(self.step_s)

    @property
    def step_h(self) -> float:
        """Step length Δ [h]."""
        return self.step_s / 3600.0

    @cached_property
    def plain(self) -> Now:
        """Inputs of a step with the defaults of all series."""
        return Now(self.step_h, series={key: one.default for key, one in self.device.series.items()})

    def example(self, given: Given, state: Any) -> str:
        """Text that names an example, to begin a message with."""
        return one_line(f"{self.device.name}: {given}, from {str(state)[:300]}")

    def do(self, state: Any, given: Given, device: Device[Any] | None = None) -> Tried:
        """Simulate one step of the device, or of another device in its place."""
        return self._watched(state, given, device or self.device, _Watch())

    def do_many(
        self,
        state: Any,
        schedules: Sequence[Sequence[Tried]],
        around: Sequence[Tried],
        series: Mapping[str, np.ndarray],
    ) -> Outcomes:
        """Simulate several schedules from one state; see `Device.simulate_many`."""
        device, plant = self.device, self.sample.plant
        single = [[one.request for one in steps] for steps in schedules]
        requests = Requests(
            np.array([[one.p_mw for one in steps] for steps in single], dtype=np.float64),
            np.array([[one.q_mvar for one in steps] for steps in single], dtype=np.float64),
            np.array([[one.position for one in steps] for steps in single], dtype=np.int64),
        )
        roads = 0 if plant.roads is None else len(plant.roads.road_names)
        nows: list[Now] = []
        for one in around:
            informed: Sequence[Now] = [one.now]
            for coupling in plant.couplings:
                informed = coupling.inform_all([device], informed, {"congestion": [one.congestion] * roads})
            nows += informed
        return device.simulate_many(state, requests, nows, series)

    def restored(self, state: Any) -> Any:
        """Return a state after a round trip through a checkpoint."""
        text = json.dumps(states_to_json([self.device], [state]), allow_nan=False)
        (back,) = states_of_json([self.device], json.loads(text))
        return back

    def resting(self, tried: Tried) -> Tried:
        """Repeat a completed step at rest."""
        return self.do(tried.before, replace(_given(tried), request=rest(self.device, tried.before)))

    @cached_property
    def walk(self) -> Walk:
        """Simulate all steps, each from the state after the last completed one."""
        state = self.device.initial_state(self.plain)
        walk = Walk()
        for given in self._all_given(state):
            inputs = (self.device, state, given)
            before, watch = values_of(inputs), _Watch()
            example = self.example(given, state)
            try:
                tried = self._watched(state, given, self.device, watch)
                fault = fault_of_form(self.device, tried)
            except (Exception, SystemExit) as error:
                fault = f"raised {described(error, type(self.device))}; clip what cannot be done"
            if values_of(inputs) != before or values_of(watch.moved) != watch.values:
                words = f"{example}: an input was changed; return a new state (dataclasses.replace)"
                walk.broken.setdefault(UNCHANGED, words)
            if fault:
                walk.broken.setdefault(ANSWERED, f"{example}: {fault}")
            elif infinite := not_finite(self.device, tried):
                walk.broken.setdefault(FINITE, f"{example}: {infinite}")
            else:
                walk.steps.append(tried)
                state = tried.after
        return walk

    def _watched(self, state: Any, given: Given, device: Device[Any], watch: _Watch) -> Tried:
        plant = self.sample.plant
        roads = 0 if plant.roads is None else len(plant.roads.road_names)
        couplings, around = [*plant.couplings, watch], {"congestion": [given.congestion] * roads}
        (returned,) = step_all([device], couplings, [state], [given.request], [given.now], around)
        result: Any = returned if isinstance(returned, tuple) and len(returned) == 2 else (returned, None)
        after, outcome = result
        return Tried(**vars(_given(given)), before=state, moved=watch.moved, after=after, outcome=outcome)

    def _all_given(self, initial: Any) -> Iterator[Given]:
        """Simple steps first, so that the first example of what is broken is simple."""
        nothing = rest(self.device, initial)
        yield Given(request=nothing, now=self.plain)
        for request in self._single_requests(nothing):
            yield Given(request=request, now=self.plain)
        yield Given(request=nothing, now=Now(self.step_h))
        yield Given(request=nothing, now=replace(self.plain, ends_day=True))
        yield Given(request=nothing, now=replace(self.plain, plugged=False))
        rng = random.Random(1)
        for _ in range(_DRAWN_STEPS):
            yield self._drawn(rng)

    def _single_requests(self, nothing: Request) -> Iterator[Request]:
        """Requests with one value changed: within limits, beyond them, and far beyond."""
        for k, port in enumerate(self.device.ports):
            low, high, size = _limits_of(port)
            for p in (high, low, 0.5 * high, 2.0 * high, 2.0 * low, *_EXTREMES):
                yield replace(nothing, p_mw=_with(nothing.p_mw, k, p))
            for q in (size, -size, *_EXTREMES):
                yield replace(nothing, q_mvar=_with(nothing.q_mvar, k, q))
        for k, position in enumerate(self.device.positions):
            known = len(position.labels)
            for at in (*range(min(known, _MOST_LABELS)), known, -1, _FAR_OFF, -_FAR_OFF):
                yield replace(nothing, position=_with(nothing.position, k, at))

    def _drawn(self, rng: random.Random) -> Given:
        p_mw, q_mvar = [], []
        for port in self.device.ports:
            low, high, size = _limits_of(port)
            p_mw.append(rng.choice([rng.uniform(low, high), rng.uniform(1.5 * low, 1.5 * high), port.rest_mw]))
            q_mvar.append(rng.choice([0.0, rng.uniform(-size, size)]))
        position = [rng.randrange(-1, len(one.labels) + 1) for one in self.device.positions]
        series = {key: rng.choice([one.default, *_values(one, rng)]) for key, one in self.device.series.items()}
        now = Now(self.step_h, rng.random() < 0.1, series, plugged=rng.random() > 0.1)
        request = Request(tuple(p_mw), tuple(q_mvar), tuple(position))
        congestion = rng.choice([0.0, rng.uniform(0.0, 30.0)])
        p_max_mw = rng.choice([math.inf, math.inf, rng.uniform(0.0, 2.0)])
        now = replace(now, p_max_mw=p_max_mw, clock_h=rng.uniform(0.0, 24.0))
        return Given(request=request, now=now, congestion=congestion)


def _given(tried: Given) -> Given:
    return Given(request=tried.request, now=tried.now, congestion=tried.congestion)


def _limits_of(port: Port) -> tuple[float, float, float]:
    """Lowest and largest P and the rating of a port; 1 where there is no limit."""
    low, high, size = port.p_min_mw, port.p_max_mw, port.s_max_mva
    return (
        low if math.isfinite(low) else -1.0,
        high if math.isfinite(high) else 1.0,
        size if math.isfinite(size) else 1.0,
    )


def _values(series: Series, rng: random.Random) -> Iterator[float]:
    """Test values of a series: its limits, and one value between them."""
    limits = series.limits
    low = limits.lowest if math.isfinite(limits.lowest) else series.default - 1.0
    high = limits.highest if math.isfinite(limits.highest) else max(low, series.default) + 1.0
    yield high
    yield low + (1.0 - rng.random()) * (high - low)  # not the lowest, which may not be allowed
    if not limits.above:
        yield low


def _with(values: tuple[Any, ...], k: int, value: Any) -> tuple[Any, ...]:
    return (*values[:k], value, *values[k + 1 :])
