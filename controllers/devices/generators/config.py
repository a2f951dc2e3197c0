"""Table ``[[generators]]`` of the config."""

from __future__ import annotations

import math
from enum import StrEnum
from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from gridferry.controllers.devices.config_parts import (
    BusName,
    Choice,
    DeviceConfig,
    Finite,
    Part,
    Positive,
    Power,
    Profile,
    Rate,
    inconsistent,
)


class Reactive(StrEnum):
    """What gives the reactive power of a generator."""

    NONE = "none"
    COS_PHI = "cos_phi"
    Q_OF_V = "q_of_v"
    DISPATCH = "dispatch"


class DroopPoint(Part):
    """Point of a characteristic Q(U)."""

    v_pu: Positive
    """voltage at the bus [pu]"""
    q_mvar: Finite
    """reactive power injected at that voltage [Mvar]"""


class GeneratorConfig(DeviceConfig):
    """PV, wind and other sources."""

    kind: Literal["pv", "wind", "other"] = "pv"
    network: str
    bus: BusName
    p_mw: Profile
    """output [MW], non-negative; of a curtailable one what it can give"""
    feed_in_tariff: Rate = 0.0
    """price paid for the energy that it feeds in [currency/MWh]"""
    curtailable: bool = False
    """a controller may limit its output"""
    curtailment_cost_per_mwh: Rate = 0.0
    """cost of the energy that it could have fed in [currency/MWh]"""
    s_max_mva: Power | None = None
    """rating [MVA]; without one nothing limits P, or Q by a rule"""
    reactive: Annotated[Reactive, Choice] = Reactive.NONE
    """reactive power: ``none``, by a ``cos_phi``, by the voltage (``q_of_v``), or by a controller (``dispatch``)"""
    cos_phi: Annotated[float, Field(ge=-1, le=1)] | None = None
    """power factor; it draws reactive power (under-excited) if positive, and gives it (over-excited) if negative"""
    q_of_v: Annotated[list[DroopPoint], Field(min_length=2)] | None = None
    """points of Q(U) by rising voltage and falling Q; Q is constant before the first and beyond the last"""

    @model_validator(mode="after")
    def _consistent(self) -> GeneratorConfig:
        found: dict[str, str] = {}
        repair: dict[str, Any] = {}
        for key, rule in (("cos_phi", Reactive.COS_PHI), ("q_of_v", Reactive.Q_OF_V)):
            given, wanted = getattr(self, key) is not None, self.reactive is rule
            if given and not wanted:
                found[key] = f'holds under reactive = "{rule}" alone; set that, or leave {key} out'
                repair[key] = None
            elif wanted and not given:
                found["reactive"] = f'"{rule}" needs {key}; add it'
                repair["reactive"] = None
        if self.reactive is Reactive.DISPATCH and self.s_max_mva is None:
            found["reactive"] = '"dispatch" needs the rating s_max_mva [MVA], which Q is limited by; add it'
            repair["reactive"] = None
        if self.cos_phi is not None and abs(self.cos_phi) < _LEAST_COS_PHI:
            found["cos_phi"] = (
                f"{self.cos_phi:g} is hardly any active power; its size must be at least {_LEAST_COS_PHI}"
            )
            repair |= {"cos_phi": None, "reactive": None}
        if self.curtailment_cost_per_mwh and not self.curtailable:
            found["curtailment_cost_per_mwh"] = "nothing is curtailed; set curtailable = true, or leave it out"
            repair["curtailment_cost_per_mwh"] = None
        points = self.q_of_v or []
        for before, after in pairwise(points):
            if not (after.v_pu > before.v_pu and after.q_mvar <= before.q_mvar):
                found["q_of_v"] = (
                    f"from {before.v_pu:g} pu, {before.q_mvar:g} Mvar to {after.v_pu:g} pu, {after.q_mvar:g} Mvar: "
                    "voltages must rise, and Q must not"
                )
                repair |= {"q_of_v": None, "reactive": None}
        if found:
            raise inconsistent(found, repair)
        return self

    @property
    def q_per_p(self) -> float:
        """Reactive power by active power."""
        if self.cos_phi is None:
            return 0.0
        return -math.copysign(math.tan(math.acos(abs(self.cos_phi))), self.cos_phi)


_LEAST_COS_PHI = 0.1
