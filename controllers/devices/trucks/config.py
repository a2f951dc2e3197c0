"""Table ``[[trucks]]`` of the config."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from gridferry.controllers.devices.config_parts import Choice, Rate
from gridferry.controllers.devices.stores.config import StoreConfig


class Mileage(StrEnum):
    """Distance that the fuel of a trip is charged for."""

    LEG = "leg"
    LONGEST_LEG = "longest_leg"


class Labour(StrEnum):
    """Hours that labour is charged for."""

    TRAVEL = "travel"
    FLAT_IF_USED = "flat_if_used"


class TruckConfig(StoreConfig):
    """Batteries on trucks."""

    station: str
    """station at the start"""
    stations: list[str] | None = None
    """stations that it may use; all when not given"""
    trips_max_per_day: Annotated[int, Field(ge=0)] = 1000
    """limit of trips per day"""
    fuel_per_km: Rate = 0.0
    """fuel rate [currency/km]"""
    labour_per_h: Rate = 0.0
    """labour rate [currency/h]"""
    mileage: Annotated[Mileage, Choice] = Mileage.LEG
    """kilometres charged for a trip"""
    labour: Annotated[Labour, Choice] = Labour.TRAVEL
    """hours charged"""
    flat_hours: Annotated[float, Field(ge=0, le=24, allow_inf_nan=False)] = 8.0
    """hours a day, under ``labour = "flat_if_used"`` [h]"""
