"""Table ``[[gensets]]`` of the config."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from gridferry.controllers.devices.config_parts import (
    BusName,
    DeviceConfig,
    NonNegative,
    Power,
    Profile,
    Rate,
    inconsistent,
)


class GensetConfig(DeviceConfig):
    """Generators that burn fuel."""

    network: str
    bus: BusName
    p_max_mw: Power
    """largest power [MW]"""
    s_max_mva: Power | None = None
    """rating [MVA]; ``p_max_mw`` when not given"""
    p_min_mw: NonNegative = 0.0
    """least power when it runs; less is taken for 0 [MW]"""
    efficiency: Annotated[float, Field(gt=0, le=1)]
    """electric energy per energy of its fuel"""
    fuel_cost_per_mwh: Rate
    """price of its fuel, per energy of the fuel [currency/MWh]"""
    start_cost: Rate = 0.0
    """cost of a start [currency]"""
    fuel_mwh: Power | None = None
    """energy of the fuel in the tank at the start of the run, which is not refilled; endless when not given [MWh]"""
    availability: Profile = 1.0
    """share of its power and rating in service: 0 none, 1 all"""

    @model_validator(mode="after")
    def _consistent(self) -> GensetConfig:
        rating = self.p_max_mw if self.s_max_mva is None else min(self.p_max_mw, self.s_max_mva)
        found: dict[str, str] = {}
        if self.p_min_mw > rating:
            found["p_min_mw"] = f"is above its rating of {rating:g} MW; choose a smaller one"
        if self.start_cost > 0 and self.p_min_mw == 0:
            found["start_cost"] = "needs a least power, which tells running from rest; give p_min_mw, too"
        if found:
            raise inconsistent(found, {"p_min_mw": None, "start_cost": None})
        return self
