"""The AC grid: all engines, divergence, and nothing stale after it."""

from pathlib import Path

import numpy as np
import pandapower as pp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridferry.networks.catalog import load_network
from gridferry.networks.power_flow import solve_sweep
from gridferry.networks.readers.pandapower import network_of_net
from gridferry.sim.config.schema import AcEngine, GridConfig
from gridferry.sim.grid.ac_grid import AcGrid
from gridferry.sim.grid.pandapower_net import net_of_feeder

ENGINES = list(AcEngine)


def grid_of(name, engine):
    return AcGrid(load_network(name, Path()), GridConfig(ac_engine=engine))


def fresh_pandapower(feeder, p_mw, q_mvar):
    """Solve once with pandapower itself, nothing recycled, its own result tables read."""
    net, net_bus = net_of_feeder(feeder)
    pp.create_loads(net, net_bus, p_mw=-p_mw, q_mvar=-q_mvar)
    pp.runpp(net, tolerance_mva=1e-9)
    return net, net_bus


@pytest.mark.parametrize("engine", ENGINES)
def test_solution_is_that_of_a_fresh_pandapower_solve(engine):
    grid = grid_of("ieee33", engine)
    feeder = grid.feeder
    rng = np.random.default_rng(5)
    for _ in range(4):
        p = -feeder.p_load_mw * rng.uniform(0.2, 1.3, feeder.n_bus)
        q = -feeder.q_load_mvar * rng.uniform(0.2, 1.3, feeder.n_bus)
        p[17] += rng.uniform(0, 2)
        solution = grid.solve(p, q)
        net, net_bus = fresh_pandapower(feeder, p, q)
        np.testing.assert_allclose(solution.vm_pu, net.res_bus.vm_pu[net_bus], rtol=0, atol=1e-9)
        np.testing.assert_allclose(solution.va_deg, net.res_bus.va_degree[net_bus], rtol=0, atol=1e-7)
        assert solution.import_mw == pytest.approx(net.res_ext_grid.p_mw.sum(), abs=1e-7)
        assert solution.import_mvar == pytest.approx(net.res_ext_grid.q_mvar.sum(), abs=1e-7)
        assert solution.losses_mw == pytest.approx(net.res_line.pl_mw.sum(), abs=1e-7)
        np.testing.assert_allclose(solution.i_ka, net.res_line.i_ka, rtol=0, atol=1e-8)
        assert solution.balance_error < 1e-7


@pytest.mark.parametrize("engine", ENGINES)
def test_a_diverged_step_is_nan_and_the_next_one_is_right(engine):
    grid = grid_of("ieee33", engine)
    p, q = -grid.feeder.p_load_mw, -grid.feeder.q_load_mvar
    before = grid.solve(p, q)
    for _ in range(2):
        diverged = grid.solve(8 * p, 8 * q)
        assert not diverged.converged
        for values in (diverged.vm_pu, diverged.p_branch_mw, diverged.loading_percent, diverged.losses_branch_mw):
            assert np.isnan(values).all()
        assert np.isnan([diverged.import_mw, diverged.losses_mw, diverged.balance_error]).all()
    half = grid.solve(0.5 * p, 0.5 * q)
    net, net_bus = fresh_pandapower(grid.feeder, 0.5 * p, 0.5 * q)
    np.testing.assert_allclose(half.vm_pu, net.res_bus.vm_pu[net_bus], rtol=0, atol=1e-9)
    np.testing.assert_allclose(grid.solve(p, q).vm_pu, before.vm_pu, rtol=0, atol=1e-9)


@pytest.mark.parametrize("engine", ENGINES)
def test_injections_that_are_no_numbers_count_as_diverged(engine):
    grid = grid_of("three_bus", engine)
    p = np.array([0.0, np.nan, 0.0])
    assert not grid.solve(p, np.zeros(3)).converged
    assert grid.solve(np.zeros(3), np.zeros(3)).converged


@pytest.mark.parametrize("engine", ENGINES)
def test_a_load_at_the_slack_bus_is_imported_and_loses_nothing(engine):
    grid = grid_of("three_bus", engine)
    solution = grid.solve(np.array([-1.5, 0.0, 0.0]), np.array([-0.5, 0.0, 0.0]))
    assert solution.import_mw == pytest.approx(1.5, abs=1e-8)
    assert solution.import_mvar == pytest.approx(0.5, abs=1e-8)
    assert solution.losses_mw == pytest.approx(0.0, abs=1e-8)


@given(seed=st.integers(0, 2**32 - 1))
def test_engines_agree_and_power_balances(seed):
    rng = np.random.default_rng(seed)
    p, q = rng.uniform(-4, 4, 3), rng.uniform(-2, 2, 3)
    one, *others = (grid_of("three_bus", engine).solve(p, q) for engine in ENGINES)
    for other in others:
        np.testing.assert_allclose(one.vm_pu, other.vm_pu, rtol=0, atol=1e-6)
    assert one.import_mw + p.sum() == pytest.approx(one.losses_mw, abs=1e-6)
    assert one.losses_branch_mw.sum() == pytest.approx(one.losses_mw, abs=1e-9)


@pytest.mark.parametrize("dtype", ["int64", "float32"])
def test_a_net_whose_table_of_loads_is_of_other_numbers_gives_the_same_flow(dtype):
    net, net_bus = net_of_feeder(load_network("three_bus", Path()).feeder)
    pp.create_loads(net, net_bus[1:], p_mw=1.0, q_mvar=1.0)
    net.load = net.load.astype({"p_mw": dtype, "q_mvar": dtype})
    grid = AcGrid(network_of_net(net, "whole"), GridConfig(ac_engine=AcEngine.PANDAPOWER))
    p, q = np.array([0.0, -0.61, -0.73]), np.array([0.0, -0.21, -0.27])
    v, _ = solve_sweep(grid.feeder, p, q)
    np.testing.assert_allclose(grid.solve(p, q).vm_pu, np.abs(v), rtol=0, atol=1e-9)
