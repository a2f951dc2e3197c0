"""Errors of forecasts, or of reality, drawn once for a run by the model of `gridferry.controllers.uncertainty`.

Every source draws from its own stream, seeded by its name: another generator does not change what the others draw.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import replace

import numpy as np
from jaxtyping import Float

from gridferry.controllers.contract import Plant
from gridferry.controllers.uncertainty.error_map import ErrorMap, Grouping, error_map, series_stream
from gridferry.controllers.uncertainty.error_model import draw_errors
from gridferry.controllers.uncertainty.error_settings import ErrorConfig, ErrorSettings
from gridferry.controllers.uncertainty.plant_errors import observed_errors, observed_sources
from gridferry.sim.case.conditions import Conditions, uncertain_series


def with_errors(plant: Plant, conditions: Conditions, settings: ErrorSettings, seed: int) -> Conditions:
    """Multiply the conditions by drawn errors; the error of a time step is one, whenever it is forecast.

    Beside loads and what devices give, the buying price errs (the selling price is a tariff that customers have agreed
    to), and the traffic on all roads as one. Only prices may change sign.

    Raises
    ------
    InputError
        where a file of observed errors cannot be read or does not match the sources.
    """
    generation = settings.generation_grouping or (Grouping.DEVICE if settings.file is None else Grouping.NETWORK)
    sources = error_map(plant, settings.load_grouping, generation)
    errors = _of_sources(plant, sources, settings, seed)

    def alone(of: ErrorConfig, *names: str, lowest: float = -1.0) -> Float[np.ndarray, " step"]:
        return of.bias * (1.0 + draw_errors(of, plant.steps, plant.step_h, stream(seed, *names), lowest))

    load = settings.load.bias * (1.0 + errors @ sources.load.T)
    series = {device: dict(given) for device, given in conditions.series.items()}
    of_ports = {(one.device.key, one.key): share for one, share in zip(sources.ports, sources.generation, strict=True)}
    for device, key, quantity in uncertain_series(plant):
        follows = of_ports.get((device.key, key))
        if follows is None:
            factor = alone(settings.of(quantity), quantity, *series_stream(device, key))
        else:
            factor = settings.of(quantity).bias * (1.0 + errors @ follows)
        series[device.key][key] = factor * conditions.series[device.key][key]
    return replace(
        conditions,
        load_p_mw=load * conditions.load_p_mw,
        load_q_mvar=load * conditions.load_q_mvar,
        buy_price=conditions.buy_price * alone(settings.price, "price", lowest=-math.inf),
        congestion=conditions.congestion * alone(settings.congestion, "congestion")[:, None],
        series=series,
    )


def _of_sources(
    plant: Plant, sources: ErrorMap, settings: ErrorSettings, seed: int
) -> Float[np.ndarray, "step source"]:
    """Draw the errors of all sources, each from its own stream; days that were observed, for all of theirs together."""
    errors = np.zeros((plant.steps, len(sources.of)))
    observed = observed_sources(sources, settings)
    for column, one in enumerate(sources.of):
        if column not in observed:
            errors[:, column] = draw_errors(
                settings.of(one.quantity),
                plant.steps,
                plant.step_h,
                stream(seed, *one.stream),
                common=stream(seed, "between networks", one.quantity),
                correlation=settings.between_networks,
            )
    if observed:
        days = observed_errors(plant, sources, settings)
        errors[:, observed] = days.draw_run(plant.clock_steps(np.arange(plant.steps)), stream(seed, "observed days"))
    return errors


def stream(seed: int, *names: str) -> np.random.Generator:
    """Return the random numbers that belong to a quantity and entity, the same on every machine."""
    digest = hashlib.sha256("\x00".join(names).encode()).digest()
    words = [int.from_bytes(digest[i : i + 4], "little") for i in range(0, len(digest), 4)]
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=words)))
