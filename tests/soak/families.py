"""Families of inputs: what good ones look like, how they are mutated, and what reads them."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

from gridferry.controllers.plans.plan_reader import read_plan
from gridferry.networks.catalog import load_network
from gridferry.networks.roads.files import RoadUnits, read_road_file
from gridferry.sim.adapters.devices import DeviceSimulator
from gridferry.sim.adapters.grid import GridSimulator
from gridferry.sim.adapters.inputs import Inputs
from gridferry.sim.case.case import build_case
from gridferry.sim.case.loading import load_config
from gridferry.sim.commands.check_first_step import first_step
from gridferry.sim.config.reading import configs_dir
from gridferry.sim.study.closed_loop_config import load_loop_study
from gridferry.sim.study.config import StudyKind, load_study, study_kind
from soak.mutators import mutated_bytes, mutated_json, mutated_message, mutated_toml

Read = Callable[[Any], None]
CONFIGS = ("three_bus", "two_feeders", "late_trucks", "mvdc_2dn")


@dataclass(frozen=True)
class Family:
    """Inputs of one kind.

    Attributes
    ----------
    share : of every hundred inputs
    short : of every hundred in the short version, which has fewer of what takes long
    draw : draws one
    read : reads it as a command does; it may raise `InputError`
    """

    name: str
    share: int
    short: int
    draw: Callable[[random.Random], Any]
    read: Read


def families(folder: Path) -> list[Family]:
    """Return all families; files are written to a folder.

    Parameters
    ----------
    folder : empty, for the files that are read
    """
    (folder / "data").symlink_to(configs_dir() / "data")
    for one in configs_dir().glob("*.toml"):
        shutil.copy(one, folder)
    shutil.copytree(configs_dir() / "studies", folder / "studies")
    plans = load_config("two_feeders", ["time.steps=4"])
    plant = build_case(plans).plant

    def config(content: bytes) -> None:
        first_step(build_case(load_config(_written(folder / "mutated.toml", content))))

    def profile(content: bytes) -> None:
        _written(folder / "mutated.csv", content)
        build_case(load_config(profiled))

    def study(content: bytes) -> None:
        path = _written(folder / "studies" / "study.toml", content)
        load_loop_study(path) if study_kind(path) is StudyKind.CLOSED_LOOP else load_study(path)

    def plan(content: bytes) -> None:
        read_plan(_written(folder / "plan.csv", content), plant)

    def road(name: str, content: bytes) -> None:
        read_road_file(_written(folder / name, content), RoadUnits(speed_km_h=30.0))

    def road_of_map(given: tuple[str, bytes]) -> None:
        road(f"roads.{given[0]}", given[1])

    def network(name: str, content: bytes) -> None:
        _written(folder / name, content)
        load_network(name, folder)

    profiled = _written(folder / "profiled.toml", PROFILED)
    texts = [(configs_dir() / f"{name}.toml").read_bytes() for name in CONFIGS]
    studies = [one.read_bytes() for one in sorted((configs_dir() / "studies").glob("*.toml"))]
    nets = _either([net_json()], mutated_json, mutated_bytes)
    return [
        Family("configs", 20, 2, _either(texts, mutated_toml, mutated_bytes), config),
        Family("plans", 20, 43, _bytes([plan_text(plant)]), plan),
        Family("profiles", 16, 6, _bytes([PROFILE, STAMPED]), profile),
        Family("roads", 8, 18, _bytes([ROADS]), partial(road, "roads.csv")),
        Family("roads of maps", 6, 5, _mutated_map, road_of_map),
        Family("MATPOWER cases", 6, 2, _bytes([MATPOWER]), partial(network, "net.m")),
        Family("pandapower nets", 2, 1, nets, partial(network, "net.json")),
        Family("studies", 12, 3, _either(studies, mutated_toml, mutated_bytes), study),
        Family("mosaik messages", 10, 20, messages, send(plans)),
    ]


def _written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def _bytes(bases: list[bytes]) -> Callable[[random.Random], bytes]:
    return lambda rng: mutated_bytes(rng.choice(bases), rng)


def _mutated_map(rng: random.Random) -> tuple[str, bytes]:
    suffix, content = rng.choice(MAPS)
    return suffix, mutated_bytes(content, rng)


def _either(bases: list[bytes], *ways: Callable[[bytes, random.Random], bytes]) -> Callable[[random.Random], bytes]:
    return lambda rng: rng.choice(ways)(rng.choice(bases), rng)


def plan_text(plant: Any) -> bytes:
    """A plan that sets every device of a plant in a few steps."""
    from gridferry.controllers.plans.plan_file import COLUMNS, rows_of_step

    lines = [",".join(COLUMNS)]
    for step in range(4):
        for row in rows_of_step(plant):
            label = plant.positions[row.position].labels[0] if row.position is not None else ""
            lines.append(f"{step},{row.name},0.1,-0.05,{label}")
    return ("\n".join(lines) + "\n").encode()


def net_json() -> bytes:
    """A pandapower net of four buses with a transformer, lines, loads and a generator."""
    import pandapower as pp

    net = pp.create_empty_network()
    high, *low = (pp.create_bus(net, kv, name=f"b{i}") for i, kv in enumerate((20.0, 0.4, 0.4, 0.4)))
    pp.create_ext_grid(net, high)
    pp.create_transformer(net, high, low[0], "0.25 MVA 20/0.4 kV")
    for one, other in pairwise(low):
        pp.create_line(net, one, other, 0.1, "NAYY 4x50 SE")
        pp.create_load(net, other, 0.02, 0.005)
    pp.create_sgen(net, low[-1], 0.01)
    text: str = pp.to_json(net)
    return text.encode()


GOOD: dict[str, dict[str, Any]] = {
    "Grid-0": {"P_load[MW]": [0.1, 0.2, 0.3], "Q_gen[MVar]": [0.0, 0.0, 0.1]},
    "Bus-1": {"P_gen[MW]": 0.2, "Q_load[MVar]": 0.1},
    "Devices-0": {"series": {"generators.dn1-pv1": {"p_mw": 0.5}}},
    "Port-0": {"P_set[MW]": 0.3, "Q_set[MVar]": 0.1},
    "Position-0": {"position_set": 0},
}


def messages(rng: random.Random) -> dict[str, Any]:
    """What simulators are sent in someone else's scenario: as mosaik nests it, with other values."""
    given = deepcopy(GOOD)
    for _ in range(rng.choice((1, 1, 2))):
        eid = rng.choice(list(given))
        attr = rng.choice(list(given[eid]))
        given[eid][attr] = mutated_message({"value": given[eid][attr]}, rng).get("value")
    return {
        eid: {
            attr: {f"Other-{number}": value for number in range(rng.choice((1, 1, 2)))} for attr, value in own.items()
        }
        for eid, own in given.items()
    }


