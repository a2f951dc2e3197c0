"""Margins of branch currents: against pandapower's finite differences, against Monte Carlo, and in plans."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandapower as pp
import pytest

from cases.battery_day import battery_day, chain
from cases.joint_trade import Case, controller
from gridferry.controllers.contract import Controller, Plan
from gridferry.controllers.devices.generators.device import Generator
from gridferry.controllers.joint import Joint
from gridferry.controllers.mvdc_drcc import MvdcDrcc
from gridferry.controllers.plans.injections import device_injections
from gridferry.controllers.solve import InfeasibleError
from gridferry.controllers.uncertainty.error_map import error_map
from gridferry.controllers.uncertainty.error_model import Purpose
from gridferry.controllers.uncertainty.error_settings import ErrorSettings
from gridferry.controllers.uncertainty.margin_settings import MarginMaker, MarginSettings
from gridferry.controllers.uncertainty.margins import Margins
from gridferry.controllers.uncertainty.plant_errors import plant_errors
from gridferry.controllers.uncertainty.sensitivities import Linearisation, magnitude_change, voltage_change
from gridferry.networks.admittance import branch_flows, section_currents
from gridferry.networks.power_flow import solve_sweep
from gridferry.networks.readers.pandapower import network_of_net

LINE_KA = 0.05
ERRORS: dict[str, Any] = {"load_std": 0.08, "generation_std": 0.2, "truncation": 3.0}
CONFIDENCE = 0.9


# ------------------------------------------------------------------------------------------------------- sensitivities


def net_of_transformer_and_cables() -> pp.pandapowerNet:
    """A transformer off its nominal tap feeds two cables with charging, which end in load and in sun."""
    net = pp.create_empty_network(sn_mva=1.0)
    hv = pp.create_bus(net, 110.0)
    mv, a, b = (pp.create_bus(net, 20.0) for _ in range(3))
    pp.create_ext_grid(net, hv, vm_pu=1.01)
    pp.create_transformer(net, hv, mv, "25 MVA 110/20 kV", tap_pos=-2)
    for ends, km in (((mv, a), 12.0), ((a, b), 25.0)):
        pp.create_line(net, *ends, length_km=km, std_type="NA2XS2Y 1x95 RM/25 12/20 kV")
    pp.create_load(net, a, p_mw=3.0, q_mvar=1.0)
    pp.create_load(net, b, p_mw=-4.0, q_mvar=0.5)
    return net


def currents_ka(net: pp.pandapowerNet) -> np.ndarray:
    """Currents at both ends, those of the transformer last, its high side first [kA]."""
    pp.runpp(net, tolerance_mva=1e-11, calculate_voltage_angles=True)
    trafo, line = net.res_trafo.iloc[0], net.res_line
    return np.array([[*line.i_from_ka, trafo.i_hv_ka], [*line.i_to_ka, trafo.i_lv_ka]])


def test_responses_of_currents_are_pandapowers_finite_differences_at_both_ends() -> None:
    net = net_of_transformer_and_cables()
    network = network_of_net(net, "net")
    feeder = network.feeder
    assert feeder.branch_names == ("line 0", "line 1", "trafo 0")
    ends, taps = np.stack([feeder.parent, feeder.child]), np.stack([feeder.tap_parent, feeder.tap_child])
    ka = feeder.base_mva / (np.sqrt(3.0) * feeder.base_kv[ends]) / taps
    v = solve_sweep(feeder, -feeder.p_load_mw[None], -feeder.q_load_mvar[None])[0]
    i = section_currents(feeder, v, np.arange(3))
    np.testing.assert_allclose(ka * np.abs(i[:, 0]), currents_ka(net), rtol=0, atol=1e-8)
    h = 1e-3
    for load, at in net.load.p_mw.items():
        unit = np.zeros((1, feeder.n_bus, 1))
        unit[0, list(network.net_bus).index(net.load.bus[load])] = -1.0
        di = section_currents(feeder, voltage_change(feeder, v, unit, 0 * unit)[:, :, 0], np.arange(3))
        response = np.stack([magnitude_change(i[end], di[end][..., None])[0, :, 0] for end in (0, 1)])
        either = []
        for moved in (at + h, at - h, at):
            net.load.loc[load, "p_mw"] = moved
            either.append(currents_ka(net))
        above, below, _ = either
        np.testing.assert_allclose(ka * response, (above - below) / (2 * h), rtol=0, atol=1e-7)


def test_a_transformer_is_limited_by_its_own_rating() -> None:
    """One network has its supply behind a transformer of 25 MVA, whose margin is in shares of that."""
    feeder = network_of_net(net_of_transformer_and_cables(), "net").feeder
    rated_mva = feeder.i_max_pu[2] * feeder.base_mva / feeder.tap_parent[2]
    assert rated_mva == pytest.approx(25.0, rel=1e-9)


# ------------------------------------------------------------------------------------------------------------- margins


def case(pv_mw: float, *, curtailable: bool = False) -> Case:
    """1.5 MW of load at the end of two lines, and sun beside it."""
    plant, seen, ahead = battery_day(chain((1.0, 0.8), (2.0, 1.5), kv=20.0, ka=LINE_KA), [1.5], [50.0], [pv_mw])
    pv = Generator("pv", "pv", 0, 2, 0.0, curtailable=curtailable)
    plant = replace(plant, devices=(plant.devices[0], pv))
    load_q = ahead.load_p_mw * 0.4
    return plant, seen, replace(ahead, load_q_mvar=load_q, series={**ahead.series, pv.key: {"p_mw": np.array([pv_mw])}})


def margins(given: Case, **settings: Any) -> Margins:
    """With a battery that rests."""
    plant, _, ahead = given
    maker = MarginMaker(plant, MarginSettings(errors=ErrorSettings(**ERRORS), confidence=CONFIDENCE, **settings))
    nothing = np.zeros((1, plant.n_bus))
    return maker.margins(ahead, maker.ambiguity(0, ahead), nothing, nothing)


def sampled_loadings(given: Case, limit_mw: float = np.inf) -> np.ndarray:
    """Loadings under fresh errors, at the more loaded end."""
    plant, _, ahead = given
    (feeder,) = plant.feeders
    _, model = plant_errors(plant, ErrorSettings(**ERRORS))
    load, sun = model.draw(4000, 24, seed=5, purpose=Purpose.OUT_OF_SAMPLE)[:, 0].T
    (pv,) = (one for one in plant.devices if isinstance(one, Generator))
    p, q = -ahead.load_p_mw * (1 + load[:, None]), -ahead.load_q_mvar * (1 + load[:, None])
    p[:, 2] += np.minimum(ahead.of(pv)["p_mw"] * (1 + sun), limit_mw)
    flows = branch_flows(feeder, solve_sweep(feeder, p, q)[0])
    return np.maximum(flows.i_parent_pu, flows.i_child_pu) / feeder.i_max_pu


@pytest.mark.parametrize("pv_mw", [0.0, 1.5, 1.6, 3.0], ids=["draws", "balanced", "nearly", "feeds back"])
@pytest.mark.parametrize("curtailable", [False, True])
def test_currents_stay_within_the_margins_as_often_as_promised(pv_mw: float, curtailable: bool) -> None:
    """Also where errors reverse what flows, so that the plan's direction says little."""
    given = case(pv_mw, curtailable=curtailable)
    found = margins(given, samples=200)
    within = found.loading[0] + found.current[0] + 1e-9
    for limit_mw in (np.inf, pv_mw) if curtailable else (np.inf,):
        assert ((sampled_loadings(given, limit_mw) <= within).mean(axis=0) >= CONFIDENCE).all()


