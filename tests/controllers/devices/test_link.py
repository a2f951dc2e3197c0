from __future__ import annotations

import math
from dataclasses import dataclass

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from cases.device_steps import Setpoint, step_link
from gridferry.controllers.devices import Clip, Now
from gridferry.controllers.devices.links.device import Link, Terminal

HOUR = Now(step_h=1.0)


def link(*rated: tuple[float, float], balancing: int = 0) -> Link:
    return Link("L", tuple(Terminal(f"L-{k}", 0, k, s, a) for k, (s, a) in enumerate(rated, 1)), balancing)


@dataclass(frozen=True)
class Draw:
    """Ratings, losses and requests in shares of the ratings; made into a link outside of hypothesis' strategies."""

    terminals: list[tuple[float, float, float, float]]
    balancing: int

    def case(self) -> tuple[Link, list[Setpoint]]:
        drawn = link(*((s, a) for s, a, _, _ in self.terminals), balancing=self.balancing % len(self.terminals))
        return drawn, [Setpoint(s * p, s * q) for s, _, p, q in self.terminals]


losses = st.one_of(st.just(0.0), st.floats(1e-4, 0.95))
shares = st.one_of(st.just(0.0), st.floats(-1.6, 1.6, allow_subnormal=False))
draws = st.builds(
    Draw,
    st.lists(st.tuples(st.floats(0.01, 10.0), losses, shares, shares), min_size=2, max_size=4),
    st.integers(0, 3),
)


@settings(max_examples=400, deadline=None)
@given(draws)
def test_the_balance_closes_and_every_rating_holds(draw: Draw) -> None:
    subject, setpoints = draw.case()
    outcomes = step_link(subject, setpoints, HOUR)
    balance = 0.0
    for terminal, done, setpoint in zip(subject.terminals, outcomes, setpoints, strict=True):
        apparent = math.sqrt(done.p_mw**2 + done.q_mvar**2)
        assert apparent <= terminal.s_max_mva * (1 + 1e-12)
        assert abs(done.q_mvar) <= abs(setpoint.q_mvar)
        assert done.loss_mwh == pytest.approx(terminal.loss_coefficient * apparent, abs=1e-12)
        balance += done.p_mw + terminal.loss_coefficient * apparent
    assert balance == pytest.approx(0.0, abs=1e-9)


@settings(max_examples=400, deadline=None)
@given(draws)
def test_what_the_balancing_terminal_can_carry_passes_unchanged(draw: Draw) -> None:
    subject, setpoints = draw.case()
    b = subject.balancing
    drawn = sum(
        one.p_mw + terminal.loss_coefficient * math.hypot(one.p_mw, one.q_mvar)
        for k, (terminal, one) in enumerate(zip(subject.terminals, setpoints, strict=True))
        if k != b
    )
    holder = subject.terminals[b]
    a, s_max = holder.loss_coefficient, holder.s_max_mva
    assume(-(1 + a) * s_max <= drawn <= (1 - a) * s_max)
    others = [k for k in range(len(setpoints)) if k != b]
    assume(
        all(
            math.hypot(setpoints[k].p_mw, setpoints[k].q_mvar) <= 0.999 * subject.terminals[k].s_max_mva for k in others
        )
    )
    outcomes = step_link(subject, setpoints, HOUR)
    for k in others:
        assert (outcomes[k].p_mw, outcomes[k].q_mvar) == (setpoints[k].p_mw, setpoints[k].q_mvar)
    assert sum(done.shortfall_mwh for done in outcomes) == pytest.approx(0.0, abs=1e-12)


@settings(max_examples=400, deadline=None)
@given(draws)
def test_what_was_done_can_be_requested_again_and_passes_unchanged(draw: Draw) -> None:
    subject, setpoints = draw.case()
    first = step_link(subject, setpoints, HOUR)
    again = step_link(subject, [Setpoint(one.p_mw, one.q_mvar) for one in first], HOUR)
    for one, other in zip(first, again, strict=True):
        assert other.p_mw == pytest.approx(one.p_mw, rel=1e-9, abs=1e-9)
        assert other.q_mvar == pytest.approx(one.q_mvar, rel=1e-6, abs=1e-6)


