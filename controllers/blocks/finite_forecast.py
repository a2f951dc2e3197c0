"""Refuse forecasts with values that are no numbers, before they become limits or travel times."""

from __future__ import annotations

import numpy as np

from controllers.contract import ControllerError, Forecast

_PARTS = ("load_p_mw", "load_q_mvar", "generation_mw", "buy_price", "congestion", "availability", "capacity")


def refuse_nonfinite(forecast: Forecast) -> None:
    """Raise `ControllerError` naming what of a forecast is not finite."""
    given = {name: getattr(forecast, name) for name in _PARTS}
    wrong = [name for name, values in given.items() if values is not None and not np.isfinite(values).all()]
    if wrong:
        raise ControllerError(f"the forecast's {', '.join(wrong)} is not finite; correct the profiles")
