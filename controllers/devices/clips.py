"""Reasons for clipped setpoints, and reactive power within a rating."""

from __future__ import annotations

import math
from enum import StrEnum

from gridferry.controllers import tolerances

NEGLIGIBLE_MW = tolerances.POWER_MW
"""A watt. Solvers meet limits to less than this: a smaller difference is part of the shortfall, but no clip, and a
smaller power does not count as use of a truck."""


class Clip(StrEnum):
    """Reason why a device did not do what was requested."""

    RATING = "rating"
    """beyond the largest power or the converter's rating"""
    RAMP = "ramp"
    """further from the power of the step before than a step allows"""
    LEAST_POWER = "least_power"
    """below the least power"""
    ENERGY_FULL = "energy_full"
    ENERGY_EMPTY = "energy_empty"
    CYCLES = "cycles"
    """the day's cycles are used up"""
    IN_TRANSIT = "in_transit"
    """power requested while driving or installing"""
    EN_ROUTE = "en_route"
    """another destination requested on the road"""
    TRIPS = "trips"
    """the day's trips are used up"""
    SHIFT = "shift"
    """the trip would begin or end outside the shift"""
    DRIVING_ENERGY = "driving_energy"
    """the battery cannot pay the trip"""
    NOT_A_STATION = "not_a_station"
    """the destination is none of the truck's stations"""
    NOT_PLUGGED = "not_plugged"
    """no place at the station"""
    STATION = "station"
    """beyond the power that the station has left"""
    BALANCE = "balance"
    """the terminal that balances the link cannot carry it"""
    WINDOW = "window"
    """outside the hours in which a load is shifted"""
    DAILY_ENERGY = "daily_energy"
    """the day's energy that a load may shift is used up"""
    NOT_RUNNING = "not_running"
    """reactive power requested of what does not run"""
    OUT_OF_SERVICE = "out_of_service"


def reactive_within(s_max_mva: float, p_mw: float, q_mvar: float) -> float:
    """Limit Q to the rating at given P, ``P² + Q² ≤ S²``, with its sign unchanged [Mvar]."""
    room = math.sqrt(max((s_max_mva - p_mw) * (s_max_mva + p_mw), 0.0))
    return math.copysign(min(abs(q_mvar), room), q_mvar)
