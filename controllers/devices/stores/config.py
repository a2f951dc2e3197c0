"""Config keys of all kinds with a store."""

from __future__ import annotations

import itertools
import math
from typing import Annotated, Literal

from pydantic import Field, model_validator

from gridferry.controllers.devices.config_parts import (
    DeviceConfig,
    Fraction,
    NonNegative,
    Positive,
    Power,
    Profile,
    Rate,
    inconsistent,
)
from gridferry.controllers.devices.stores.storage import Storage


class StoreConfig(DeviceConfig):
    """Base of the tables of kinds with a store."""

    energy_mwh: Power
    """rated energy [MWh]"""
    p_max_mw: Power
    """largest charging and discharging power [MW]"""
    s_max_mva: Power | None = None
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
    """minimum state of charge at the end of every day"""
    cycles_max_per_day: Positive | None = None
    """limit of full cycles per day"""
    cycles_at_grid: bool = False
    """count cycles by energy at the grid, as published; by default by energy in the store"""
    cost_per_mwh_charged: Rate = 0.0
    """cost of wear per MWh drawn from the grid [currency/MWh]"""
    wear_per_mwh_by_depth: list[Annotated[tuple[Fraction, Rate], Field(strict=False)]] = Field(default=[])
    """cost of wear by depth of cycle, beside that: ``[[depth, cost], ...]``; energy taken from the store costs so much
    per MWh in cycles up to that depth, a share of the rated energy; both rise, to the depth 1 [currency/MWh]"""
    self_discharge_per_day: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """share of its energy that the store loses in 24 h"""
    ramp_mw_per_h: Positive | None = None
    """largest change of its power in an hour; from 0 to ``p_min_mw`` and back is always allowed [MW/h]"""
    p_min_mw: NonNegative = 0.0
    """least power when it charges or discharges; less is taken for 0 [MW]"""
    availability: Profile = 1.0
    """share of its power and converter rating in service: 0 none, 1 all; a truck drives even when out of service"""
    usable_energy_share: Profile = 1.0
    """share of the rated energy that is usable, above 0; where it falls, stored energy falls with it"""

    @model_validator(mode="after")
    def _consistent(self) -> StoreConfig:
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
        rating = self.p_max_mw if self.s_max_mva is None else min(self.p_max_mw, self.s_max_mva)
        if self.p_min_mw > rating:
            found["p_min_mw"] = f"is above its rating of {rating:g} MW; choose a smaller one"
        if fault := _fault_of_depths(self.wear_per_mwh_by_depth):
            found["wear_per_mwh_by_depth"] = fault
        if found:
            raise inconsistent(found, {**dict.fromkeys(keys), "p_min_mw": None, "wear_per_mwh_by_depth": None})
        return self

    def storage(self) -> Storage:
        """Return the limits of the store."""
        if self.soc_end == "start":
            soc_end_min: float | None = self.soc_initial
        elif self.soc_end == "free":
            soc_end_min = None
        else:
            soc_end_min = self.soc_end
        return Storage(
            energy_mwh=self.energy_mwh,
            p_max_mw=self.p_max_mw,
            s_max_mva=self.p_max_mw if self.s_max_mva is None else self.s_max_mva,
            eta_charge=self.eta_charge,
            eta_discharge=self.eta_discharge,
            loss_coefficient=self.loss_coefficient,
            soc_min=self.soc_min,
            soc_max=self.soc_max,
            soc_initial=self.soc_initial,
            soc_end_min=soc_end_min,
            cycles_max_per_day=math.inf if self.cycles_max_per_day is None else self.cycles_max_per_day,
            cost_per_mwh_charged=self.cost_per_mwh_charged,
            cycles_at_grid=self.cycles_at_grid,
            self_discharge_per_day=self.self_discharge_per_day,
            ramp_mw_per_h=math.inf if self.ramp_mw_per_h is None else self.ramp_mw_per_h,
            p_min_mw=self.p_min_mw,
            wear_by_depth=tuple(self.wear_per_mwh_by_depth),
        )


def _fault_of_depths(given: list[tuple[float, float]]) -> str:
    """Fault of a wear by depth, with the way out; empty where there is none."""
    depths, prices = [depth for depth, _ in given], [price for _, price in given]
    if not given:
        return ""
    if depths[0] <= 0 or any(a >= b for a, b in itertools.pairwise(depths)):
        return f"the depths {', '.join(f'{one:g}' for one in depths)} must rise, from above 0"
    if depths[-1] != 1.0:
        return f"the last depth is {depths[-1]:g}; it must be 1, the whole rated energy"
    if any(a > b for a, b in itertools.pairwise(prices)):
        costs = ", ".join(f"{one:g}" for one in prices)
        return f"the costs {costs} must not fall: deeper cycles wear more (without, no optimum could be proved)"
    return ""
