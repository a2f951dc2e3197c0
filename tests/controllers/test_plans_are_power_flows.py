"""Plans on small random feeders: in AC they are what was planned, no worse than doing nothing, and above their bound.

Drawn are feeders of 2 to 6 buses with reverse flow, upper limits that bind, negative prices, full stores, lines of
next to no impedance or none at all, a battery or a link. Small ones are solved by SCIP, too, on equations of its own.
More are drawn with ``pytest --hypothesis-profile thorough``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cases.exact_optimum import exact_optimum
from cases.joint_trade import Case, controller
from cases.parts import forecast_of, plant_of
from cases.relaxed import OPTIMISERS, at_rest, by_hand
from gridferry.controllers.conformance.sample_plants import at_start, read_only
from gridferry.controllers.contract import Controller, NoteKind, Plan, Storage
from gridferry.controllers.devices.batteries.device import Battery
from gridferry.controllers.devices.generators.device import Generator
from gridferry.controllers.devices.links.device import Link, Terminal
from gridferry.controllers.joint import Joint
from gridferry.controllers.mess_exact import MessExact
from gridferry.controllers.mvdc_drcc import MvdcDrcc
from gridferry.controllers.schedule.ac_evaluation import Evaluation, evaluate_plan
from gridferry.networks.feeder import Feeder, plain_feeder

EXACT: tuple[type[Controller], ...] = (Joint, MessExact, MvdcDrcc)
SAME_PU = 1e-6
"""a voltage that is this near is the same; a current within ten times as much, as a share of its rating"""


def drawn_feeder(rng: np.random.Generator, name: str, *, hard: bool, most_buses: int) -> Feeder:
    """A tree of 2 or more buses; some lines have next to no impedance, or none, in hard cases."""
    n_bus = int(rng.integers(2, most_buses + 1))
    r = rng.uniform(0.5, 4.0, n_bus - 1)
    x = r * rng.uniform(0.3, 1.0, n_bus - 1)
    if hard:
        factor = rng.choice([1.0, 1.0, 1e-4, 1e-6, 0.0], n_bus - 1)
        r, x = r * factor, x * factor
    return plain_feeder(
        name,
        base_mva=1.0,
        base_kv=10.0,
        bus_names=[str(bus) for bus in range(n_bus)],
        p_load_mw=np.zeros(n_bus),
        q_load_mvar=np.zeros(n_bus),
        from_bus=np.array([int(rng.integers(0, bus)) for bus in range(1, n_bus)]),
        to_bus=np.arange(1, n_bus),
        r_ohm=r,
        x_ohm=x,
        i_max_ka=rng.choice([0.05, 0.1, np.inf], n_bus - 1),
        v_min_pu=0.95,
        v_max_pu=1.05,
    )


def drawn(seed: int, *, hard: bool, small: bool = False) -> Case:
    """A case; hard ones have lines next to no impedance, negative prices and more PV than the limits permit.

    Small ones have one feeder, at most 4 buses and 3 steps, a battery whose converter loses nothing, and one price.
    """
    rng = np.random.default_rng(seed)
    horizon = int(rng.integers(2, 4 if small else 5))
    linked = bool(rng.random() < 0.4) and not small
    most_buses = 4 if small else 6
    feeders = [drawn_feeder(rng, f"dn{number + 1}", hard=hard, most_buses=most_buses) for number in range(1 + linked)]
    n_bus = sum(one.n_bus for one in feeders)
    at = int(rng.integers(1, feeders[0].n_bus))
    store = Storage(
        energy_mwh=float(rng.uniform(0.5, 2.0)),
        p_max_mw=0.5,
        s_max_mva=0.6,
        eta_charge=float(rng.uniform(0.85, 1.0)),
        eta_discharge=float(rng.uniform(0.85, 1.0)),
        loss_coefficient=0.0 if small else float(rng.choice([0.0, 0.02])),
        soc_min=0.0,
        soc_max=1.0,
        soc_initial=float(rng.choice([0.2, 0.5, 1.0])),
        soc_end_min=[None, 0.2][int(rng.integers(2))],
        cycles_max_per_day=float("inf"),
        cost_per_mwh_charged=0.0,
    )
    devices: dict[str, Any] = {"batteries": (Battery("b", 0, at, store),)}
    if linked:
        far = feeders[0].n_bus + int(rng.integers(1, feeders[1].n_bus))
        devices["links"] = (Link("l", (Terminal("l-1", 0, at, 0.5, 0.02), Terminal("l-2", 1, far, 0.5, 0.02)), 0),)
    plant = plant_of(
        feeders=tuple(feeders),
        stations=(),
        **devices,
        generators=(Generator("pv", "pv", 0, at, 0.0),),
        roads=None,
        step_s=3600,
        steps=horizon,
        horizon_steps=horizon,
        first_step_of_day=0,
        export_price_ratio=1.0 if small else float(rng.choice([0.8, 1.0])),
        currency="USD",
    )
    load = rng.uniform(0.0, 0.2, (horizon, n_bus))
    load[:, [0, feeders[0].n_bus] if linked else [0]] = 0.0
    price = rng.uniform(20.0, 120.0, horizon)
    forecast = forecast_of(
        plant,
        load_p_mw=load,
        load_q_mvar=0.3 * load,
        generation_mw=rng.uniform(0.0, 3.0 if hard else 0.8, (horizon, 1)),
        buy_price=price - (100.0 if hard and rng.random() < 0.5 else 0.0),
        sell_price=np.full(horizon, 50.0),
    )
    return plant, at_start(plant), read_only(forecast)


def planned(case: Case, optimiser: type[Controller]) -> tuple[Plan, Evaluation]:
    plant, observation, forecast = case
    plan = controller(optimiser, plant, **OPTIMISERS[optimiser], time_limit_s=20.0).plan(observation, forecast)
    return plan, evaluate_plan(plant, plan, observation, forecast)


def violated(plan: Plan, kind: NoteKind) -> float:
    note = plan.solver.note(kind)
    return 0.0 if note is None else note.value


def assert_is_a_power_flow(case: Case, plan: Plan, found: Evaluation) -> None:
    """What devices do is what was planned, and what AC violates is in the notes, in its true size."""
    plant, _, _ = case
    low = np.concatenate([one.v_min_pu for one in plant.feeders])
    high = np.concatenate([one.v_max_pu for one in plant.feeders])
    v = found.flow.v_pu[0]
    for kind, over in (
        (NoteKind.VIOLATED_V_LOW, (low - v).max()),
        (NoteKind.VIOLATED_V_HIGH, (v - high).max()),
        (NoteKind.VIOLATED_LOADING, found.flow.loading[0].max() - 1.0),
    ):
        noise = 10.0 * SAME_PU if kind is NoteKind.VIOLATED_LOADING else SAME_PU
        assert abs(max(over, 0.0) - violated(plan, kind)) <= noise, kind


def assert_is_no_worse_than_nothing(case: Case, plan: Plan, found: Evaluation) -> None:
    mine, idle = by_hand(case, found), by_hand(case, at_rest(case))
    assert mine[0] <= idle[0] + 1e-4
    if mine[0] > idle[0] - 1e-4 and abs(mine[1] - idle[1]) <= 1e-4 * (1.0 + idle[1]):
        assert mine[2] <= idle[2] + 1e-4 * max(1.0, abs(idle[2]))


def assert_bound_is_below(plan: Plan, cost: float) -> None:
    if np.isfinite(plan.solver.bound):
        assert plan.solver.bound <= cost + 1e-4 * max(1.0, abs(cost))


@pytest.mark.slow
@pytest.mark.parametrize("optimiser", EXACT)
@settings(max_examples=settings.default.max_examples // 8)
@given(seed=st.integers(0, 100_000), hard=st.booleans())
def test_what_is_dispatched_is_a_power_flow_or_its_violation_is_named(
    optimiser: type[Controller], seed: int, hard: bool
) -> None:
    case = drawn(seed, hard=hard)
    plan, found = planned(case, optimiser)
    assert_is_a_power_flow(case, plan, found)
    assert_is_no_worse_than_nothing(case, plan, found)
    assert_bound_is_below(plan, float(found.cost.sum()))


@settings(max_examples=settings.default.max_examples // 3)
@given(seed=st.integers(0, 100_000), hard=st.booleans())
def test_the_proved_optimum_is_between_bound_and_cost_of_a_plan(seed: int, hard: bool) -> None:
    case = drawn(seed, hard=hard, small=True)
    plan, found = planned(case, MessExact)
    assert_is_a_power_flow(case, plan, found)
    known, cost = exact_optimum(case, 20.0), float(found.cost.sum())
    if plan.solver.violations:
        assert known.cost == np.inf, "SCIP has a plan that keeps every limit"
        return
    assert not (known.proved and known.cost == np.inf), "SCIP proves that no plan keeps every limit"
    assert known.bound <= cost + 1e-4 * max(1.0, abs(cost))
    assert_bound_is_below(plan, known.cost)


def test_an_exact_finish_gets_over_the_tips_of_cones() -> None:
    # IPOPT finds a point with rounded tips here, and none with sharp ones
    plan, found = planned(drawn(72, hard=True), Joint)
    assert not plan.solver.violations
    assert plan.solver.objective == pytest.approx(float(found.cost.sum()), rel=1e-6)
    assert 21.0 < plan.solver.bound <= plan.solver.objective <= 22.7
