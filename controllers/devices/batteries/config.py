"""Table ``[[batteries]]`` of the config."""

from __future__ import annotations

from gridferry.controllers.devices.config_parts import BusName
from gridferry.controllers.devices.stores.config import StoreConfig


class BatteryConfig(StoreConfig):
    """Stationary batteries."""

    network: str
    bus: BusName
