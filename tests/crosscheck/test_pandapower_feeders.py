"""Feeders read from pandapower nets: a power flow on the feeder's π model, written here, against pandapower's own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandapower as pp
import pandapower.networks as pn
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cases.pandapower_flows import assert_same_flow, pandapower_voltages, pi_model_voltages
from gridferry.networks.admittance import branch_flows
from gridferry.networks.catalog import load_network
from gridferry.networks.readers.pandapower import network_of_net
from gridferry.sim.grid.power_grid_model_engine import PowerGridModelEngine


def random_net(seed: int) -> pp.pandapowerNet:
    """A radial net of two voltage levels with one of everything a feeder carries, ends of lines either way round."""
    rng = np.random.default_rng(seed)
    n_mv, n_lv = int(rng.integers(3, 9)), int(rng.integers(1, 6))
    net = pp.create_empty_network(sn_mva=float(rng.choice([1.0, 10.0, 100.0])), f_hz=float(rng.choice([50.0, 60.0])))
    index = rng.permutation(100)[: n_mv + n_lv]
    for bus in index[:n_mv]:
        pp.create_bus(net, 20.0, index=int(bus))
    for bus in index[n_mv:]:
        pp.create_bus(net, 0.4, index=int(bus))
    pp.create_ext_grid(net, index[0], vm_pu=float(rng.uniform(0.98, 1.04)), va_degree=0.0)

    def line(a: int, b: int, length_km: float) -> int:
        ends = (a, b) if rng.random() < 0.5 else (b, a)
        return pp.create_line_from_parameters(
            net,
            *map(int, ends),
            length_km,
            r_ohm_per_km=0.3,
            x_ohm_per_km=0.25,
            c_nf_per_km=float(rng.uniform(0, 300)),
            g_us_per_km=float(rng.uniform(0, 5)),
            max_i_ka=0.3,
            parallel=int(rng.integers(1, 3)),
        )

    for position in range(1, n_mv):
        line(index[position], index[rng.integers(0, position)], 2.0)
    for position in range(n_mv + 1, n_mv + n_lv):
        line(index[position], index[rng.integers(n_mv, position)], 0.1)
    pp.create_transformer_from_parameters(
        net,
        hv_bus=int(index[rng.integers(0, n_mv)]),
        lv_bus=int(index[n_mv]),
        sn_mva=0.63,
        vn_hv_kv=20.5,
        vn_lv_kv=0.41,
        vk_percent=6.0,
        vkr_percent=1.2,
        pfe_kw=1.5,
        i0_percent=0.4,
        shift_degree=float(rng.choice([0.0, 150.0])),
        tap_side=str(rng.choice(["hv", "lv"])),
        tap_neutral=0,
        tap_min=-2,
        tap_max=2,
        tap_step_percent=2.5,
        tap_pos=int(rng.integers(-2, 3)),
        tap_changer_type="Ratio",
        parallel=int(rng.integers(1, 3)),
    )
    for bus in index:
        pp.create_load(net, int(bus), float(rng.uniform(0, 0.04)), float(rng.uniform(0, 0.02)), scaling=0.8)
    pp.create_load(net, int(index[0]), 5.0, in_service=False)
    pp.create_sgen(net, int(index[-1]), 0.05, 0.01, scaling=0.5)
    pp.create_storage(net, int(index[1]), 0.03, 1.0, q_mvar=-0.01)
    pp.create_shunt(net, int(index[2]), q_mvar=-0.05, p_mw=0.01, vn_kv=21.0, step=2)
    # an open tie, a line that hangs open at its far end, and one out of service
    pp.create_switch(net, int(index[0]), line(index[0], index[2], 5.0), et="l", closed=False)
    pp.create_switch(net, int(index[2]), int(net.line.index[-1]), et="l", closed=False)
    hanging = line(index[1], index[2], 5.0)
    pp.create_switch(net, int(index[2]), hanging, et="l", closed=False)
    net.line.loc[line(index[0], index[1], 1.0), "in_service"] = False
    # a bus behind a closed switch, with a load
    behind = pp.create_bus(net, 20.0)
    pp.create_switch(net, behind, int(index[1]), et="b", closed=True)
    pp.create_load(net, behind, 0.02, 0.01)
    pp.create_gen(net, int(index[0]), 0.1, vm_pu=float(net.ext_grid.vm_pu.iloc[0]))
    return net


@given(seed=st.integers(0, 10_000))
@settings(max_examples=10)
def test_random_nets_with_everything_a_feeder_carries(seed: int) -> None:
    network = assert_same_flow(random_net(seed))
    feeder = network.feeder
    assert feeder.b_child_pu.any() or (feeder.tap_parent != 1.0).any()
    v = PowerGridModelEngine(feeder).solve(feeder.p_gen_mw - feeder.p_load_mw, feeder.q_gen_mvar - feeder.q_load_mvar)
    assert v is not None
    np.testing.assert_allclose(v, pi_model_voltages(feeder), rtol=0, atol=1e-6)


@given(seed=st.integers(0, 10_000))
@settings(max_examples=8)
def test_permuting_the_buses_permutes_the_voltages(seed: int) -> None:
    net = random_net(seed)
    net.bus["name"] = [f"bus {index}" for index in net.bus.index]
    first = network_of_net(net, "net").feeder
    v = dict(zip(first.bus_names, pi_model_voltages(first), strict=True))
    shuffled = pp.pandapowerNet(net)
    shuffled["bus"] = net.bus.sample(frac=1.0, random_state=seed)
    shuffled["line"] = net.line.sample(frac=1.0, random_state=seed)
    second = network_of_net(shuffled, "net").feeder
    for name, index in zip(second.bus_names, range(second.n_bus), strict=True):
        assert abs(pi_model_voltages(second)[index] - v[first.bus_names[first.bus_index(name)]]) < 1e-10


@pytest.mark.parametrize(
    "make",
    [
        pn.case33bw,
        pn.create_cigre_network_lv,
        pn.create_cigre_network_mv,
        pn.create_kerber_landnetz_freileitung_1,
        pn.create_kerber_vorstadtnetz_kabel_1,
        pn.simple_mv_open_ring_net,
        pn.panda_four_load_branch,
        pn.four_loads_with_branches_out,
    ],
)
def test_nets_that_come_with_pandapower(make: Callable[[], pp.pandapowerNet]) -> None:
    assert_same_flow(make())


@pytest.mark.parametrize("code", ["1-LV-rural1--0-sw", "1-LV-urban6--0-sw", "1-MV-rural--0-sw"])
def test_simbench_grids(code: str) -> None:
    network = load_network(f"simbench:{code}", Path())
    assert network.source_net is not None
    np.testing.assert_allclose(
        pi_model_voltages(network.feeder), pandapower_voltages(network.source_net, network), rtol=0, atol=1e-8
    )


def test_the_net_of_case33bw_is_our_ieee33() -> None:
    ours = load_network("ieee33", Path()).feeder
    theirs = load_network("pandapower.networks:case33bw", Path()).feeder
    assert theirs.base_mva == ours.base_mva == 10.0
    np.testing.assert_array_equal(theirs.parent, ours.parent)
    np.testing.assert_array_equal(theirs.child, ours.child)
    for name in ("r_pu", "x_pu", "p_load_mw", "q_load_mvar", "i_max_pu", "v_min_pu", "v_max_pu"):
        np.testing.assert_allclose(getattr(theirs, name), getattr(ours, name), rtol=1e-9, atol=1e-12, err_msg=name)


def test_branch_currents_reach_the_rating_where_pandapower_says_100_percent() -> None:
    net = pn.simple_mv_open_ring_net()
    net.trafo["tap_pos"] = net.trafo.tap_neutral
    net.line.loc[0, ["df", "max_i_ka"]] = [0.7, 0.2]
    net.trafo["df"] = 0.9
    network = network_of_net(net, "net")
    flows = branch_flows(network.feeder, pandapower_voltages(net, network))
    loading = 100 * np.maximum(flows.i_parent_pu, flows.i_child_pu) / network.feeder.i_max_pu
    assert network.feeder.n_branch == 6
    for name, percent in zip(network.feeder.branch_names, loading, strict=True):
        table, index = name.split()
        assert percent == pytest.approx(net[f"res_{table}"].loading_percent[int(index)], rel=1e-9)
