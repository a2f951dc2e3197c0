"""Voltages of a pandapower net by two engines, and their comparison."""

from __future__ import annotations

import numpy as np
import pandapower as pp

from gridferry.networks.feeder import Feeder
from gridferry.networks.network import Network
from gridferry.networks.readers.pandapower import network_of_net


def pi_model_voltages(feeder: Feeder) -> np.ndarray:
    """Complex voltages: the documented branch model stamped, then v = Y⁻¹ (conj(s / v) - Y_slack v_slack) repeated."""
    y = np.diag(feeder.g_shunt_pu + 1j * feeder.b_shunt_pu)
    for k in range(feeder.n_branch):
        i, j = feeder.parent[k], feeder.child[k]
        series = 1 / (feeder.r_pu[k] + 1j * feeder.x_pu[k])
        inside = np.array(
            [
                [series + feeder.g_parent_pu[k] + 1j * feeder.b_parent_pu[k], -series],
                [-series, series + feeder.g_child_pu[k] + 1j * feeder.b_child_pu[k]],
            ]
        )
        # v_inside = v_bus / n and i_bus = i_inside / conj(n) at either ideal transformer
        n = np.diag([feeder.tap_parent[k] * np.exp(1j * np.deg2rad(feeder.shift_deg[k])), feeder.tap_child[k]])
        y[np.ix_([i, j], [i, j])] += np.linalg.inv(n).conj() @ inside @ np.linalg.inv(n)
    away = np.flatnonzero(np.arange(feeder.n_bus) != feeder.slack)
    s = (feeder.p_gen_mw - feeder.p_load_mw + 1j * (feeder.q_gen_mvar - feeder.q_load_mvar)) / feeder.base_mva
    z, from_slack = np.linalg.inv(y[np.ix_(away, away)]), y[away, feeder.slack] * feeder.slack_v_pu
    v = -z @ from_slack
    for _ in range(200):
        v = z @ ((s[away] / v).conj() - from_slack)
    result = np.full(feeder.n_bus, complex(feeder.slack_v_pu))
    result[away] = v
    return result


def pandapower_voltages(net: pp.pandapowerNet, network: Network) -> np.ndarray:
    assert network.net_bus is not None
    pp.runpp(net, tolerance_mva=1e-11, max_iteration=30, calculate_voltage_angles=True)
    found = net.res_bus.loc[network.net_bus]
    return found.vm_pu.to_numpy() * np.exp(1j * np.deg2rad(found.va_degree.to_numpy()))


def assert_same_flow(net: pp.pandapowerNet) -> Network:
    network = network_of_net(net, "net")
    np.testing.assert_allclose(pi_model_voltages(network.feeder), pandapower_voltages(net, network), rtol=0, atol=1e-8)
    return network
