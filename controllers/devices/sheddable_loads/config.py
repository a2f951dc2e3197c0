"""Table ``[[sheddable_loads]]`` of the config."""

from __future__ import annotations

from gridferry.controllers.devices.config_parts import Fraction, Positive, Rate
from gridferry.controllers.devices.demand import DemandConfig


class SheddableLoadConfig(DemandConfig):
    """Loads that can be shed."""

    share: Fraction = 1.0
    """share of its demand that can be shed"""
    value_of_lost_load_per_mwh: Rate
    """cost of what is shed [currency/MWh]"""
    priority: Positive = 1.0
    """weight of its lost load, which the cost is multiplied by: of loads with the same value, those with less are shed
    first"""
