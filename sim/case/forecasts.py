"""Forecasts of the coming steps: perfect, persistence, or with drawn errors.

How errors are drawn is in `gridferry.sim.case.forecast_errors`.

Series of devices are forecast as `gridferry.controllers.devices.Series.forecast` says. Outages are planned, and known,
under a perfect forecast; otherwise they are faults: what was measured in the last step is taken to persist.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from gridferry.controllers.contract import Forecast, Plant
from gridferry.networks.read_only import own_copy
from gridferry.sim.case.conditions import Conditions, uncertain_series
from gridferry.sim.config.forecast_schema import ForecastConfig, ForecastKind


class Forecaster:
    """Maker of the forecast of every step.

    Parameters
    ----------
    conditions : the profiles
    settings : kind and sizes of the errors
    seed : seed of the run

    Attributes
    ----------
    realised : what really happens; the profiles, unless reality is what errs
    """

    def __init__(self, plant: Plant, conditions: Conditions, settings: ForecastConfig, seed: int):
        if conditions.steps != plant.steps:
            raise ValueError(f"conditions have {conditions.steps} steps, the plant {plant.steps}")
        self._plant = plant
        kind = ForecastKind.PERFECT if settings.foresight else settings.kind
        self._kind = kind
        self.realised = conditions
        self._known = conditions
        self._decay_h = settings.update_decay_h if kind is ForecastKind.ERRORS else 0.0
        if settings.kind is ForecastKind.ERRORS:
            # with what draws them (scipy.signal alone takes half a second), only where there are errors
            from gridferry.sim.case.forecast_errors import with_errors

            erring = with_errors(plant, conditions, settings.errors, seed)
            if settings.errors_on == "realised":
                self.realised = erring
            else:
                self._known = erring
        if settings.foresight:
            self._known = self.realised
        outage = None if settings.foresight else conditions.forecast_outage
        self._arrives = np.ones(plant.steps, dtype=bool) if outage is None else outage <= 0

    def at(self, step: int) -> Forecast:
        """Return the forecast at the start of ``step``, up to the horizon or the end of the run.

        Where the config says that none arrives, all its values are NaN.
        """
        plant = self._plant
        if not 0 <= step < plant.steps:
            raise ValueError(f"step {step} lies outside the run of {plant.steps} steps")
        end = min(step + plant.horizon_steps, plant.steps)
        coming = slice(step, end)
        persisting = self._kind is ForecastKind.PERSISTENCE
        rows = measured_rows(plant, step, end) if persisting else coming
        measured = coming if self._kind is ForecastKind.PERFECT else np.full(end - step, max(step - 1, 0))
        forecast = _rows(plant, self._known, coming, rows, measured)
        if not self._arrives[step]:
            return _nothing_of(forecast)
        if self._decay_h == 0.0 or step == 0:
            return forecast
        return corrected(plant, forecast, self._known, self.realised, step, self._decay_h)


def corrected(
    plant: Plant, forecast: Forecast, known: Conditions, realised: Conditions, step: int, decay_h: float
) -> Forecast:
    """Update a day-ahead forecast with the last measurement.

    The ratio of measured to forecast load of each network, uncertain series of each device and traffic in step
    ``step - 1`` is taken to persist, and to fade as ``exp(-age / decay_h)``. A quantity forecast near zero tells
    nothing (night, for PV), and no ratio beyond a factor of two is believed.
    """
    last = step - 1
    fading = np.exp(-np.arange(1, forecast.steps + 1) * plant.step_h / decay_h)

    def factor(
        measured: Float[np.ndarray, " series"], expected: Float[np.ndarray, " series"], typical: float
    ) -> Float[np.ndarray, "horizon series"]:
        significant = expected > 0.05 * typical
        ratio = np.where(significant, measured / np.where(significant, expected, 1.0), 1.0)
        return 1.0 + np.outer(fading, np.clip(ratio, 0.5, 2.0) - 1.0)

    load_p, load_q = forecast.load_p_mw.copy(), forecast.load_q_mvar.copy()
    for buses in plant.bus_slices:
        total = known.load_p_mw[:, buses].sum(axis=1)
        measured, expected = realised.load_p_mw[last, buses].sum(keepdims=True), total[last : last + 1]
        share = factor(measured, expected, float(total.max()))
        load_p[:, buses] *= share
        load_q[:, buses] *= share
    series = {device: dict(given) for device, given in forecast.series.items()}
    for device, key, _ in uncertain_series(plant):
        expected, happened = (np.abs(one.series[device.key][key]) for one in (known, realised))
        share = factor(happened[last : last + 1], expected[last : last + 1], float(expected.max()))
        series[device.key][key] = forecast.series[device.key][key] * share[:, 0]
    traffic = factor(realised.congestion[last], known.congestion[last], float(known.congestion.max(initial=0.0)))
    return own_copy(
        replace(forecast, load_p_mw=load_p, load_q_mvar=load_q, congestion=forecast.congestion * traffic, series=series)
    )


def measured_rows(plant: Plant, step: int, end: int) -> Int[np.ndarray, " horizon"]:
    """Measured steps that persistence uses for the steps from ``step`` to ``end``.

    The latest that was measured at the same time of day, which within the first day ahead is of the day before; before
    a day has passed the last measured value. At the start of a step the one before is the last that was measured; at
    the start of the run nothing was, and the first step's own values stand for all.
    """
    per_day, last = plant.steps_in_24_h, max(step - 1, 0)
    measured = np.arange(max(step - 3 * per_day, 0), step)
    latest = np.full(per_day, -1)
    np.maximum.at(latest, plant.clock_steps(measured) % per_day, measured)
    rows = latest[plant.clock_steps(np.arange(step, end)) % per_day]
    return np.where(rows >= 0, rows, last)


def _rows(
    plant: Plant,
    conditions: Conditions,
    coming: slice,
    rows: slice | Int[np.ndarray, " horizon"],
    measured: slice | Int[np.ndarray, " horizon"],
) -> Forecast:
    """Take rows of the conditions; slices are views of the read-only conditions.

    Parameters
    ----------
    coming : rows of what is known
    rows : rows that stand for what is uncertain
    measured : rows that stand for what is taken to stay as it was measured
    """
    by_forecast = {"known": coming, "uncertain": rows, "as_measured": measured}
    series = {
        one.key: {key: values[by_forecast[one.series[key].forecast]] for key, values in conditions.of(one).items()}
        for one in plant.devices
    }
    return own_copy(replace(conditions.rows(rows), series=series))


def _nothing_of(forecast: Forecast) -> Forecast:
    """Return a forecast that did not arrive: all values are NaN."""

    def nothing(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: nothing(one) for key, one in value.items()}
        return None if value is None else np.full_like(value, np.nan)

    return own_copy(replace(forecast, **{name: nothing(value) for name, value in vars(forecast).items()}))
