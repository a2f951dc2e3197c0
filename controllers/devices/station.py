"""Stations, where trucks connect."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Station:
    """A bus where trucks can connect.

    Attributes
    ----------
    bus : along the axis of all buses
    places : trucks that can be plugged in at once; ``None``: all
    p_max_mw : largest power of all of them, charging and discharging added [MW]
    """

    name: str
    network: int
    bus: int
    places: int | None = None
    p_max_mw: float = math.inf
