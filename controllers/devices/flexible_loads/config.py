"""Table ``[[flexible_loads]]`` of the config."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from gridferry.controllers.devices.config_parts import ClockTime, NonNegative, Power, hours, inconsistent
from gridferry.controllers.devices.demand import DemandConfig


class FlexibleLoadConfig(DemandConfig):
    """Loads that can be shifted within a day."""

    shiftable_mwh_per_day: Power
    """energy that can be shifted to other hours of a day [MWh]"""
    p_max_mw: Power
    """largest power that it draws where its demand is raised [MW]"""
    p_min_mw: NonNegative = 0.0
    """least power that it draws where its demand is lowered [MW]"""
    window: Annotated[list[ClockTime], Field(min_length=2, max_length=2)] | None = None
    """local times between which its demand is lowered and raised; at any time when not given"""

    @model_validator(mode="after")
    def _consistent(self) -> FlexibleLoadConfig:
        found: dict[str, str] = {}
        if self.p_min_mw > self.p_max_mw:
            found["p_min_mw"] = f"must not be above p_max_mw = {self.p_max_mw:g}"
        if self.window is not None and self.window[1] != "24:00" and hours(self.window[0]) == hours(self.window[1]):
            found["window"] = 'begins when it ends; leave it out for all day, or give ["00:00", "24:00"]'
        if found:
            raise inconsistent(found, {"p_min_mw": 0.0, "window": None})
        return self
