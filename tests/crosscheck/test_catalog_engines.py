"""The published feeders through pandapower and power-grid-model, against the figures they are known by."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandapower as pp
import pandas as pd
import pytest

from gridferry.networks.catalog import CATALOGUE, load_network
from gridferry.networks.published import DATA
from gridferry.sim.grid.pandapower_net import net_of_feeder
from gridferry.sim.grid.power_grid_model_engine import PowerGridModelEngine

FIGURES = pd.read_csv(DATA / "feeders.csv").set_index("name")


def solved(name: str) -> tuple[pp.pandapowerNet, np.ndarray]:
    feeder = load_network(name, Path()).feeder
    net, net_bus = net_of_feeder(feeder)
    pp.create_loads(net, net_bus, p_mw=feeder.p_load_mw, q_mvar=feeder.q_load_mvar)
    pp.runpp(net, tolerance_mva=1e-10)
    return net, net_bus


@pytest.mark.parametrize("name", FIGURES.index)
def test_pandapower_finds_the_figures_of_the_feeder(name: str) -> None:
    net, net_bus = solved(name)
    facts, v = FIGURES.loc[name], net.res_bus.vm_pu[net_bus].to_numpy()
    assert net.res_line.pl_mw.sum() * 1e3 == pytest.approx(facts.measured_loss_kw, abs=0.01)
    assert v.min() == pytest.approx(facts.measured_vmin_pu, abs=1e-5)
    assert net.bus.name[net_bus[v.argmin()]] == str(facts.measured_vmin_bus)


@pytest.mark.parametrize("name", CATALOGUE)
def test_power_grid_model_agrees_with_pandapower(name: str) -> None:
    net, net_bus = solved(name)
    feeder = load_network(name, Path()).feeder
    v = PowerGridModelEngine(feeder).solve(-feeder.p_load_mw, -feeder.q_load_mvar)
    assert v is not None
    np.testing.assert_allclose(np.abs(v), net.res_bus.vm_pu[net_bus], rtol=0, atol=1e-6)
    np.testing.assert_allclose(np.angle(v, deg=True), net.res_bus.va_degree[net_bus], rtol=0, atol=1e-5)
