"""Special elements of pandapower nets, and nets that are refused."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandapower as pp
import pandapower.networks as pn
import pytest

from cases.pandapower_flows import assert_same_flow, pandapower_voltages, pi_model_voltages
from gridferry.networks.admittance import branch_flows
from gridferry.networks.faults import InputError
from gridferry.networks.readers.pandapower import network_of_net


def base_net() -> pp.pandapowerNet:
    """Three buses in a row, loaded, at 20 kV, and one at 0.4 kV."""
    net = pp.create_empty_network()
    pp.create_buses(net, 3, 20.0)
    pp.create_bus(net, 0.4)
    pp.create_ext_grid(net, 0, vm_pu=1.02)
    mv_line(net, 0, 1)
    mv_line(net, 1, 2)
    pp.create_transformer(net, 2, 3, "0.63 MVA 20/0.4 kV")
    pp.create_loads(net, [1, 2, 3], [1.0, 0.8, 0.2], [0.3, 0.2, 0.1])
    return net


def mv_line(net: pp.pandapowerNet, a: int, b: int, max_i_ka: float = 0.2, length_km: float = 3.0) -> int:
    return pp.create_line_from_parameters(net, a, b, length_km, 0.4, 0.3, 250.0, max_i_ka)


def lines_side_by_side(net: pp.pandapowerNet) -> None:
    mv_line(net, 1, 0, length_km=1.0)
    mv_line(net, 0, 1, length_km=7.0)


def transformers_side_by_side(net: pp.pandapowerNet) -> None:
    pp.create_transformer(net, 2, 3, "0.4 MVA 20/0.4 kV")


def line_beside_a_closed_switch(net: pp.pandapowerNet) -> None:
    pp.create_bus(net, 20.0)
    pp.create_load(net, 4, 0.3, 0.1)
    pp.create_switch(net, 2, 4, et="b")
    mv_line(net, 2, 4)


def chain_of_closed_switches(net: pp.pandapowerNet) -> None:
    for bus in (4, 5):
        pp.create_bus(net, 20.0)
        pp.create_switch(net, bus - 1 if bus > 4 else 1, bus, et="b")
        pp.create_load(net, bus, 0.3, 0.1)


def transformer_open_below(net: pp.pandapowerNet) -> None:
    open_trafo = pp.create_transformer(net, 1, 3, "0.63 MVA 20/0.4 kV")
    pp.create_switch(net, 3, open_trafo, et="t", closed=False)


def transformer_open_above(net: pp.pandapowerNet) -> None:
    open_trafo = pp.create_transformer(net, 1, 3, "0.63 MVA 20/0.4 kV")
    pp.create_switch(net, 1, open_trafo, et="t", closed=False)


def line_to_a_bus_out_of_service(net: pp.pandapowerNet) -> None:
    pp.create_bus(net, 20.0, in_service=False)
    mv_line(net, 4, 2)
    pp.create_load(net, 4, 1.0, 1.0)


def switch_with_an_impedance(net: pp.pandapowerNet) -> None:
    pp.create_bus(net, 20.0)
    pp.create_switch(net, 4, 2, et="b", z_ohm=0.5)
    pp.create_load(net, 4, 0.3, 0.1)


def impedance_element(net: pp.pandapowerNet) -> None:
    pp.create_bus(net, 20.0)
    pp.create_impedance(net, 4, 2, 0.01, 0.03, 5.0, gf_pu=0.01, bf_pu=0.02, gt_pu=0.03, bt_pu=0.04)
    pp.create_load(net, 4, 0.3, 0.1)


def phase_shifter(net: pp.pandapowerNet) -> None:
    net.trafo["shift_degree"] = 150.0
    net.trafo.loc[0, ["tap_pos", "tap_step_degree", "tap_step_percent"]] = [2, 1.5, np.nan]
    net.trafo["tap_changer_type"] = "Ideal"


@pytest.mark.parametrize(
    "change",
    [
        lines_side_by_side,
        transformers_side_by_side,
        line_beside_a_closed_switch,
        chain_of_closed_switches,
        transformer_open_below,
        transformer_open_above,
        line_to_a_bus_out_of_service,
        switch_with_an_impedance,
        impedance_element,
        phase_shifter,
    ],
)
def test_special_elements_are_exact(change: Callable[[pp.pandapowerNet], None]) -> None:
    net = base_net()
    plain = pi_model_voltages(network_of_net(net, "net").feeder)
    change(net)
    network = assert_same_flow(net)
    assert np.abs(pi_model_voltages(network.feeder)[:4] - plain).max() > 1e-7, "the change must matter"


def test_lines_side_by_side_are_one_branch_that_is_full_when_the_first_of_them_is() -> None:
    net = base_net()
    net.line["c_nf_per_km"] = 0.0
    strong = mv_line(net, 1, 0, max_i_ka=0.05, length_km=1.0)
    net.line["c_nf_per_km"] = 0.0
    network = assert_same_flow(net)
    feeder = network.feeder
    merged = feeder.branch_names.index(f"line 0 + line {strong}")
    flows = branch_flows(feeder, pandapower_voltages(net, network))
    loading = 100 * flows.i_parent_pu[merged] / feeder.i_max_pu[merged]
    assert loading == pytest.approx(net.res_line.loading_percent[[0, strong]].max(), rel=1e-9)


def test_every_name_of_joined_buses_leads_to_the_one_they_are() -> None:
    net = base_net()
    chain_of_closed_switches(net)
    net.bus["name"] = ["grid", "A", "B", "LV", "A2", "A3"]
    network = network_of_net(net, "net")
    assert network.feeder.bus_names == ("grid", "A", "B", "LV")
    assert {network.feeder.bus_index(name) for name in ("A", "A2", "A3", "1", 4, "5")} == {1}
    assert network.feeder.p_load_mw[1] == pytest.approx(1.6)
    assert network.net_bus is not None
    assert network.net_bus.tolist() == [0, 1, 2, 3]


def test_the_net_that_was_read_is_left_alone() -> None:
    net = base_net()
    net.ext_grid["va_degree"] = 30.0
    before = {table: net[table].copy() for table in ("bus", "line", "trafo", "ext_grid", "load")}
    network = network_of_net(net, "net")
    for table, rows in before.items():
        assert rows.equals(net[table])
    assert network.source_net is not net
    assert network.source_net.ext_grid.va_degree.tolist() == [0.0]


def test_a_generator_named_slack_is_the_supply() -> None:
    net = base_net()
    net.ext_grid["in_service"] = False
    pp.create_gen(net, 0, 0.0, vm_pu=1.03, slack=True)
    assert assert_same_flow(net).feeder.slack_v_pu == 1.03


def test_a_mesh_is_refused_by_the_branch_that_closes_it() -> None:
    net = pn.create_cigre_network_mv()
    net.switch["closed"] = True
    with pytest.raises(InputError) as caught:
        network_of_net(net, "cigre")
    assert "closes a loop" in str(caught.value)
    *loops, way_out = caught.value.faults
    assert all(fault.key.startswith("branch Line ") for fault in loops)
    assert way_out.key == "open"
