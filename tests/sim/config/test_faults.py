"""Bad configs: one message per fault, with file, key, value and the way out; all of a file together."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from gridferry.networks.faults import InputError
from gridferry.sim.case.loading import load_config
from gridferry.sim.case.plant import build_plant
from gridferry.sim.config.reading import configs_dir


def faults(*settings: str, config: str | Path = "two_feeders") -> list[str]:
    """Messages of all faults that reading and assembling a config raise."""
    with pytest.raises(InputError) as caught:
        build_plant(load_config(config, settings))
    return [str(fault) for fault in caught.value.faults]


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        # unknown keys
        ("networks.0.v_min=0.9", ["networks[0].v_min = 0.9", "no such key", 'did you mean "v_min_pu"?']),
        # renamed keys
        ("batteries.0.capacity=0.5", ["batteries[0].capacity = 0.5", 'it is called "usable_energy_share" now']),
        ("tiem.steps=3", ["tiem", "no such key", 'did you mean "time"?']),
        ("generators.0.p_mw.cale=2", ["generators[0].p_mw.cale = 2", 'did you mean "scale"?']),
        # wrong types
        ("time.steps=many", ['time.steps = "many"', "whole number"]),
        ("time.steps='96'", ['time.steps = "96"', "whole number"]),
        ("time.steps=9.5", ["time.steps = 9.5", "whole number"]),
        ("time.start=5", ["time.start = 5", "date and time"]),
        ("time.start=2024-13-01", ["time.start", "date and time"]),
        ("trucks.T1.energy_mwh=true", ["trucks[0].energy_mwh = true", "number"]),
        ("batteries=3", ["batteries = 3", "[[batteries]]"]),
        ("prices=3", ["prices = 3", "a table"]),
        ("generators.0.p_mw=[1]", ["generators[0].p_mw = [1]", "a number", '"source.column"', "a table"]),
        ("generators.0.bus=1.5", ["generators[0].bus = 1.5", "text in quotes or a whole number"]),
        ("roads.rounding=upp", ['roads.rounding = "upp"', '"nearest" or "up"', 'did you mean "up"?']),
        ("trucks.T1.soc_end=strat", ['soc_end = "strat"', '"start", "free" or a number']),
        ("controller.on_failure=panic", ['on_failure = "panic"', '"previous_plan"', '"stop"']),
        ("simulators.grid.connect=here", ['connect = "here"', "host:port"]),
        ("networks.0.name='a/b'", ['networks[0].name = "a/b"', "letters"]),
        # negative and other impossible values
        ("trucks.T1.p_max_mw=-1", ["trucks[0].p_max_mw = -1", "above 0"]),
        ("trucks.T1.cost_per_mwh_charged=-1", ["must be at least 0"]),
        ("links.0.terminals.1.s_max_mva=-2.0", ["links[0].terminals[1].s_max_mva = -2.0", "above 0"]),
        ("roads.distance_km.0.1=-3", ["roads.distance_km[0][1] = -3", "at least 0"]),
        ("batteries.0.soc_max=1.2", ["batteries[0].soc_max = 1.2", "at most 1"]),
        ("trucks.T1.soc_end=3", ["trucks[0].soc_end = 3", "at most 1"]),
        ("prices.buy=nan", ["prices.buy = nan", "finite"]),
        ("batteries.0.energy_mwh=inf", ["batteries[0].energy_mwh = inf", "finite"]),
        ("links.0.availability=nan", ["links[0].availability = nan", "finite"]),
        ("forecast.foresight=1", ["forecast.foresight = 1", "true or false"]),
        # windows upside down, impossible together
        ("batteries.0.soc_min=0.95", ["batteries[0].soc_min = 0.95", "upside down", "soc_max = 0.9"]),
        ("trucks.T1.soc_initial=0.95", ["trucks[0].soc_initial = 0.95", "outside [soc_min, soc_max] = [0.1, 0.9]"]),
        ("trucks.T1.soc_end=0.95", ["trucks[0].soc_end = 0.95", "outside"]),
        ("trucks.T1.eta_charge=1.2", ["trucks[0].eta_charge = 1.2", "allow_published_efficiency"]),
        ("networks.dn1.v_min_pu=1.1", ["networks[0].v_min_pu = 1.1", "upside down", "v_max_pu = 1.05"]),
        ("loads.0.p_mw=1.0", ["loads[0].factor", "either factor or p_mw"]),
        ("roads.graph=roads.csv", ["roads.distance_km", "either distance_km or graph"]),
        # steps that do not divide the day, or begin off a step
        ("time.step_s=700", ["time.step_s = 700", "86400", "nearest is 720"]),
        ("time.start=2024-07-29T00:05:00", ["time.start = 2024-07-29T00:05:00", "900 s", "midnight"]),
        ("time.start=9999-12-31T00:00:00", ["time.steps = 96", "9999"]),
        # unknown buses, stations, networks, profiles, files
        ("batteries.0.bus=34", ["batteries[0].bus = 34", "no such bus in dn1", "33 in total"]),
        ("stations.0.bus=S", ['stations[0].bus = "S"', "no such bus in dn1"]),
        ("loads.0.bus=zero", ['loads[0].bus = "zero"', "no such bus in dn1"]),
        ("links.0.terminals.0.network=dn3", ['links[0].terminals[0].network = "dn3"', 'did you mean "dn']),
        ("trucks.T1.station=dn1-wst", ['trucks[0].station = "dn1-wst"', 'did you mean "dn1-']),
        ("trucks.T1.stations=['dn1-east', 'S9']", ['trucks[0].stations[1] = "S9"', "no such station"]),
        ("trucks.T1.stations=['dn1-south']", ['trucks[0].station = "dn1-east"', "not among the stations"]),
        ("trucks.T1.stations=[]", ["trucks[0].stations = []", "at least one"]),
        ("networks.0.feeder=iee33", ['networks[0].feeder = "iee33"', 'did you mean "ieee33"?']),
        ("prices.buy=yaer.price_eur_per_mwh", ['prices.buy = "yaer.price', 'did you mean "year"?']),
        ("prices.buy=price", ['prices.buy = "price"', "source.column"]),
        ("profiles.year.file=data/year_profile.csv", ["profiles.year.file", 'did you mean "year_profiles.csv"?']),
        ("profiles.year.file=''", ['profiles.year.file = ""', "must not be empty"]),
        # duplicate names
        ("batteries.0.name=bess2", ['batteries[1].name = "bess2"', "given twice", "batteries[0].name"]),
        ("batteries.0.name=T1", ['the device name "T1" is given twice']),
        ("batteries.0.name=mvdc1-1", ['the device name "mvdc1-1" is given twice']),
        ("stations.0.name=dn1-east", ['the station name "dn1-east" is given twice']),
        ("generators.0.name=dn2-pv1", ['the generator name "dn2-pv1" is given twice']),
        # roads, links
        ("roads.distance_km=[[0, 1], [1, 0]]", ["roads.distance_km", "3 stations need 3 rows of 3", "2 rows"]),
        ("roads.distance_km.1.1=4", ["roads.distance_km[1][1] = 4", "must be 0"]),
        ("links.0.balancing=3", ["links[0].balancing = 3", "2 terminals"]),
        ("links.0.terminals=[]", ["links[0].terminals = []", "at least 2"]),
        # settings themselves
        ("trucks.T9.soc_min=0.1", ["trucks.T9", "no such entry of trucks; there is T1"]),
        ("loads.7.factor=1", ["loads.7", "no such entry of loads; there is 0, 1"]),
        ("steps", ["key=value"]),
        ("extends=other", ["extends belongs into the file"]),
    ],
)
def test_each_fault_is_reported_once_with_key_value_and_way_out(setting: str, expected: Sequence[str]) -> None:
    reported = faults(setting)
    matching = [one for one in reported if all(part in one for part in expected)]
    assert len(matching) == 1, reported
    assert matching[0].startswith("--set") or "two_feeders.toml: " in matching[0]
    assert "\n" not in matching[0]


def test_link_with_both_ends_at_one_bus_is_refused() -> None:
    reported = faults("links.0.terminals.1.network=dn1", "links.0.terminals.1.bus=18")
    assert [
        one for one in reported if "links[0].terminals[1].bus = 18" in one and "terminal 1 is at the same bus" in one
    ]


def test_trucks_need_stations_and_roads(tmp_path: Path) -> None:
    kept = (configs_dir() / "three_bus.toml").read_text().replace("data/", f"{configs_dir()}/data/")
    head, _, rest = kept.partition("[[stations]]")
    (tmp_path / "lone.toml").write_text(head + "[[trucks]]" + rest.partition("[[trucks]]")[2])
    reported = faults(config=tmp_path / "lone.toml")
    assert any("stations: trucks need stations" in one for one in reported)
    assert any("roads: trucks need roads" in one for one in reported)


def test_all_faults_of_a_file_come_together_whatever_their_kind() -> None:
    reported = faults(
        "foo=1",
        "trucks.T1.energy_mwh=-1",
        "trucks.T1.station=S9",
        "batteries.0.soc_min=0.95",
        "batteries.0.bus=77",
        "batteries.1.name=bess1",
        "time.step_s=7",
        "loads.0.network=dn5",
        "profiles.year.file=nowhere.csv",
    )
    for part in (
        "foo",
        "energy_mwh = -1",
        '"S9"',
        "soc_min = 0.95",
        "bus = 77",
        "given twice",
        "86400",
        "dn5",
        "nowhere",
    ):
        assert sum(part in one for one in reported) == 1, (part, reported)
    assert len(reported) == 9


def test_repairing_a_fault_invents_no_other() -> None:
    for setting in (
        "loads.0.p_mw=1.0",
        "trucks.T1.station=3",
        "networks.0.feeder=3",
        "generators.0.p_mw=[1]",
        "roads=3",
    ):
        assert len(faults(setting)) == 1, setting


def test_fault_names_the_file_of_a_chain_that_the_value_stands_in(tmp_path: Path) -> None:
    shutil.copy(configs_dir() / "two_feeders.toml", tmp_path / "base.toml")
    text = (tmp_path / "base.toml").read_text().replace("data/", f"{configs_dir()}/data/")
    (tmp_path / "base.toml").write_text(text.replace("energy_mwh = 2.0", "energy_mwh = -2.0"))
    (tmp_path / "top.toml").write_text('extends = "base.toml"\n[trucks.T1]\np_max_mw = -3.0\n')
    reported = faults(config=tmp_path / "top.toml")
    assert f"{tmp_path / 'base.toml'}: trucks[0].energy_mwh = -2.0" in reported[0]
    assert f"{tmp_path / 'top.toml'}: trucks[0].p_max_mw = -3.0" in reported[1]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b'name = "x"\ntime = \n', "bad.toml:2: not valid TOML"),
        (b'name = "x"\n[time', "bad.toml:2: not valid TOML"),
        (b'name = "x"\nname = "y"\n', "bad.toml:2: not valid TOML"),
        (b'name = "x"\ntitle = "\xff"\n', "bad.toml:2: not UTF-8 text (byte 0xff)"),
        (b"\x00\x01\x02", "bad.toml:1: not valid TOML"),
        (b"n = " + b"9" * 5000, "too long"),
        (b"n = " + b"[" * 5000, "nested"),
        (b".".join([b"a"] * 3000) + b" = 1", "nested more than"),
        (b"", "name: needed, but not given"),
        (b"extends = 3", "extends = 3: expected the name of another config"),
        (b'extends = "gone.toml"', 'extends = "gone.toml": no such file'),
    ],
)
def test_file_that_is_no_config_is_refused_with_its_line(content: bytes, expected: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.toml"
    path.write_bytes(content)
    assert expected in "\n".join(faults(config=path))


def test_missing_config_is_refused_with_the_nearest_names(tmp_path: Path) -> None:
    assert 'did you mean "three_bus"?' in faults(config="tree_bus")[0]
    shutil.copy(configs_dir() / "three_bus.toml", tmp_path / "mine.toml")
    assert 'did you mean "mine.toml"?' in faults(config=tmp_path / "mien.toml")[0]
    assert "no folder" in faults(config=tmp_path / "gone" / "mine.toml")[0]
    assert "is a folder; name a config in it (mine.toml)" in faults(config=tmp_path)[0]
    assert "no such config" in faults(config="x" * 1000)[0]
    assert "no such config" in faults(config="a\0b")[0]


def test_byte_order_mark_is_no_fault(tmp_path: Path) -> None:
    (tmp_path / "bom.toml").write_bytes(b'\xef\xbb\xbfextends = "three_bus"\nname = "bom"\n')
    assert load_config(tmp_path / "bom.toml").config.name == "bom"
