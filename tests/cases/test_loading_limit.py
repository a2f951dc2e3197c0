"""The limit of the loading is one for plans, their check by AC and the record: a share of each branch's rating."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandapower as pp
import pytest

from cases.battery_day import battery_day, chain
from cases.joint_trade import Case, controller
from gridferry.controllers.contract import AcFeedback, Controller, Plan
from gridferry.controllers.joint import Joint
from gridferry.controllers.mess_exact import MessExact
from gridferry.controllers.mvdc_drcc import MvdcDrcc
from gridferry.controllers.schedule.ac_evaluation import evaluate_plan
from gridferry.controllers.solve import InfeasibleError
from gridferry.networks.readers.pandapower import network_of_net
from gridferry.sim.case.case import build_case
from gridferry.sim.case.loading import load_config
from gridferry.sim.host.ac_limits import AcLimits

OPTIMISERS = {
    Joint: {"scenario": "deterministic", "on_infeasible": "raise"},
    MessExact: {"on_infeasible": "raise"},
    MvdcDrcc: {"scenario": "deterministic", "on_infeasible": "raise"},
}


def loaded(limit: float) -> Case:
    """2 MW, 1.5 MW and little over a line rated for 1.732 MVA, with a battery of 1 MW and 1 MWh to give at its end."""
    feeder = chain((0.1, 0.1), kv=20.0, ka=0.05).with_limits(loading_max=limit)
    return battery_day(feeder, [2.0, 1.5, 0.2, 0.2], [50.0] * 4)


def planned(case: Case, optimiser: type[Controller]) -> Plan:
    plant, observation, forecast = case
    return controller(optimiser, plant, **OPTIMISERS[optimiser]).plan(observation, forecast)


@pytest.mark.parametrize("optimiser", list(OPTIMISERS))
@pytest.mark.parametrize("limit", [0.8, 1.0])
def test_a_plan_keeps_the_limit_of_the_loading_and_gives_up_no_more_than_that(
    optimiser: type[Controller], limit: float
) -> None:
    case = loaded(limit)
    plan = planned(case, optimiser)
    flow = evaluate_plan(case[0], plan, *case[1:]).flow
    assert flow.loading[0, :, 0].max() == pytest.approx(limit, abs=1e-5)
    assert not AcLimits(case[0]).violation(flow).correctable


@pytest.mark.parametrize("optimiser", list(OPTIMISERS))
def test_a_limit_above_the_rating_lets_the_battery_rest(optimiser: type[Controller]) -> None:
    """The load alone, 2 MW of 1.732, is 115 % of the rating."""
    plan = planned(loaded(1.65), optimiser)
    np.testing.assert_allclose(plan.p_mw[:, 0], 0.0, atol=1e-3)


@pytest.mark.parametrize("optimiser", list(OPTIMISERS))
def test_what_is_beyond_the_limit_is_named_with_the_limit(optimiser: type[Controller]) -> None:
    """Of 3.5 MWh in two hours the battery has 0.9: at best 1.3 MW, 75.1 % of the rating, come over the line."""
    with pytest.raises(InfeasibleError, match=r"branch 1-2 .*: its loading stays 45.1 % above its limit of 30 %"):
        planned(loaded(0.3), optimiser)


def test_ac_feedback_is_kept_below_the_limit() -> None:
    plant, observation, forecast = loaded(0.8)
    asked = AcFeedback(np.zeros(2), np.zeros(2), np.array([0.05]), planned((plant, observation, forecast), Joint))
    case = plant, replace(observation, ac_feedback=asked), forecast
    flow = evaluate_plan(plant, planned(case, Joint), *case[1:]).flow
    assert flow.loading[0, 0, 0] == pytest.approx(0.75, abs=1e-5)


def two_lines(first_percent: float, second_percent: float) -> pp.pandapowerNet:
    """Two lines side by side, the first with twice the admittance of the second and both rated alike."""
    net = pp.create_empty_network(sn_mva=1.0)
    a, b = (pp.create_bus(net, 20.0, name=name) for name in "ab")
    pp.create_ext_grid(net, a)
    pp.create_load(net, b, 1.0)
    for ohm, percent in ((0.1, first_percent), (0.2, second_percent)):
        pp.create_line_from_parameters(net, a, b, 1.0, ohm, ohm, 0.0, 0.1, max_loading_percent=percent)
    return net


@pytest.mark.parametrize(("first", "second", "limit"), [(80.0, 100.0, 0.8), (100.0, 40.0, 0.8), (np.nan, np.nan, 1.0)])
def test_the_limit_of_a_net_is_that_of_its_elements(first: float, second: float, limit: float) -> None:
    """Two thirds flow over the first line; the limit of the second counts where it is below half of the first's."""
    feeder = network_of_net(two_lines(first, second), "two").feeder
    np.testing.assert_allclose(feeder.loading_max, [limit])
    rated = feeder.i_max_pu[0] * feeder.base_current_ka[0]
    assert rated == pytest.approx(0.15, rel=1e-9)


def test_a_config_has_its_own_limit_or_that_of_the_net(tmp_path: Path) -> None:
    pp.to_json(two_lines(80.0, 80.0), str(tmp_path / "net.json"))
    path = tmp_path / "case.toml"
    path.write_text(
        'name = "case"\nnetworks = [{ name = "n", feeder = "net.json" }]\n'
        "[time]\nstart = 2024-07-01T00:00:00\nstep_s = 3600\nsteps = 2\n"
    )
    for given, limit in (((), 0.8), (("networks.n.loading_max_percent=165",), 1.65)):
        plant = build_case(load_config(path, list(given))).plant
        np.testing.assert_allclose(plant.feeders[0].loading_max, limit)
