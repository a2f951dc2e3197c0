"""Dispatch models of cases, with ample time to solve them."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import numpy as np

from gridferry.controllers.contract import Forecast, Observation, Plant
from gridferry.controllers.devices import Device
from gridferry.controllers.devices.planning.block import Ahead
from gridferry.controllers.model.ahead import Outlook
from gridferry.controllers.model.dispatch_model import DispatchModel
from gridferry.controllers.model.networks import Limits, limits_of
from gridferry.controllers.model.objective import ModelOptions, stores_and_sources
from gridferry.controllers.model.solution import Dispatch
from gridferry.controllers.solve import SolveOptions

Case = tuple[Plant, Observation, Forecast]
EXACT = SolveOptions(gap=0.0, gap_abs=1e-3)


def dispatch(
    case: Case,
    solver: SolveOptions = EXACT,
    *,
    seconds: float = 3600.0,
    options: ModelOptions | None = None,
    limits: Limits | None = None,
    **outlook: Any,
) -> Dispatch:
    """What is to be planned: stores, if nothing else is said."""
    plant, observation, forecast = case
    return Dispatch(
        outlook=Outlook(plant, observation, forecast, **outlook),
        limits=limits or limits_of(plant, forecast.steps),
        options=options or ModelOptions(plans=stores_and_sources),
        solver=solver,
        deadline=time.perf_counter() + seconds,
    )


def dispatch_model(case: Case, **given: Any) -> DispatchModel:
    """The model of a case; see `dispatch`."""
    return dispatch(case, **given).build()


def one_store(model: DispatchModel) -> DispatchModel:
    """The model with one store per truck, wherever it is: its relaxation says less of routes."""
    kept = [one for name, part in model.constraints.items() if "energy_by_station" not in name for one in part]
    model.model = replace(model.model, constraints=kept)
    return model


def ahead(device: Device[Any], horizon: int, state: Any, **given: Any) -> Ahead:
    """A device's share of one day of hourly steps, everything at its default but for what is given."""
    series = {key: np.full(horizon, one.default) for key, one in device.series.items()}
    named = {key: np.asarray(given.pop(key), dtype=np.float64) for key in series if key in given}
    day = np.zeros(horizon, dtype=np.int64)
    clock_h = np.arange(horizon + 1.0) % 24.0
    return Ahead(step_h=1.0, day=day, day_ends=(horizon,), state=state, clock_h=clock_h, series=series | named, **given)
