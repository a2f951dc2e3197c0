"""Where no plan keeps every limit: the largest violation is the least there is, then the sum, then the cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from cases.dispatch import dispatch
from cases.joint_trade import Case
from cases.relaxed import OPTIMISERS, at_rest, by_hand, one_line, relaxed
from gridferry.controllers.conformance.sample_plants import at_start
from gridferry.controllers.contract import Controller, ControllerError, NoteKind, Plan, Plant
from gridferry.controllers.devices import Coupling
from gridferry.controllers.devices.planning.block import Block
from gridferry.controllers.joint import Joint
from gridferry.controllers.mess_exact import MessExact
from gridferry.controllers.model.plan import positions, setpoints
from gridferry.controllers.model.violations import largest_violation
from gridferry.controllers.model.within_limits import minimise_violation
from gridferry.controllers.mvdc_drcc import MvdcDrcc
from gridferry.controllers.schedule.ac_evaluation import Evaluation, Schedules, evaluate, evaluate_plan
from gridferry.controllers.schedule.limit_violation import ScheduleLimits
from gridferry.controllers.schedule.repair import ScheduleRepair
from gridferry.sim.host.ac_limits import AcLimits


def with_q(case: Case, q_mvar: float) -> Evaluation:
    """Nothing but reactive power of the battery, in every step."""
    plant, observation, forecast = case
    p, q = np.zeros((1, forecast.steps, 2)), np.zeros((1, forecast.steps, 2))
    q[:, :, 0] = q_mvar
    rows = Schedules(p_mw=p, q_mvar=q, position=np.zeros((1, forecast.steps, 0), dtype=np.int64))
    return evaluate(plant, rows, observation, forecast)


# --------------------------------------------------------------------------------------------------------- right values


@pytest.mark.parametrize("optimiser", OPTIMISERS)
def test_a_full_battery_lowers_an_overload_by_reactive_power_alone(optimiser: type[Controller]) -> None:
    """2.4 MW through a line of 0.1 kA: at best 107.86 %, by trying reactive powers in AC."""
    case = one_line([0.0, 0.0], [2.4, 2.4], i_max_ka=0.1, price=[50.0, 40.0], soc_initial=1.0)
    best = minimize_scalar(lambda q: float(with_q(case, q).flow.loading.max()), bounds=(-1.0, 1.0), method="bounded")
    assert best.fun == pytest.approx(1.0786, abs=5e-5)
    plan, found = relaxed(case, optimiser)
    assert found.flow.loading.max() == pytest.approx(best.fun, abs=1e-5)
    note = plan.solver.note(NoteKind.VIOLATED_LOADING)
    assert note is not None
    assert note.value == pytest.approx(best.fun - 1.0, abs=1e-5)
    assert note.place.startswith("branch 1-2 of network 1 (line) at step ")


@pytest.mark.parametrize("optimiser", OPTIMISERS)
def test_the_top_voltage_of_a_weak_line_is_as_low_as_its_battery_can_make_it(optimiser: type[Controller]) -> None:
    """0.6 MW through 20 + j2 ohm; 0.05 MWh of room for three hours, a third each, and Q."""
    case = one_line(
        [0.0] * 4,
        [0.6, 0.6, 0.6, 0.0],
        r_ohm=20.0,
        x_ohm=2.0,
        i_max_ka=1.0,
        v_limits=(0.9, 1.05),
        energy_mwh=0.1,
        p_max_mw=0.05,
        soc_end_min=0.5,
    )
    plan, found = relaxed(case, optimiser)
    assert found.flow.v_pu.max() == pytest.approx(1.0674, abs=5e-5)
    note = plan.solver.note(NoteKind.VIOLATED_V_HIGH)
    assert note is not None
    assert note.value == pytest.approx(found.flow.v_pu.max() - 1.05, abs=1e-6)


@pytest.mark.parametrize("optimiser", OPTIMISERS)
def test_energy_due_is_missed_by_what_cannot_be_charged(optimiser: type[Controller]) -> None:
    """Due are 0.9 of 4 MWh; there are 2, and four hours of 0.1 MW at 0.9 bring 0.36: 1.24 MWh are missing."""
    case = one_line([1.0] * 4, [0.0] * 4, i_max_ka=1.0, energy_mwh=4.0, p_max_mw=0.1, soc_end_min=0.9)
    plan, _ = relaxed(case, optimiser)
    note = plan.solver.note(NoteKind.VIOLATED_ENERGY)
    assert note is not None
    assert note.value == pytest.approx(1.24, abs=1e-5)
    assert note.place == "battery b at the end of step 3"


@pytest.mark.parametrize("optimiser", [Joint, MessExact, MvdcDrcc])
def test_energy_and_voltage_give_way_alike_on_the_one_scale(optimiser: type[Controller]) -> None:
    """A battery is due full while its line is too weak for the load: as much of the band is missing as of the energy.

    By bisection in AC: charging more lowers the voltage and the shortfall, until both are the same share.
    """
    case = one_line([1.2], [0.0], r_ohm=20.0, x_ohm=2.0, v_limits=(0.95, 1.05), soc_initial=0.5, soc_end_min=1.0)
    plant, observation, forecast = case
    _, found = relaxed(case, optimiser)
    low = (0.95 - found.flow.v_pu[0, 0, 1]) / 0.1
    short = 1.0 - found.energy_mwh[0, -1, 0] / 2.0
    assert low > 0.1
    assert short == pytest.approx(low, abs=1e-5)
    # no other power of the battery has a smaller largest violation
    angles = np.linspace(-np.pi, np.pi, 721)
    sizes = np.linspace(0.0, 1.0, 21)
    p, q = (np.outer(sizes, one(angles)).reshape(-1, 1, 1) for one in (np.cos, np.sin))
    none = np.zeros((len(p), 1, 1))
    rows = Schedules(
        p_mw=np.concatenate([p, none], axis=2),
        q_mvar=np.concatenate([q, none], axis=2),
        position=np.zeros((len(p), 1, 0), dtype=np.int64),
    )
    tried = evaluate(plant, rows, observation, forecast)
    lows = np.nan_to_num(np.maximum(0.95 - tried.flow.v_pu[:, 0, 1], 0.0) / 0.1, nan=np.inf)
    shorts = 1.0 - tried.energy_mwh[:, -1, 0] / 2.0
    assert np.maximum(lows, shorts).min() >= low - 1e-4


def street() -> Case:
    """0.16 MW of PV at the end of a street of 0.4 kV, seen from 12.66 kV, with a battery next to nothing."""
    return one_line(
        [0.002] * 4,
        [0.16, 0.15, 0.13, 0.0],
        r_ohm=133.0,
        x_ohm=85.0,
        v_limits=(0.95, 1.05),
        energy_mwh=0.02,
        p_max_mw=0.01,
        soc_end_min=0.5,
    )


def least_top_voltage() -> float:
    """By trying the battery's powers in the sunniest step; it has room for that one, and the next one is less sunny."""
    plant, observation, forecast = street()
    angles = np.linspace(0.5 * np.pi, 1.5 * np.pi, 2001)
    rows = Schedules(
        p_mw=np.stack([0.01 * np.cos(angles), 0.0 * angles], axis=1)[:, None],
        q_mvar=np.stack([0.01 * np.sin(angles), 0.0 * angles], axis=1)[:, None],
        position=np.zeros((len(angles), 1, 0), dtype=np.int64),
    )
    return float(evaluate(plant, rows, observation, forecast).flow.v_pu[:, 0, 1].min())


