"""Demand of loads as devices: their config keys, their series, their port that follows it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from gridferry.controllers.devices.config_parts import BusName, DeviceConfig, Profile
from gridferry.controllers.devices.ports import Act, Port, Series

DEMAND: Mapping[str, Series] = {
    "p_mw": Series(default=0.0, meaning="demand [MW]", port=0, sign=-1.0, forecast="uncertain", error="load")
}
"""the demand, which the first port follows; it errs as the loads of its network"""


class DemandConfig(DeviceConfig):
    """Base of the tables of loads."""

    network: str
    bus: BusName
    p_mw: Profile
    """demand [MW], non-negative"""
    cos_phi: Annotated[float, Field(gt=0, le=1)] = 1.0
    """power factor, inductive"""

    @property
    def q_per_p(self) -> float:
        """``tan φ``."""
        return math.tan(math.acos(self.cos_phi))


def demand_port(name: str, bus: int, config: DemandConfig) -> Port:
    """Return the port that follows the demand."""
    return Port(
        name=f"{name} demand",
        buses=(bus,),
        p_min_mw=-math.inf,
        p_max_mw=0.0,
        s_max_mva=math.inf,
        act=Act.FOLLOWS,
        q_act=Act.FOLLOWS,
        q_per_p=config.q_per_p,
    )


def relief_port(name: str, bus: int, config: DemandConfig, p_min_mw: float) -> Port:
    """Return the port that injects what is not drawn of the demand, with the reactive power that goes with it."""
    return Port(
        name=name,
        buses=(bus,),
        p_min_mw=p_min_mw,
        p_max_mw=math.inf,
        s_max_mva=math.inf,
        q_act=Act.FOLLOWS,
        q_per_p=config.q_per_p,
    )
