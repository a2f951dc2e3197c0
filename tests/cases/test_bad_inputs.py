"""Damaged and nonsensical inputs are refused in one line that names file, place, value and the way out."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandapower as pp
import pytest

from gridferry.controllers.plans.plan_reader import read_plan
from gridferry.networks.catalog import load_network
from gridferry.networks.faults import Fault, InputError
from gridferry.networks.roads.files import RoadUnits, read_road_file
from gridferry.sim.case.case import build_case
from gridferry.sim.case.loading import load_config
from gridferry.sim.config.reading import configs_dir
from gridferry.sim.loop.runner import run
from gridferry.sim.results.display import run_tables
from gridferry.sim.results.report import page
from gridferry.sim.study.config import overrides

BASE = """
name = "bad"
[time]
start = 2024-01-01T00:00:00
step_s = 3600
steps = 3
[profiles.a]
file = "a.csv"
time = "hour"
[[networks]]
name = "n"
feeder = "{feeder}"
[[loads]]
network = "n"
factor = "a.load"
"""


def refused(path: Path) -> str:
    """The one message that a config is refused with."""
    with pytest.raises(InputError) as caught:
        build_case(load_config(path))
    (fault,) = caught.value.faults
    return str(fault)


def case(folder: Path, feeder: str = "three_bus", profile: bytes = b"hour,load\n0,1\n1,1\n2,1\n") -> Path:
    (folder / "a.csv").write_bytes(profile)
    (folder / "bad.toml").write_text(BASE.format(feeder=feeder))
    return folder / "bad.toml"


LATE = b"hour,load,note\n" + b"".join(b"%d,1,x\n" % hour for hour in range(3000))


@pytest.mark.parametrize(
    ("profile", "message"),
    [
        (
            LATE.replace(b"2900,1", b"2900,1\xe9"),
            'a.csv: line 2902: not UTF-8 text (byte 0xe9); encoding = "cp1252" in its table',
        ),
        (b"hour,load\n0,1\n1,\n2,1\n" + b"3,1,caf\xe9\n", "cannot be read as CSV"),
        (b"hour,lo\xe9d\n0,1\n", "a.csv: line 1: not UTF-8 text"),
    ],
)
def test_bytes_that_are_no_text_are_named_by_line(tmp_path, profile, message):
    path = case(tmp_path, profile=profile)
    if message.startswith("cannot"):
        with pytest.raises(InputError):
            build_case(load_config(path))
    else:
        assert message in refused(path)


def test_missing_value_is_named_although_another_column_is_no_text(tmp_path):
    message = refused(case(tmp_path, profile=LATE.replace(b"1,1", b"1,", 1).replace(b"2900,1,x", b"2900,1,\xe9")))
    assert 'a.csv: line 3, column "load": missing value; fill it in' in message


def test_plans_and_roads_that_are_no_text_are_named_by_line(tmp_path):
    path = tmp_path / "file.csv"
    path.write_bytes(b"from,to,km\nA,B,1\nB,\xe9,1\n")
    with pytest.raises(InputError, match=r"line 3: not UTF-8 text \(byte 0xe9\)"):
        read_road_file(path, RoadUnits(speed_km_h=30.0))
    path.write_bytes(b"step,device,p_mw,q_mvar,position\n0,T1,0,0,\n0,\xe9,0,0,\n")
    with pytest.raises(InputError, match=r"line 3: not UTF-8 text \(byte 0xe9\)"):
        read_plan(path, build_case(load_config("three_bus")).plant)


def test_number_of_400_digits_in_a_case_file_is_refused_by_line(tmp_path):
    (tmp_path / "net.m").write_text(f"function mpc = x\nmpc.baseMVA = 10;\nx = {'9' * 400} + 1;\n")
    message = refused(case(tmp_path, "net.m"))
    assert "net.m: line 3: " in message
    assert message.endswith("write the case with MATPOWER's savecase, which gives numbers")


def net() -> dict:
    made = pp.create_empty_network()
    low = [pp.create_bus(made, 12.66) for _ in range(2)]
    pp.create_ext_grid(made, low[0])
    pp.create_line_from_parameters(made, *low, 1.0, 0.5, 0.3, 0.0, 1.0)
    pp.create_load(made, low[1], 0.1)
    return json.loads(pp.to_json(made))


@pytest.mark.parametrize("table", ["bus", "line", "load", "ext_grid", "switch", "trafo"])
@pytest.mark.parametrize("how", ["null", "gone"])
def test_net_without_a_table_is_refused_by_its_name(tmp_path, table, how):
    content = net()
    if how == "null":
        content["_object"][table] = None
    else:
        del content["_object"][table]
    path = tmp_path / "net.json"
    path.write_text(json.dumps(content))
    with pytest.raises(InputError) as caught:
        load_network("net.json", tmp_path)
    assert str(caught.value).endswith(f"has no table {table}: damaged; write it anew with pandapower.to_json")


def test_net_without_a_column_is_refused_by_its_name(tmp_path):
    content = net()
    table = json.loads(content["_object"]["line"]["_object"])
    column = table["columns"].index("x_ohm_per_km")
    for row in (table["columns"], *table["data"]):
        del row[column]
    content["_object"]["line"]["_object"] = json.dumps(table)
    (tmp_path / "net.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"line: has no column x_ohm_per_km; write the net anew"):
        load_network("net.json", tmp_path)


def test_run_that_cannot_fit_is_refused_with_the_figure():
    settings = ["time.steps=10000000", "time.step_s=60", "time.horizon_steps=96"]
    with pytest.raises(InputError, match=r"time\.steps = 10000000: its series need [0-9.]+ GiB of memory") as caught:
        build_case(load_config("mvdc_3dn", settings))
    assert "take at most" in str(caught.value)


NONSENSE = {
    "grid.tolerance_mva=1e308": "at most 0.001",
    "grid.max_iterations=1000000": "at most 1,000",
    "grid.v_tolerance_pu=5": "at most 0.1",
    "roads.install_min=1e308": "at most 1,440",
    "roads.speed_km_h=1e6": "at most 200",
    "networks.0.slack_v_pu=1e10": "at most 1.5",
    "networks.0.slack_v_pu=1e-3": "at least 0.5",
    "networks.0.v_max_pu=1e10": "at most 2",
    "generators.0.p_mw=2000": "must not be beyond 1000; no distribution network has that",
    "trucks.0.energy_mwh=1e7": "at most 1,000",
    "trucks.0.p_max_mw=2000": "at most 1,000",
    "trucks.0.fuel_per_km=1e12": "at most 1,000,000,000",
    "prices.buy=-1e12": "must not be beyond 1e+09",
    "record.flush_steps=1000000000": "at most 10,000",
    "simulators.grid.connect=localhost:99999": "must be host:port",
    "simulators.grid.connect=localhost:0": "must be host:port",
    'currency="two\\nlines"': "must have no control characters",
    f'currency="{"x" * 100}"': "at most 16 characters",
}


@pytest.mark.parametrize("setting", NONSENSE)
def test_value_beyond_the_fields_order_of_magnitude_is_refused(setting):
    with pytest.raises(InputError) as caught:
        build_case(load_config("three_bus", [setting]))
    (fault,) = caught.value.faults
    assert NONSENSE[setting] in fault.message
    assert fault.key.startswith(setting.partition("=")[0].replace(".0.", "[0]."))


def test_markup_in_the_currency_is_shown_as_it_is(tmp_path):
    for number, currency in enumerate(("[/red]", "<b>&</script>")):
        done = run("three_bus", overrides=[f'currency="{currency}"'], steps=1, out=tmp_path / str(number))
        run_tables([done], 80)
        assert currency not in page(done).replace("[/red]", "") or currency == "[/red]"
    assert "&lt;b&gt;&amp;&lt;/script&gt;" in page(done)


def test_fault_stays_one_line_that_steers_no_terminal():
    shown = str(Fault("a.toml", "name", "one\ntwo\x1b[31m\u2028\ud800 é"))
    assert shown == r"a.toml: name: one\ntwo\x1b[31m\u2028\ud800 é"
    shown.encode()


def test_settings_of_a_study_row_are_not_cut():
    value = "x" * 3000
    (setting,) = overrides({"title": value})
    assert load_config("three_bus", [setting]).config.title == value


@pytest.mark.parametrize("name", ["a file that is gone", "a folder"])
def test_profile_that_cannot_be_read_is_named(tmp_path, name):
    path = case(tmp_path)
    (tmp_path / "a.csv").unlink()
    if name == "a folder":
        (tmp_path / "a.csv").mkdir()
    assert "a.csv" in refused(path)
    shutil.rmtree(tmp_path / "a.csv", ignore_errors=True)
    assert configs_dir().is_dir()
