"""Admittances, branch flows and injections against circuit laws written out by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gridferry.networks.admittance import admittance, branch_flows, bus_injections
from gridferry.networks.faults import InputError
from gridferry.networks.feeder import Feeder, plain_feeder


def three_buses(**changes: object) -> Feeder:
    """A - B - C, with the line B - C given from its far end."""
    feeder = plain_feeder(
        "abc",
        base_mva=10.0,
        base_kv=10.0,
        bus_names=["A", "B", "C"],
        p_load_mw=np.array([0.0, 1.0, 2.0]),
        q_load_mvar=np.array([0.0, 0.5, 0.7]),
        from_bus=np.array([0, 2]),
        to_bus=np.array([1, 1]),
        r_ohm=np.array([0.2, 0.3]),
        x_ohm=np.array([0.4, 0.5]),
    )
    return replace(feeder, **changes)


def transformer_feeder() -> Feeder:
    """Every element of the branch model at once: shunts, charging, taps at both ends and a shift."""
    return three_buses(
        g_shunt_pu=np.array([0.0, 0.01, 0.0]),
        b_shunt_pu=np.array([0.0, 0.03, -0.02]),
        g_parent_pu=np.array([0.001, 0.004]),
        b_parent_pu=np.array([0.02, 0.01]),
        g_child_pu=np.array([0.002, 0.0]),
        b_child_pu=np.array([0.01, -0.03]),
        tap_parent=np.array([1.02, 0.97]),
        tap_child=np.array([1.01, 1.05]),
        shift_deg=np.array([30.0, -150.0]),
    )


V = np.array([1.0 + 0.0j, 0.96 - 0.02j, 0.93 - 0.05j])


def test_flow_of_a_plain_line_obeys_ohms_law() -> None:
    feeder = three_buses()
    flows = branch_flows(feeder, V)
    current = (V[0] - V[1]) / (0.02 + 0.04j)
    assert flows.s_parent_mva[0] == pytest.approx(10.0 * V[0] * current.conjugate())
    assert flows.s_child_mva[0] == pytest.approx(-10.0 * V[1] * current.conjugate())
    assert flows.i_parent_pu[0] == pytest.approx(abs(current))
    loss = 10.0 * 0.02 * abs(current) ** 2
    assert (flows.s_parent_mva + flows.s_child_mva)[0].real == pytest.approx(loss)


def test_ideal_transformers_scale_the_section_between_them() -> None:
    """By hand: step both ends to the π section, add its shunt and series currents, step back."""
    feeder = transformer_feeder()
    flows = branch_flows(feeder, V)
    for branch, (parent, child) in enumerate([(0, 1), (1, 2)]):
        ratio = feeder.tap_parent[branch] * np.exp(1j * np.deg2rad(feeder.shift_deg[branch]))
        u_parent, u_child = V[parent] / ratio, V[child] / feeder.tap_child[branch]
        series = (u_parent - u_child) / (feeder.r_pu[branch] + 1j * feeder.x_pu[branch])
        i_parent = series + u_parent * (feeder.g_parent_pu[branch] + 1j * feeder.b_parent_pu[branch])
        i_child = -series + u_child * (feeder.g_child_pu[branch] + 1j * feeder.b_child_pu[branch])
        assert flows.s_parent_mva[branch] == pytest.approx(10.0 * u_parent * i_parent.conjugate())
        assert flows.s_child_mva[branch] == pytest.approx(10.0 * u_child * i_child.conjugate())
        assert flows.i_parent_pu[branch] == pytest.approx(abs(i_parent))
        assert flows.i_child_pu[branch] == pytest.approx(abs(i_child))


def test_injections_are_the_flows_into_the_branches_and_shunts_of_a_bus() -> None:
    feeder = transformer_feeder()
    batch = np.stack([V, V * np.exp(0.1j), 1.02 * V])[:, None, :].repeat(2, axis=1)
    flows = branch_flows(feeder, batch)
    expected = 10.0 * np.abs(batch) ** 2 * (feeder.g_shunt_pu - 1j * feeder.b_shunt_pu)
    for branch in range(2):
        expected[..., feeder.parent[branch]] += flows.s_parent_mva[..., branch]
        expected[..., feeder.child[branch]] += flows.s_child_mva[..., branch]
    np.testing.assert_allclose(bus_injections(feeder, batch), expected, rtol=0, atol=1e-12)


def test_branch_matrices_give_the_currents_of_the_flows() -> None:
    feeder = transformer_feeder()
    matrices = admittance(feeder)
    flows = branch_flows(feeder, V)
    np.testing.assert_allclose(10.0 * V[feeder.parent] * (matrices.parent @ V).conj(), flows.s_parent_mva, atol=1e-12)
    np.testing.assert_allclose(10.0 * V[feeder.child] * (matrices.child @ V).conj(), flows.s_child_mva, atol=1e-12)


def test_a_branch_without_impedance_is_refused_by_name() -> None:
    feeder = three_buses(r_pu=np.array([0.02, 0.0]), x_pu=np.array([0.04, 0.0]))
    with pytest.raises(InputError, match=r"branch C-B: r = x = 0.*join its two buses"):
        admittance(feeder)
