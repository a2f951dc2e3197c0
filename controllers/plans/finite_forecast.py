"""Refuse forecasts with values that are no numbers, before they become limits or travel times."""

from __future__ import annotations

import numpy as np

from gridferry.controllers.contract import ControllerError, Forecast

_PARTS = ("load_p_mw", "load_q_mvar", "buy_price", "sell_price", "congestion")


def parts_not_finite(forecast: Forecast) -> list[str]:
    """Name what of a forecast is not finite: a field, or the series of a device."""
    wrong = [name for name in _PARTS if not np.isfinite(getattr(forecast, name)).all()]
    wrong += [
        f"{key} of {device}"
        for device, series in forecast.series.items()
        for key, values in series.items()
        if not np.isfinite(values).all()
    ]
    return wrong


def refuse_nonfinite(forecast: Forecast) -> None:
    """Raise `ControllerError` naming what of a forecast is not finite."""
    wrong = parts_not_finite(forecast)
    if wrong:
        raise ControllerError(f"the forecast's {', '.join(wrong)} is not finite; correct the profiles")
