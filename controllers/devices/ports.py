"""Declarations of a kind: ports, positions, series, recorded columns."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal


class Act(StrEnum):
    """Meaning of a port's P, and of its Q, which is a setpoint unless P follows or the port says otherwise."""

    SETPOINT = "setpoint"
    """injected as requested; what is missing is a shortfall"""
    LIMIT = "limit"
    """at most this is injected; less is no shortfall"""
    FOLLOWS = "follows"
    """given by a profile or a position, whatever is requested: a generator that is not curtailed, a capacitor bank"""


@dataclass(frozen=True, kw_only=True)
class Port:
    """Port: where a device injects, a column of `Plan.p_mw` and `Plan.q_mvar`.

    Attributes
    ----------
    name : as in plan.csv and in the record
    buses : where it may inject, on the axis of all buses; one for what stands still
    p_min_mw, p_max_mw : range of its injection [MW]
    s_max_mva : rating [MVA]
    act : what P means
    rest_mw : "do nothing" [MW]
    q_act : what Q means; ``None``: it follows where P does, and is a setpoint elsewhere
    q_per_p : share of P that a Q which follows changes by with P, as under a fixed cos φ
    q_of_v : a Q that follows the voltage of its bus: points (voltage [pu], Q [Mvar]) by rising voltage and falling Q,
        which is constant beyond them. AC solves it within what P leaves of the rating; the device itself gives 0
    """

    name: str
    buses: tuple[int, ...]
    p_min_mw: float
    p_max_mw: float
    s_max_mva: float
    act: Act = Act.SETPOINT
    rest_mw: float = 0.0
    q_act: Act | None = None
    q_per_p: float = 0.0
    q_of_v: tuple[tuple[float, float], ...] = ()

    @property
    def sets_q(self) -> bool:
        """Whether Q is a setpoint."""
        return (self.act if self.q_act is None else self.q_act) is not Act.FOLLOWS


@dataclass(frozen=True, kw_only=True)
class Position:
    """Position: an integer that a device can be set to, such as a station or a tap.

    Attributes
    ----------
    name : as in plan.csv and in the record
    labels : what the positions are called, in plan.csv and in the record
    allowed : those that may be requested, as indices into the labels; all where not given
    with_routes : changing it is a trip between the stations of the plant, which takes time
    """

    name: str
    labels: tuple[str, ...]
    allowed: tuple[int, ...] | None = None
    with_routes: bool = False

    @property
    def choices(self) -> tuple[int, ...]:
        """Values that may be requested."""
        return tuple(range(len(self.labels))) if self.allowed is None else self.allowed


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits of a series' values, and the message for a value outside.

    Attributes
    ----------
    lowest, highest : ends of the range
    above : the lowest itself is not allowed
    meaning : what the value is, which is why it has limits, such as "it is a magnitude"
    way : how to correct one outside
    """

    lowest: float = -math.inf
    highest: float = math.inf
    above: bool = False
    meaning: str = ""
    way: str = "correct it or give another scale"

    def holds(self, value: float) -> bool:
        """Whether a value is within."""
        return (value > self.lowest if self.above else value >= self.lowest) and value <= self.highest

    @property
    def outside(self) -> str:
        """Text about a value outside the limits."""
        if self.highest == math.inf:
            if self.above:
                return f"not above {self.lowest:g}"
            return "negative" if self.lowest == 0 else f"below {self.lowest:g}"
        if self.lowest == -math.inf:
            return f"above {self.highest:g}"
        return f"outside {'(' if self.above else '['}{self.lowest:g}, {self.highest:g}]"


ANY = Limits()
MAGNITUDE = Limits(lowest=0.0, meaning="it is a magnitude", way="correct it or give a negative scale")
SHARE = Limits(
    lowest=0.0,
    highest=1.0,
    meaning="it is the share of the rating that is in service",
    way="correct it or give a scale (0.01 for percent)",
)


@dataclass(frozen=True, kw_only=True)
class Series:
    """Series of a device, given by a number or a profile under a key of `Device.Config`.

    Attributes
    ----------
    default : what holds where none is given, or what is given is not finite
    meaning : what it is, with its unit
    limits : values that it may have
    forecast : ``uncertain``: with drawn errors where the config says so; ``as_measured``: what was measured in the last
        step is taken to persist, unless forecasts are perfect; ``known``: as it will be, under any forecast
    error : an uncertain one: the table ``[forecast.errors.<error>]``; several may name the same
    port : the port whose P it is, if it is one's
    sign : of that P: 1 for what a source gives, -1 for what a load draws
    """

    default: float
    meaning: str
    limits: Limits = MAGNITUDE
    forecast: Literal["uncertain", "as_measured", "known"] = "known"
    error: str = ""
    port: int | None = None
    sign: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Column:
    """Column that a kind records in every step, beside those of all kinds.

    Attributes
    ----------
    unit : of the value; empty for texts, counts, shares and money
    meaning : what it is
    of : type of the value; it may be missing, whatever its type
    total : how the summary has it: the sum or the largest over all steps, the last value, or not at all
    money : it is an amount in the currency of the run; amounts that cost something are terms of `Device.costs`
    """

    unit: str
    meaning: str
    of: type[float] | type[int] | type[str] | type[bool] = float
    total: Literal["", "sum", "max", "last"] = ""
    money: bool = False
