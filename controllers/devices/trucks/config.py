"""Table ``[[trucks]]`` of the config."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field, model_validator

from gridferry.controllers.devices.config_parts import Choice, ClockTime, Rate, hours, inconsistent
from gridferry.controllers.devices.stores.config import StoreConfig


class Mileage(StrEnum):
    """Distance that the fuel of a trip is charged for."""

    LEG = "leg"
    LONGEST_LEG = "longest_leg"


class Labour(StrEnum):
    """Hours that labour is charged for."""

    TRAVEL = "travel"
    FLAT_IF_USED = "flat_if_used"
    SHIFT_IF_USED = "shift_if_used"


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
    labour_per_h: Rate | Annotated[list[Rate], Field(min_length=24, max_length=24)] = 0.0
    """labour rate, one or one for each hour of a local day, from midnight on [currency/h]"""
    mileage: Annotated[Mileage, Choice] = Mileage.LEG
    """kilometres charged for a trip"""
    labour: Annotated[Labour, Choice] = Labour.TRAVEL
    """hours charged: ``travel``, those on the road; on days of use ``flat_if_used``, ``flat_hours``, or
    ``shift_if_used``, those of the shift"""
    flat_hours: Annotated[float, Field(ge=0, le=24, allow_inf_nan=False)] = 8.0
    """hours a day, under ``labour = "flat_if_used"`` [h]"""
    drive_mwh_per_km: Annotated[float, Field(ge=0, le=1)] = 0.0
    """taken from the battery for each trip, when it begins; one that the battery cannot pay is not driven [MWh/km]"""
    shift: Annotated[list[ClockTime], Field(min_length=2, max_length=2)] | None = None
    """local times between which it drives: trips begin and end within; at any time when not given"""
    depot: str | None = None
    """station where it is due every day at ``return_by``"""
    return_by: ClockTime | None = None
    """local time at which it is due at its depot"""
    transit_steps_initial: Annotated[int, Field(ge=0, le=10_000)] = 0
    """steps until it reaches ``station``, where it is on the way there at the start"""

    @model_validator(mode="after")
    def _duty(self) -> TruckConfig:
        found: dict[str, str] = {}
        if (self.depot is None) != (self.return_by is None):
            given, other = ("depot", "return_by") if self.return_by is None else ("return_by", "depot")
            found[other] = f"needed with {given}; a depot is where the truck is due at a time"
        if (
            self.shift is not None
            and hours(self.shift[0]) % 24 == hours(self.shift[1]) % 24
            and self.shift[1] != "24:00"
        ):
            found["shift"] = 'begins when it ends; leave it out for all day, or give ["00:00", "24:00"]'
        if self.labour is Labour.SHIFT_IF_USED and self.shift is None:
            found["labour"] = 'needs a shift, whose hours are charged; give shift, or labour = "flat_if_used"'
        if self.labour is Labour.FLAT_IF_USED and isinstance(self.labour_per_h, list):
            found["labour_per_h"] = 'flat_hours are at no time of day: give one rate, or labour = "shift_if_used"'
        if found:
            repair = {"depot": None, "return_by": None, "shift": None, "labour": Labour.TRAVEL}
            raise inconsistent(found, repair)
        return self
