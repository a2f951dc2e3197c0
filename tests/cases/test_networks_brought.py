"""What a network brings in a run: its own loads, sources, storages and their time series, used or said."""

from __future__ import annotations

from pathlib import Path

import duckdb
import numpy as np
import pytest

from cases.brought_net import LOAD
from gridferry.networks.faults import InputError
from gridferry.sim import run
from gridferry.sim.case.case import Case, build_case
from gridferry.sim.case.loading import load_config
from gridferry.sim.case.own_elements import own_notes

HEAD = """
name = "brought"
[time]
start = 2024-07-15T00:00:00
step_s = 3600
steps = 6
[profiles.p]
file = "p.csv"
time = "t"
"""


def case_of(folder: Path, text: str, network: str = "") -> Case:
    (folder / "p.csv").write_text("t,a\n" + "".join(f"{hour},{0.5 * hour}\n" for hour in range(6)))
    feeder = '[[networks]]\nname = "dn1"\nfeeder = "cases.brought_net:net_with_all"\n'
    (folder / "case.toml").write_text(f'{HEAD}{feeder}{network}\n{text}[controller]\nuse = "idle"\n')
    return build_case(load_config(folder / "case.toml"))


def notes_of(case: Case) -> str:
    return "\n".join(own_notes(case.loaded, 0, case.networks[0]))


ALL = '[[loads]]\nnetwork = "dn1"\nfactor = 1.0\n'


def test_loads_follow_the_net_s_own_column_times_the_factor(tmp_path: Path) -> None:
    """The mill has 2 times its column; the PV of 0.5 and the storage of 0.2 MW stay, and that is said."""
    case = case_of(tmp_path, ALL.replace("1.0", '{ column = "p.a", scale = 2.0 }'))
    hour = np.arange(6.0)
    assert case.conditions.own_p_mw is not None
    assert case.conditions.own_p_mw.tolist() == [[0.0, -0.2, 0.5]] * 6
    load = case.conditions.load_p_mw + case.conditions.own_p_mw
    np.testing.assert_allclose(load[:, 1], hour * 2.0 * np.array(LOAD), atol=1e-12)
    np.testing.assert_allclose(load[:, 2], hour, atol=1e-12)
    found = notes_of(case)
    assert '1 static generator injects 0.5 MW, constant throughout (sgen 0 ("roof"))' in found
    assert '1 storage draws 0.2 MW, constant throughout (storage 0 ("cells"))' in found


def test_without_loads_a_message_says_that_there_are_none_or_the_net_s_own_are_drawn(tmp_path: Path) -> None:
    case = case_of(tmp_path, "")
    assert not (case.conditions.load_p_mw + case.conditions.own_p_mw).any()
    assert "there are no [[loads]]: the nominal loads of 1.2 MW are not drawn" in notes_of(case)
    for network in ('profiles = "network"', 'elements.load = "profile"'):
        case = case_of(tmp_path, "", network)
        np.testing.assert_allclose((case.conditions.load_p_mw + case.conditions.own_p_mw)[:, 1], 2 * np.array(LOAD))
    assert '1 load draws 1 MW, constant throughout (load 1 ("town"))' in notes_of(case)
    case = case_of(tmp_path, "", 'elements.load = "constant"')
    assert (case.conditions.load_p_mw + case.conditions.own_p_mw).tolist() == [[0.0, 0.2, 1.0]] * 6


def test_power_at_a_bus_replaces_the_scaled_nominal_one_and_two_factors_are_refused(tmp_path: Path) -> None:
    at_c = '[[loads]]\nnetwork = "dn1"\nbus = "C"\n'
    case = case_of(tmp_path, at_c + "p_mw = 0.7\n" + ALL, 'elements = { sgen = "off", storage = "off" }')
    assert case.conditions.load_p_mw[:, 2].tolist() == [0.7] * 6
    assert case.conditions.load_q_mvar[:, 2].tolist() == [0.0] * 6
    assert case.conditions.load_p_mw[0].tolist() == [0.0, 0.2, 0.7]
    case = case_of(tmp_path, ALL + 2 * (at_c + "p_mw = 0.7\n"), 'elements.sgen = "off"')
    assert case.conditions.load_p_mw[0, 2] == 1.4
    case = case_of(tmp_path, ALL + at_c + "p_mw = 0.7\n" + at_c + "factor = 1.0\n", 'elements.sgen = "off"')
    assert case.conditions.load_p_mw[0, 2] == 1.7
    for twice in (ALL + ALL, ALL + at_c + "factor = 0.5\n" + at_c + "factor = 1.0\n"):
        with pytest.raises(
            InputError, match=r"has one for (all buses|bus C), too, and a factor is not added; keep one"
        ):
            case_of(tmp_path, twice)