def test_a_robust_margin_holds_whatever_the_errors_and_is_reached() -> None:
    given = case(0.0)
    found = margins(given, scenario="robust")
    (feeder,), ahead = given[0].feeders, given[2]
    worst = 1.0 + 3.0 * ERRORS["load_std"]
    v = solve_sweep(feeder, -worst * ahead.load_p_mw, -worst * ahead.load_q_mvar)[0]
    flows = branch_flows(feeder, v)
    np.testing.assert_allclose(found.loading + found.current, flows.i_parent_pu / feeder.i_max_pu, atol=1e-9)


def test_a_branch_without_rating_has_no_margin_and_one_that_is_rated_twice_as_high_half_of_it() -> None:
    given = case(0.5)
    plant, seen, ahead = given
    (feeder,) = plant.feeders
    rated = replace(feeder, i_max_pu=feeder.i_max_pu * np.array([2.0, np.inf]))
    half = margins((replace(plant, feeders=(rated,)), seen, ahead)).current[0]
    assert half[1] == 0.0
    assert half[0] == pytest.approx(0.5 * margins(given).current[0, 0], rel=1e-9)


def test_errors_of_one_network_do_nothing_to_currents_of_another() -> None:
    plant, _, ahead = given = case(0.5)
    two = replace(plant, feeders=(plant.feeders[0], replace(plant.feeders[0], name="other")))
    wide = {name: np.concatenate([getattr(ahead, name)] * 2, axis=1) for name in ("load_p_mw", "load_q_mvar")}
    more = replace(ahead, **wide)
    p = np.zeros((1, two.n_bus))
    at = Linearisation.at(two, error_map(two), more, p - more.net_load_mw(two), -more.load_q_mvar)
    assert not at.dv[:, :3, [one.name == "load:2" for one in error_map(two).of]].any()
    found = margins((two, given[1], more))
    assert found.current[0, 2:].min() > 0.0