@pytest.mark.parametrize("optimiser", [Joint, MessExact, MvdcDrcc])
def test_a_violation_is_named_in_its_true_size_where_fictitious_losses_would_lower_it(
    optimiser: type[Controller],
) -> None:
    plan, found = relaxed(street(), optimiser)
    note = plan.solver.note(NoteKind.VIOLATED_V_HIGH)
    assert note is not None
    assert note.value == pytest.approx(found.flow.v_pu.max() - 1.05, abs=1e-9)
    assert found.flow.v_pu.max() <= at_rest(street()).flow.v_pu.max() + 1e-6


def test_an_error_names_the_true_size_where_fictitious_losses_would_lower_it() -> None:
    with pytest.raises(ControllerError) as caught:
        relaxed(street(), MvdcDrcc, on_infeasible="raise")
    size = float(str(caught.value).split("the voltage stays ")[1].split(" pu")[0])
    assert size == pytest.approx(least_top_voltage() - 1.05, abs=1e-4)


@pytest.mark.parametrize("optimiser", OPTIMISERS)
def test_what_only_doing_nothing_would_violate_is_not_in_the_notes(optimiser: type[Controller]) -> None:
    """At rest the energy due would be missing; the plan charges it, and the voltage is too high all the same."""
    case = one_line(
        [0.0, 0.0],
        [0.6, 0.0],
        r_ohm=20.0,
        x_ohm=2.0,
        v_limits=(0.9, 1.05),
        energy_mwh=0.1,
        p_max_mw=0.05,
        soc_end_min=0.6,
    )
    plan, _ = relaxed(case, optimiser)
    assert [one.kind for one in plan.solver.violations] == [NoteKind.VIOLATED_V_HIGH]


# ------------------------------------------------------------------------------------------------------------ one scale


