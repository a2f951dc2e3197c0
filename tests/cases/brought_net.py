"""Nets that bring loads, sources, storages and time series of their own."""

from __future__ import annotations

from copy import deepcopy
from functools import lru_cache

import pandapower as pp
import pandas as pd
from pandapower.control import ConstControl
from pandapower.timeseries import DFData

LOAD = [0.1] * 4 + [0.9] * 2


def net_with_all() -> pp.pandapowerNet:
    """Buses A, B, C in a row; a load that follows a column and one that does not, PV, a storage."""
    return deepcopy(_net_with_all())


@lru_cache(maxsize=1)
def _net_with_all() -> pp.pandapowerNet:
    net = pp.create_empty_network()
    for name in "ABC":
        pp.create_bus(net, 20.0, name=name)
    pp.create_ext_grid(net, 0)
    for bus in (1, 2):
        pp.create_line_from_parameters(net, bus - 1, bus, 3.0, 0.2, 0.12, 250, 0.4)
    pp.create_load(net, 1, 0.1, 0.02, name="mill", scaling=2.0)
    pp.create_load(net, 2, 1.0, 0.3, name="town")
    pp.create_sgen(net, 2, 0.5, 0.1, name="roof", type="PV")
    pp.create_storage(net, 1, p_mw=0.2, max_e_mwh=0.4, name="cells", soc_percent=25.0)
    data = DFData(pd.DataFrame({"x": LOAD}))
    ConstControl(net, "load", "p_mw", [0], data_source=data, profile_name=["x"])
    return net


def two_supplies() -> pp.pandapowerNet:
    """The same, and buses D and E with a supply of their own."""
    net = net_with_all()
    for name in "DE":
        pp.create_bus(net, 20.0, name=name)
    pp.create_ext_grid(net, 3)
    pp.create_line_from_parameters(net, 3, 4, 3.0, 0.2, 0.12, 250, 0.4)
    pp.create_load(net, 4, 0.6)
    return net
