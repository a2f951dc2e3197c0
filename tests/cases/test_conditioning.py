"""Numbers without a meaning change nothing: ratings that nothing reaches, impedances that AC cannot see, bases."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import cvxpy as cp
import numpy as np
import pandapower as pp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cases.battery_day import battery_day, chain
from cases.dispatch import dispatch_model
from cases.joint_trade import EXACT, Case, controller
from gridferry.controllers.contract import NoteKind, Plan, Status
from gridferry.controllers.joint import Joint
from gridferry.controllers.mess_exact import MessExact
from gridferry.controllers.model.conditioning import well_scaled
from gridferry.controllers.model.flow_bounds import largest_current
from gridferry.controllers.model.plan import cone_gap, relaxation_gap
from gridferry.controllers.solve import Problem, SolverTroubleError
from gridferry.controllers.solve.conic import solve_conic
from gridferry.controllers.solve.form import conic_form
from gridferry.controllers.solve.master import solve_by_cuts
from gridferry.networks.admittance import branch_flows
from gridferry.networks.feeder import Z_MIN_PU, Feeder
from gridferry.networks.network import Network
from gridferry.networks.power_flow import solve_sweep
from gridferry.networks.readers.pandapower import network_of_net
from gridferry.sim.config.schema import AcEngine, GridConfig
from gridferry.sim.grid.ac_grid import AcGrid

RATINGS_KA = (1.0, 99.0, 9999.0, 1e6, float("nan"))
"""none of which one or two megawatts at 12.66 kV reach"""


def planned(case: Case, optimiser: type[Joint | MessExact] = MessExact) -> Plan:
    plant, observation, forecast = case
    options = EXACT if optimiser is Joint else {"gap": 1e-6}
    return controller(optimiser, plant, **options).plan(observation, forecast)


def rebased(case: Case, base_mva: float) -> Case:
    plant, observation, forecast = case
    return replace(plant, feeders=tuple(one.with_base(base_mva) for one in plant.feeders)), observation, forecast


# -------------------------------------------------------------------------------------------------------------- ratings


@pytest.mark.parametrize("ka", RATINGS_KA)
def test_a_rating_that_nothing_reaches_does_not_hide_the_least_voltage(ka: float) -> None:
    """0.6 MW of sun behind 20 + j2 ohm cannot stay within 1.05 pu: v² - v - R P ≈ 0 at the least export."""
    feeder = chain((20.0, 2.0), ka=ka).with_limits(0.9, 1.05)
    case = battery_day(feeder, [0.0] * 4, [50.0] * 4, [0.6, 0.6, 0.6, 0.0], energy_mwh=0.1, p_max_mw=0.05)
    plan = planned(case)
    assert plan.prediction is not None
    assert plan.prediction.v_pu.max() == pytest.approx(1.067364, abs=3e-6)
    assert [note.kind for note in plan.solver.violations] == [NoteKind.VIOLATED_V_HIGH]


@pytest.mark.parametrize("ka", RATINGS_KA)
def test_a_rating_that_nothing_reaches_leaves_the_shortfall_of_energy_as_it_is(ka: float) -> None:
    """Half of 4 MWh and four hours at 0.1 MW, of which 0.9 arrives, where 3.6 MWh are due."""
    case = battery_day(
        chain((1.0, 1.0), ka=ka), [1.0] * 4, [50.0, 40.0, 60.0, 100.0], energy_mwh=4.0, p_max_mw=0.1, soc_end=0.9
    )
    (violated,) = planned(case).solver.violations
    assert violated.kind is NoteKind.VIOLATED_ENERGY
    assert violated.value == pytest.approx(4 * 0.9 - (2 + 0.1 * 0.9 * 4), abs=1e-5)


def test_a_rating_is_left_out_only_where_no_power_flow_within_the_limits_can_reach_it() -> None:
    """At half the lowest limit, 2 MW and 1 MW draw 2 / 0.45 and 3 / 0.45 pu."""
    feeder = chain((1.0, 1.0), (1.0, 1.0))
    largest = np.array([[5.0, 1.0, 2.0]])
    current = largest_current(feeder, largest, 0.45, 1.65)
    np.testing.assert_allclose(current, [3 / 0.45, 2 / 0.45], rtol=1e-12)
    for share, free in ((1.001, True), (0.999, False)):
        rated = replace(feeder, i_max_pu=share * current)
        found = well_scaled(rated, largest, np.ones((1, 2)))
        np.testing.assert_array_equal(np.isinf(found.i_max_pu), free)
    halved = well_scaled(replace(feeder, i_max_pu=1.5 * current), largest, np.full((1, 2), 0.5))
    assert np.isfinite(halved.i_max_pu).all()


# ----------------------------------------------------------------------------------------------------------- impedances


@pytest.mark.parametrize("ohm", [1e-6, 1e-9])
def test_a_feeder_of_next_to_no_impedance_is_planned_and_costs_what_its_load_and_battery_cost(ohm: float) -> None:
    """220 without the battery, which buys 1 / 0.9 MWh more at 10 and gives 0.9 MWh at 100, and as much at 50 for 60."""
    case = battery_day(chain((ohm, ohm)), [1.0] * 4, [50.0, 10.0, 60.0, 100.0])
    plan = planned(case)
    assert plan.solver.objective == pytest.approx(145.5556, abs=1e-4)
    assert plan.prediction is not None
    assert plan.prediction.cost.sum() == pytest.approx(145.5556, abs=1e-4)


@pytest.mark.parametrize(("r", "x"), [(0.0, 1e-5), (1e-5, 0.0), (1e-7, 1e-7), (0.0, 1e-3)])
def test_a_branch_without_resistance_or_reactance_leaves_the_plan_a_power_flow(r: float, x: float) -> None:
    plain = [(0.4, 0.3)] * 6
    load, price = [1.0, 2.0, 2.5, 3.0], [50.0, 10.0, 60.0, 100.0]
    usual = planned(battery_day(chain(*plain, kv=20.0), load, price), Joint)
    plan = planned(battery_day(chain(*plain[:3], (r, x), *plain[3:], kv=20.0), load, price), Joint)
    assert plan.solver.objective == pytest.approx(usual.solver.objective, rel=1e-6)
    assert plan.solver.status is Status.OPTIMAL
    assert x > 1e-4 or plan.solver.cone_gap < 1e-6
    assert plan.prediction is not None
    assert plan.prediction.cost.sum() == pytest.approx(plan.solver.objective, rel=1e-6)
    assert usual.prediction is not None
    np.testing.assert_allclose(plan.prediction.v_pu[:, -1], usual.prediction.v_pu[:, -1], atol=2e-6)
    np.testing.assert_allclose(plan.prediction.p_branch_mw[:, 3], plan.prediction.p_branch_mw[:, 4], atol=0.1)


def test_a_branch_without_impedance_keeps_its_rating() -> None:
    """0.05 kA at 20 kV are 1.732 MVA; of 2 MW the battery has to give the rest."""
    feeder = chain((1e-7, 1e-7), (0.1, 0.1), kv=20.0)
    feeder = replace(feeder, i_max_pu=np.array([np.sqrt(3) * 20 * 0.05, np.inf]))
    plan = planned(battery_day(feeder, [2.0, 0.5, 0.5, 0.5], [50.0] * 4))
    assert plan.prediction is not None
    assert plan.prediction.p_branch_mw[0, 0] == pytest.approx(np.sqrt(3) * 20 * 0.05, abs=1e-4)


def test_what_is_taken_for_no_impedance_is_less_than_ac_tells_apart() -> None:
    feeder = chain(*[(0.4, 0.3)] * 3, *[(4e-5, 4e-5)] * 5, (1e-3, 1e-3), kv=20.0)
    assert (np.hypot(feeder.r_pu, feeder.x_pu) > Z_MIN_PU).all()
    largest = np.full((1, feeder.n_bus), 0.1)
    found = well_scaled(feeder, largest, np.ones((1, feeder.n_branch)))
    none = found.r_pu == 0
    assert none[3:8].any()
    assert not none[[0, 1, 2, 8]].any()
    p = -largest[0] / feeder.base_mva
    p[0] = 0.0
    v, _ = solve_sweep(feeder, p * feeder.base_mva, 0.3 * p * feeder.base_mva)
    drops = np.abs(v[feeder.parent] - v[feeder.child])
    assert drops[none].sum() < 5e-7
    lost = branch_flows(feeder, v)
    assert (lost.s_parent_mva + lost.s_child_mva).real[none].sum() < 1e-5


# ---------------------------------------------------------------------------------------------------------- power bases


Z_OHM = st.sampled_from([(0.4, 0.3), (2.0, 1.0), (0.0, 0.2), (1e-6, 1e-6), (0.0, 1e-7)])


def hourly(low: float, high: float) -> st.SearchStrategy[list[float]]:
    return st.lists(st.floats(low, high), min_size=3, max_size=3)


@settings(max_examples=15, deadline=None)
@given(
    impedances=st.lists(Z_OHM, min_size=1, max_size=4),
    load=hourly(0.1, 2.0),
    sun=hourly(0.0, 2.0),
    price=hourly(10.0, 100.0),
    own_ka=st.sampled_from([None, 0.08, 0.2]),
    base_mva=st.sampled_from([1e-3, 0.1, 50.0, 1e4]),
    ka=st.sampled_from([99.0, 99999.0]),
)
def test_results_depend_neither_on_the_power_base_nor_on_a_large_rating(
    impedances: list[tuple[float, float]],
    load: list[float],
    sun: list[float],
    price: list[float],
    own_ka: float | None,
    base_mva: float,
    ka: float,
) -> None:
    case = battery_day(chain(*impedances, ka=own_ka), load, price, sun)
    plant, observation, forecast = case
    feeder = plant.feeders[0]
    huge = np.sqrt(3) * 12.66 * ka / feeder.base_mva
    rated = replace(feeder, i_max_pu=np.minimum(feeder.i_max_pu, huge))
    other = rebased((replace(plant, feeders=(rated,)), observation, forecast), base_mva)
    plans = [planned(one, Joint) for one in (case, other)]
    objective, again = (plan.solver.objective for plan in plans)
    assert again == pytest.approx(objective, rel=1e-6, abs=1e-5)
    assert [note.kind for note in plans[0].solver.violations] == [note.kind for note in plans[1].solver.violations]


@pytest.fixture(scope="module")
def cigre() -> Case:
    """CIGRE's medium-voltage network, whose trunk carries 44 MVA and whose lines are rated for 5."""
    import pandapower.networks as pn

    feeder = network_of_net(pn.create_cigre_network_mv(with_der="all"), "cigre").feeder
    plant, observation, forecast = battery_day(
        feeder, [0.0] * 4, [80.0, 20.0, 60.0, 120.0], energy_mwh=9.0, p_max_mw=3.6
    )
    hourly = np.array([0.5, 0.7, 0.6, 0.8])[:, None]
    load = {"load_p_mw": hourly * feeder.p_load_mw, "load_q_mvar": hourly * feeder.q_load_mvar}
    return plant, observation, replace(forecast, **load)


