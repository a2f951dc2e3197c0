"""A one-way road with its volume-delay function, and the file formats' common result."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

BPR_B, BPR_POWER = 0.15, 4.0
"""The usual coefficients of the volume-delay function of the Bureau of Public Roads."""


@dataclass(frozen=True)
class Road:
    """A one-way road.

    Attributes
    ----------
    start, end : its nodes
    km : length [km]
    minutes : travel time without traffic [min]
    capacity : of the volume-delay function, inf where traffic does not matter [veh/h]
    b, power : its coefficients
    volume : traffic that is there in any case [veh/h]
    """

    start: str
    end: str
    km: float
    minutes: float
    capacity: float = math.inf
    b: float = BPR_B
    power: float = BPR_POWER
    volume: float = 0.0

    @property
    def name(self) -> str:
        """Nodes at its ends."""
        return f"{self.start}-{self.end}"

    def minutes_at(self, volume: float) -> float:
        """Travel time at a volume of traffic [veh/h]: ``t0 (1 + b (volume / capacity)^power)`` [min]."""
        if volume <= 0.0 or math.isinf(self.capacity):
            return self.minutes
        return self.minutes * (1.0 + self.b * (volume / self.capacity) ** self.power)


@dataclass(frozen=True)
class RoadFile:
    """Content of a road file.

    Attributes
    ----------
    roads : the directed edges
    ends_only : nodes that trips begin and end at but do not pass through
    places : longitude and latitude of nodes [degrees], where the file has them
    """

    roads: tuple[Road, ...]
    ends_only: frozenset[str] = frozenset()
    places: Mapping[str, tuple[float, float]] = field(default_factory=dict)
