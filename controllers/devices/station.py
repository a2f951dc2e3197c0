"""Stations, where trucks connect."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Station:
    """A bus where trucks can connect; ``bus`` counts along the axis of all buses."""

    name: str
    network: int
    bus: int
