"""Devices are put where their entries say; what does not fit is told with the key of the entry, once."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from cases import REPOSITORY
from gridferry.networks.faults import InputError
from gridferry.sim.case.loading import load_config
from gridferry.sim.case.plant import build_plant
from gridferry.sim.case.site import EntrySite, Places

PLUGIN = REPOSITORY / "tests" / "plugins" / "constant_load.py"


@pytest.fixture
def places() -> Places:
    """Places of the config with two feeders, each of 33 buses and 32 branches."""
    loaded = load_config("two_feeders")
    built = build_plant(loaded)
    found = Places(loaded)
    found.networks, found.stations = built.networks, built.plant.stations
    return found


def reported(places: Places) -> list[str]:
    return [f"{one.key.partition(' = ')[0]}: {one.message}" for one in places.faults]


def test_buses_and_branches_of_all_networks_stand_on_one_axis(places: Places) -> None:
    site = EntrySite(places, ("trucks", 0))
    feeder = places.networks[1].feeder  # type: ignore[union-attr]
    assert (site.network("dn2"), site.bus("dn2", 1), site.bus("dn1", "33")) == (1, 33, 32)
    assert site.branch("dn2", feeder.branch_names[3]) == 32 + 3
    assert places.faults == []


def test_what_is_not_there_is_reported_once_and_answered_harmlessly(places: Places) -> None:
    site = EntrySite(places, ("links", 0)).at("terminals", 1)
    assert (site.network("dn7"), site.bus("dn7", 3), site.branch("dn7", "x")) == (0, 0, 0)
    assert (site.bus("dn1", 99), site.bus("dn1", 99), site.branch("dn1", "none")) == (0, 0, 0)
    here = "links[0].terminals[1]"
    assert [one.partition(";")[0] for one in reported(places)] == [
        f"{here}.network: no such network",
        f"{here}.bus: no such bus in dn1",
        f"{here}.branch: no such branch in dn1",
    ]


def test_stations_are_numbered_in_the_order_of_the_plant(places: Places) -> None:
    site = EntrySite(places, ("trucks", 0))
    assert site.stations(None) == (0, 1, 2)
    assert site.stations(["dn2-south", "dn1-east"]) == (1, 2)
    assert site.station("dn1-east") == 1
    assert site.stations(["dn1-east", "dn1-wset", "dn1-east"]) == (1,)
    assert [one.partition(";")[0] for one in reported(places)] == [
        "trucks[0].stations[1]: no such station",
        "trucks[0].stations[2]: given twice",
    ]


# ------------------------------------------------------------------------------------------------ kinds of a user's own


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a kind of its own."""
    shutil.copy(PLUGIN, tmp_path)
    return tmp_path


def faults(folder: Path, *names: str, kind: str = "constant_load") -> list[str]:
    """Messages of what is wrong with a config that has loads of these names."""
    loads = "".join(
        f'[[constant_loads]]\nname = "{name}"\nnetwork = "dn1"\nbus = 3\ndrawn_mw = 0.1\nrating_mw = 0.4\n'
        for name in names
    )
    path = folder / "mine.toml"
    path.write_text(f'extends = "three_bus"\n[devices]\nuse = ["{kind}.py:ConstantLoad"]\n{loads}')
    with pytest.raises(InputError) as caught:
        build_plant(load_config(path))
    return [str(one).partition("mine.toml: ")[2] for one in caught.value.faults]


def changed(folder: Path, old: str, new: str) -> str:
    """Write a kind that differs from the plug-in's; its name."""
    text = PLUGIN.read_text()
    assert old in text
    (folder / "changed.py").write_text(text.replace(old, new))
    return "changed"


def test_devices_that_nobody_sets_have_names_of_their_own_in_their_table(folder: Path) -> None:
    (words,) = faults(folder, "pump", "pump")
    assert words.startswith('constant_loads[1].name = "pump": the constant_load name "pump" is given twice (first: ')


def test_devices_that_a_plan_sets_share_their_names_with_no_other_kind(folder: Path) -> None:
    kind = changed(folder, "act=Act.FOLLOWS", "act=Act.SETPOINT")
    (words,) = faults(folder, "T1", kind=kind)
    assert words.startswith('constant_loads[0].name = "T1": the device name "T1" is given twice (first: trucks[0].name')


def test_ports_that_a_kind_names_by_itself_are_reported_by_their_device(folder: Path) -> None:
    kind = changed(folder, "name=self.name,", 'act=Act.SETPOINT, name="port",')
    (folder / "changed.py").write_text((folder / "changed.py").read_text().replace("act=Act.FOLLOWS,", ""))
    words = 'constant_loads[1]: the device name "port" is given twice (first: constant_loads[0]); choose another'
    assert faults(folder, "a", "b", kind=kind) == [words]


def test_a_kind_that_raises_when_it_builds_is_reported_with_file_and_line(folder: Path) -> None:
    kind = changed(folder, "if config.rating_mw > 100:", 'if config.rating_mw > {}["none"]:')
    (words,) = faults(folder, "a", kind=kind)
    assert words.startswith("constant_loads[0]: building ConstantLoad raised KeyError: 'none' (")
    assert "changed.py, line " in words
