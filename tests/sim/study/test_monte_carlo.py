"""AC Monte Carlo against a plain loop over samples, steps and networks."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from cases.parts import forecast_of, plant_of, profiled_mw
from gridferry.controllers.conformance.sample_plants import at_start
from gridferry.controllers.contract import Forecast, Plan, Plant, Storage, hold
from gridferry.controllers.devices.batteries.device import Battery
from gridferry.controllers.devices.generators.device import Generator
from gridferry.controllers.uncertainty.error_map import ErrorMap, error_map
from gridferry.controllers.uncertainty.error_model import MarginalErrors, Purpose
from gridferry.controllers.uncertainty.marginals import TruncatedNormal
from gridferry.networks.admittance import branch_flows, bus_injections
from gridferry.networks.feeder import Feeder, plain_feeder
from gridferry.networks.power_flow import solve_sweep
from gridferry.sim.study.monte_carlo import Reliability, reliability


def feeder(name: str, n_bus: int, slack: int) -> Feeder:
    load = np.linspace(0.1, 0.4, n_bus)
    return plain_feeder(
        name,
        base_mva=2.0,
        base_kv=10.0,
        bus_names=[str(bus) for bus in range(n_bus)],
        p_load_mw=load,
        q_load_mvar=0.4 * load,
        from_bus=np.arange(n_bus - 1),
        to_bus=np.arange(1, n_bus),
        r_ohm=np.full(n_bus - 1, 2.0),
        x_ohm=np.full(n_bus - 1, 1.5),
        slack=slack,
        v_min_pu=0.96,
        v_max_pu=1.04,
    )


STORE = Storage(
    energy_mwh=10.0,
    p_max_mw=1.0,
    s_max_mva=1.0,
    eta_charge=1.0,
    eta_discharge=1.0,
    loss_coefficient=0.0,
    soc_min=0.0,
    soc_max=1.0,
    soc_initial=0.5,
    soc_end_min=None,
    cycles_max_per_day=np.inf,
    cost_per_mwh_charged=40.0,
)


@pytest.fixture
def plant() -> Plant:
    """A battery at a slack bus too: it lowers the import one for one."""
    return plant_of(
        feeders=(feeder("a", 5, 0), feeder("b", 4, 1)),
        stations=(),
        trucks=(),
        batteries=(Battery("b1", 0, 4, STORE), Battery("b2", 1, 6, STORE)),
        links=(),
        generators=(Generator("pv1", "pv", 0, 4, 0.0), Generator("pv2", "pv", 1, 8, 0.0)),
        roads=None,
        step_s=1800,
        steps=3,
        horizon_steps=3,
        first_step_of_day=0,
        export_price_ratio=0.5,
        currency="USD",
    )


@pytest.fixture
def forecast(plant: Plant) -> Forecast:
    load = np.concatenate([one.p_load_mw for one in plant.feeders])
    factor = np.array([0.6, 0.9, 1.0])[:, None]
    return forecast_of(
        plant,
        load_p_mw=factor * load,
        load_q_mvar=0.4 * factor * load,
        generation_mw=np.array([[0.0, 0.1], [1.0, 1.8], [0.5, 0.3]]),
        buy_price=np.array([50.0, 20.0, 90.0]),
        sell_price=np.zeros(3),
        congestion=np.zeros(3),
    )


@pytest.fixture
def plan() -> Plan:
    """Charging of 0.35 MW for half an hour at 40 USD/MWh costs 7 USD."""
    p, q = np.zeros((3, 4)), np.zeros((3, 4))
    p[:, :2] = [[0.2, 0.05], [-0.3, 0.0], [0.1, -0.05]]
    q[:, 0] = [0.1, 0.0, 0.1]
    return Plan(p_mw=p, q_mvar=q, position=np.zeros((3, 0), dtype=np.int64))


def at_buses(plan: Plan) -> tuple[np.ndarray, np.ndarray]:
    p, q = np.zeros((3, 9)), np.zeros((3, 9))
    p[:, [4, 6]], q[:, [4, 6]] = plan.p_mw[:, :2], plan.q_mvar[:, :2]
    return p, q


def draw(plant: Plant, samples: int, std: float = 0.15) -> tuple[ErrorMap, np.ndarray]:
    mapping = error_map(plant)
    model = MarginalErrors((TruncatedNormal(std),) * len(mapping.sources))
    return mapping, model.draw(samples, 3, seed=5, purpose=Purpose.OUT_OF_SAMPLE)


def evaluated(plant: Plant, plan: Plan, forecast: Forecast, *given: Any, **options: Any) -> Reliability:
    return reliability(plant, plan, at_start(plant), forecast, *given, **options)


def one_by_one(
    plant: Plant, forecast: Forecast, devices: tuple[np.ndarray, np.ndarray], errors: np.ndarray
) -> dict[str, np.ndarray]:
    """The same by a loop: sources are load 1, load 2, pv 1, pv 2; half-hour steps; export at half the price."""
    samples = len(errors)
    inside = np.ones((samples, 3, 9 + 7), dtype=bool)
    losses, controllable = np.zeros(samples), np.full(samples, 7.0)
    for i, t, (net, buses) in [
        (i, t, of) for i in range(samples) for t in range(3) for of in enumerate([slice(0, 5), slice(5, 9)])
    ]:
        one = plant.feeders[net]
        load = (1 + errors[i, t, net]) * (forecast.load_p_mw + 1j * forecast.load_q_mvar)[t, buses]
        pv = (1 + errors[i, t, 2 + net]) * profiled_mw(plant, forecast)[t, net]
        s = devices[0][t, buses] + 1j * devices[1][t, buses] - load
        s[[4, 3][net]] += pv
        v, _ = solve_sweep(one, s.real.copy(), s.imag.copy())
        inside[i, t, buses] = (np.abs(v) >= one.v_min_pu) & (np.abs(v) <= one.v_max_pu)
        flows = branch_flows(one, v)
        branches = [slice(9, 13), slice(13, 16)][net]
        inside[i, t, branches] = np.maximum(flows.i_parent_pu, flows.i_child_pu) <= one.i_max_pu
        losses[i] += 0.5 * bus_injections(one, v).sum().real
        import_mw = (bus_injections(one, v) - s)[one.slack].real
        step_cost = 0.5 * forecast.buy_price[t] * import_mw * (1.0 if import_mw > 0 else 0.5)
        controllable[i] += step_cost - 0.5 * forecast.buy_price[t] * (load.sum().real - pv)
    return {"inside": inside, "losses": losses, "controllable": controllable}


def rated(feeder: Feeder) -> Feeder:
    """With a rating of its middle branch that binds, and voltage limits that do not."""
    return replace(feeder.with_limits(0.8, 1.2), i_max_pu=np.where(np.arange(feeder.n_branch) == 1, 0.5, np.inf))


@pytest.mark.parametrize("ratings", [False, True], ids=["voltages", "ratings"])
def test_every_figure_is_that_of_a_plain_loop(plant: Plant, forecast: Forecast, plan: Plan, ratings: bool) -> None:
    if ratings:
        plant = replace(plant, feeders=tuple(rated(one) for one in plant.feeders))
    mapping, errors = draw(plant, 40)
    found = evaluated(plant, plan, forecast, mapping, [errors[:15], errors[15:]], threads=1)
    expected = one_by_one(plant, forecast, at_buses(plan), errors)
    inside = expected["inside"]
    assert (found.samples, found.steps, found.flows, found.diverged) == (40, 3, 240, 0)
    assert 0.1 < found.joint.value < found.step < 1.0
    assert found.joint.value == inside.all(axis=(1, 2)).mean()
    assert found.step == pytest.approx(inside.all(axis=2).mean())
    assert found.worst_bus_step.value == inside.mean(axis=0).min()
    assert found.losses_mwh == pytest.approx(expected["losses"].mean(), abs=1e-9)
    assert found.controllable_cost.value == pytest.approx(expected["controllable"].mean(), abs=1e-7)
    for estimate in (found.joint, found.worst_bus_step, found.controllable_cost):
        assert estimate.low < estimate.value < estimate.high


def test_chunks_and_threads_change_nothing(plant: Plant, forecast: Forecast, plan: Plan) -> None:
    mapping, errors = draw(plant, 30)
    whole = evaluated(plant, plan, forecast, mapping, [errors], threads=1)
    parts = evaluated(plant, plan, forecast, mapping, np.array_split(errors, 7), threads=2)
    for name in ("joint", "step", "worst_bus_step", "diverged", "flows"):
        assert getattr(parts, name) == getattr(whole, name)
    assert parts.losses_mwh == pytest.approx(whole.losses_mwh, rel=1e-9)
    assert parts.controllable_cost.high == pytest.approx(whole.controllable_cost.high, rel=1e-9)


def test_without_errors_the_forecast_happens(plant: Plant, forecast: Forecast, plan: Plan) -> None:
    mapping, errors = draw(plant, 2)
    found = evaluated(plant, plan, forecast, mapping, [0 * errors])
    assert found.joint.value in (0.0, 1.0)
    assert found.controllable_cost.high - found.controllable_cost.low == pytest.approx(0.0, abs=1e-9)


def test_flows_without_a_solution_count_as_outside_and_not_as_cheap(plant: Plant, forecast: Forecast) -> None:
    plan = hold(plant, at_start(plant), 3)
    mapping, errors = draw(plant, 10, std=0.01)
    fine = evaluated(plant, plan, forecast, mapping, [errors[5:]])
    errors[:5, 1, 0] = 60.0
    found = evaluated(plant, plan, forecast, mapping, [errors])
    assert found.diverged == 5
    assert found.joint.value <= 0.5
    assert found.worst_bus_step.value <= 0.5
    assert found.losses_mwh == pytest.approx(fine.losses_mwh, rel=1e-12)
    assert found.controllable_cost.value == pytest.approx(fine.controllable_cost.value, rel=1e-12)


def test_of_a_sample_only_a_few_numbers_are_kept(plant: Plant, forecast: Forecast, plan: Plan) -> None:
    mapping, errors = draw(plant, 100)

    def again(times: int) -> Iterator[np.ndarray]:
        for _ in range(times):
            yield errors.copy()

    peaks = []
    for times in (2, 20):
        tracemalloc.start()
        evaluated(plant, plan, forecast, mapping, again(times), threads=1)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    kept = (peaks[1] - peaks[0]) / 1800
    assert kept < 100  # bytes; the voltages of one sample alone take 3 · 9 · 16


def test_shapes_that_do_not_fit_are_refused(plant: Plant, forecast: Forecast, plan: Plan) -> None:
    mapping, errors = draw(plant, 4)
    with pytest.raises(ValueError, match=r"\(sample, 3, 4\) is needed"):
        evaluated(plant, plan, forecast, mapping, [errors[:, :, :3]])
    with pytest.raises(ValueError, match="do not fit the plant"):
        evaluated(plant, plan, forecast, replace(mapping, load=mapping.load[:5]), [errors])
    with pytest.raises(ValueError, match="the plan has 2 steps and the forecast 3"):
        evaluated(plant, hold(plant, at_start(plant), 2), forecast, mapping, [errors])