PV = '[[generators]]\nname = "PV1"\nnetwork = "dn1"\nbus = "C"\np_mw = "p.a"\n'


def test_generators_of_the_config_beside_those_of_the_net_need_a_word_about_them(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        case_of(tmp_path, ALL + PV)
    (fault,) = caught.value.faults
    assert fault.key == "networks[0].elements.sgen"
    assert 'sgen 0 ("roof") 0.5 MW; say what becomes of them: "off", "constant", "profile", "device"' in fault.message
    for word, own in (('"off"', 0.0), ('"constant"', 0.5)):
        case = case_of(tmp_path, ALL + PV, f"elements.sgen = {word}")
        assert case.conditions.own_p_mw[:, 2].tolist() == [own] * 6
    case = case_of(tmp_path, ALL + PV, 'elements.sgen = { factor = "p.a" }')
    assert case.conditions.own_p_mw[:, 2].tolist() == [0.25 * hour for hour in range(6)]
    with pytest.raises(InputError, match="its static generators have no time series of their own"):
        case_of(tmp_path, ALL + PV, 'elements.sgen = "profile"')


def test_elements_become_devices_by_their_names_and_the_written_config_has_them(tmp_path: Path) -> None:
    case = case_of(tmp_path, ALL, 'elements = { sgen = "device", storage = "device" }')
    generator, battery = case.loaded.config.generators[0], case.loaded.config.batteries[0]
    assert (generator.name, generator.kind, generator.bus, generator.p_mw) == ("roof", "pv", "C", 0.5)
    assert generator.cos_phi == pytest.approx(-0.5 / np.hypot(0.5, 0.1))
    assert (battery.name, battery.bus, battery.energy_mwh, battery.p_max_mw) == ("cells", "B", 0.4, 0.2)
    assert battery.soc_initial == 0.25
    assert not case.conditions.own_p_mw.any()
    done = run(case.loaded, out=tmp_path / "run")
    again = load_config(done.directory / "config.toml").config
    assert (len(again.generators), len(again.batteries)) == (1, 1)
    with duckdb.connect(done.directory / "results.duckdb", read_only=True) as connection:
        got = connection.sql("SELECT p_mw FROM bus WHERE bus = 'C' ORDER BY step").fetchall()
    assert [one for (one,) in got] == pytest.approx([-0.5] * 6)


def test_the_record_has_what_is_own_and_balances(tmp_path: Path) -> None:
    case = case_of(tmp_path, ALL, 'elements.sgen = { factor = "p.a" }')
    told: list[str] = []
    done = run(case.loaded, out=tmp_path / "run", report=told.append)
    with duckdb.connect(done.directory / "results.duckdb", read_only=True) as connection:
        got = connection.sql("SELECT p_load_mw, p_own_mw, p_mw FROM bus WHERE bus = 'C' ORDER BY step").fetchall()
    assert got == [pytest.approx((1.0, 0.25 * hour, 0.25 * hour - 1.0)) for hour in range(6)]
    assert done.summary["balance_error_rel_max"] < 1e-9
    assert told == ['dn1: 1 storage draws 0.2 MW, constant throughout (storage 0 ("cells"))']


def test_split_makes_a_network_of_each_supply_and_leads_buses_to_theirs(tmp_path: Path) -> None:
    (tmp_path / "case.toml").write_text(
        HEAD.partition("[profiles")[0]
        + '[[networks]]\nname = "dn"\nfeeder = "cases.brought_net:two_supplies"\nsplit = true\n'
        + 'elements.storage = "off"\n'
        + ALL.replace("dn1", "dn")
        + '[[batteries]]\nname = "B"\nnetwork = "dn"\nbus_index = 4\nenergy_mwh = 1.0\np_max_mw = 0.5\n'
    )
    case = build_case(load_config(tmp_path / "case.toml"))
    assert case.network_names == ("dn-1", "dn-2")
    assert [one.bus_names for one in case.plant.feeders] == [("A", "B", "C"), ("D", "E")]
    assert case.plant.ports[0].buses == (4,)
    assert case.conditions.load_p_mw[0].tolist() == [0.0, 0.2, 0.5, 0.0, 0.6]
    done = run(case.loaded, out=tmp_path / "run")
    assert [one.name for one in load_config(done.directory / "config.toml").config.networks] == ["dn-1", "dn-2"]
