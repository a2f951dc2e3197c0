"""Trucks, batteries and links in the config."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from gridferry.controllers.devices.trucks.device import Labour, Mileage
from gridferry.sim.config.parts import (
    BusName,
    Choice,
    Fraction,
    Name,
    NonNegative,
    Part,
    Positive,
    Series,
    inconsistent,
)


class StorageConfig(Part):
    """What a battery can do, on a truck or not."""

    energy_mwh: Positive
    """rated energy [MWh]"""
    p_max_mw: Positive
    """largest charging and discharging power [MW]"""
    s_max_mva: Positive | None = None
    """converter rating [MVA]; ``p_max_mw`` when not given"""
    eta_charge: Positive = 1.0
    """charging efficiency"""
    eta_discharge: Positive = 1.0
    """discharging efficiency"""
    allow_published_efficiency: bool = False
    """accept an efficiency above 1, as published for the three-bus case (the round trip then has no loss)"""
    loss_coefficient: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """converter loss [MW per MVA]"""
    soc_min: Fraction = 0.0
    """lowest state of charge"""
    soc_max: Fraction = 1.0
    """highest state of charge"""
    soc_initial: Fraction = 0.5
    """state of charge at the start"""
    soc_end: Literal["start", "free"] | Fraction = "start"
    """least state of charge at the end of every day"""
    cycles_max_per_day: Positive | None = None
    """full cycles allowed a day"""
    cost_per_mwh_charged: NonNegative = 0.0
    """cost of wear per MWh drawn from the grid [currency/MWh]"""
    availability: Series = 1.0
    """share of its power and converter rating that is in service: 0 out of service, 1 whole; a truck drives even so"""
    capacity: Series = 1.0
    """share of the rated energy that it can hold, above 0; where it falls, the energy of the lost strings is lost"""

    @model_validator(mode="after")
    def _consistent(self) -> StorageConfig:
        keys = ("soc_min", "soc_max", "soc_initial", "soc_end", "eta_charge", "eta_discharge")
        window = f"[soc_min, soc_max] = [{self.soc_min}, {self.soc_max}]"
        found: dict[str, str] = {}
        if self.soc_min >= self.soc_max:
            found["soc_min"] = f"the window is upside down: soc_min must be below soc_max = {self.soc_max}"
        else:
            if not self.soc_min <= self.soc_initial <= self.soc_max:
                found["soc_initial"] = f"lies outside {window}; choose a value inside"
            if isinstance(self.soc_end, float) and not self.soc_min <= self.soc_end <= self.soc_max:
                found["soc_end"] = f'lies outside {window}; choose a value inside, "start" or "free"'
        for key in ("eta_charge", "eta_discharge"):
            if getattr(self, key) > 1 and not self.allow_published_efficiency:
                found[key] = (
                    "an efficiency above 1 makes energy from nothing; it must be at most 1 "
                    "(allow_published_efficiency = true accepts a published figure)"
                )
        if found:
            raise inconsistent(found, dict.fromkeys(keys))
        return self


class TruckConfig(StorageConfig):
    """A battery on a truck."""

    name: Name
    station: str
    """where it stands at the start"""
    stations: list[str] | None = None
    """stations it may use; all when not given"""
    trips_max_per_day: Annotated[int, Field(ge=0)] = 1000
    """trips allowed a day"""
    fuel_per_km: NonNegative = 0.0
    """fuel rate [currency/km]"""
    labour_per_h: NonNegative = 0.0
    """labour rate [currency/h]"""
    mileage: Annotated[Mileage, Choice] = Mileage.LEG
    """kilometres charged for a trip"""
    labour: Annotated[Labour, Choice] = Labour.TRAVEL
    """hours charged"""
    flat_hours: NonNegative = 8.0
    """hours a day, under ``labour = "flat_if_used"`` [h]"""


class BatteryConfig(StorageConfig):
    """A stationary battery."""

    name: Name
    network: str
    bus: BusName


class TerminalConfig(Part):
    """One converter of a link."""

    network: str
    bus: BusName
    s_max_mva: Positive
    """rating [MVA]"""
    loss_coefficient: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """loss [MW per MVA]"""
    name: Name | None = None
    """``<link>-1``, ``<link>-2``, … when not given"""


class LinkConfig(Part):
    """An MVDC link."""

    name: Name
    terminals: Annotated[list[TerminalConfig], Field(min_length=2)]
    """two or more"""
    balancing: Annotated[int, Field(ge=1)] = 1
    """number of the terminal that holds the DC voltage and so balances the others"""
    availability: Series = 1.0
    """share of the rating of all its terminals that is in service: 0 out of service, 1 whole"""
