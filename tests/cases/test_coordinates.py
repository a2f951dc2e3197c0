"""A network with coordinates is drawn by them, one without as a tree."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pandapower as pp
import pytest

from gridferry.networks.catalog import load_network
from gridferry.sim import run
from gridferry.sim.results.report import page

# a street to the east, then to the north, at 60 degrees north: a degree to the east is half as long as one to the north
PLACES = ((10.0, 60.0), (10.2, 60.0), (10.2, 60.3))
CONFIG = """
name = "street"
[time]
start = 2024-05-01T00:00:00
step_s = 3600
steps = 2
[[networks]]
name = "dn1"
feeder = "net.json"
v_min_pu = 0.9
v_max_pu = 1.1
"""


def written(folder: Path, places: tuple[tuple[float, float], ...] | None) -> Path:
    """Write a net of three buses in a row, and a config of it."""
    net = pp.create_empty_network()
    buses = [pp.create_bus(net, 20.0, geodata=None if places is None else places[k]) for k in range(3)]
    pp.create_ext_grid(net, buses[0])
    for a, b in pairwise(buses):
        pp.create_line_from_parameters(
            net, a, b, 1.0, r_ohm_per_km=0.1, x_ohm_per_km=0.1, c_nf_per_km=0.0, max_i_ka=0.4
        )
    pp.create_load(net, buses[2], p_mw=1.0)
    pp.to_json(net, str(folder / "net.json"))
    (folder / "case.toml").write_text(CONFIG)
    return folder / "case.toml"


def drawn(config: Path) -> dict[str, Any]:
    """Run a config, and return its network as its page has it."""
    done = run(config, out=config.with_name("run"))
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page(done), re.DOTALL)
    assert found is not None
    (network,) = json.loads(found[1])["networks"]
    return dict(network)


def test_a_network_with_coordinates_is_drawn_by_them(tmp_path: Path) -> None:
    config = written(tmp_path, PLACES)
    xy = load_network("net.json", tmp_path).feeder.xy
    assert xy is not None
    east, north = xy[1, 0] - xy[0, 0], xy[2, 1] - xy[1, 1]
    assert (east, north) == (pytest.approx(0.1, rel=0.01), pytest.approx(0.3))
    network = drawn(config)
    assert network["aspect"] == pytest.approx(3.0, rel=0.01)
    assert (network["x"], network["y"]) == (pytest.approx([0, 1, 1]), pytest.approx([1, 1, 0]))


def test_a_network_without_coordinates_is_drawn_as_a_tree(tmp_path: Path) -> None:
    config = written(tmp_path, None)
    assert load_network("net.json", tmp_path).feeder.xy is None
    network = drawn(config)
    assert network["aspect"] is None
    assert network["x"] == [0.0, 0.5, 1.0]
    assert len(set(network["y"])) == 1
