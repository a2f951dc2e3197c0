"""Errors of forecasts, drawn once for a run.

Errors are relative, ``forecast = value · bias · (1 + e)``. ``e`` is a Gaussian copula: a stationary AR(1) series x of
unit variance with correlation ``exp(-Δ/correlation_h)`` from step to step, mapped by ``F⁻¹(Φ(x))`` to a normal
distribution truncated at ±truncation · relative_std, whose standard deviation *after* truncation is relative_std.
(Bounds nearer than √3 standard deviations leave no such distribution; the widest within them, the uniform one, is taken
then.) The mapping is almost linear, so that e has almost the correlation of x.

Every entity draws from its own stream, seeded by its name: another generator does not change what the others draw.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import replace

import numpy as np
from jaxtyping import Float
from scipy.optimize import brentq
from scipy.signal import lfilter
from scipy.special import ndtr, ndtri

from gridferry.controllers.contract import Plant
from gridferry.controllers.devices.registry import is_built_in
from gridferry.sim.case.conditions import Conditions, uncertain_series
from gridferry.sim.config.schema import ErrorConfig, ForecastConfig

# truncations, in standard deviations of the untruncated normal, at which it is uniform to 1e-3 or whole to 1e-16
_NARROWEST, _WIDEST = 0.05, 10.0


def with_errors(plant: Plant, conditions: Conditions, settings: ForecastConfig, seed: int) -> Conditions:
    """Multiply the conditions by drawn errors; the error of a time step is one, whenever it is forecast.

    One series per network for its loads, one for every uncertain series of a device, one for the buying price (the
    selling price is a tariff that customers have agreed to), one for the roads. Loads, series and traffic do not change
    sign.
    """
    errors, step_h = settings.errors, plant.step_h

    def factor(of: ErrorConfig, *names: str) -> Float[np.ndarray, " step"]:
        return of.bias * (1.0 + draw_errors(of, plant.steps, step_h, stream(seed, *names)))

    load_p, load_q = conditions.load_p_mw.copy(), conditions.load_q_mvar.copy()
    names = [feeder.name for feeder in plant.feeders]
    for k, buses in enumerate(plant.bus_slices):
        # networks may be built from the same feeder: count those of a name
        share = np.maximum(factor(errors.load, "load", names[k], str(names[:k].count(names[k]))), 0.0)
        load_p[:, buses] *= share[:, None]
        load_q[:, buses] *= share[:, None]
    series = {device: dict(given) for device, given in conditions.series.items()}
    for device, key, error in uncertain_series(plant):
        # names are unique in a table; ours draw as they did when there were no others
        name = (device.name,) if is_built_in(type(device)) else (device.key, key)
        share = np.maximum(factor(errors.of(error), error, *name), 0.0)
        series[device.key][key] = share * conditions.series[device.key][key]
    return replace(
        conditions,
        load_p_mw=load_p,
        load_q_mvar=load_q,
        buy_price=conditions.buy_price * factor(errors.price, "price"),
        congestion=conditions.congestion * np.maximum(factor(errors.congestion, "congestion"), 0.0)[:, None],
        series=series,
    )


def stream(seed: int, *names: str) -> np.random.Generator:
    """Return the random numbers that belong to a quantity and entity, the same on every machine."""
    digest = hashlib.sha256("\x00".join(names).encode()).digest()
    words = [int.from_bytes(digest[i : i + 4], "little") for i in range(0, len(digest), 4)]
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=words)))


def draw_errors(
    settings: ErrorConfig, steps: int, step_h: float, numbers: np.random.Generator
) -> Float[np.ndarray, " step"]:
    """Draw the relative errors e of a series of steps; a longer series begins with the shorter one."""
    if settings.relative_std == 0:
        return np.zeros(steps)
    keeps = math.exp(-step_h / settings.correlation_h) if settings.correlation_h > 0 else 0.0
    unit = correlated(numbers.standard_normal(steps), keeps)
    bound = settings.truncation * settings.relative_std
    narrow = truncation_of_normal(settings.truncation)
    if narrow <= _NARROWEST:
        return bound * (2.0 * ndtr(unit) - 1.0)
    below = ndtr(-narrow)
    drawn = ndtri(below + ndtr(unit) * (1.0 - 2.0 * below)) * (bound / narrow)
    return np.clip(drawn, -bound, bound)


def correlated(shocks: Float[np.ndarray, " step"], keeps: float) -> Float[np.ndarray, " step"]:
    """Turn independent normals into a stationary AR(1) series ``x_t = keeps x_{t-1} + √(1 - keeps²) n_t``."""
    scaled = math.sqrt(1.0 - keeps * keeps) * shocks
    scaled[:1] = shocks[:1]
    return lfilter([1.0], [1.0, -keeps], scaled)


def truncation_of_normal(bound: float) -> float:
    """Where to cut a unit normal so that, scaled to unit variance, it ends at ±``bound``.

    Solves ``bound²/a² · (1 - 2 a φ(a) / (2 Φ(a) - 1)) = 1`` for a; 0, the uniform limit, where bound ≤ √3.
    """

    def variance(a: float) -> float:
        density = math.exp(-0.5 * a * a) / math.sqrt(2.0 * math.pi)
        return (bound / a) ** 2 * (1.0 - 2.0 * a * density / math.erf(a / math.sqrt(2.0))) - 1.0

    if bound > _WIDEST:
        return bound
    if variance(_NARROWEST) <= 0.0:
        return 0.0
    return float(brentq(variance, _NARROWEST, bound, xtol=1e-12))
