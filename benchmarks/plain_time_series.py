"""A day of a SimBench grid by plain pandapower: profiles by simbench, ``runpp`` step by step."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandapower as pp
import pandas as pd
import simbench


def plain_voltages(code: str, start: str, steps: range) -> Iterator[tuple[int, pd.Series]]:
    """Voltages of all buses by name [pu], in some quarter-hours from ``start`` on, such as ``"15.07.2016 00:00"``."""
    net = simbench.get_simbench_net(code)
    powers = simbench.get_absolute_values(net, profiles_instead_of_study_cases=True)
    first = int(np.flatnonzero(net.profiles["load"]["time"] == start)[0])
    for step in steps:
        for (table, column), values in powers.items():
            if len(values.columns):
                net[table].loc[values.columns, column] = values.loc[first + step].to_numpy()
        pp.runpp(net, tolerance_mva=1e-10, calculate_voltage_angles=True, numba=False)
        yield step, net.res_bus.vm_pu.set_axis(net.bus["name"])


def largest_difference_pu(voltages: pd.DataFrame, code: str, start: str, steps: range) -> float:
    """Largest difference of the recorded voltages (columns step, bus, v_pu) from plain ones."""
    worst = 0.0
    for step, plain in plain_voltages(code, start, steps):
        ours = voltages[voltages["step"] == step].set_index("bus")["v_pu"]
        assert set(ours.index) <= set(plain.index)
        worst = max(worst, float((ours - plain[ours.index]).abs().max()))
    return worst


def of_shipped(config: str, code: str, folder: Path) -> float:
    """Run a config of the project and compare its day."""
    from gridferry.sim import run

    done = run(config, out=folder / config)
    steps = range(0, done.summary["steps"], 4)
    return largest_difference_pu(done.table("bus"), code, "15.07.2016 00:00", steps)
