"""Table ``[[generators]]`` of the config."""

from __future__ import annotations

from typing import Literal

from gridferry.controllers.devices.config_parts import BusName, DeviceConfig, Profile, Rate


class GeneratorConfig(DeviceConfig):
    """PV, wind and other sources."""

    kind: Literal["pv", "wind", "other"] = "pv"
    network: str
    bus: BusName
    p_mw: Profile
    """output [MW], non-negative"""
    feed_in_tariff: Rate = 0.0
    """price paid for its production [currency/MWh]"""
