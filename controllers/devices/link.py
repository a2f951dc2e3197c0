"""An MVDC link's step: converters that together take from the DC side what they give [B, §2.1].

    Σ_k (P_k + A_k √(P_k² + Q_k²)) = 0,   P_k² + Q_k² ≤ S_k²

The balancing terminal holds the DC voltage: its P is what closes the sum, whatever was asked of it. Every other
terminal gives what is asked within its rating, P before Q. Where the balancing terminal cannot carry the difference,
the P of the others shrink by a common factor until it can, then (only where their reactive losses alone are too much)
their Q. A derated link has the rating of all its terminals times its availability.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from gridferry.controllers.devices.transition import (
    NEGLIGIBLE_MW,
    Clip,
    Outcome,
    Setpoint,
    StepConditions,
    reactive_within,
    refuse_nonfinite,
)

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
class Link:
    """An MVDC link: ``Σ (P_k + loss_k) = 0`` over its terminals; ``balancing`` is the one that holds the DC voltage."""

    name: str
    terminals: tuple[Terminal, ...]
    balancing: int


def step_link(link: Link, setpoints: Sequence[Setpoint], conditions: StepConditions) -> tuple[Outcome, ...]:
    """Do what the setpoints ask as far as ratings and the balance allow; one outcome per terminal. A link has no state.

    The shortfall of the balancing terminal is what it stays short of balancing the others as they were asked.

    Raises
    ------
    ValueError
        for a setpoint that is not finite, or a wrong number of them.
    """
    if len(setpoints) != len(link.terminals):
        raise ValueError(f"{link.name}: {len(setpoints)} setpoints for {len(link.terminals)} terminals")
    for terminal, setpoint in zip(link.terminals, setpoints, strict=True):
        refuse_nonfinite(terminal.name, setpoint)
    if conditions.availability <= 0:
        return tuple(_out_of_service(one, conditions.step_h) for one in setpoints)
    link = _derated(link, conditions.availability)
    b = link.balancing
    holder, q_holder = link.terminals[b], setpoints[b].q_mvar
    wanted = _balancing_p(holder, q_holder, -_drawn(link, [one.p_mw for one in setpoints], _reactive(setpoints, 1.0)))
    rated = [
        math.copysign(min(abs(one.p_mw), terminal.s_max_mva), one.p_mw)
        for terminal, one in zip(link.terminals, setpoints, strict=True)
    ]
    p_share, q_share = _shares(link, rated, setpoints)
    p = [p_share * one for one in rated]
    q = _reactive(setpoints, q_share)
    s_max = holder.s_max_mva
    p[b] = min(max(_balancing_p(holder, q_holder, -_drawn(link, p, q)), -s_max), s_max)
    q[b] = q_holder
    outcomes: list[Outcome] = []
    for k, (terminal, asked) in enumerate(zip(link.terminals, setpoints, strict=True)):
        p_asked = wanted if k == b else asked.p_mw
        done_q = reactive_within(terminal.s_max_mva, p[k], q[k])
        outcomes.append(
            Outcome(
                p_mw=p[k],
                q_mvar=done_q,
                shortfall_mwh=conditions.step_h * abs(p_asked - p[k]),
                loss_mwh=conditions.step_h * terminal.loss_coefficient * math.hypot(p[k], done_q),
                clips=_clips(terminal, asked.q_mvar, p_asked, p[k], q[k], done_q, k == b),
            )
        )
    return tuple(outcomes)


def _derated(link: Link, availability: float) -> Link:
    if availability >= 1:
        return link
    left = tuple(replace(one, s_max_mva=availability * one.s_max_mva) for one in link.terminals)
    return replace(link, terminals=left)


def _out_of_service(asked: Setpoint, step_h: float) -> Outcome:
    clips = (Clip.OUT_OF_SERVICE,) if max(abs(asked.p_mw), abs(asked.q_mvar)) > NEGLIGIBLE_MW else ()
    return Outcome(p_mw=0.0, q_mvar=0.0, shortfall_mwh=step_h * abs(asked.p_mw), clips=clips)


def _reactive(setpoints: Sequence[Setpoint], share: float) -> list[float]:
    return [share * one.q_mvar for one in setpoints]


def _clips(
    terminal: Terminal, q_asked: float, p_asked: float, p: float, q: float, q_done: float, balancing: bool
) -> tuple[Clip, ...]:
    rated = math.copysign(min(abs(p_asked), terminal.s_max_mva), p_asked)
    clips: list[Clip] = []
    if abs(p_asked - rated) > NEGLIGIBLE_MW or abs(q - q_done) > NEGLIGIBLE_MW:
        clips.append(Clip.RATING)
    if not balancing and max(abs(rated - p), abs(q_asked - q)) > NEGLIGIBLE_MW:
        clips.append(Clip.BALANCE)
    return tuple(clips)


def _drawn(link: Link, p: Sequence[float], q: Sequence[float]) -> float:
    """What all but the balancing terminal draw from the DC side, losses included [MW]."""
    return sum(
        p[k] + one.loss_coefficient * min(math.hypot(p[k], q[k]), max(one.s_max_mva, abs(p[k])))
        for k, one in enumerate(link.terminals)
        if k != link.balancing
    )


def _balancing_p(terminal: Terminal, q: float, draws: float) -> float:
    """Solve ``P + A min(√(P² + q²), S) = draws``; beyond the rating the loss is that of P alone [MW]."""
    a, s_max = terminal.loss_coefficient, terminal.s_max_mva
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


def _shares(link: Link, p: Sequence[float], setpoints: Sequence[Setpoint]) -> tuple[float, float]:
    """Shares of P and of Q of the other terminals that the balancing terminal can carry."""
    holder = link.terminals[link.balancing]
    a, s_max = holder.loss_coefficient, holder.s_max_mva
    slack = _ROUNDING * (s_max + sum(one.s_max_mva for one in link.terminals))

    def carried(p_share: float, q_share: float) -> bool:
        drawn = _drawn(link, [p_share * one for one in p], _reactive(setpoints, q_share))
        return -(1 + a) * s_max - slack <= drawn <= (1 - a) * s_max + slack

    if carried(1.0, 1.0):
        return 1.0, 1.0
    if carried(0.0, 1.0):
        return _largest(lambda share: carried(share, 1.0)), 1.0
    return 0.0, _largest(lambda share: carried(0.0, share))


def _largest(allowed: Callable[[float], bool]) -> float:
    """Bisect between 0, which is allowed, and 1, which is not."""
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
