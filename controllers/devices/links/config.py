"""Table ``[[links]]`` of the config."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from gridferry.controllers.devices.config_parts import BusName, DeviceConfig, Name, Part, Power, Profile


class TerminalConfig(Part):
    """One converter of a link."""

    network: str
    bus: BusName
    s_max_mva: Power
    """rating [MVA]"""
    loss_coefficient: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """loss [MW per MVA]"""
    name: Name | None = None
    """``<link>-1``, ``<link>-2``, … when not given"""


class LinkConfig(DeviceConfig):
    """MVDC links."""

    terminals: Annotated[list[TerminalConfig], Field(min_length=2)]
    """two or more"""
    balancing: Annotated[int, Field(ge=1)] = 1
    """number of the terminal that controls the DC voltage and so balances the others"""
    availability: Profile = 1.0
    """share of the rating of all terminals in service: 0 none, 1 all"""
