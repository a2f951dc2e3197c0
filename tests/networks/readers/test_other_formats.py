"""Networks in Excel, OpenDSS and CGMES against what they come from; the cache of converted networks; no pickles."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import openpyxl
import pandapower as pp
import pandas as pd
import pytest
from pandapower.io_utils import to_dict_of_dfs

from cases.cgmes_files import LINES, LOADS, write_cgmes
from gridferry.networks.catalog import load_network
from gridferry.networks.faults import InputError
from gridferry.networks.network import Network
from gridferry.networks.power_flow import solve_sweep
from gridferry.networks.readers import net_cache
from gridferry.networks.readers.net_cache import VARIABLE, cache_folder, cached_net
from gridferry.sim.case.case import build_case
from gridferry.sim.case.loading import load_config

FEEDER = """Clear
New Circuit.small basekv=12.47 pu=1.02 phases=3 bus1=source MVAsc3=1e9 MVAsc1=1e9
New LineCode.c nphases=3 R1=0.3 X1=0.4 R0=0.5 X0=1.2 C1=10 C0=5 units=km
New Line.l1 bus1=source bus2=a linecode=c length=3 units=km
New Line.l2 bus1=a bus2=b linecode=c length=2 units=km ! the next one is in a file of its own
Redirect more.dss
New Transformer.t1 phases=3 windings=2 buses=(b, c) conns=(delta, wye) kvs=(12.47, 0.4) kvas=(1000, 1000) xhl=5
~ %loadloss=1
New Load.la bus1=a phases=3 kv=12.47 kw=900 kvar=300 model=1 vminpu=0.5
New Load.lc bus1=c phases=3 kv=0.4 kw=600 kvar=200 model=1 vminpu=0.5
Set voltagebases=[12.47, 0.4]
Calcvoltagebases
Solve
"""


def voltages(network: Network) -> dict[str, float]:
    feeder = network.feeder
    v, converged = solve_sweep(feeder, -feeder.p_load_mw, -feeder.q_load_mvar)
    assert converged
    return dict(zip(feeder.bus_names, np.abs(v).tolist(), strict=True))


def small_net() -> pp.pandapowerNet:
    net = pp.create_empty_network()
    a, b, c = (pp.create_bus(net, 20.0, name=name) for name in "abc")
    pp.create_ext_grid(net, a, vm_pu=1.02)
    at = {"_a": a, "_b": b, "_c": c}
    for start, end, r, x in LINES.values():
        pp.create_line_from_parameters(net, at[start], at[end], 1.0, r, x, 0.0, 0.5)
    for node, (p, q) in LOADS.items():
        pp.create_load(net, at[node], p, q)
    return net


def write_excel(path: Path) -> None:
    """Write the sheets of ``pandapower.to_excel``, which needs another package to write them."""
    with pd.ExcelWriter(path, engine="openpyxl") as writer:
        for name, table in to_dict_of_dfs(small_net(), include_empty_tables=False).items():
            table.to_excel(writer, sheet_name=name)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "cache"))


def test_an_excel_net_is_that_of_json(tmp_path: Path) -> None:
    pp.to_json(small_net(), str(tmp_path / "net.json"))
    write_excel(tmp_path / "net.xlsx")
    expected = voltages(load_network("net.json", tmp_path))
    for _ in range(2):  # converted, then from the cache
        assert voltages(load_network("net.xlsx", tmp_path)) == pytest.approx(expected, abs=1e-12)
    pp.runpp(net := small_net(), tolerance_mva=1e-10)
    assert list(expected.values()) == pytest.approx(net.res_bus.vm_pu.tolist(), abs=1e-8)


def test_an_excel_net_that_names_code_of_others_is_refused(tmp_path: Path) -> None:
    write_excel(tmp_path / "net.xlsx")
    book = openpyxl.load_workbook(tmp_path / "net.xlsx")
    book["bus"]["B2"] = json.dumps({"_module": "subprocess", "_class": "function", "_object": "run"})
    book.save(tmp_path / "net.xlsx")
    with pytest.raises(InputError, match=r"sheet bus, names subprocess\.run"):
        load_network("net.xlsx", tmp_path)


def test_an_opendss_feeder_has_the_voltages_of_opendss(tmp_path: Path) -> None:
    import opendssdirect as dss

    (tmp_path / "feeder.dss").write_text(FEEDER)
    (tmp_path / "more.dss").write_text("New Line.l3 bus1=a bus2=d linecode=c length=1 units=km\n")
    network = load_network("feeder.dss", tmp_path)
    here = Path.cwd()
    dss.Command("Clear")
    dss.Command(f'Redirect "{tmp_path / "feeder.dss"}"')
    names, by_node = dss.Circuit.AllNodeNames(), dss.Circuit.AllBusMagPu()
    assert Path.cwd() == here
    expected: dict[str, list[float]] = {}
    for name, magnitude in zip(names, by_node, strict=True):
        expected.setdefault(name.partition(".")[0], []).append(magnitude)
    assert voltages(network) == pytest.approx({name: np.mean(each) for name, each in expected.items()}, abs=1e-5)
    assert "balanced equivalent" in network.notes[0]
    assert load_network("feeder.dss", tmp_path).notes == network.notes
    # a file that is included belongs to it
    (tmp_path / "more.dss").write_text("New Line.l3 bus1=b bus2=d linecode=c length=9 units=km\n")
    assert voltages(load_network("feeder.dss", tmp_path))["d"] < voltages(network)["d"]


@pytest.mark.parametrize(
    "command", ["Export voltages v.csv", "Show losses", "Doscmd echo", "Save circuit", "Plot profile"]
)
def test_opendss_commands_that_do_other_things_are_refused_by_line(tmp_path: Path, command: str) -> None:
    (tmp_path / "feeder.dss").write_text(FEEDER + command + "\n")
    (tmp_path / "more.dss").write_text("// nothing\n")
    with pytest.raises(InputError, match=r"feeder\.dss, line 14: the command"):
        load_network("feeder.dss", tmp_path)
    (tmp_path / "more.dss").unlink()
    with pytest.raises(InputError, match="no such file"):
        load_network("feeder.dss", tmp_path)


def test_a_cgmes_grid_has_the_voltages_of_pandapower(tmp_path: Path) -> None:
    write_cgmes(tmp_path / "grid.zip")
    pp.runpp(net := small_net(), tolerance_mva=1e-10)
    found = voltages(load_network("grid.zip", tmp_path))
    assert found == pytest.approx(dict(zip("abc", net.res_bus.vm_pu, strict=True)), abs=1e-8)
    (tmp_path / "none.zip").write_text("no zip")
    with pytest.raises(InputError, match=r"none\.zip cannot be read as CGMES"):
        load_network("none.zip", tmp_path)


@pytest.mark.parametrize("name", ["net.p", "net.pkl", "C:/nets/net.p"])
def test_pickles_are_refused_with_the_way_out(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=r"a pickle can run code.*pandapower\.to_json"):
        load_network(name, tmp_path)


# --------------------------------------------------------------------------------------------------------------- cache


def converted(folder: Path | None, content: str = "x") -> tuple[pp.pandapowerNet, bool]:
    """A net with profiles, through the cache; whether it was converted."""
    calls = []

    def convert() -> pp.pandapowerNet:
        calls.append(1)
        net = small_net()
        net.load["p_mw"] = np.random.default_rng(7).random(len(net.load))
        net["profiles"] = {
            "load": pd.DataFrame({"time": ["01.01.2016 00:00", "01.01.2016 00:15"], "L0_pload": [0.1, 1 / 3]})
        }
        return net

    return cached_net("test", content, (), convert, folder), bool(calls)


def same(one: pp.pandapowerNet, other: pp.pandapowerNet) -> bool:
    tables = ("bus", "line", "load", "ext_grid")
    frames = [(one[name], other[name]) for name in tables] + [(one.profiles["load"], other.profiles["load"])]
    return all(a.equals(b) for a, b in frames)


def test_a_cached_net_is_the_converted_one_bit_by_bit_with_its_profiles(tmp_path: Path) -> None:
    first, cold = converted(tmp_path)
    again, warm = converted(tmp_path)
    assert (cold, warm) == (True, False)
    assert same(first, again)
    assert converted(tmp_path, "y")[1]
    assert converted(None)[1]
    assert not list(tmp_path.rglob("*.p*kl*"))


def test_another_version_and_damage_make_it_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, _ = converted(tmp_path)
    for name in ("net.json", "profiles/load.parquet"):
        (file,) = tmp_path.glob(f"*/{name}")
        raw = bytearray(file.read_bytes())
        raw[len(raw) // 2] ^= 1
        file.write_bytes(raw)
        again, anew = converted(tmp_path)
        assert anew
        assert same(first, again)
    assert not converted(tmp_path)[1]
    monkeypatch.setattr(net_cache, "version", lambda name: "99")
    assert converted(tmp_path)[1]


def test_a_cache_that_names_code_of_others_is_not_read(tmp_path: Path) -> None:
    import hashlib

    converted(tmp_path)
    (file,) = tmp_path.glob("*/net.json")
    file.write_text(json.dumps({"_module": "subprocess", "_class": "function", "_object": "run"}))
    hashes = json.loads((file.parent / "hashes.json").read_text())
    hashes["net.json"] = hashlib.sha256(file.read_bytes()).hexdigest()
    (file.parent / "hashes.json").write_text(json.dumps(hashes))
    assert converted(tmp_path)[1]


def test_the_folder_is_that_of_the_config_or_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cache_folder(None) == tmp_path / "cache"
    monkeypatch.setenv(VARIABLE, "off")
    assert cache_folder(None) is None
    monkeypatch.delenv(VARIABLE)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder(None) == tmp_path / "xdg" / "gridferry"
    write_cgmes(tmp_path / "grid.zip")
    (tmp_path / "case.toml").write_text(
        'name = "case"\ncache_dir = "mine"\n[time]\nstart = 2024-01-01T00:00:00\nstep_s = 3600\nsteps = 2\n'
        '[[networks]]\nname = "dn1"\nfeeder = "grid.zip"\n'
    )
    build_case(load_config(tmp_path / "case.toml"))
    assert len(list((tmp_path / "mine").iterdir())) == 1
    assert not (tmp_path / "xdg").exists()


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    assert converted(tmp_path / "file")[1]
    assert converted(tmp_path / "file")[1]
