"""Check that a forecast is finite, before its values become limits or travel times."""

from __future__ import annotations

import numpy as np

from gridferry.controllers.contract import ControllerError, Forecast

_PARTS = ("load_p_mw", "load_q_mvar", "buy_price", "sell_price", "congestion")


def parts_not_finite(forecast: Forecast) -> list[str]:
    """List the fields and series of a forecast that are not finite."""
    wrong = [name for name in _PARTS if not np.isfinite(getattr(forecast, name)).all()]
    wrong += [
        f"{key} of {device}"
        for device, series in forecast.series.items()
        for key, values in series.items()
        if not np.isfinite(values).all()
    ]
    return wrong


def refuse_nonfinite(forecast: Forecast) -> None:
    """Raise `ControllerError` if a forecast is not finite."""
    wrong = parts_not_finite(forecast)
    if wrong:
        raise ControllerError(f"the forecast's {', '.join(wrong)} is not finite; correct the profiles")
