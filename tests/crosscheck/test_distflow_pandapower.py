"""A plan's power flow against pandapower's Newton-Raphson."""

from __future__ import annotations

import numpy as np
import pandapower as pp
import pytest

from gridferry.controllers.conformance.sample_plants import at_start
from gridferry.controllers.mess_exact import MessExact, MessExactSettings
from gridferry.sim.case.case import build_case
from gridferry.sim.case.loading import load_config
from gridferry.sim.config.reading import find_config


@pytest.mark.slow
def test_plan_for_ieee33_is_an_ac_power_flow_with_both_limits_kept() -> None:
    case = build_case(load_config(find_config("trucks_ieee33")))
    plant, forecast = case.plant, case.forecaster.at(0)
    plan = MessExact(plant, MessExactSettings(gap=1e-2, time_limit_s=3600.0)).plan(at_start(plant), forecast)
    feeder = plant.feeders[0]
    p, q = -forecast.net_load_mw(plant), -forecast.load_q_mvar
    for step, station in enumerate(plan.position[:, 0]):
        p[step, plant.station_bus[station]] += plan.p_mw[step, 0]
        q[step, plant.station_bus[station]] += plan.q_mvar[step, 0]
    net = pp.create_empty_network(sn_mva=feeder.base_mva)
    z_base = feeder.base_kv[0] ** 2 / feeder.base_mva
    for kv in feeder.base_kv:
        pp.create_bus(net, vn_kv=kv)
    pp.create_ext_grid(net, feeder.slack, vm_pu=feeder.slack_v_pu)
    for i, j, r, x in zip(feeder.parent, feeder.child, feeder.r_pu * z_base, feeder.x_pu * z_base, strict=True):
        pp.create_line_from_parameters(net, i, j, 1.0, r, x, 0.0, 1e3)
    for bus in range(feeder.n_bus):
        pp.create_sgen(net, bus, p_mw=0.0, q_mvar=0.0)
    for step in range(0, plan.steps, 3):
        net.sgen["p_mw"], net.sgen["q_mvar"] = p[step], q[step]
        pp.runpp(net, tolerance_mva=1e-10)
        v = net.res_bus.vm_pu.to_numpy()
        assert np.abs(v - plan.prediction.v_pu[step]).max() < 1e-5
        assert net.res_ext_grid.p_mw[0] == pytest.approx(plan.prediction.import_mw[step, 0], abs=1e-4)
        assert net.res_line.pl_mw.sum() == pytest.approx(plan.prediction.losses_mw[step, 0], rel=1e-3, abs=1e-5)
        others = np.arange(feeder.n_bus) != feeder.slack
        assert np.all(v[others] >= feeder.v_min_pu[others] - 1e-5)
        assert np.all(v[others] <= feeder.v_max_pu[others] + 1e-5)
    assert plan.solver.cone_gap < 1e-6
    assert plan.solver.gap <= 1e-2
