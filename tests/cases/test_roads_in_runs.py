"""Roads in closed loop: a trip through a jam that ends, a closed road, traffic by road, and what is wrong with them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gridferry.networks.faults import InputError
from gridferry.sim.case.case import build_case
from gridferry.sim.case.loading import load_config
from gridferry.sim.loop.runner import run

# A and C are 12 min apart through B, 6 min each way; ten minutes of jam make the first road ten times as long
ROADS = "from,to,km,minutes,capacity,b,power\nA,B,5,6,100,9,1\nB,C,5,6,,,\nC,B,5,6,,,\nB,A,5,6,,,\n"
JAM = "t,A-B\n0,100\n0.16666666666666666,0\n0.3333333333333333,0\n0.5,0\n0.6666666666666666,0\n0.8333333333333334,0\n"
CONFIG = """
name = "jam"
[time]
start = 2024-07-15T00:00:00
step_s = 600
steps = 6
[profiles.jam]
file = "jam.csv"
time = "t"
[[networks]]
name = "dn1"
feeder = "three_bus"
[[stations]]
name = "A"
network = "dn1"
bus = "2"
[[stations]]
name = "C"
network = "dn1"
bus = "3"
[roads]
graph = "roads.csv"
rounding = "up"
congestion = { profile = "jam" }
[[trucks]]
name = "T1"
station = "A"
p_max_mw = 1.0
energy_mwh = 2.0
soc_initial = 0.5
[controller]
use = "replay"
file = "plan.csv"
"""


def written(folder: Path, more: str = "", roads: str = ROADS, leave: int = 0) -> Path:
    (folder / "roads.csv").write_text(roads)
    (folder / "jam.csv").write_text(JAM)
    rows = "".join(f"{step},T1,0,0,{'C' if step >= leave else 'A'}\n" for step in range(6))
    (folder / "plan.csv").write_text("step,device,p_mw,q_mvar,position\n" + rows)
    (folder / "jam.toml").write_text(CONFIG.replace("[[trucks]]", f"{more}\n[[trucks]]"))
    return folder / "jam.toml"


def travelling(path: Path, out: Path) -> list[int]:
    """Steps in which the truck is on the road."""
    done = run(path, out=out)
    table = done.table("trucks")
    return table.loc[table["phase"] == "in_transit", "step"].tolist()


def test_a_trip_that_a_jam_delays_is_faster_when_the_jam_ends_on_its_way(tmp_path: Path) -> None:
    """60 min in the jam: a sixth of the road in ten minutes, the rest in 5, and 6 min more: 21 min, three steps."""
    case = build_case(load_config(written(tmp_path)))
    assert case.plant.roads is not None
    congestion = case.conditions.congestion
    assert congestion[:, 0].tolist() == [100, 0, 0, 0, 0, 0]
    assert not congestion[:, 1:].any()
    trips = case.plant.roads.trips(congestion, step_s=600)
    assert trips.minutes[:2, 0, 1] == pytest.approx([21.0, 12.0])
    assert travelling(tmp_path / "jam.toml", tmp_path / "out") == [0, 1, 2]


def test_a_closed_road_is_waited_for_in_closed_loop(tmp_path: Path) -> None:
    """Closed from minute 0 to 25, then 6 min, then 6 min: 37 min, four steps."""
    closure = '[[roads.closures]]\nroad = "A-B"\nbegin = 2024-07-15T00:00:00\nend = 2024-07-15T00:25:00\n'
    assert travelling(written(tmp_path, closure), tmp_path / "out") == [0, 1, 2, 3]
    assert travelling(written(tmp_path, closure, leave=3), tmp_path / "later") == [3, 4]


def test_volumes_of_a_file_are_on_the_roads_beside_the_series(tmp_path: Path) -> None:
    roads = ROADS.replace("power\n", "power,volume\n").replace("100,9,1\n", "100,9,1,50\n").replace(",,\n", ",,,\n")
    conditions = build_case(load_config(written(tmp_path, roads=roads))).conditions
    assert np.array_equal(conditions.congestion[:, 0], [150, 50, 50, 50, 50, 50])


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (
            '[[roads.closures]]\nroad = "A-D"\nbegin = 2024-07-15\nend = 2024-07-16\n',
            r"closures\[0\]\.road.*no such road",
        ),
        (
            '[[roads.closures]]\nroad = "A-B"\nbegin = 2024-07-15\nend = 2024-07-15\n',
            r"closures\[0\]\.end.*must be after",
        ),
    ],
)
def test_faults_of_closures_name_the_key(tmp_path: Path, more: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        build_case(load_config(written(tmp_path, more)))


def test_a_column_that_is_no_road_and_a_profile_that_is_not_there_are_named(tmp_path: Path) -> None:
    path = written(tmp_path)
    (tmp_path / "jam.csv").write_text(JAM.replace("A-B", "A-D"))
    with pytest.raises(InputError, match=r"roads\.congestion.*no such road.*A-B"):
        build_case(load_config(path))
    path.write_text(path.read_text().replace('profile = "jam" }', 'profile = "jams" }'))
    with pytest.raises(InputError, match=r'no such profile.*did you mean "jam"'):
        build_case(load_config(path))