# --------------------------------------------------------------------------------------------------------------- plans

OPTIMISERS: dict[type[Controller], dict[str, Any]] = {Joint: {}, MvdcDrcc: {}}


def loaded() -> Case:
    """1.9 MW and 1.5 MW over a line rated for 1.732 MVA, then little; a battery of 1 MW at its end."""
    feeder = chain((0.1, 0.1), (0.2, 0.1), kv=20.0, ka=LINE_KA)
    return battery_day(feeder, [1.9, 1.5, 0.2, 0.2], [50.0, 50.0, 60.0, 20.0])


def planned(given: Case, optimiser: type[Controller], **settings: Any) -> Plan:
    plant, observation, forecast = given
    options = {"errors": ErrorSettings(**ERRORS), "on_infeasible": "raise", **OPTIMISERS[optimiser], **settings}
    return controller(optimiser, plant, **options).plan(observation, forecast)


def broken(given: Case, plan: Plan) -> np.ndarray:
    """Share of fresh days on which the current of each branch and step is beyond its rating."""
    plant, _, ahead = given
    (feeder,) = plant.feeders
    _, model = plant_errors(plant, ErrorSettings(**ERRORS))
    load = model.draw(2000, ahead.steps, seed=3, purpose=Purpose.OUT_OF_SAMPLE)
    p_device, q_device = device_injections(plant, ahead, plan.p_mw, plan.q_mvar)
    p = p_device - ahead.load_p_mw * (1 + load[:, :, :1])
    flows = branch_flows(feeder, solve_sweep(feeder, p, np.broadcast_to(q_device, p.shape).copy())[0])
    loading = np.maximum(flows.i_parent_pu, flows.i_child_pu) / feeder.i_max_pu
    share: np.ndarray = (loading > 1.0 + 1e-6).mean(axis=0)
    return share


@pytest.mark.parametrize("optimiser", list(OPTIMISERS))
def test_a_rating_that_binds_is_broken_no_more_often_than_the_confidence_promises(optimiser: type[Controller]) -> None:
    given = loaded()
    without = broken(given, planned(given, optimiser, scenario="deterministic"))
    assert without[0].max() > 0.4
    kept = broken(given, planned(given, optimiser, confidence=0.95, samples=200, radius=0.0))
    assert kept.max() <= 0.05
    # no more caution than is asked for
    assert kept.max() > 0.005
    assert broken(given, planned(given, optimiser, scenario="robust")).max() == 0.0


@pytest.mark.parametrize("optimiser", list(OPTIMISERS))
def test_a_rating_that_leaves_no_room_for_its_margin_is_named_with_both(optimiser: type[Controller]) -> None:
    """0.9 MWh for two hours of 2 MW: 1.55 MW at least, 89.5 % of the rating; the errors take a fifth of it."""
    given = battery_day(chain((0.1, 0.1), kv=20.0, ka=LINE_KA), [2.0, 2.0, 0.2, 0.2], [50.0] * 4)
    words = r"branch 1-2 .*: its loading stays .* % above its limit of 100 % lowered by the margin of .* %"
    with pytest.raises(InfeasibleError, match=words):
        planned(given, optimiser, scenario="robust")


def test_margins_of_ratings_that_do_not_bind_change_no_plan() -> None:
    plant, seen, ahead = loaded()
    (feeder,) = plant.feeders
    wide, none = (
        planned((replace(plant, feeders=(replace(feeder, i_max_pu=i_max),)), seen, ahead), MvdcDrcc)
        for i_max in (2.0 * feeder.i_max_pu, np.full(2, np.inf))
    )
    np.testing.assert_allclose(wide.p_mw, none.p_mw, atol=1e-4)
