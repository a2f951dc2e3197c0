"""A link's AC side against pandapower's own converters: two VSCs and a DC line between two feeders in one net.

pandapower's converter loses a constant power on its DC side (``pl_dc_mw``); it is given what ours loses, A √(P² + Q²),
so that P at the balancing end, both networks' voltages and their imports must come out as ours.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandapower as pp
import pytest

from cases.device_steps import Setpoint, step_link
from gridferry.controllers.devices import Now
from gridferry.controllers.devices.links.device import Link, Terminal
from gridferry.networks.admittance import bus_injections
from gridferry.networks.catalog import load_network
from gridferry.networks.feeder import Feeder
from gridferry.networks.power_flow import solve_sweep

LOSS = 0.02
ENDS = (17, 32)
"""buses 18 and 33"""


def add_feeder(net: pp.pandapowerNet, feeder: Feeder) -> list[int]:
    """Put a feeder of plain lines into a net; returns its buses."""
    buses = [int(pp.create_bus(net, kv)) for kv in feeder.base_kv]
    pp.create_ext_grid(net, buses[feeder.slack], vm_pu=feeder.slack_v_pu)
    z_base = feeder.base_kv[0] ** 2 / feeder.base_mva
    for i, j, r, x in zip(feeder.parent, feeder.child, feeder.r_pu, feeder.x_pu, strict=True):
        pp.create_line_from_parameters(net, buses[i], buses[j], 1.0, r * z_base, x * z_base, 0.0, 1.0)
    for bus, p, q in zip(buses, feeder.p_load_mw, feeder.q_load_mvar, strict=True):
        pp.create_load(net, bus, p, q)
    return buses


@pytest.mark.parametrize(
    ("p_mw", "q_mvar"),
    [(0.6, (0.3, -0.2)), (-0.6, (0.3, 0.5)), (-0.8, (0.0, 0.0)), (0.2, (0.9, 0.9))],
)
def test_a_link_moves_power_as_pandapowers_converters_do(p_mw: float, q_mvar: tuple[float, float]) -> None:
    feeder = load_network("ieee33", Path()).feeder
    link = Link("L", (Terminal("a", 0, 17, 1.0, LOSS), Terminal("b", 1, 32, 1.0, LOSS)), balancing=1)
    done = step_link(link, [Setpoint(p_mw, q_mvar[0]), Setpoint(0.0, q_mvar[1])], Now(step_h=1.0))

    losses = [LOSS * float(np.hypot(one.p_mw, one.q_mvar)) for one in done]

    net = pp.create_empty_network()
    sides = [add_feeder(net, feeder), add_feeder(net, feeder)]
    dc = [int(pp.create_bus_dc(net, 20.0)) for _ in ENDS]
    pp.create_line_dc_from_parameters(net, dc[0], dc[1], 1.0, 1e-4, 1.0)
    # powers are the converter's consumption: from the DC bus it takes what it feeds in, and its loss
    for k, (mode, value) in enumerate([("p_mw", done[0].p_mw + losses[0]), ("vm_pu", 1.0)]):
        pp.create_vsc(
            net,
            sides[k][ENDS[k]],
            dc[k],
            r_ohm=1e-5,
            x_ohm=1e-4,
            r_dc_ohm=1e-4,
            pl_dc_mw=losses[k],
            control_mode_ac="q_mvar",
            control_value_ac=-done[k].q_mvar,
            control_mode_dc=mode,
            control_value_dc=value,
        )
    pp.runpp(net)

    assert -net.res_vsc.p_mw.to_numpy() == pytest.approx([one.p_mw for one in done], abs=2e-6)
    assert -net.res_vsc.q_mvar.to_numpy() == pytest.approx([one.q_mvar for one in done], abs=1e-6)
    for k, buses in enumerate(sides):
        p, q = -feeder.p_load_mw, -feeder.q_load_mvar
        p[ENDS[k]] += done[k].p_mw
        q[ENDS[k]] += done[k].q_mvar
        v, converged = solve_sweep(feeder, p[None], q[None])
        assert converged.all()
        assert net.res_bus.vm_pu[buses].to_numpy() == pytest.approx(np.abs(v[0]), abs=1e-6)
        imported = bus_injections(feeder, v)[0, feeder.slack].real
        assert net.res_ext_grid.p_mw.iloc[k] == pytest.approx(imported, abs=1e-5)
