"""The conformance suite: what every controller promises the closed loop, tried on small plants.

In a test of one's own controller::

    from gridferry.controllers.conformance.suite import assert_conforms

    def test_it_conforms():
        assert_conforms(MyController, {"share": 0.5})
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from pydantic import ValidationError

from gridferry.controllers.conformance.dry_run import Moment, rehearse
from gridferry.controllers.conformance.sample_plants import Sample, at_start, look_ahead, read_only, samples
from gridferry.controllers.contract import (
    Controller,
    ControllerError,
    ControllerSettings,
    Forecast,
    Observation,
    Plan,
    Plant,
)
from gridferry.controllers.plans.plan_json import plan_from_json, plan_to_json
from gridferry.controllers.registry import find_controller
from gridferry.controllers.settings import read_settings
from gridferry.networks.faults import InputError

# setpoints may exceed a rating by as much as solvers err; the devices clip the rest
RATING_TOLERANCE = 1e-6


@dataclass(frozen=True)
class Finding:
    """One promise, and whether it is kept.

    Attributes
    ----------
    name : the promise, in words
    plant : the sample plant it was tried on; empty where none is needed
    passed : whether it is kept
    explanation : what happened instead, and how to mend it; empty where it is kept
    """

    name: str
    plant: str
    passed: bool
    explanation: str = ""

    def __str__(self) -> str:
        where = f" ({self.plant})" if self.plant else ""
        why = f": {self.explanation}" if self.explanation else ""
        return f"{'ok' if self.passed else 'FAILED'}: {self.name}{where}{why}"


class BrokenPromiseError(Exception):
    """A promise is not kept; the message says how, and how to mend it."""


def check_controller(
    controller: str | type[Controller], settings: Mapping[str, Any] | None = None, steps: int = 8
) -> list[Finding]:
    """Try a controller on the sample plants and return what was found, kept promises too.

    A controller may refuse a plant with `ControllerError` when it is built; it is then tried on the others.

    Parameters
    ----------
    controller : the class, or what ``use`` in a config takes
    settings : its options
    steps : steps to walk through on every plant

    Raises
    ------
    InputError
        where the controller cannot be found or the settings do not fit.
    """
    cls = find_controller(controller) if isinstance(controller, str) else controller
    checked = read_settings(cls.Settings, settings or {}, cls.__name__, "settings")
    findings = [_finding(name, "", partial(check, cls)) for name, check in _SETTINGS_CHECKS.items()]
    served = 0
    for sample in samples():
        try:
            cls(sample.plant, checked)
        except (ControllerError, InputError):
            continue
        except Exception as error:
            findings.append(Finding("it is built for a plant", sample.name, False, _advice(error)))
            continue
        served += 1
        trial = _Trial(cls, checked, sample, steps)
        findings += [_finding(name, sample.name, partial(check, trial)) for name, check in _CHECKS.items()]
    if not served:
        findings.append(
            Finding("it serves at least one sample plant", "", False, "every one was refused with an error when built")
        )
    return findings


def assert_conforms(
    controller: str | type[Controller], settings: Mapping[str, Any] | None = None, steps: int = 8
) -> None:
    """Raise ``AssertionError`` with every broken promise; the one line a plug-in's test needs."""
    broken = [str(one) for one in check_controller(controller, settings, steps) if not one.passed]
    assert not broken, "\n".join(broken)


def _finding(name: str, plant: str, check: Callable[[], None]) -> Finding:
    try:
        check()
    except BrokenPromiseError as error:
        return Finding(name, plant, False, str(error))
    except Exception as error:  # a controller may fail in any way; the suite is there to say so
        return Finding(name, plant, False, _advice(error))
    return Finding(name, plant, True)


def _advice(error: Exception) -> str:
    said = f"raised {type(error).__name__}: {error}"
    if isinstance(error, ValueError) and "read-only" in str(error):
        return f"{said}; inputs are shared and must not be written to: copy the array first"
    if isinstance(error, ControllerError):
        return f"{said}; a plan is possible here"
    return f"{said}; catch what you expect and raise ControllerError with a reason"


# ------------------------------------------------------------------------------------------------------------ settings


def _settings_refuse_unknown_keys(cls: type[Controller]) -> None:
    if not issubclass(cls.Settings, ControllerSettings):
        raise BrokenPromiseError("Settings must derive from gridferry.controllers.contract.ControllerSettings")
    try:
        cls.Settings.model_validate({"no_such_option_": 1})
    except ValidationError as error:
        if any(one["type"] == "extra_forbidden" for one in error.errors()):
            return
    raise BrokenPromiseError('an unknown option was taken; keep extra="forbid" in model_config')


def _settings_are_frozen(cls: type[Controller]) -> None:
    if not cls.Settings.model_config.get("frozen"):
        raise BrokenPromiseError("settings could be changed during a run; keep frozen=True in model_config")


def _class_says_what_it_does(cls: type[Controller]) -> None:
    if not (cls.__doc__ or "").strip():
        raise BrokenPromiseError(
            "the class has no docstring; its first line is what `gridferry list controllers` shows"
        )


