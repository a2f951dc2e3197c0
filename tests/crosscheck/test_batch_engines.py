"""The power-grid-model engine and the batched sweep against pandapower, and against the balance of their input."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandapower as pp
import pandapower.networks
import pandas as pd
import pytest

from gridferry import networks
from gridferry.networks.admittance import bus_injections
from gridferry.networks.feeder import Feeder, plain_feeder
from gridferry.networks.power_flow import solve_sweep
from gridferry.networks.readers.pandapower import network_of_net
from gridferry.sim.grid.power_grid_model_engine import PowerGridModelEngine

DATA = Path(networks.__file__).parent / "data"


def feeder_of_tables(name: str) -> tuple[Feeder, pp.pandapowerNet]:
    """Return a published feeder, and the same lines and loads as a pandapower net."""
    facts = pd.read_csv(DATA / "feeders.csv").set_index("name").loc[name]
    buses = pd.read_csv(DATA / f"{name}_buses.csv")
    branches = pd.read_csv(DATA / f"{name}_branches.csv").query("in_service == 1")
    feeder = plain_feeder(
        name,
        base_mva=1.0,
        base_kv=facts.base_kv,
        bus_names=[str(bus) for bus in buses.bus],
        p_load_mw=buses.p_load_kw.to_numpy() / 1e3,
        q_load_mvar=buses.q_load_kvar.to_numpy() / 1e3,
        from_bus=branches.from_bus.to_numpy() - 1,
        to_bus=branches.to_bus.to_numpy() - 1,
        r_ohm=branches.r_ohm.to_numpy(),
        x_ohm=branches.x_ohm.to_numpy(),
        slack=int(facts.slack_bus) - 1,
        slack_v_pu=float(facts.slack_vm_pu),
    )
    net = pp.create_empty_network(sn_mva=1.0)
    pp.create_buses(net, feeder.n_bus, facts.base_kv)
    pp.create_ext_grid(net, feeder.slack, vm_pu=feeder.slack_v_pu)
    pp.create_loads(net, net.bus.index, p_mw=feeder.p_load_mw, q_mvar=feeder.q_load_mvar)
    for row in branches.itertuples():
        pp.create_line_from_parameters(net, row.from_bus - 1, row.to_bus - 1, 1.0, row.r_ohm, row.x_ohm, 0.0, 1.0)
    return feeder, net


def pandapower_voltages(net: pp.pandapowerNet) -> np.ndarray:
    pp.runpp(net, tolerance_mva=1e-10, numba=False)
    return net.res_bus.vm_pu.to_numpy() * np.exp(1j * np.deg2rad(net.res_bus.va_degree.to_numpy()))


@pytest.mark.parametrize("name", ["ieee33", "ieee69", "ieee85"])
def test_voltages_agree_with_pandapower(name: str) -> None:
    feeder, net = feeder_of_tables(name)
    reference = pandapower_voltages(net)
    v = PowerGridModelEngine(feeder).solve(-feeder.p_load_mw, -feeder.q_load_mvar)
    np.testing.assert_allclose(v, reference, rtol=0, atol=1e-10)
    assert abs(v[feeder.slack]) == pytest.approx(feeder.slack_v_pu, abs=1e-12)
    v, converged = solve_sweep(feeder, -feeder.p_load_mw, -feeder.q_load_mvar)
    assert converged
    np.testing.assert_allclose(v, reference, rtol=0, atol=1e-10)


@pytest.mark.parametrize("make", ["create_cigre_network_mv", "create_kerber_landnetz_freileitung_1"])
def test_nets_with_transformers_agree_with_pandapower(make: str) -> None:
    net = getattr(pp.networks, make)()
    feeder = network_of_net(net, make).feeder
    assert feeder.b_child_pu.any() or (feeder.tap_parent != 1.0).any()
    p, q = feeder.p_gen_mw - feeder.p_load_mw, feeder.q_gen_mvar - feeder.q_load_mvar
    v, _ = solve_sweep(feeder, p, q)
    np.testing.assert_allclose(PowerGridModelEngine(feeder).solve(p, q), v, rtol=0, atol=1e-10)
    pp.runpp(net, tolerance_mva=1e-10, numba=False)
    # buses joined by closed switches are one bus of the feeder, so compare the set of voltages
    reference, found = np.sort(net.res_bus.vm_pu.dropna()), np.sort(np.abs(v))
    assert np.abs(reference[:, None] - found).min(axis=1).max() < 1e-9
    assert np.abs(found[:, None] - reference).min(axis=1).max() < 1e-9


def test_taps_shifts_charging_and_shunts_are_all_carried() -> None:
    """The voltages found must balance the injections asked for on the full branch model."""
    plain, _ = feeder_of_tables("ieee33")
    rng = np.random.default_rng(5)
    n = plain.n_branch
    feeder = replace(
        plain,
        tap_parent=rng.uniform(0.97, 1.03, n),
        tap_child=rng.uniform(0.97, 1.03, n),
        shift_deg=rng.choice([0.0, 30.0, -150.0], n),
        g_parent_pu=rng.uniform(0, 0.01, n),
        b_parent_pu=rng.uniform(-0.02, 0.05, n),
        g_child_pu=rng.uniform(0, 0.01, n),
        b_child_pu=rng.uniform(-0.02, 0.05, n),
        g_shunt_pu=rng.uniform(0, 0.01, n + 1),
        b_shunt_pu=rng.uniform(-0.02, 0.05, n + 1),
        slack_v_pu=1.03,
    )
    v = PowerGridModelEngine(feeder).solve(-feeder.p_load_mw, -feeder.q_load_mvar)
    away = np.arange(feeder.n_bus) != feeder.slack
    expected = -feeder.p_load_mw - 1j * feeder.q_load_mvar
    np.testing.assert_allclose(bus_injections(feeder, v)[away], expected[away], rtol=0, atol=1e-9)
    assert abs(v[feeder.slack]) == pytest.approx(1.03, abs=1e-12)


def test_a_batch_marks_the_rows_that_have_no_solution_and_keeps_the_others() -> None:
    feeder, _ = feeder_of_tables("ieee33")
    engine = PowerGridModelEngine(feeder)
    factor = np.array([1.0, 50.0, np.nan, 0.5])[:, None]
    v, converged = engine.solve_batch(-factor * feeder.p_load_mw, -factor * feeder.q_load_mvar)
    assert converged.tolist() == [True, False, False, True]
    assert np.isnan(v[[1, 2]]).all()
    for row, scale in [(0, 1.0), (3, 0.5)]:
        np.testing.assert_array_equal(v[row], engine.solve(-scale * feeder.p_load_mw, -scale * feeder.q_load_mvar))
    assert engine.solve(-50.0 * feeder.p_load_mw, -50.0 * feeder.q_load_mvar) is None
    assert engine.solve(-feeder.p_load_mw, -feeder.q_load_mvar) is not None