def test_planner_host_and_swarm_measure_a_schedule_on_the_same_scale() -> None:
    """Voltage, current and energy due are violated; every one of the three says what loops over AC results say."""
    case = one_line(
        [2.6, 2.2],
        [0.0, 0.0],
        r_ohm=3.0,
        x_ohm=2.0,
        i_max_ka=0.1,
        v_limits=(0.97, 1.05),
        soc_initial=0.2,
        soc_end_min=0.9,
    )
    plant, observation, forecast = case
    task = dispatch(case)
    model = minimise_violation(task).model
    p, q = setpoints(model)
    plan = Plan(p_mw=p, q_mvar=q, position=positions(model))
    found = evaluate_plan(plant, plan, observation, forecast)
    largest, total, _ = by_hand(case, found)
    assert {one.kind for one in ScheduleLimits.of(task).violation(found).notes(0)} == {
        NoteKind.VIOLATED_V_LOW,
        NoteKind.VIOLATED_LOADING,
        NoteKind.VIOLATED_ENERGY,
    }
    assert largest_violation(model) == pytest.approx(largest, abs=1e-5)
    every = sum(float(one.relative(one.lacking()).sum()) for one in model.soft.values())
    assert every == pytest.approx(total, abs=1e-4)
    for limits in (ScheduleLimits.of(task), ScheduleRepair(plant, observation, forecast, "store").limits):
        relative = limits.violation(found).relative
        assert float(relative.largest[0]) == pytest.approx(largest, abs=1e-9)
        assert float(relative.total[0]) == pytest.approx(total, abs=1e-9)
    # the host sees the grid in the first step; without energy due and the other step there is nothing else
    first = replace(plan, p_mw=p[:1], q_mvar=q[:1], position=plan.position[:1])
    alone = evaluate_plan(plant, first, observation, forecast.first(1))
    free = one_line([2.6], [0.0], r_ohm=3.0, x_ohm=2.0, i_max_ka=0.1, v_limits=(0.97, 1.05))
    host = AcLimits(plant).violation(alone.flow).relative
    assert float(host.largest) == pytest.approx(by_hand(free, alone)[0], abs=1e-9)
    assert float(host.total) == pytest.approx(by_hand(free, alone)[1], abs=1e-9)


# ---------------------------------------------------------------------------------------------- compared with nothing


def drawn(seed: int) -> Case:
    """A line too weak for its load, or for its PV, with a battery that may have energy to give, to take, or due."""
    rng = np.random.default_rng(seed)
    heavy = rng.uniform(1.0, 4.0, 3)
    sunny = bool(rng.random() < 0.5)
    return one_line(
        (np.zeros(3) if sunny else heavy).tolist(),
        (heavy if sunny else np.zeros(3)).tolist(),
        r_ohm=float(rng.uniform(0.5, 4.0)),
        x_ohm=float(rng.uniform(0.5, 4.0)),
        i_max_ka=float(rng.choice([0.05, 0.1, np.inf])),
        v_limits=(0.96, 1.04),
        price=rng.uniform(20.0, 150.0, 3).tolist(),
        energy_mwh=float(rng.uniform(0.5, 3.0)),
        soc_initial=float(rng.choice([0.0, 0.5, 1.0])),
        soc_end_min=[None, 0.3, 0.9][int(rng.integers(3))],
        loss_coefficient=float(rng.choice([0.0, 0.02])),
    )


@pytest.mark.slow
@pytest.mark.parametrize("optimiser", OPTIMISERS)
@settings(max_examples=10)
@given(seed=st.integers(0, 10_000))
def test_no_optimiser_is_worse_than_doing_nothing(optimiser: type[Controller], seed: int) -> None:
    case = drawn(seed)
    _, found = relaxed(case, optimiser)
    mine, idle = by_hand(case, found), by_hand(case, at_rest(case))
    # largest violation, then sum, then cost; what differs by less than the tolerances is alike
    for one, other, same in zip(mine, idle, (2e-5, 1e-4 * (1.0 + idle[1]), 1e-3), strict=True):
        assert one <= other + same
        if one < other - same:
            break


def test_planning_within_violations_counts_all_its_time_and_costs_no_more_than_the_first_plan() -> None:
    case = one_line([0.0, 0.0], [2.4, 2.4], i_max_ka=0.1, price=[50.0, 40.0], soc_initial=1.0)
    plan, _ = relaxed(case, MessExact)
    solved = minimise_violation(dispatch(case))
    assert plan.solver.seconds > 0
    assert plan.solver.objective <= solved.outcome.objective + 1e-3


class Purchase(Coupling):
    """The battery has to draw 0.2 MW in every step."""

    block: ClassVar[str] = f"{__name__}:purchase"


def purchase(coupling: Purchase, blocks: Mapping[str, Block]) -> Block:
    drawn = -sum(power for key, one in blocks.items() if key.startswith("batteries.") for power in one.p.values())
    return Block(constraints={"take_or_pay": [drawn >= 0.2]})


class BoundPlant(Plant):
    """A plant that is bound to a purchase."""

    @cached_property
    def couplings(self) -> tuple[Coupling, ...]:
        return (*super().couplings, Purchase())


def test_doing_nothing_is_no_plan_where_a_constraint_that_cannot_be_violated_forbids_it() -> None:
    plant, _, forecast = one_line([0.5, 0.5], [0.0, 0.0], price=[100.0, 20.0])
    bound = BoundPlant(**{name: getattr(plant, name) for name in Plant.__dataclass_fields__})
    case = (bound, at_start(bound), forecast)
    plan, found = relaxed(case, MessExact)
    assert plan.solver.note(NoteKind.DOES_NOTHING) is None
    np.testing.assert_allclose(plan.p_mw[:, 0], -0.2, atol=1e-5)
    assert found.cost.sum() > at_rest(case).cost.sum() + 1.0