@pytest.mark.parametrize("base_mva", [0.1, 100.0, 1000.0])
def test_a_power_base_far_from_what_flows_gives_the_optimum_and_a_power_flow(cigre: Case, base_mva: float) -> None:
    model, usual = dispatch_model(rebased(cigre, base_mva)), dispatch_model(rebased(cigre, 10.0))
    found, expected = Problem(model.model).relax(), Problem(usual.model).relax()
    assert found.objective == pytest.approx(expected.objective, rel=1e-7)
    assert found.objective - found.bound < 1e-6 * found.objective
    assert relaxation_gap(model) < 0.1
    assert cone_gap(model) < 1e-5


# ------------------------------------------------------------------------------------------------------------------- AC


@pytest.mark.parametrize("engine", list(AcEngine))
@pytest.mark.parametrize(("kv", "length_km"), [(110.0, 1e-3), (20.0, 1e-7), (20.0, 1e-11)])
def test_a_short_line_has_a_power_flow(engine: AcEngine, kv: float, length_km: float) -> None:
    net = pp.create_empty_network()
    buses = [pp.create_bus(net, kv) for _ in range(12)]
    pp.create_ext_grid(net, buses[0])
    for number, (a, b) in enumerate(pairwise(buses)):
        pp.create_line_from_parameters(net, a, b, 1.0 if number else length_km, 0.2, 0.12, 250, 0.4)
        pp.create_load(net, b, 0.5, 0.1)
    network = network_of_net(net, "short")
    found = solved(network, engine)
    plain = network_of_net(net, "plain")
    # the same without the short line, its buses one
    pp.create_switch(net, buses[0], buses[1], et="b")
    net.line.loc[0, "in_service"] = False
    joined = solved(network_of_net(net, "joined"), engine)
    assert plain.feeder.n_bus == 12
    np.testing.assert_allclose(found.vm_pu[1:], joined.vm_pu, atol=2e-7 if kv == 110.0 else 1e-7)
    assert found.import_mw == pytest.approx(joined.import_mw, rel=1e-6)
    assert found.balance_error < 1e-6


