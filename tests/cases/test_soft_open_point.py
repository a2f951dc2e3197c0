"""A soft open point, a link within one network: setpoints against a search with plain pandapower."""

from __future__ import annotations

import runpy

import numpy as np
import pandapower as pp
import pandapower.networks as pn
import pytest
from scipy.optimize import minimize

from cases import REPOSITORY

# the benchmarks are no package of the project
SOP = runpy.run_path(str(REPOSITORY / "benchmarks" / "sop.py"))


def least_losses_kw() -> float:
    """Least losses over the power from bus 18 to bus 33 and the reactive powers of both ends, lossless converters."""
    net = pn.case33bw()
    ends = [pp.create_sgen(net, bus, 0.0) for bus in (17, 32)]

    def lost_mw(x: np.ndarray) -> float:
        net.sgen.loc[ends, "p_mw"], net.sgen.loc[ends, "q_mvar"] = (-x[0], x[0]), x[1:]
        pp.runpp(net, tolerance_mva=1e-10)
        return float(net.res_line.pl_mw.sum())

    found = minimize(lost_mw, np.array([0.0, 0.2, 0.5]), method="SLSQP", options={"ftol": 1e-9, "eps": 1e-4})
    assert np.hypot(found.x[0], found.x[1:]).max() < 1.0  # within its ratings
    return 1e3 * float(found.fun)


def test_losses_with_a_soft_open_point_are_the_least_that_its_setpoints_allow() -> None:
    assert SOP["lost_kw"]((("18", "33"),), 0.0) == pytest.approx(least_losses_kw(), rel=1e-5)


def test_the_reconfigured_feeder_has_the_losses_of_the_literature() -> None:
    assert SOP["reconfigured_kw"]() == pytest.approx(139.55, abs=0.01)
