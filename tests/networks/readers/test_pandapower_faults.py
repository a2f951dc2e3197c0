"""What a feeder cannot carry is refused, every element by its name."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandapower as pp
import pytest

from gridferry.networks.faults import InputError
from gridferry.networks.readers.pandapower import network_of_net


def row_of_buses() -> pp.pandapowerNet:
    """Four buses in a row at 20 kV, with a load each."""
    net = pp.create_empty_network()
    pp.create_buses(net, 4, 20.0)
    pp.create_ext_grid(net, 0)
    for bus in (1, 2, 3):
        pp.create_line_from_parameters(net, bus - 1, bus, 1.0, 0.3, 0.3, 10.0, 0.3, name=f"L{bus}")
        pp.create_load(net, bus, 0.1, 0.05, name=f"house {bus}")
    return net


def refused(change: Callable[[pp.pandapowerNet], object]) -> list[str]:
    net = row_of_buses()
    change(net)
    with pytest.raises(InputError) as caught:
        network_of_net(net, "row")
    return [str(fault) for fault in caught.value.faults]


def put(table: str, index: int, column: str, value: object) -> Callable[[pp.pandapowerNet], None]:
    def change(net: pp.pandapowerNet) -> None:
        net[table][column] = net[table][column].astype(object) if isinstance(value, str) else net[table][column]
        net[table].loc[index, column] = value

    return change


CASES: list[tuple[Callable[[pp.pandapowerNet], object], str, str]] = [
    (lambda n: pp.create_gen(n, 2, 0.1, name="G"), 'gen 0 ("G")', "controls a voltage away from the slack bus"),
    (lambda n: pp.create_ext_grid(n, 3, name="E2"), 'ext_grid 1 ("E2")', "one supply"),
    (lambda n: pp.create_xward(n, 1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 1.0), "gen 0", 'generators = "pq"'),
    (put("ext_grid", 0, "in_service", False), "ext_grid", "none in service"),
    (lambda n: pp.create_dcline(n, 1, 3, 0.1, 1.0, 0.01, 1.0, 1.0), "dcline 0", "MVDC link"),
    (lambda n: pp.create_asymmetric_load(n, 1, 0.1, 0.2, 0.3), "asymmetric_load 0", "balanced"),
    (lambda n: pp.create_asymmetric_sgen(n, 1, 0.1, 0.2, 0.3), "asymmetric_sgen 0", "balanced"),
    (lambda n: pp.create_svc(n, 1, 1.0, -10.0, 1.0, 90.0), "svc 0", "cannot carry"),
    (lambda n: pp.create_impedance(n, 1, 3, 0.1, 0.1, 1.0, rtf_pu=0.2), "impedance 0", "depends on the direction"),
    (lambda n: pp.create_line_from_parameters(n, 3, 1, 1, 0.1, 0.1, 0, 1, name="R"), "branch ", "closes a loop"),
    (put("line", 2, "x_ohm_per_km", np.nan), 'line 2 ("L3")', "x_ohm_per_km = nan"),
    (put("load", 0, "q_mvar", np.inf), 'load 0 ("house 1")', "q_mvar = inf"),
    (put("load", 0, "bus", 77), 'load 0 ("house 1")', "no such bus"),
    (put("bus", 2, "vn_kv", 0.0), "bus 2", "vn_kv = 0.0 must be above 0"),
    (put("bus", 0, "in_service", False), "ext_grid 0", "out of service"),
]


@pytest.mark.parametrize(("change", "key", "message"), CASES)
def test_element_that_cannot_be_carried_is_named(change: Callable[..., object], key: str, message: str) -> None:
    faults = refused(change)
    assert any(fault.startswith(f"row: {key}") and message in fault for fault in faults), faults


def test_impedances_that_depend_on_the_direction_and_limits_upside_down_are_named_together() -> None:
    def change(net: pp.pandapowerNet) -> None:
        pp.create_impedance(net, 1, 3, 0.1, 0.1, 1.0, rtf_pu=0.2)
        net.bus["min_vm_pu"] = [0.9, 0.9, 1.2, 0.9]
        net.bus["max_vm_pu"] = 1.1

    faults = refused(change)
    assert len(faults) == 2
    assert "impedance 0: its impedance depends on the direction" in faults[0]
    assert "min_vm_pu = 1.2, max_vm_pu = 1.1" in faults[1]


def test_all_faults_come_at_once() -> None:
    def change(net: pp.pandapowerNet) -> None:
        pp.create_svc(net, 1, 1.0, -10.0, 1.0, 90.0)
        pp.create_asymmetric_load(net, 2, 0.1, 0.2, 0.3)
        net.load.loc[[0, 2], "q_mvar"] = np.nan

    assert len(refused(change)) == 4


def test_a_controller_of_taps_is_named_and_one_that_plays_profiles_is_not() -> None:
    import pandas as pd
    from pandapower.control import ConstControl, DiscreteTapControl
    from pandapower.timeseries import DFData

    def tap_control(net: pp.pandapowerNet) -> None:
        pp.create_bus(net, 0.4)
        pp.create_transformer(net, 3, 4, "0.63 MVA 20/0.4 kV")
        DiscreteTapControl(net, element_index=0, vm_lower_pu=0.98, vm_upper_pu=1.02)

    assert refused(tap_control)[0].startswith("row: controller 0 (DiscreteTapControl)")
    net = row_of_buses()
    data = DFData(pd.DataFrame({"p": [0.1, 0.2]}))
    ConstControl(net, "load", "p_mw", element_index=[0], profile_name=["p"], data_source=data)
    assert network_of_net(net, "row").feeder.n_bus == 4


def test_what_is_out_of_service_refuses_nothing() -> None:
    net = row_of_buses()
    pp.create_ward(net, 1, 0.1, 0.1, 0.1, 0.1, in_service=False)
    pp.create_ext_grid(net, 3, in_service=False)
    pp.create_gen(net, 2, 0.1, in_service=False)
    pp.create_load(net, 2, np.nan, in_service=False)
    pp.create_bus(net, 20.0, in_service=False)
    assert network_of_net(net, "row").feeder.n_bus == 4


def test_limits_are_the_bus_s_own_and_else_ten_percent() -> None:
    net = row_of_buses()
    net.bus["min_vm_pu"] = [1.0, 0.95, np.nan, 0.92]
    net.bus["max_vm_pu"] = [1.0, 1.05, 1.08, np.nan]
    feeder = network_of_net(net, "row").feeder
    # 1.0 on both sides at the slack bus is the voltage held there
    assert feeder.v_min_pu.tolist() == [0.9, 0.95, 0.9, 0.92]
    assert feeder.v_max_pu.tolist() == [1.1, 1.05, 1.08, 1.1]


def test_names_that_are_given_twice_are_followed_by_the_index() -> None:
    net = row_of_buses()
    net.bus["name"] = ["A", "B", "B", "C"]
    net.line["name"] = "cable"
    feeder = network_of_net(net, "row").feeder
    assert feeder.bus_names == ("A", "B #1", "B #2", "C")
    assert [feeder.bus_index(one) for one in ("A", "#1", "2", "B #2", "#3")] == [0, 1, 2, 2, 3]
    with pytest.raises(KeyError, match="2 buses have that name; choose one with bus_index = 1 or 2"):
        feeder.bus_index("B")
    assert feeder.branch_names == ("line 0", "line 1", "line 2")


def test_an_empty_net_is_refused() -> None:
    with pytest.raises(InputError, match="no bus in service"):
        network_of_net(pp.create_empty_network(), "empty")
