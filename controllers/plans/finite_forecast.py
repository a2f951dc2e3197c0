"""Refuse forecasts with values that are no numbers, before they become limits or travel times."""

from __future__ import annotations

import numpy as np

from gridferry.controllers.contract import ControllerError, Forecast

_PARTS = (
    "load_p_mw",
    "load_q_mvar",
    "generation_mw",
    "buy_price",
    "sell_price",
    "congestion",
    "availability",
    "capacity",
)


def parts_not_finite(forecast: Forecast) -> list[str]:
    """Name what of a forecast is not finite."""
    given = {name: getattr(forecast, name) for name in _PARTS}
    return [name for name, values in given.items() if values is not None and not np.isfinite(values).all()]


def refuse_nonfinite(forecast: Forecast) -> None:
    """Raise `ControllerError` naming what of a forecast is not finite."""
    wrong = parts_not_finite(forecast)
    if wrong:
        raise ControllerError(f"the forecast's {', '.join(wrong)} is not finite; correct the profiles")