_SETTINGS_CHECKS: dict[str, Callable[[type[Controller]], None]] = {
    "settings refuse unknown keys": _settings_refuse_unknown_keys,
    "settings are frozen": _settings_are_frozen,
    "the class says what it does": _class_says_what_it_does,
}


# --------------------------------------------------------------------------------------------------------------- plans


class _Trial:
    """One controller on one sample plant."""

    def __init__(self, cls: type[Controller], settings: ControllerSettings, sample: Sample, steps: int):
        self.cls = cls
        self.settings = settings
        self.sample = sample
        self.plant = sample.plant
        self.steps = steps
        self._day: list[Moment] = []

    def fresh(self) -> Controller:
        return self.cls(self.plant, self.settings)

    def day(self) -> list[Moment]:
        """The first steps of the run with full look-ahead, walked once."""
        if not self._day:
            self._day = list(rehearse(self.sample, _Checked(self), self.steps))
        return self._day

    def plan_at(self, observation: Observation, forecast: Forecast) -> Plan:
        plan = self.fresh().plan(observation, forecast)
        _check_plan(self.plant, observation, forecast, plan)
        return plan


class _Checked(Controller):
    """The controller under trial, each plan checked before it acts."""

    def __init__(self, trial: _Trial):
        super().__init__(trial.plant, trial.settings)
        self._tried = trial.fresh()

    def plan(self, observation: Observation, forecast: Forecast) -> Plan:
        plan = self._tried.plan(observation, forecast)
        _check_plan(self.plant, observation, forecast, plan)
        return plan


def _check_plan(plant: Plant, observation: Observation, forecast: Forecast, plan: Any) -> None:
    at = f"step {observation.step}"
    if not isinstance(plan, Plan):
        raise BrokenPromiseError(
            f"{at}: plan() returned {type(plan).__name__}; return a gridferry.controllers.contract.Plan"
        )
    _check_shapes(plant, forecast, plan, at)
    if not (np.isfinite(plan.p_mw).all() and np.isfinite(plan.q_mvar).all()):
        raise BrokenPromiseError(f"{at}: a setpoint is not finite; raise ControllerError where there is no plan")
    p, s = np.abs(plan.p_mw[0]), np.hypot(plan.p_mw[0], plan.q_mvar[0])
    for index, name in enumerate(plant.device_names):
        for asked, rated, unit in (
            (p[index], plant.device_p_max_mw[index], "MW"),
            (s[index], plant.device_s_max_mva[index], "MVA"),
        ):
            if asked > rated * (1 + RATING_TOLERANCE) + RATING_TOLERANCE:
                raise BrokenPromiseError(
                    f"{at}: {name} is asked for {asked:.6g} of {rated:.6g} {unit}; keep row 0 within the rating"
                )
    for index, truck in enumerate(plant.trucks):
        allowed = {*truck.stations, int(observation.station[index])}
        wrong = [int(station) for station in plan.destination[:, index] if int(station) not in allowed]
        if wrong:
            raise BrokenPromiseError(
                f"{at}: {truck.name} is sent to station {wrong[0]}; it may use {sorted(truck.stations)}"
            )
        on_the_road = plan.destination[: observation.transit_steps[index], index]
        if (on_the_road != observation.station[index]).any():
            raise BrokenPromiseError(
                f"{at}: {truck.name} is on the road to station {observation.station[index]} and sent elsewhere; "
                "repeat that destination until it arrives"
            )


def _check_shapes(plant: Plant, forecast: Forecast, plan: Plan, at: str) -> None:
    widths = {"p_mw": plant.n_device, "q_mvar": plant.n_device, "destination": len(plant.trucks)}
    if len(plan.p_mw) == 0 or len(plan.p_mw) > forecast.steps:
        raise BrokenPromiseError(
            f"{at}: {len(plan.p_mw)} rows for a forecast of {forecast.steps} steps; return 1 to that many"
        )
    for name, width in widths.items():
        array = getattr(plan, name)
        if array.shape != (len(plan.p_mw), width):
            raise BrokenPromiseError(f"{at}: {name} has shape {array.shape}; it must be ({len(plan.p_mw)}, {width})")
        kind = "int64" if name == "destination" else "float64"
        if array.dtype != np.dtype(kind):
            raise BrokenPromiseError(f"{at}: {name} is of type {array.dtype}; make it {kind}")
    if plan.prediction is None:
        return
    rows, expected = plan.steps, plan.prediction
    for name, shape in {
        "v_pu": (rows, plant.n_bus),
        "p_branch_mw": (rows, plant.n_branch),
        "q_branch_mvar": (rows, plant.n_branch),
        "import_mw": (rows, len(plant.feeders)),
        "losses_mw": (rows, len(plant.feeders)),
        "energy_mwh": (rows + 1, len(plant.storages)),
        "cost": (rows,),
    }.items():
        if getattr(expected, name).shape != shape:
            raise BrokenPromiseError(
                f"{at}: prediction.{name} has shape {getattr(expected, name).shape}; it must be {shape}"
            )


def _same(a: Plan, b: Plan) -> bool:
    """Whether two plans are equal but for the time the solver took."""
    first, second = (plan_to_json(replace(plan, solver=replace(plan.solver, seconds=0.0))) for plan in (a, b))
    return first == second


