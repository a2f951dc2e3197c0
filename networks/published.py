"""Published test feeders, built from the data in ``networks/data``.

``networks/data/SOURCES.md`` has the sources of the data.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from gridferry.networks.feeder import Feeder, plain_feeder

DATA = Path(__file__).parent / "data"

_BASE_MVA = 10.0
"""Power base of the published feeders [MVA]; no result in physical units depends on it."""


def published_feeder(name: str) -> Feeder:
    """Build a feeder from ``<name>_buses.csv`` and ``<name>_branches.csv``; its tie switches are open."""
    facts = pd.read_csv(DATA / "feeders.csv").set_index("name").to_dict("index")[name]
    buses = pd.read_csv(DATA / f"{name}_buses.csv")
    branches = pd.read_csv(DATA / f"{name}_branches.csv").query("in_service == 1")
    position = {bus: index for index, bus in enumerate(buses["bus"])}
    return plain_feeder(
        name,
        base_mva=_BASE_MVA,
        base_kv=float(facts["base_kv"]),
        bus_names=[str(bus) for bus in buses["bus"]],
        p_load_mw=buses["p_load_kw"].to_numpy(dtype=float) / 1e3,
        q_load_mvar=buses["q_load_kvar"].to_numpy(dtype=float) / 1e3,
        from_bus=branches["from_bus"].map(position).to_numpy(dtype=np.int64),
        to_bus=branches["to_bus"].map(position).to_numpy(dtype=np.int64),
        r_ohm=branches["r_ohm"].to_numpy(dtype=float),
        x_ohm=branches["x_ohm"].to_numpy(dtype=float),
        slack=position[int(facts["slack_bus"])],
        slack_v_pu=float(facts["slack_vm_pu"]),
    )


def three_bus() -> Feeder:
    """Build the three-bus feeder of the mobile-storage case; nominal loads are the daily peaks.

    The source prints a largest squared current for either line and never enforces it. It is carried as the rating
    ``i_max = sqrt(l_max)``, so that loadings have a meaning; nothing in the case comes near it.
    """
    value = pd.read_csv(DATA / "three_bus_parameters.csv").set_index("name")["value"].astype(float)
    ends = ("1_2", "2_3")
    base_ka = value["s_base"] / (np.sqrt(3.0) * value["v_base"])
    return plain_feeder(
        "three_bus",
        base_mva=float(value["s_base"]),
        base_kv=float(value["v_base"]),
        bus_names=["1", "2", "3"],
        p_load_mw=np.array([0.0, value["p_load_peak_bus2"], value["p_load_peak_bus3"]]),
        q_load_mvar=np.array([0.0, value["q_load_peak_bus2"], value["q_load_peak_bus3"]]),
        from_bus=np.array([0, 1]),
        to_bus=np.array([1, 2]),
        r_ohm=np.array([value[f"r_branch_{one}_ohm"] for one in ends]),
        x_ohm=np.array([value[f"x_branch_{one}_ohm"] for one in ends]),
        i_max_ka=np.array([np.sqrt(value[f"l_max_branch_{one}"]) * base_ka for one in ends]),
        slack=0,
        slack_v_pu=float(value["v_slack"]),
        v_min_pu=float(value["v_min"]),
        v_max_pu=float(value["v_max"]),
    )
