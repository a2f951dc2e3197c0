"""AC power flows at many operating points: sweeps over the tree beside power-grid-model's batch, both on one thread.

ieee33, and random radial feeders of 500 and 5,000 buses with transformers, charging and shunts. Both solve the same
loads, and the largest difference of a voltage is printed.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median

import numpy as np

from gridferry.networks.catalog import load_network
from gridferry.networks.feeder import Feeder, plain_feeder
from gridferry.networks.power_flow import solve_sweep
from gridferry.sim.grid.power_grid_model_engine import PowerGridModelEngine

TOLERANCE_PU = 1e-10
"""of the Monte Carlo"""


def random_feeder(n_bus: int) -> Feeder:
    """A radial feeder whose lowest voltage is about 0.95 pu at 10 MW."""
    rng = np.random.default_rng(n_bus)
    size = 3.0 / np.sqrt(n_bus)
    plain = plain_feeder(
        f"random{n_bus}",
        base_mva=1.0,
        base_kv=10.0,
        bus_names=[str(bus) for bus in range(n_bus)],
        p_load_mw=rng.uniform(0.0, 3.0 / n_bus, n_bus),
        q_load_mvar=rng.uniform(0.0, 2.0 / n_bus, n_bus),
        from_bus=np.array([rng.integers(max(0, bus - 12), bus) for bus in range(1, n_bus)]),
        to_bus=np.arange(1, n_bus),
        r_ohm=size * rng.uniform(0.05, 0.3, n_bus - 1),
        x_ohm=size * rng.uniform(0.05, 0.3, n_bus - 1),
    )
    transformers = rng.random(n_bus - 1) < 0.1
    return replace(
        plain,
        tap_parent=np.where(transformers, rng.uniform(0.99, 1.01, n_bus - 1), 1.0),
        shift_deg=np.where(transformers, 150.0, 0.0),
        b_parent_pu=rng.uniform(0.0, 1.0 / n_bus, n_bus - 1),
        b_child_pu=rng.uniform(0.0, 1.0 / n_bus, n_bus - 1),
        g_shunt_pu=rng.uniform(0.0, 0.1 / n_bus, n_bus),
    )


def compare(feeder: Feeder, flows: int, rounds: int) -> float:
    """Print both rates, and return how far apart their voltages are at most [pu]."""
    share = np.random.default_rng(1).uniform(0.3, 1.2, (flows, feeder.n_bus))
    p, q = -share * feeder.p_load_mw, -share * feeder.q_load_mvar
    engine = PowerGridModelEngine(feeder, threads=-1)
    ours, theirs = [], []
    solve_sweep(feeder, p[:1], q[:1])  # compiles, once for this machine
    for _ in range(rounds):
        seconds, (v, converged) = timed(lambda: solve_sweep(feeder, p, q, TOLERANCE_PU))
        assert converged.all()
        ours.append(seconds)
        seconds, (other, _) = timed(lambda: engine.solve_batch(p, q))
        theirs.append(seconds)
    ratios = [b / a for a, b in zip(ours, theirs, strict=True)]
    apart = float(np.abs(v - other).max())
    print(
        f"{feeder.n_bus:6d} buses: {1e6 * median(ours) / flows:8.1f} us a flow, power-grid-model "
        f"{1e6 * median(theirs) / flows:8.1f}, {median(ratios):5.1f} times ({min(ratios):.1f} to {max(ratios):.1f}); "
        f"voltages apart by {apart:.0e} pu, the lowest {np.abs(v).min():.3f}"
    )
    return apart


def timed(solve: Callable[[], tuple[np.ndarray, np.ndarray]]) -> tuple[float, tuple[np.ndarray, np.ndarray]]:
    """CPU seconds of a solve, and its result."""
    began = time.process_time()
    found = solve()
    return time.process_time() - began, found


def main(smoke: bool = False) -> None:
    """Print the rates at three sizes."""
    sizes = (500,) if smoke else (500, 5_000)
    feeders = [load_network("ieee33", Path()).feeder, *map(random_feeder, sizes)]
    for feeder in feeders:
        flows = 100 if smoke else max(400, 2_000_000 // feeder.n_bus)
        apart = compare(feeder, flows, 1 if smoke else 5)
        assert apart < 1e-8


if __name__ == "__main__":
    main()
