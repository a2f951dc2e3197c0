"""An MVDC link: converters in balance on the DC side [B, §2.1].

    Σ_k (P_k + A_k √(P_k² + Q_k²)) = 0,   P_k² + Q_k² ≤ S_k²

The balancing terminal controls the DC voltage: its P closes the sum, whatever is requested. Every other terminal does
its request within its rating, P before Q. Where the balancing terminal cannot supply the difference, the P of the
others are reduced by a common factor, then (only where their reactive losses alone are too large) their Q. A derated
link has the rating of all its terminals times its availability.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

from gridferry.controllers.devices.clips import NEGLIGIBLE_MW, Clip, reactive_within
from gridferry.controllers.devices.device import Device
from gridferry.controllers.devices.links.config import LinkConfig
from gridferry.controllers.devices.ports import SHARE, Column, Port, Series
from gridferry.controllers.devices.site import Site
from gridferry.controllers.devices.steps import Injection, Now, Outcome, Request, Stateless

_BISECTIONS = 100
_ROUNDING = 1e-14


@dataclass(frozen=True)
class Terminal:
    """One converter of an MVDC link: ``P² + Q² ≤ S²``, loss ``A √(P² + Q²)`` [B, §2.1]."""

    name: str
    network: int
    bus: int
    s_max_mva: float
    loss_coefficient: float


@dataclass(frozen=True)
class Link(Device[Stateless]):
    """MVDC link: ``Σ (P_k + loss_k) = 0`` over its terminals; ``balancing`` controls the DC voltage.

    The shortfall of the balancing terminal is what it stays short of balancing the others as they were requested.
    """

    table: ClassVar[str] = "links"
    block: ClassVar[str] = "gridferry.controllers.devices.links.block:link_block"
    port_kind: ClassVar[str] = "terminal"
    Config: ClassVar[type[LinkConfig]] = LinkConfig
    example: ClassVar[Mapping[str, Any]] = {
        "terminals": [{"network": network, "bus": "4", "s_max_mva": 0.5} for network in ("dn1", "dn2")]
    }
    series: ClassVar[Mapping[str, Series]] = {
        "availability": Series(
            default=1.0,
            meaning="share of the rating of every terminal in service: 0 none, 1 all",
            limits=SHARE,
            forecast="as_measured",
        )
    }
    columns: ClassVar[Mapping[str, Column]] = {
        "availability": Column(unit="", meaning="share of the rating in service")
    }

    name: str
    terminals: tuple[Terminal, ...]
    balancing: int

    @classmethod
    def build(cls, config: LinkConfig, site: Site) -> Link:
        """Build a link from its entry of ``[[links]]``."""
        terminals: list[Terminal] = []
        ends: dict[tuple[str, str], int] = {}
        for j, one in enumerate(config.terminals):
            here = site.at("terminals", j)
            network, bus = here.network(one.network), here.bus(one.network, one.bus)
            end = (one.network, str(one.bus))
            if end in ends:
                here.fault("bus", f"terminal {ends[end] + 1} is at the same bus; a link joins different buses")
            ends.setdefault(end, j)
            name = here.name(one.name or f"{config.name}-{j + 1}")
            terminals.append(Terminal(name, network, bus, one.s_max_mva, one.loss_coefficient))
        if config.balancing > len(terminals):
            site.fault("balancing", f"there are {len(terminals)} terminals, numbered from 1")
        return cls(config.name, tuple(terminals), config.balancing - 1)

    @cached_property
    def ports(self) -> tuple[Port, ...]:
        """The ports: one per terminal."""
        return tuple(
            Port(
                name=one.name,
                buses=(one.bus,),
                p_min_mw=-one.s_max_mva,
                p_max_mw=one.s_max_mva,
                s_max_mva=one.s_max_mva,
            )
            for one in self.terminals
        )

    def initial_state(self, now: Now) -> Stateless:
        """A link has no state."""
        return Stateless()

    def step(self, state: Stateless, request: Request, now: Now) -> tuple[Stateless, Outcome]:
        """Do the request within ratings and the balance."""
        availability = now.series.get("availability", 1.0)
        row = {"availability": availability}
        if availability <= 0:
            ports = tuple(
                _out_of_service(one.bus, p, q, now.step_h)
                for one, p, q in zip(self.terminals, request.p_mw, request.q_mvar, strict=True)
            )
            return state, Outcome(ports, row=row)
        ratings = [min(availability, 1.0) * one.s_max_mva for one in self.terminals]
        return state, Outcome(self._balanced(ratings, request.p_mw, request.q_mvar, now.step_h), row=row)

    def _balanced(
        self, ratings: Sequence[float], p_requested: Sequence[float], q_requested: Sequence[float], step_h: float
    ) -> tuple[Injection, ...]:
        b, losses = self.balancing, [one.loss_coefficient for one in self.terminals]
        dc = _DcSide(losses, ratings, b)
        unlimited = dc.balancing_p(q_requested[b], -dc.drawn(p_requested, q_requested))
        rated = [math.copysign(min(abs(p), s_max), p) for p, s_max in zip(p_requested, ratings, strict=True)]
        p_share, q_share = dc.shares(rated, q_requested)
        p = [p_share * one for one in rated]
        q = [q_share * one for one in q_requested]
        p[b] = min(max(dc.balancing_p(q_requested[b], -dc.drawn(p, q)), -ratings[b]), ratings[b])
        q[b] = q_requested[b]
        done: list[Injection] = []
        for k, terminal in enumerate(self.terminals):
            requested = unlimited if k == b else p_requested[k]
            q_done = reactive_within(ratings[k], p[k], q[k])
            done.append(
                Injection(
                    terminal.bus,
                    p[k],
                    q_done,
                    shortfall_mwh=step_h * abs(requested - p[k]),
                    loss_mwh=step_h * losses[k] * math.hypot(p[k], q_done),
                    clips=_clips(ratings[k], q_requested[k], requested, p[k], q[k], q_done, k == b),
                )
            )
        return tuple(done)


def _out_of_service(bus: int, p_requested: float, q_requested: float, step_h: float) -> Injection:
    clips = (Clip.OUT_OF_SERVICE,) if max(abs(p_requested), abs(q_requested)) > NEGLIGIBLE_MW else ()
    return Injection(bus, shortfall_mwh=step_h * abs(p_requested), clips=clips)


def _clips(
    s_max: float, q_requested: float, p_requested: float, p: float, q: float, q_done: float, balancing: bool
) -> tuple[Clip, ...]:
    rated = math.copysign(min(abs(p_requested), s_max), p_requested)
    clips: list[Clip] = []
    if abs(p_requested - rated) > NEGLIGIBLE_MW or abs(q - q_done) > NEGLIGIBLE_MW:
        clips.append(Clip.RATING)
    if not balancing and max(abs(rated - p), abs(q_requested - q)) > NEGLIGIBLE_MW:
        clips.append(Clip.BALANCE)
    return tuple(clips)


@dataclass(frozen=True, slots=True)
class _DcSide:
    """Balance of the DC side at the ratings of a step.

    Attributes
    ----------
    losses : loss coefficient of each terminal [MW per MVA]
    ratings : of each terminal in this step [MVA]
    balancing : the terminal that holds the DC voltage
    """

    losses: Sequence[float]
    ratings: Sequence[float]
    balancing: int

    def drawn(self, p: Sequence[float], q: Sequence[float]) -> float:
        """Power that all terminals but the balancing one draw from the DC side, losses included [MW]."""
        return sum(
            p[k] + loss * min(math.hypot(p[k], q[k]), max(s_max, abs(p[k])))
            for k, (loss, s_max) in enumerate(zip(self.losses, self.ratings, strict=True))
            if k != self.balancing
        )

    def balancing_p(self, q: float, draws: float) -> float:
        """Solve ``P + A min(√(P² + q²), S) = draws``; beyond the rating the loss is that of P alone [MW]."""
        a, s_max = self.losses[self.balancing], self.ratings[self.balancing]
        if draws > (1 + a) * s_max:
            return draws / (1 + a)
        if draws < -(1 - a) * s_max:
            return draws / (1 - a)
        at_rating = draws - a * s_max
        if math.hypot(at_rating, q) >= s_max:
            return at_rating
        # the root below `draws` of (1 - A²) P² - 2 draws P + draws² - A² q² = 0, in the form that does not cancel
        root = a * math.sqrt(draws * draws + (1 - a) * (1 + a) * q * q)
        if draws > 0:
            return (draws - a * q) * (draws + a * q) / (draws + root)
        return (draws - root) / ((1 - a) * (1 + a))

    def shares(self, p: Sequence[float], q: Sequence[float]) -> tuple[float, float]:
        """Shares of P and of Q of the other terminals that the balancing terminal can carry."""
        a, s_max = self.losses[self.balancing], self.ratings[self.balancing]
        slack = _ROUNDING * (s_max + sum(self.ratings))

        def carried(p_share: float, q_share: float) -> bool:
            drawn = self.drawn([p_share * one for one in p], [q_share * one for one in q])
            return -(1 + a) * s_max - slack <= drawn <= (1 - a) * s_max + slack

        if carried(1.0, 1.0):
            return 1.0, 1.0
        if carried(0.0, 1.0):
            return _largest(lambda share: carried(share, 1.0)), 1.0
        return 0.0, _largest(lambda share: carried(0.0, share))


def _largest(allowed: Callable[[float], bool]) -> float:
    """Bisect for the largest feasible share between 0 (feasible) and 1 (infeasible)."""
    low, high = 0.0, 1.0
    for _ in range(_BISECTIONS):
        middle = 0.5 * (low + high)
        if middle in (low, high):
            break
        if allowed(middle):
            low = middle
        else:
            high = middle
    return low