def solved(network: Network, engine: AcEngine):  # type: ignore[no-untyped-def]
    feeder: Feeder = network.feeder
    found = AcGrid(network, GridConfig(ac_engine=engine)).solve(-feeder.p_load_mw, -feeder.q_load_mvar)
    assert found.converged
    return found


# -------------------------------------------------------------------------------------------------------------- solvers


def test_cutting_planes_agree_with_the_interior_point() -> None:
    """The least x + y on the unit disc is -√2."""
    x = cp.Variable(2)
    form = conic_form(cp.sum(x), [cp.SOC(cp.Constant(1.0), x)], [])
    point, bound = solve_by_cuts(form)
    assert form.objective(point) == pytest.approx(-np.sqrt(2), abs=1e-6)
    assert bound == pytest.approx(-np.sqrt(2), abs=1e-6)
    assert solve_conic(form).objective == pytest.approx(-np.sqrt(2), abs=1e-6)


def test_bad_scaling_is_never_taken_for_a_proof_that_there_is_no_point() -> None:
    """One unknown of 1e10 solves it; where a solver cannot find it, that is its trouble."""
    x = cp.Variable(3)
    form = conic_form(x[0], [1e-10 * x[0] >= 1.0, cp.SOC(x[1], x[2:]), x[1] == 1.0], [])
    try:
        answer = solve_conic(form, persistent=True)
    except SolverTroubleError:
        return
    assert answer.x is not None
    assert answer.objective == pytest.approx(1e10, rel=1e-3)


def test_limits_that_exclude_each_other_are_proved_to() -> None:
    x = cp.Variable(3)
    form = conic_form(x[0], [cp.SOC(x[0], x[1:]), x[1] + x[2] >= 2.0, x[0] <= 1.0], [])
    answer = solve_conic(form, persistent=True)
    assert answer.x is None
    assert answer.y is not None