def send(loaded: Any) -> Read:
    """Send a message to simulators of grids and devices."""
    case = build_case(loaded)
    grid, devices = GridSimulator(), DeviceSimulator()
    grid.init("Grid")
    grid.create(1, "Grid", network="three_bus")
    devices.init("Devices", case=case)
    devices.create(1, "Devices")
    roads = {"congestion": {"Roads-0": [0.0] * case.conditions.congestion.shape[1]}}

    def step(message: Mapping[str, Any]) -> None:
        grid._inputs, devices._inputs = Inputs(), Inputs()  # those of a message do not last until the next
        devices._inputs.update({"Devices-0": roads})
        own = {eid: given for eid, given in message.items() if eid.partition("-")[0] in ("Grid", "Bus")}
        grid.step(0, own, 1)
        devices.step(0, {eid: given for eid, given in message.items() if eid not in own}, 1)

    return step


PROFILED = b"""
name = "profiled"
[time]
start = 2024-06-14T00:00:00
step_s = 3600
steps = 4
[profiles.a]
file = "mutated.csv"
time = "time"
[[networks]]
name = "n"
feeder = "three_bus"
[[loads]]
network = "n"
factor = "a.load"
[prices]
buy = "a.price"
"""
PROFILE = "\n".join(
    ["time,load,price", *(f"{hour / 2},{0.5 + 0.01 * hour},{40 + hour}" for hour in range(12)), ""]
).encode()
STAMPED = "\n".join(
    ["time,load,price", *(f"2024-06-14T{hour:02d}:00:00,{0.5 + 0.01 * hour},{40 + hour}" for hour in range(8)), ""]
).encode()
MAPS = (
    (
        "tntp",
        b"<NUMBER OF NODES> 3\n<END OF METADATA>\n~ init term capacity length fft b power\n"
        b"1 2 900 4 6 0.15 4 ;\n2 3 9 4 6 1 4 ;\n",
    ),
    (
        "geojson",
        b'{"type": "FeatureCollection", "features": [{"type": "Feature", "properties": {"maxspeed": 50}, "geometry": '
        b'{"type": "LineString", "coordinates": [[9.1, 52.1], [9.2, 52.15]]}}]}',
    ),
    (
        "graphml",
        b'<graphml xmlns="http://graphml.graphdrawing.org/xmlns">'
        b'<key id="l" for="edge" attr.name="length" attr.type="double"/>'
        b'<graph edgedefault="directed"><node id="1"/><node id="2"/><edge source="1" target="2">'
        b'<data key="l">900</data></edge></graph></graphml>',
    ),
)
"""roads as map tools write them, by suffix"""
ROADS = b"""from,to,km,minutes,capacity,b,power
A,B,4.5,,900,0.15,4
B,A,4.5,,900,0.15,4
B,C,,7.5,,,
C,A,12,,600,0.15,4
A,C,11,,600,0.15,4
"""
MATPOWER = b"""function mpc = small
mpc.version = '2';
mpc.baseMVA = 10;
mpc.bus = [
 1 3 0 0 0 0 1 1 0 12.66 1 1 1;
 2 1 100 60 0 0 1 1 0 12.66 1 1.1 0.9;
 3 1 90 40 0 0 1 1 0 12.66 1 1.1 0.9;
 4 1 120 80 0 0 1 1 0 12.66 1 1.1 0.9;
];
mpc.gen = [
 1 0 0 10 -10 1 100 1 10 0 0 0 0 0 0 0 0 0 0 0 0;
];
mpc.branch = [
 1 2 0.0922 0.0470 0 0 0 0 0 0 1 -360 360;
 2 3 0.4930 0.2511 0 0 0 0 0 0 1 -360 360;
 3 4 0.3660 0.1864 0 0 0 0 0 0 1 -360 360;
];
[PQ, PV, REF, NONE, BUS_I, BUS_TYPE, PD, QD] = idx_bus;
[F_BUS, T_BUS, BR_R, BR_X] = idx_brch;
Vbase = mpc.bus(1, 10) * 1e3;
Sbase = mpc.baseMVA * 1e6;
mpc.branch(:, [BR_R BR_X]) = mpc.branch(:, [BR_R BR_X]) / (Vbase^2 / Sbase);
mpc.bus(:, [PD, QD]) = mpc.bus(:, [PD, QD]) / 1e3;
"""