def _walk(trial: _Trial) -> None:
    trial.day()


def _shortest_forecast(trial: _Trial) -> None:
    trial.plan_at(at_start(trial.plant), look_ahead(trial.sample, 0, 1))


def _end_of_run(trial: _Trial) -> None:
    for left in (3, 2, 1):
        step = trial.plant.steps - left
        trial.plan_at(replace(at_start(trial.plant), step=step), look_ahead(trial.sample, step, left))


def _on_the_road(trial: _Trial) -> None:
    for index, truck in enumerate(trial.plant.trucks):
        start = at_start(trial.plant)
        station, transit = start.station.copy(), start.transit_steps.copy()
        station[index], transit[index] = truck.stations[-1], 2
        observation = read_only(replace(start, station=station, transit_steps=transit))
        trial.plan_at(observation, look_ahead(trial.sample, 0, trial.plant.horizon_steps))


def _full_and_empty(trial: _Trial) -> None:
    start = at_start(trial.plant)
    for side in ("soc_min", "soc_max"):
        energy = np.array([store.energy_mwh * getattr(store, side) for store in trial.plant.storages])
        observation = read_only(replace(start, energy_mwh=energy))
        trial.plan_at(observation, look_ahead(trial.sample, 0, trial.plant.horizon_steps))


def _repeatable(trial: _Trial) -> None:
    moments = [trial.day()[0], trial.day()[-1]]
    used = trial.fresh()
    for moment in reversed(moments):  # out of order: what was planned for before must not matter
        plans = [used.plan(moment.observation, moment.forecast) for _ in range(2)]
        plans.append(trial.fresh().plan(moment.observation, moment.forecast))
        if not all(_same(plan, moment.plan) for plan in plans):
            raise BrokenPromiseError(
                f"step {moment.observation.step}: equal inputs gave another plan; keep nothing in the controller, "
                "draw with a seed from the settings, and put what must be remembered into Plan.memory"
            )


def _without_previous_plan(trial: _Trial) -> None:
    last = trial.day()[-1]
    trial.plan_at(replace(last.observation, previous_plan=None), last.forecast)


def _through_json(trial: _Trial) -> None:
    last = trial.day()[-1]
    try:
        text = json.dumps(plan_to_json(last.plan), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise BrokenPromiseError(
            f"the plan is no JSON ({error}); put plain numbers, strings and lists into Plan.memory"
        ) from error
    back = plan_from_json(json.loads(text))
    if plan_to_json(back) != plan_to_json(last.plan):
        raise BrokenPromiseError("Plan.memory comes back from JSON changed; use text keys, and lists for tuples")
    if last.observation.previous_plan is not None:
        previous = plan_from_json(json.loads(json.dumps(plan_to_json(last.observation.previous_plan))))
        again = trial.fresh().plan(replace(last.observation, previous_plan=previous), last.forecast)
        if not _same(again, last.plan):
            raise BrokenPromiseError(
                "a previous plan read back from JSON gave another plan; a resumed run would differ"
            )


def _nan_forecast(trial: _Trial) -> None:
    given = look_ahead(trial.sample, 0, trial.plant.horizon_steps)
    for name in ("buy_price", "load_p_mw", "generation_mw", "congestion"):
        spoilt = read_only(replace(given, **{name: np.full_like(getattr(given, name), np.nan)}))
        try:
            trial.plan_at(at_start(trial.plant), spoilt)
        except ControllerError:
            continue
        except BrokenPromiseError as error:
            raise BrokenPromiseError(f"with {name} not a number: {error}") from error
        except Exception as error:
            raise BrokenPromiseError(
                f"with {name} not a number it raised {type(error).__name__}: {error}; raise ControllerError"
            ) from error


def _inputs_unchanged(trial: _Trial) -> None:
    """Arrays are read-only already; this finds a controller that lifts the lock."""
    last = trial.day()[-1]
    before = [array.tobytes() for array in _arrays(last)]
    trial.fresh().plan(last.observation, last.forecast)
    after = [array.tobytes() for array in _arrays(last)]
    if before != after or any(array.flags.writeable for array in _arrays(last)):
        raise BrokenPromiseError("an array of the observation or the forecast was changed; copy it first")


def _arrays(moment: Moment) -> Iterator[np.ndarray]:
    for given in (moment.observation, moment.forecast):
        yield from (value for value in vars(given).values() if isinstance(value, np.ndarray))


_CHECKS: dict[str, Callable[[_Trial], None]] = {
    "plans have the right shapes, are finite, and keep to ratings and stations": _walk,
    "a forecast of one step is enough": _shortest_forecast,
    "the forecast may shrink at the end of the run": _end_of_run,
    "a truck on the road keeps its destination": _on_the_road,
    "full and empty stores are planned for": _full_and_empty,
    "equal inputs give equal plans": _repeatable,
    "a plan needs no previous plan": _without_previous_plan,
    "a plan survives JSON": _through_json,
    "a forecast that is not a number gives a finite plan or a ControllerError": _nan_forecast,
    "inputs are left as they are": _inputs_unchanged,
}
