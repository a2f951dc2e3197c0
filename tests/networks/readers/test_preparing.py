"""What a feeder has no element for is replaced by its like, and gives the voltages of plain ``runpp``."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pandapower as pp
import pandapower.networks as pn
import pandas as pd
import pytest

from cases.pandapower_flows import pi_model_voltages
from gridferry.networks.faults import InputError
from gridferry.networks.network import Network
from gridferry.networks.network_spec import NetOptions
from gridferry.networks.readers.pandapower import network_of_net
from gridferry.networks.readers.preparing.supplies import SeveralSuppliesError


def row(n: int = 3, net: pp.pandapowerNet | None = None, supplied: bool = True) -> pp.pandapowerNet:
    """A row of buses at 20 kV with a load at each but the first, which is supplied."""
    net = pp.create_empty_network(sn_mva=7.0) if net is None else net
    buses = [pp.create_bus(net, 20.0) for _ in range(n)]
    for a, b in pairwise(buses):
        pp.create_line_from_parameters(net, a, b, 1.0, 0.2, 0.12, 250, 0.4)
        pp.create_load(net, b, 0.4, 0.1)
    if supplied:
        pp.create_ext_grid(net, buses[0], vm_pu=1.01)
    return net


def assert_as_runpp(net: pp.pandapowerNet, atol: float = 1e-8, **options: object) -> Network:
    """Voltages of all buses that both have agree."""
    network = network_of_net(net, "net", options=NetOptions(**options))
    assert network.net_bus is not None
    pp.runpp(net, tolerance_mva=1e-10, calculate_voltage_angles=True, numba=False)
    ours = dict(zip(network.net_bus.tolist(), np.abs(pi_model_voltages(network.feeder)), strict=True))
    shared = [bus for bus in ours if bus in net.bus.index]
    assert len(shared) > 1
    np.testing.assert_allclose([ours[bus] for bus in shared], net.res_bus.vm_pu[shared], rtol=0, atol=atol)
    return network


def three_windings(net: pp.pandapowerNet) -> None:
    for kv in (20.0, 10.0):
        pp.create_bus(net, kv)
    pp.create_transformer3w_from_parameters(
        net, 2, 3, 4, 20.0, 20.0, 10.0, 5.0, 4.0, 3.0, 8.0, 9.0, 7.0, 0.3, 0.4, 0.5, 6.0, 0.3,
        tap_side="hv", tap_neutral=0, tap_min=-3, tap_max=3, tap_pos=2, tap_step_percent=1.5,
    )  # fmt: skip
    pp.create_load(net, 3, 0.5, 0.2)
    pp.create_load(net, 4, 0.6, 0.1)


def other_taps(net: pp.pandapowerNet) -> None:
    low = pp.create_bus(net, 0.4)
    for tap, shift in ((0, 0), (2, 0), (-1, 0)):
        pp.create_transformer(net, 2, low, "0.63 MVA 20/0.4 kV", tap_pos=tap)
        net.trafo["shift_degree"] = shift
    pp.create_load(net, low, 0.5, 0.1)


CHANGES: list[tuple[Callable[[pp.pandapowerNet], object], str]] = [
    (lambda n: pp.create_motor(n, 1, 0.3, 0.9, efficiency_percent=95.0, loading_percent=80.0), "1 motor"),
    (lambda n: pp.create_ward(n, 1, 0.1, 0.05, 0.2, -0.1), "1 ward"),
    (three_windings, "1 three-winding transformer"),
    (lambda n: pp.create_bus(n, 20.0), "bus 3 has no supply"),
    (other_taps, ""),
    (lambda n: row(3, n, supplied=False), "3 buses (3, 4, 5) have no supply and are left out, with loads of 0.8 MW"),
]


@pytest.mark.parametrize(("change", "note"), CHANGES)
def test_what_is_replaced_or_left_out_changes_no_voltage_and_is_said(
    change: Callable[[pp.pandapowerNet], object], note: str
) -> None:
    net = row()
    change(net)
    notes = assert_as_runpp(net).notes
    assert any(one.startswith(note) for one in notes) if note else not notes


def test_loads_of_constant_impedance_are_shunts_exactly_and_of_constant_current_nearly() -> None:
    """½ (v - 1)² of the current is left out: the voltage drop of 0.07 pu makes 0.25 % of it, and of the drop."""
    net = row(5)
    net.line["length_km"] = 15.0
    net.load[["const_z_p_percent", "const_z_q_percent"]] = [70.0, 40.0]
    network = assert_as_runpp(net)
    assert network.notes[0].startswith(
        "4 loads depend on the voltage: 1.12 MW at 1 pu, constant throughout, are a shunt"
    )
    assert network.elements[0].p_mw == pytest.approx(0.12)
    net.load[["const_i_p_percent", "const_i_q_percent"]] = [20.0, 60.0]
    network = assert_as_runpp(net, atol=1e-4)
    assert "within 0.5 % of them" in network.notes[1]


def test_an_extended_ward_and_a_generator_have_the_p_and_q_of_the_net_s_own_solution() -> None:
    net = row(4)
    pp.create_xward(net, 2, 0.1, 0.05, 0.2, -0.1, 1.0, 2.0, 1.0)
    pp.create_gen(net, 3, 0.2, vm_pu=1.0)
    network = assert_as_runpp(net, pq_generators=True, atol=1e-7)
    assert "2 generators are taken with the Q of the net's own solution" in network.notes[-1]


def test_loads_of_single_phases_are_balanced_on_request_with_their_sum() -> None:
    net = row()
    pp.create_asymmetric_load(net, 1, 0.1, 0.2, 0.05, 0.01, 0.02, 0.03, scaling=0.5)
    pp.create_asymmetric_sgen(net, 2, 0.1, 0.0, 0.05, 0.01, 0.02, 0.03)
    with pytest.raises(InputError, match="balanced = true"):
        network_of_net(net, "net")
    assert_as_runpp(net, balanced=True)


def test_a_users_own_tables_disturb_nothing() -> None:
    net = row()
    net["charging_points"] = pd.DataFrame({"bus": [1], "in_service": [True]})
    net["profiles"] = "see the wiki"
    assert not assert_as_runpp(net).notes


def test_parallel_transformers_on_other_taps_reach_the_rating_no_later_than_the_first_of_them() -> None:
    net = row()
    other_taps(net)
    network = network_of_net(net, "net")
    branch = next(k for k, name in enumerate(network.feeder.branch_names) if " + " in name)
    pp.runpp(net, calculate_voltage_angles=True, numba=False)
    from gridferry.networks.admittance import branch_flows

    flows = branch_flows(network.feeder, pi_model_voltages(network.feeder))
    loading = flows.i_child_pu[branch] / network.feeder.i_max_pu[branch]
    assert loading >= net.res_trafo.loading_percent.max() / 100.0 - 0.01


# ------------------------------------------------------------------------------------------------------------ supplies


def two_feeders() -> pp.pandapowerNet:
    net = row(3)
    row(4, net)
    net.ext_grid["name"] = ["north", "south"]
    return net


@pytest.mark.parametrize(
    ("supply", "buses"), [("north", 3), ("south", 4), ("1", 4), (0, 3), ("#1", 4), ("ext_grid 0", 3)]
)
def test_what_one_supply_feeds_is_a_feeder(supply: str | int, buses: int) -> None:
    network = assert_as_runpp(two_feeders(), supply=supply)
    assert network.feeder.n_bus == buses
    assert f"takes the {buses} of 7 buses" in network.notes[0]


def test_several_supplies_are_named_with_both_ways_out() -> None:
    with pytest.raises(SeveralSuppliesError) as caught:
        network_of_net(two_feeders(), "net")
    assert '"north" (3 buses), "south" (4 buses)' in str(caught.value)
    assert "supply = ..." in str(caught.value)
    assert "split = true" in str(caught.value)
    assert caught.value.supplies == ("#0", "#1")
    with pytest.raises(InputError, match=r'no such supply; there is north, south \(did you mean "south"\?\)'):
        network_of_net(two_feeders(), "net", options=NetOptions(supply="soth"))


def test_external_grids_on_one_busbar_or_coupler_are_one_supply() -> None:
    net = row()
    pp.create_switch(net, 0, pp.create_bus(net, 20.0), et="b", closed=True)
    for bus in (0, 3):
        pp.create_ext_grid(net, bus, vm_pu=1.01)
    assert_as_runpp(net)
    net.ext_grid.loc[1, "vm_pu"] = 1.02
    with pytest.raises(InputError, match=r"has 1.01 and 1.02 pu by several external grids"):
        network_of_net(net, "net")


def test_two_supplies_of_the_same_buses_are_parted_by_what_is_opened() -> None:
    net = row(4)
    pp.create_ext_grid(net, 3, vm_pu=1.0)
    with pytest.raises(InputError, match=r"feeds the same buses as ext_grid 0; open a line or switch between them"):
        network_of_net(net, "net", options=NetOptions(supply=0))
    network = network_of_net(net, "net", options=NetOptions(supply=0, opened=("line 1",)))
    assert network.feeder.n_bus == 2


# --------------------------------------------------------------------------------------------------------------- loops


def test_the_proposal_for_a_closed_ring_makes_it_radial() -> None:
    net = pn.create_cigre_network_mv()
    net.switch["closed"] = True
    with pytest.raises(InputError) as caught:
        network_of_net(net, "net")
    way = caught.value.faults[-1]
    assert way.key == "open"
    proposed = way.message.partition("[")[2].partition("]")[0].replace('"', "").split(", ")
    network = network_of_net(net, "net", options=NetOptions(opened=tuple(proposed)))
    assert network.feeder.n_bus == 15
    net.line.loc[[int(one.removeprefix("line ")) for one in proposed], "in_service"] = False
    assert_as_runpp(net)


def test_what_is_opened_goes_by_table_and_index_or_by_name() -> None:
    net = row(4)
    pp.create_line_from_parameters(net, 0, 3, 1.0, 0.2, 0.12, 250, 0.4, name="tie")
    for name in ("tie", "line 3", "line 1"):
        assert network_of_net(net, "net", options=NetOptions(opened=(name,))).feeder.n_bus == 4
    with pytest.raises(InputError, match=r'open = "tied": no such branch; there is line 0'):
        network_of_net(net, "net", options=NetOptions(opened=("tied",)))


# -------------------------------------------------------------------------------------------------------- limits, names


def test_limits_of_the_config_are_taken_before_those_of_the_file_are_judged() -> None:
    net = row()
    net.bus["min_vm_pu"], net.bus["max_vm_pu"] = 1.0, 1.0
    network = network_of_net(net, "net")
    assert network.feeder.v_min_pu.tolist() == [0.9, 0.9, 0.9]
    assert "2 buses have equal voltage limits" in network.notes[0]
    net.bus["min_vm_pu"] = 1.2
    with pytest.raises(InputError, match="upside down"):
        network_of_net(net, "net")
    assert not network_of_net(net, "net", options=NetOptions(v_min_given=True, v_max_given=True)).notes


def test_buses_go_by_names_with_spaces_and_accents_numbers_and_indices() -> None:
    net = row(5)
    net.bus["name"] = [" Süd 1 ", "Su\u0308d 2", 7.0, "B", "B"]
    feeder = network_of_net(net, "net").feeder
    assert feeder.bus_names == ("Süd 1", "Süd 2", "7", "B #3", "B #4")
    assert [feeder.bus_index(one) for one in ("Süd 1", "S\u00fcd 2", 7, "#2", "B #4", "#4")] == [0, 1, 2, 2, 4, 4]
