"""Branches without impedance: their buses have one voltage, their current is known, and both AC engines solve."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandapower as pp
import pytest

from gridferry.networks.admittance import branch_flows
from gridferry.networks.catalog import load_network
from gridferry.networks.feeder import Z_MIN_PU
from gridferry.networks.network import Network
from gridferry.networks.readers.pandapower import network_of_net
from gridferry.sim.grid.pandapower_engine import PandapowerEngine
from gridferry.sim.grid.power_grid_model_engine import PowerGridModelEngine


def row_of_buses() -> pp.pandapowerNet:
    """Four buses in a row at 20 kV, a transformer at the end, a load at each but the first; a line of no charging."""
    net = pp.create_empty_network(sn_mva=10.0)
    pp.create_buses(net, 4, 20.0)
    pp.create_bus(net, 0.4)
    pp.create_ext_grid(net, 0)
    for bus in (1, 2, 3):
        charging = 0.0 if bus == 2 else 100.0
        pp.create_line_from_parameters(net, bus - 1, bus, 1.0, 0.4, 0.3, charging, 0.4, name=f"L{bus}")
    pp.create_transformer_from_parameters(net, 3, 4, 1.0, 20.0, 0.4, 1.0, 6.0, 1.0, 0.1, name="T")
    for bus in (1, 2, 3, 4):
        pp.create_load(net, bus, 0.1, 0.05)
    return net


def nothing_per_km(net: pp.pandapowerNet) -> None:
    net.line.loc[1, ["r_ohm_per_km", "x_ohm_per_km"]] = 0.0


def no_length(net: pp.pandapowerNet) -> None:
    net.line["length_km"] = net.line.length_km.astype(int)
    net.line.loc[1, "length_km"] = 0


def impedance_of_nothing(net: pp.pandapowerNet) -> None:
    net.line.loc[1, "in_service"] = False
    pp.create_impedance(net, 1, 2, 0.0, 0.0, 1.0)


def closed_switch(net: pp.pandapowerNet) -> None:
    net.line.loc[1, "in_service"] = False
    pp.create_switch(net, 1, 2, "b")


def solved(network: Network) -> np.ndarray:
    """Voltages at five times the load, by both engines alike."""
    feeder = network.feeder
    p, q = -5.0 * feeder.p_load_mw, -5.0 * feeder.q_load_mvar
    v = PandapowerEngine(network).solve(p, q)
    other = PowerGridModelEngine(feeder).solve(p, q)
    assert v is not None
    np.testing.assert_allclose(other, v, rtol=0, atol=1e-8)
    return v


@pytest.mark.parametrize("change", [nothing_per_km, no_length, impedance_of_nothing])
def test_a_branch_without_impedance_is_a_closed_switch_between_its_buses(
    change: Callable[[pp.pandapowerNet], None],
) -> None:
    net, joined = row_of_buses(), row_of_buses()
    change(net)
    closed_switch(joined)
    network = network_of_net(net, "row")
    v = solved(network)
    np.testing.assert_allclose(
        np.abs(v[[0, 1, 3, 4]]), np.abs(solved(network_of_net(joined, "row"))), rtol=0, atol=1e-7
    )
    feeder = network.feeder
    branch = int(np.flatnonzero((feeder.parent == 1) & (feeder.child == 2))[0])
    # the loads behind it, and what the transformer and the last line lose
    through = branch_flows(feeder, v).s_parent_mva[branch]
    behind = branch_flows(feeder, v).s_parent_mva[np.flatnonzero(feeder.parent == 2)[0]] + 5.0 * (0.1 + 0.05j)
    assert through == pytest.approx(behind, abs=1e-6)


def test_a_transformer_without_impedance_is_an_ideal_one() -> None:
    net = row_of_buses()
    net.trafo[["vk_percent", "vkr_percent", "i0_percent", "pfe_kw"]] = 0.0
    v = solved(network_of_net(net, "row"))
    assert v[4] == pytest.approx(v[3], abs=1e-7)


def test_a_line_of_no_ohms_keeps_its_charging() -> None:
    net, short = row_of_buses(), row_of_buses()
    for one, length in ((net, 1.0), (short, 1e-4)):
        one.line.loc[1, ["r_ohm_per_km", "x_ohm_per_km"]] = 0.0 if one is net else 0.1
        one.line.loc[1, ["length_km", "c_nf_per_km"]] = [length, 5000.0 / length]
    np.testing.assert_allclose(
        solved(network_of_net(net, "row")), solved(network_of_net(short, "row")), rtol=0, atol=1e-6
    )


CASE = """function mpc = jumper
mpc.version = '2';
mpc.baseMVA = 10;
mpc.bus = [
\t1\t3\t0\t0\t0\t0\t1\t1\t0\t12.66\t1\t1.1\t0.9;
\t2\t1\t1\t0.5\t0\t0\t1\t1\t0\t12.66\t1\t1.1\t0.9;
\t3\t1\t1\t0.5\t0\t0\t1\t1\t0\t12.66\t1\t1.1\t0.9;
];
mpc.gen = [\n\t1\t0\t0\t10\t-10\t1\t100\t1\t10\t0;\n];
mpc.branch = [
\t1\t2\t0.02\t0.02\t0\t0\t0\t0\t0\t0\t1\t-360\t360;
\t2\t3\t0\t0\t0\t4\t0\t0\t0\t0\t1\t-360\t360;
];
"""
FUNCTION = """
from dataclasses import replace
import numpy as np
from gridferry.networks.feeder import plain_feeder

def jumper():
    feeder = plain_feeder(
        "jumper", base_mva=10.0, base_kv=12.66, bus_names=("1", "2", "3"), p_load_mw=np.array([0.0, 1.0, 1.0]),
        q_load_mvar=np.array([0.0, 0.5, 0.5]), from_bus=np.array([0, 1]), to_bus=np.array([1, 2]),
        r_ohm=np.array([0.1, 0.0]), x_ohm=np.array([0.1, 0.0]),
    )
    return replace(feeder, r_pu=np.array([0.02, 0.0]), x_pu=np.array([0.02, 0.0]))
"""


@pytest.mark.parametrize(("name", "text", "spec"), [("a.m", CASE, "a.m"), ("a.py", FUNCTION, "a.py:jumper")])
def test_cases_and_functions_may_have_branches_without_impedance(
    name: str, text: str, spec: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_text(text)
    network = load_network(spec, tmp_path)
    assert np.hypot(network.feeder.r_pu, network.feeder.x_pu)[1] == pytest.approx(Z_MIN_PU)
    v = solved(network)
    assert v[2] == pytest.approx(v[1], abs=1e-7)
    # by hand: 10 MVA in all through 0.02 + 0.02j pu, v² + 2 (r p + x q) + |z|² |s|² / v² = 1
    s, z = 1.0 + 0.5j, 0.02 + 0.02j
    half = 0.5 - (z * s.conjugate()).real
    assert abs(v[1]) ** 2 == pytest.approx(half + np.sqrt(half**2 - abs(z * s) ** 2), abs=1e-7)
