"""mosaik simulator of the forecasts: ``Forecast-0`` gives the ``forecast`` of every step.

Somebody else's can take its place, in a scenario or by ``[simulators.forecasts] connect`` in a config. A forecast is a
dict with the fields of `Forecast` as arrays or lists, and ``step``: the step of the case that its first row is for. It
holds until the next one. Series that are not in it have their defaults; what is unknown is NaN, or ``None`` in a list.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float

from gridferry.controllers.contract import Forecast, Plant
from gridferry.controllers.plans.first_step import series_of_devices
from gridferry.networks.faults import no_such
from gridferry.networks.read_only import own_copy
from gridferry.sim.adapters.inputs import reals
from gridferry.sim.adapters.serve import serve_case
from gridferry.sim.adapters.simulator import CaseSimulator, Models

EXPECTED = "a forecast: a dict of step, load_p_mw, load_q_mvar, buy_price, sell_price, congestion and series"
_OF_ERRORS = ("error_samples", "error_support")


class ForecastSimulator(CaseSimulator):
    """Simulator that gives the forecasts of a case."""

    models: ClassVar[Models] = {"Forecast": ["forecast"]}
    _json = False

    def _begin(self, params: Mapping[str, Any]) -> None:
        """``json`` gives lists instead of arrays, for a controller in another process."""
        self._json = bool(params.get("json")) or self._allowed is not None

    def _value(self, model: str, number: int, attr: str) -> Any:
        given = {"step": self._step, **vars(self._case.forecaster.at(self._step))}
        return _as_lists(given) if self._json else given


def _as_lists(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _as_lists(one) for key, one in value.items()}
    return value.tolist() if isinstance(value, np.ndarray) else value


def read_forecast(plant: Plant, step: int, given: Mapping[str, Any]) -> Forecast:
    """Read a forecast at a step of the case; rows of steps that have passed, and beyond the horizon, are left out.

    Raises
    ------
    ValueError, LookupError, TypeError
        for what is missing, unknown, of the wrong shape, or no number.
    """
    prices = _table("buy_price", given["buy_price"])
    rows, begins = len(prices), given["step"]
    if type(begins) is not int or not begins <= step < begins + rows:
        raise ValueError(f"it is for {rows} steps from step {begins!r} on, and this is step {step}")
    n_road = 0 if plant.roads is None else len(plant.roads.road_names)
    shapes = {
        "load_p_mw": (rows, plant.n_bus),
        "load_q_mvar": (rows, plant.n_bus),
        "buy_price": (rows,),
        "sell_price": (rows,),
        "congestion": (rows, n_road),
    }
    fields = [*shapes, "series", "step", *_OF_ERRORS]
    given_series = {(device, key): one for device, own in given.get("series", {}).items() for key, one in own.items()}
    known = [(device.key, key) for device in plant.devices for key in device.series]
    unknown = [no_such("field", key, fields) for key in given if key not in fields]
    unknown += [
        f"series {'.'.join(one)}: {no_such('series', '.'.join(one), map('.'.join, known))}"
        for one in given_series
        if one not in known
    ]
    if unknown:
        raise ValueError("; ".join(unknown))
    series: dict[str, dict[str, np.ndarray]] = {}
    for (device, key), values in given_series.items():
        series.setdefault(device, {})[key] = _table(f"series {device}.{key}", values, (rows,))
    forecast = Forecast(
        **{name: _table(name, given[name], shape) for name, shape in shapes.items()},
        series=series_of_devices(plant, rows, series),
        **{name: _table(name, given[name]) for name in _OF_ERRORS if given.get(name) is not None},
    )
    passed = step - begins
    return forecast.rows(slice(passed, passed + plant.horizon_steps))


def _table(name: str, value: Any, shape: tuple[int, ...] | None = None) -> Float[np.ndarray, "*axes"]:
    found = reals(value)
    if found is not None and shape is not None and found.size == 0 == int(np.prod(shape)):
        found = found.reshape(shape)  # lists of rows without entities
    if found is None or (shape is not None and found.shape != shape):
        what = "is no array of numbers" if found is None else f"has shape {found.shape}"
        raise ValueError(f"{name} {what}" + ("" if shape is None else f"; it should have {shape}"))
    return own_copy(found)


if __name__ == "__main__":
    serve_case(ForecastSimulator, "forecast simulator")
