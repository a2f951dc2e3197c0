"""Feeders of a few buses on which a relaxation is not tight."""

from __future__ import annotations

from itertools import pairwise

import pandapower as pp

Line = tuple[int, int, float, float]
"""from, to, resistance and reactance [ohm]"""


def _feeder(
    vn_kv: float, lines: list[Line], i_max_ka: float, v_slack_pu: float = 1.0, first: int = 0
) -> pp.pandapowerNet:
    net = pp.create_empty_network(sn_mva=1.0)
    for bus in range(max(child for _, child, _, _ in lines) + 1):
        pp.create_bus(net, vn_kv, name=f"b{bus}" if first == 0 else str(bus + first))
    pp.create_ext_grid(net, 0, vm_pu=v_slack_pu)
    for parent, child, r_ohm, x_ohm in lines:
        pp.create_line_from_parameters(net, parent, child, 1.0, r_ohm, x_ohm, 0.0, i_max_ka)
    return net


def plain_line() -> pp.pandapowerNet:
    """One line whose rating binds nothing."""
    return _feeder(12.66, [(0, 1, 1.0, 1.0)], 99.0, first=1)


def rated_line() -> pp.pandapowerNet:
    """One line of 0.1 kA, 2.19 MVA."""
    return _feeder(12.66, [(0, 1, 1.0, 1.0)], 0.1, first=1)


def weak_line() -> pp.pandapowerNet:
    """One line with a high resistance."""
    return _feeder(12.66, [(0, 1, 20.0, 2.0)], 2.0, first=1)


def two_branches() -> pp.pandapowerNet:
    """Two branches of two lines from the slack, whose ends a link joins."""
    return _feeder(12.66, [(0, 1, 2.0, 1.0), (1, 2, 2.0, 1.0), (0, 3, 2.0, 1.0), (3, 4, 2.0, 1.0)], 99.0, first=1)


def four_lines() -> pp.pandapowerNet:
    """Four lines, one branching off."""
    lines = [
        (0, 1, 0.600704362192572, 0.491105918489342),
        (1, 2, 0.710781892238873, 0.666458245863066),
        (1, 3, 1.09653904388639, 0.98596493754119),
        (3, 4, 0.700393872047658, 0.79233366720691),
    ]
    return _feeder(11.0, lines, 1.0, v_slack_pu=1.01)


def first_of_two() -> pp.pandapowerNet:
    """Two lines in a row, with much PV at their end."""
    lines = [(0, 1, 1.846371639003776, 1.059071621074384), (1, 2, 1.163192943882765, 0.858197835588229)]
    return _feeder(11.0, lines, 1.0)


def second_of_two() -> pp.pandapowerNet:
    """Two lines in a row, with loads."""
    lines = [(0, 1, 1.154192807683269, 1.459774776286496), (1, 2, 0.890180519601637, 0.909492427433549)]
    return _feeder(11.0, lines, 1.0)


def street() -> pp.pandapowerNet:
    """A street at 0.4 kV: a transformer, then 600 m of cable."""
    net = pp.create_empty_network(sn_mva=1.0)
    buses = [pp.create_bus(net, 20.0, name="1")] + [pp.create_bus(net, 0.4, name=str(i)) for i in range(2, 7)]
    pp.create_ext_grid(net, buses[0])
    pp.create_transformer(net, buses[0], buses[1], "0.25 MVA 20/0.4 kV")
    for parent, child in pairwise(buses[1:]):
        pp.create_line_from_parameters(net, parent, child, 0.15, 0.206, 0.08, 0.0, 0.27)
    return net


def without_resistance() -> pp.pandapowerNet:
    """A row of eleven lines of 20 kV with loads, of which the sixth has next to no impedance, and no resistance."""
    lines = [(bus, bus + 1, *((0.0, 1e-5) if bus == 5 else (0.4, 0.3))) for bus in range(11)]
    net = _feeder(20.0, lines, 0.4)
    for bus in range(1, 12):
        pp.create_load(net, bus, 0.4, 0.15)
    return net