def test_the_balancing_terminal_gives_what_the_other_draws_less_both_losses() -> None:
    # the far terminal draws 1 MW and loses 0.02 of it; 0.98 reach the DC side: P + 0.02 P = 0.98
    near, far = step_link(link((2.0, 0.02), (2.0, 0.02)), [Setpoint(1.5), Setpoint(-1.0)], HOUR)
    assert far.p_mw == -1.0
    assert near.p_mw == pytest.approx(0.98 / 1.02)
    assert near.shortfall_mwh == 0.0
    assert near.clips == ()
    assert near.loss_mwh + far.loss_mwh == pytest.approx(0.02 + 0.02 * 0.98 / 1.02)


def test_reactive_power_of_the_balancing_terminal_is_paid_by_its_own_loss() -> None:
    near, far = step_link(link((2.0, 0.1), (2.0, 0.0)), [Setpoint(0.0, 1.0), Setpoint(-0.5)], HOUR)
    assert near.p_mw + 0.1 * math.hypot(near.p_mw, 1.0) == pytest.approx(0.5, abs=1e-14)
    assert (near.q_mvar, far.p_mw) == (1.0, -0.5)


def test_a_weak_balancing_terminal_scales_the_others_alike() -> None:
    outcomes = step_link(link((1.0, 0.0), (4.0, 0.0), (4.0, 0.0)), [Setpoint(), Setpoint(3.0), Setpoint(-1.0)], HOUR)
    assert [one.p_mw for one in outcomes] == pytest.approx([-1.0, 1.5, -0.5])
    assert [one.shortfall_mwh for one in outcomes] == pytest.approx([1.0, 1.5, 0.5])
    assert [one.clips for one in outcomes] == [(Clip.RATING,), (Clip.BALANCE,), (Clip.BALANCE,)]


def test_reactive_losses_beyond_the_balancing_rating_shrink_the_reactive_power() -> None:
    # 0.5 MW per MVA: the small terminal can draw 0.1 MW, of which nothing is lost, for 0.2 Mvar
    small, large = step_link(link((0.1, 0.0), (4.0, 0.5)), [Setpoint(), Setpoint(0.0, 3.0)], HOUR)
    assert large.q_mvar == pytest.approx(0.2)
    assert small.p_mw == pytest.approx(-0.1)
    assert large.clips == (Clip.BALANCE,)


def test_active_power_goes_before_reactive_within_each_rating() -> None:
    near, far = step_link(link((5.0, 0.0), (5.0, 0.0)), [Setpoint(0.0, 9.0), Setpoint(-3.0, 9.0)], HOUR)
    assert (far.p_mw, far.q_mvar) == (-3.0, pytest.approx(4.0))
    assert (near.p_mw, near.q_mvar) == (3.0, pytest.approx(4.0))
    assert near.clips == far.clips == (Clip.RATING,)


def test_a_link_out_of_service_carries_nothing() -> None:
    outcomes = step_link(
        link((1.0, 0.1), (1.0, 0.1)), [Setpoint(0.0, 0.5), Setpoint(0.5)], Now(1.0, series={"availability": 0.0})
    )
    assert [(one.p_mw, one.q_mvar, one.loss_mwh) for one in outcomes] == [(0.0, 0.0, 0.0)] * 2
    assert [one.shortfall_mwh for one in outcomes] == [0.0, 0.5]
    assert all(one.clips == (Clip.OUT_OF_SERVICE,) for one in outcomes)


def test_setpoints_that_are_no_numbers_or_too_few_are_errors() -> None:
    two = link((1.0, 0.0), (1.0, 0.0))
    with pytest.raises(ValueError, match="not finite"):
        step_link(two, [Setpoint(), Setpoint(math.nan)], HOUR)
    with pytest.raises(ValueError, match="1 P, 1 Q and 0 positions requested of 2 ports"):
        step_link(two, [Setpoint()], HOUR)
