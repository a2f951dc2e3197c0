"""Schema of ``[forecast]``: what controllers are told of the coming steps."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from gridferry.controllers.devices.config_parts import Choice, NonNegative, Part, Profile
from gridferry.controllers.uncertainty.error_settings import ErrorSettings


class ForecastKind(StrEnum):
    """Kind of forecast."""

    PERFECT = "perfect"
    PERSISTENCE = "persistence"
    ERRORS = "errors"


class ForecastConfig(Part):
    """Forecasts for the controller."""

    kind: Annotated[ForecastKind, Choice] = ForecastKind.PERFECT
    """perfect; persistence (the same time a day before, or the last measured value); errors (drawn with the seed)"""
    errors_on: Literal["forecast", "realised"] = "forecast"
    """what differs from the profiles by the errors: the forecast, or reality"""
    errors: ErrorSettings = ErrorSettings()
    """how forecasts err; the model that controllers go by, too, unless they are given ``errors`` of their own"""
    update_decay_h: NonNegative = 0.0
    """under ``errors``: the last measured error updates the forecast; it fades to 1/e in this time [h]; 0: no update"""
    outage: Profile = 0.0
    """above 0: no forecast arrives in the step, all of its values are NaN"""
    foresight: bool = False
    """perfect forecasts of what will happen, errors of reality included; the reference for regret"""
