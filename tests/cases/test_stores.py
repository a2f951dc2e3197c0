"""Stores that lose energy by themselves, have a ramp or a least power, or wear by the depth of cycles."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy.optimize import Bounds, LinearConstraint, linprog, milp

from cases.battery_day import battery_day, chain
from cases.joint_trade import Case
from cases.sample_devices import BATTERY, SAMPLES
from gridferry.controllers.conformance.device_suite import check_device
from gridferry.controllers.contract import Controller, Plan, Storage
from gridferry.controllers.devices import Clip, Device, Now, Request, step_all
from gridferry.controllers.devices.batteries.config import BatteryConfig
from gridferry.controllers.devices.batteries.device import Battery
from gridferry.controllers.devices.stores.depth import use_segments
from gridferry.controllers.devices.stores.storage import StoreState
from gridferry.controllers.devices.trucks.device import Truck
from gridferry.controllers.joint import Joint
from gridferry.controllers.mess_exact import MessExact
from gridferry.controllers.mess_two_stage import MessTwoStage
from gridferry.controllers.mvdc_drcc import MvdcDrcc
from gridferry.controllers.outcome import NoteKind
from gridferry.controllers.rules import Rules
from gridferry.controllers.schedule.ac_evaluation import Evaluation, evaluate_plan

PRICE = [20.0, 60.0, 30.0, 90.0, 10.0, 80.0, 25.0, 70.0]
DEPTHS = ((0.25, 4.0), (0.6, 15.0), (1.0, 40.0))
SPECIAL = {"self_discharge_per_day": 0.2, "ramp_mw_per_h": 0.8, "p_min_mw": 0.45, "wear_by_depth": DEPTHS}


def case_of(price: list[float] = PRICE, **special: Any) -> Case:
    """A battery of 2 MWh, 1 MW at the end of a line with next to no impedance, without load."""
    plant, observation, forecast = battery_day(chain((1e-5, 1e-5)), [0.0] * len(price), price)
    battery = plant.devices[0]
    assert isinstance(battery, Battery)
    plant = replace(plant, devices=(replace(battery, storage=replace(battery.storage, **special)),))
    return plant, observation, forecast


def stored(case: Case) -> Storage:
    battery = case[0].devices[0]
    assert isinstance(battery, Battery)
    return battery.storage


def settings_of(kind: type[Controller], **given: Any) -> Any:
    known = {"scenario": "deterministic", "gap": 1e-7, "gap_abs": 1e-6, "gap_of_saving": 0.0, "replan_routes": 1}
    fields = kind.Settings.model_fields
    return kind.Settings(**{key: value for key, value in {**known, **given}.items() if key in fields})


def planned(case: Case, kind: type[Controller], **given: Any) -> tuple[Plan, Evaluation]:
    plant, observation, forecast = case
    plan = kind(plant, settings_of(kind, **given)).plan(observation, forecast)
    return plan, evaluate_plan(plant, plan, observation, forecast)


def optimum(case: Case) -> float:
    """Least cost of a store by its own mixed-integer program: columns ch, dh, on, off, E, and by segment e, a, b."""
    store, price = stored(case), case[2].buy_price
    n, parts = len(price), max(len(store.wear_by_depth), 1)
    kappa = (1.0 - store.self_discharge_per_day) ** (1 / 24)
    width = np.diff([0.0, *(depth for depth, _ in store.wear_by_depth)]) * store.energy_mwh
    width = width if len(width) else np.array([store.energy_mwh])
    wear = np.array([cost for _, cost in store.wear_by_depth] or [0.0])
    filled, left = [], 0.5 * store.energy_mwh
    for one in width:
        filled.append(min(one, left))
        left -= filled[-1]
    ch, dh, on, off, e, a, b = np.split(np.arange(n * (4 + 3 * parts)), np.cumsum([n, n, n, n, n * parts, n * parts]))
    e, a, b = (one.reshape(n, parts) for one in (e, a, b))
    size = n * (4 + 3 * parts)
    rows: list[tuple[dict[int, float], float, float]] = []
    ramp = max(store.ramp_mw_per_h, store.p_min_mw)
    for t in range(n):
        rows.append(({ch[t]: 1, on[t]: -store.p_max_mw}, -np.inf, 0))
        rows.append(({dh[t]: 1, off[t]: -store.p_max_mw}, -np.inf, 0))
        rows.append(({ch[t]: 1, on[t]: -store.p_min_mw}, 0, np.inf))
        rows.append(({dh[t]: 1, off[t]: -store.p_min_mw}, 0, np.inf))
        rows.append(({on[t]: 1, off[t]: 1}, 0, 1))
        before = {dh[t - 1]: -1, ch[t - 1]: 1} if t else {}
        rows.append(({dh[t]: 1, ch[t]: -1, **before}, -ramp, ramp))
        gain = {ch[t]: store.eta_charge, dh[t]: -1 / store.eta_discharge}
        rows.append((gain | dict.fromkeys(a[t], -1) | dict.fromkeys(b[t], 1), 0, 0))
        for j in range(parts):
            start = {e[t - 1, j]: -kappa} if t else {}
            fixed = 0.0 if t else kappa * filled[j]
            rows.append(({e[t, j]: 1, a[t, j]: -1, b[t, j]: 1, **start}, fixed, fixed))
    rows.append((dict.fromkeys(e[-1], 1), 0.5 * store.energy_mwh, np.inf))
    matrix = sp.lil_array((len(rows), size))
    for number, (entries, _, _) in enumerate(rows):
        for column, value in entries.items():
            matrix[number, column] = value
    cost = np.zeros(size)
    cost[ch], cost[dh], cost[b] = price, -price, wear
    upper = np.full(size, np.inf)
    upper[np.concatenate([on, off])], upper[e] = 1.0, width
    whole = np.zeros(size)
    whole[np.concatenate([on, off])] = 1
    limits = LinearConstraint(sp.csr_array(matrix), [low for _, low, _ in rows], [high for _, _, high in rows])
    found = milp(cost, constraints=limits, bounds=Bounds(0, upper), integrality=whole, options={"mip_rel_gap": 0.0})
    assert found.success
    return float(found.fun)


# -------------------------------------------------------------------------------------------------------------- plans


@pytest.mark.parametrize(
    "keys",
    [(), ("self_discharge_per_day",), ("ramp_mw_per_h",), ("p_min_mw",), ("wear_by_depth",), tuple(SPECIAL)],
    ids=lambda keys: " ".join(keys) or "plain",
)
def test_a_plan_costs_what_another_formulation_says_and_is_done_at_that(keys: tuple[str, ...]) -> None:
    case = case_of(**{key: SPECIAL[key] for key in keys})
    plan, found = planned(case, MvdcDrcc)
    assert plan.prediction is not None
    assert found.cost.sum() == pytest.approx(optimum(case), abs=2e-3)
    assert plan.prediction.cost.sum() == pytest.approx(found.cost.sum(), abs=1e-4)
    assert plan.solver.bound <= optimum(case) + 1e-4
    assert plan.solver.bound == pytest.approx(optimum(case), abs=0.05)


@pytest.mark.parametrize("kind", [MvdcDrcc, Joint, MessExact, MessTwoStage])
def test_every_optimiser_plans_what_such_a_battery_does(kind: type[Controller]) -> None:
    case = case_of(**SPECIAL)
    plan, found = planned(case, kind, particles=4, iterations=3)
    best = optimum(case)
    assert best - 1e-3 <= found.cost.sum() <= best + 0.05
    state, device = case[1].states[0], case[0].devices[0]
    for p in plan.p_mw[:, 0]:
        ((state, outcome),) = step_all([device], [], [state], [Request((float(p),), (0.0,))], [Now(1.0)])
        assert outcome.ports[0].clips == ()


def test_with_binaries_the_gap_is_proved() -> None:
    """Among the sixteen choices of the first four steps no relaxation is the plan."""
    case = case_of(p_min_mw=0.9)
    plan, found = planned(case, MvdcDrcc)
    relaxed = optimum(case_of())
    assert found.cost.sum() > relaxed + 0.1
    assert plan.solver.objective - plan.solver.bound <= 1e-3


def test_a_battery_that_must_stop_at_once_is_planned_to_where_its_ramp_is_too_slow() -> None:
    """Full, and charging 1 MW in the step before: the ramp of 0.5 MW/h is broken once, as the window is not."""
    plant, observation, forecast = case_of(ramp_mw_per_h=0.5)
    full = replace(observation, states=(StoreState(2.0, p_mw=-1.0),))
    plan, found = planned((plant, full, forecast), MvdcDrcc, on_infeasible="relax")
    note = plan.solver.note(NoteKind.VIOLATED_OTHER)
    assert note is not None
    assert note.value == pytest.approx(0.5, abs=1e-3)
    assert plan.p_mw[0, 0] == pytest.approx(0.0, abs=1e-3)
    assert found.energy_mwh.max() <= 2.0 + 1e-9


def test_rules_request_what_ramp_and_least_power_allow() -> None:
    price = [20.0, 20.0, 60.0, 60.0] * 6
    plant, observation, _ = case_of(price, ramp_mw_per_h=0.3, p_min_mw=0.2)
    rules = Rules(plant, Rules.Settings())
    done = []
    for step in range(12):
        plan = rules.plan(replace(observation, step=step), case_of(price[step:])[2])
        request = Request((float(plan.p_mw[0, 0]),), (0.0,))
        ((state, outcome),) = step_all(plant.devices, [], observation.states, [request], [Now(1.0)])
        observation = replace(observation, states=(state,), previous_plan=plan)
        assert not {Clip.RAMP, Clip.LEAST_POWER} & {*outcome.ports[0].clips}
        done.append(outcome.ports[0].p_mw)
    assert np.ptp(done) > 0.5


# -------------------------------------------------------------------------------------------------------------- steps


def one_step(store: Storage, state: StoreState, p_mw: float) -> tuple[StoreState, Any]:
    battery = Battery("b", 0, 1, store)
    ((after, outcome),) = step_all([battery], [], [state], [Request((p_mw,), (0.0,))], [Now(1.0)])
    return after, outcome


def test_a_store_at_rest_loses_a_share_of_its_energy_in_a_day() -> None:
    store = stored(case_of(self_discharge_per_day=0.1))
    state, lost = StoreState(1.5), 0.0
    for _ in range(24):
        state, outcome = one_step(store, state, 0.0)
        lost += outcome.loss_mwh
    assert state.energy_mwh == pytest.approx(1.35)
    assert lost == pytest.approx(0.15)


@pytest.mark.parametrize(
    ("before", "requested", "done", "clip"),
    [
        (0.0, 1.0, 0.3, Clip.RAMP),
        (0.8, 0.0, 0.5, Clip.RAMP),
        (-0.8, 0.5, -0.5, Clip.RAMP),
        (0.4, 0.1, 0.2, Clip.RAMP),
        (0.0, 0.1, 0.0, Clip.LEAST_POWER),
        (0.3, -0.1, 0.0, Clip.RAMP),
        (0.3, 0.2 - 1e-7, 0.2, None),
    ],
)
def test_ramp_and_least_power_clip_a_step(before: float, requested: float, done: float, clip: Clip | None) -> None:
    """0.3 MW a step, 0.2 MW at least: from 0.4 MW nothing but 0.2 MW is below 0.3 MW and reached."""
    store = stored(case_of(ramp_mw_per_h=0.3, p_min_mw=0.2))
    after, outcome = one_step(store, StoreState(1.0, p_mw=before), requested)
    assert outcome.ports[0].p_mw == pytest.approx(done)
    assert outcome.ports[0].clips == (() if clip is None else (clip,))
    assert after.p_mw == outcome.ports[0].p_mw


@pytest.mark.parametrize(("requested", "clips"), [(-1.0, (Clip.ENERGY_FULL,)), (0.0, ())])
def test_a_full_store_stops_whatever_its_ramp(requested: float, clips: tuple[Clip, ...]) -> None:
    store = stored(case_of(ramp_mw_per_h=0.3))
    _, outcome = one_step(store, StoreState(2.0, p_mw=-1.0), requested)
    assert outcome.ports[0].p_mw == 0.0
    assert outcome.ports[0].clips == clips


# --------------------------------------------------------------------------------------------------------------- wear


def test_wear_is_that_of_cycles_by_their_depth_wherever_they_lie() -> None:
    """Of 2 MWh: the first 0.5 MWh of a cycle at 4, the next 0.7 at 15, the rest at 40; a small cycle within a large."""
    store = stored(case_of(wear_by_depth=DEPTHS))
    filled = use_segments(store, (0.0, 0.0, 0.0), 2.0)[0]
    costs = []
    for change in (-0.6, 0.3, -0.3, -0.9, 1.5):
        filled, cost = use_segments(store, filled, change)
        costs.append(cost)
    shallow, deep = 0.3 * 4.0, 0.5 * 4.0 + 0.7 * 15.0 + 0.3 * 40.0
    assert sum(costs) == pytest.approx(shallow + deep)


@given(st.lists(st.integers(-10, 10), min_size=1, max_size=10), st.integers(0, 20))
@settings(max_examples=30, deadline=None)
def test_no_other_use_of_the_segments_wears_less(tenths: list[int], filled: int) -> None:
    store = stored(case_of(wear_by_depth=DEPTHS))
    start = energy = 0.1 * filled
    possible = []
    for tenth in tenths:
        possible.append(float(np.clip(0.1 * tenth, -energy, 2.0 - energy)))
        energy += possible[-1]
    filled = first = use_segments(store, (0.0, 0.0, 0.0), start)[0]
    paid = 0.0
    for change in possible:
        filled, cost = use_segments(store, filled, change)
        paid += cost
    width, price = (np.array(one) for one in zip(*store.segments, strict=True))
    n = len(possible)
    each = sp.kron(np.tril(np.ones((n, n))), np.eye(3))
    least = linprog(
        np.concatenate([np.zeros(3 * n), np.tile(price, n)]),
        A_ub=sp.vstack([sp.hstack([each, -each]), sp.hstack([-each, each])]),
        b_ub=np.concatenate([np.tile(width - first, n), np.tile(first, n)]) + 1e-12,
        A_eq=sp.hstack([sp.kron(np.eye(n), np.ones((1, 3))), -sp.kron(np.eye(n), np.ones((1, 3)))]),
        b_eq=possible,
    )
    assert paid == pytest.approx(least.fun, abs=1e-6)


# ------------------------------------------------------------------------------------------------------ config, suite


OWN_PROMISES = (
    "shortfalls are reported",
    "many at once are what each is alone",
    "the device does and costs what its block plans",
    "a state survives JSON, and a step from it is the same",
    "source - injected - loss is the change of what is stored",
    "at rest nothing is short, and positions stay",
)


@pytest.mark.parametrize("device", [BATTERY, next(one for one in SAMPLES if isinstance(one, Truck))], ids=type)
def test_such_stores_keep_every_promise_of_devices(device: Any) -> None:
    special = {**SPECIAL, "ramp_mw_per_h": 3.0 * device.storage.p_max_mw, "p_min_mw": 0.2 * device.storage.p_max_mw}
    one: Device[Any] = replace(device, storage=replace(device.storage, **special))
    findings = check_device(type(one), [one], OWN_PROMISES)
    assert [each.explanation for each in findings if not each.passed] == []


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("self_discharge_per_day", 1.0, "less than 1"),
        ("p_min_mw", 2.0, "above its rating of 1 MW"),
        ("ramp_mw_per_h", 0.0, "greater than 0"),
        ("wear_per_mwh_by_depth", [[0.5, 1.0], [0.4, 2.0], [1.0, 3.0]], "must rise"),
        ("wear_per_mwh_by_depth", [[0.5, 1.0]], "it must be 1"),
        ("wear_per_mwh_by_depth", [[0.5, 9.0], [1.0, 3.0]], "must not fall"),
    ],
)
def test_a_config_that_makes_no_sense_is_refused(key: str, value: Any, words: str) -> None:
    entry = {"name": "b", "network": "n", "bus": "1", "energy_mwh": 2.0, "p_max_mw": 1.0, key: value}
    with pytest.raises(ValidationError, match=words):
        BatteryConfig.model_validate(entry)
