"""Bad input at the command line: exit code 2, one line per fault with file, key, value and way out, nothing written."""

import string
import textwrap
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

CASE = """
    name = "case"
    [time]
    start = 2024-05-01T00:00:00
    step_s = 3600
    steps = 4
    [profiles.day]
    file = "day.csv"
    time = "hour"
    [[networks]]
    name = "dn1"
    feeder = "three_bus"
    [[loads]]
    network = "dn1"
    bus = "2"
    p_mw = "day.load"
    [[loads]]
    network = "dn1"
    bus = "3"
    factor = 0.5
    [[generators]]
    name = "pv"
    network = "dn1"
    bus = "2"
    p_mw = "day.pv"
    [[stations]]
    name = "S1"
    network = "dn1"
    bus = "1"
    [[stations]]
    name = "S3"
    network = "dn1"
    bus = "3"
    [roads]
    distance_km = [[0.0, 9.0], [9.0, 0.0]]
    speed_km_h = 40.0
    [[trucks]]
    name = "T1"
    station = "S1"
    energy_mwh = 2.0
    p_max_mw = 1.0
    soc_min = 0.1
    soc_max = 0.9
    [[batteries]]
    name = "B1"
    network = "dn1"
    bus = "3"
    energy_mwh = 1.0
    p_max_mw = 0.5
    [controller]
    use = "rules"
    power_share = 0.8
"""
DAY = "hour,load,pv\n0,1.0,0.0\n1,1.1,0.0\n2,1.2,0.1\n3,1.1,0.2\n"


@pytest.fixture
def refused(gridferry, tmp_path):
    """Run a changed case; returns the lines on stderr, after checking that nothing but faults came of it."""

    def run(*changes, day=DAY, options=()):
        text = textwrap.dedent(CASE)
        for old, new in changes:
            assert text.count(old) >= 1
            text = text.replace(old, new, 1)
        (tmp_path / "case.toml").write_text(text)
        (tmp_path / "day.csv").write_text(day)
        before = sorted(tmp_path.rglob("*"))
        code, out, err = gridferry("run", "case.toml", "--json", *options)
        assert (code, out) == (2, "")
        assert sorted(tmp_path.rglob("*")) == before
        return err.splitlines()

    return run


def test_the_unchanged_case_runs(gridferry, tmp_path):
    (tmp_path / "case.toml").write_text(textwrap.dedent(CASE))
    (tmp_path / "day.csv").write_text(DAY)
    assert gridferry("run", "case.toml")[0] == 0


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("speed_km_h", "speed_kmh", ["case.toml: roads.speed_kmh = 40.0", "no such key", '"speed_km_h"']),
        ("steps = 4", 'steps = "4"', ['case.toml: time.steps = "4"', "expected a whole number"]),
        ("energy_mwh = 1.0", "energy_mwh = true", ["case.toml: batteries[0].energy_mwh = true", "a number"]),
        ("day.csv", "dya.csv", ["profiles.day.file", "dya.csv", "no such file", 'did you mean "day.csv"']),
        ("day.load", "day.laod", ['case.toml: loads[0].p_mw = "day.laod"', "no such column", 'mean "load"']),
        ('"day.pv"', '"night.pv"', ['generators[0].p_mw = "night.pv"', "no such profile", "there is day"]),
        ('bus = "2"', 'bus = "9"', ['case.toml: loads[0].bus = "9"', "no such bus in dn1", "1, 2, 3"]),
        ('station = "S1"', 'station = "S2"', ['trucks[0].station = "S2"', "no such station", "S1, S3"]),
        ('name = "S3"', 'name = "S1"', ['case.toml: stations[1].name = "S1"', "given twice", "choose another"]),
        ('name = "B1"', 'name = "T1"', ['batteries[0].name = "T1"', "given twice"]),
        ("p_max_mw = 0.5", "p_max_mw = -0.5", ["batteries[0].p_max_mw = -0.5", "must be above 0"]),
        ("soc_min = 0.1", "soc_min = 0.95", ["trucks[0].soc_min = 0.95", "upside down", "soc_max = 0.9"]),
        ("step_s = 3600", "step_s = 3700", ["case.toml: time.step_s = 3700", "86400", "nearest is 3600"]),
        ("steps = 4", "steps = 5", ['day.csv: column "hour"', "covers", "choose steps = 4 at most"]),
        ('"rules"', '"ruels"', ["case.toml: controller.use", '"ruels"', 'did you mean "rules"']),
        ("power_share", "power_shear", ["case.toml: controller.power_shear = 0.8", "no such option", '"power_share"']),
        ("power_share = 0.8", "power_share = 3", ["case.toml: controller.power_share", "3", "less than or equal to 1"]),
        ('bus = "3"\nfactor', 'bus = "1"\nfactor', ["loads[1].factor = 0.5", "bus 1 of dn1 has no nominal load"]),
        ("[time]", "[time", ["case.toml:3", "not valid TOML", "correct this line"]),
        ("factor = 0.5", "factor = nan", ["loads[1].factor = nan", "finite"]),
        ('feeder = "three_bus"', 'feeder = "three_buses"', ['networks[0].feeder = "three_buses"', '"three_bus"']),
    ],
)
def test_fault_is_one_line_with_file_key_value_and_way_out(refused, old, new, message):
    lines = refused((old, new))
    assert len(lines) == 1, lines
    assert all(words in lines[0] for words in message), lines


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("", ['day.csv: line 3, column "load"', "missing value", "fill it in"]),
        ("nan", ['day.csv: line 3, column "load"', "missing value"]),
        ("inf", ['day.csv: line 3, column "load"', '"inf" is no finite number']),
        ("x", ['day.csv: line 3, column "load"', '"x" is no finite number']),
        ("-1", ['loads[0].p_mw = "day.load"', "negative", "line 3"]),
    ],
)
def test_profile_value_that_is_none_is_named_with_row_and_column(refused, cell, message):
    lines = refused(day=DAY.replace("1,1.1", f"1,{cell}"))
    assert len(lines) == 1, lines
    assert all(words in lines[0] for words in message), lines


def test_all_faults_of_plant_profiles_and_controller_come_together(refused):
    lines = refused(
        ('bus = "3"\nfactor', 'bus = "1"\nfactor'),
        ('station = "S1"', 'station = "S2"'),
        ('name = "B1"', 'name = "T1"'),
        ("day.pv", "day.wind"),
        ("power_share", "power_shear"),
        day=DAY.replace("1,1.1", "1,"),
        options=("--set", "networks.dn1.v_min_pu=1.2"),
    )
    message = ("loads[1].factor", '"S2"', '"T1"', "day.wind", "power_shear", 'line 3, column "load"', "v_min_pu = 1.2")
    for words in message:
        assert sum(words in line for line in lines) == 1, (words, lines)
    assert lines[-1] == f"{len(message)} faults"
    assert len(lines) == len(message) + 1


def test_faults_of_single_values_hide_no_others(refused):
    lines = refused(
        ("p_max_mw = 0.5", "p_max_mw = -0.5"),
        ("soc_min = 0.1", "soc_min = 0.95"),
        ('station = "S1"', 'station = "S2"'),
        ("day.pv", "day.wind"),
        ("power_share = 0.8", "power_share = 3"),
        day=DAY.replace("1,1.1", "1,"),
    )
    message = ("p_max_mw = -0.5", "soc_min = 0.95", '"S2"', "day.wind", "power_share", 'line 3, column "load"')
    for words in message:
        assert sum(words in line for line in lines) == 1, (words, lines)
    assert len(lines) == len(message) + 1


def test_stand_ins_for_faulty_values_invent_no_fault(refused):
    for old, new in (
        ("steps = 4", 'steps = "4"'),
        ("start = 2024-05-01T00:00:00", "start = 5"),
        ('time = "hour"', "time = 3"),
        ('file = "day.csv"', "file = 3"),
        ('use = "rules"', "use = 3"),
    ):
        assert len(refused((old, new))) == 1, (old, new)


def test_faults_name_the_file_or_setting_that_a_value_comes_from(gridferry, tmp_path):
    (tmp_path / "base.toml").write_text(textwrap.dedent(CASE).replace("day.pv", "day.wind"))
    (tmp_path / "day.csv").write_text(DAY)
    (tmp_path / "top.toml").write_text('extends = "base.toml"\n[controller]\npower_shear = 1\n')
    code, _, err = gridferry("run", "top.toml", "--set", "trucks.T1.station=S2", "--set", "controller.moderate=9.5")
    assert code == 2
    lines = err.splitlines()
    assert any(line.startswith('base.toml: generators[0].p_mw = "day.wind"') for line in lines), lines
    assert any(line.startswith("top.toml: controller.power_shear = 1") for line in lines), lines
    assert any(line.startswith('--set: trucks[0].station = "S2"') for line in lines), lines
    assert any(line.startswith("--set: controller.moderate") and "9.5" in line for line in lines), lines


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("run", "tree_bus"), ["tree_bus", 'did you mean "three_bus"']),
        (("run", "three_bus", "--set", "seed"), ['--set "seed"', "key=value"]),
        (("run", "three_bus", "--set", "trucks.T9.soc_min=0.1"), ["trucks.T9", "no such entry", "T1"]),
        (("run", "three_bus", "--steps", "0"), ["--steps", "0", "1 to 144"]),
        (("run", "three_bus", "--steps", "145"), ["--steps", "145", "1 to 144"]),
        (("run", "three_bus", "--out", "file"), ["--out: file", "no run directory"]),
        (("run", "three_bus", "--out", "file/run"), ["--out: file/run", "cannot be"]),
        (("run", "three_bus", "--out", "x" * 300), ["--out", "choose another"]),
        (("run", "three_bus", "--out", "full"), ["--out: full", "no run directory"]),
        (("run", "three_bus", "--out", "full", "--overwrite"), ["--out: full", "no run directory"]),
        (("run", "three_bus", "--resume"), ["--resume", "no unfinished run of three_bus", "--out"]),
        (("run", "three_bus", "--resume", "--out", "full"), ["--resume: full", "no run to resume"]),
        (("run", "three_bus", "--resume", "--overwrite"), ["--overwrite", "--resume"]),
        (("run", "three_bus", "--controller", "file:Class"), ["--controller", "controller.use", "file"]),
        (("run", "three_bus", "--controller", "replay"), ["controller.file", "missing"]),
        (("validate", "full", "three_bus"), ["full", "no such file"]),
        (("check", "mess"), ["mess", "no such config, controller or kind of device"]),
        (("new", "controller", "x", "--folder", "gone"), ["gone", "no such folder"]),
        (("new", "device", "truck"), ["truck", "trucks, which is taken"]),
        (("new", "device", "x", "--folder", "gone"), ["gone", "no such folder"]),
    ],
)
def test_bad_arguments_are_refused_and_nothing_is_written(gridferry, tmp_path, arguments, message):
    (tmp_path / "file").write_text("hello")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("years of work")
    before = sorted(tmp_path.rglob("*"))
    code, out, err = gridferry(*arguments)
    assert (code, out) == (2, "")
    assert all(words in err for words in message), err
    assert sorted(tmp_path.rglob("*")) == before
    assert (tmp_path / "full" / "thesis.tex").read_text() == "years of work"


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from([line for line in textwrap.dedent(CASE).splitlines() if "=" in line]),
    st.one_of(st.text(string.printable, max_size=6), st.sampled_from(["-1", "nan", "0", '""', "[]", "1e300", "true"])),
)
def test_any_value_in_any_line_runs_or_is_refused(gridferry, tmp_path, line, value):
    key, _, _ = line.partition("=")
    Path("case.toml").write_text(textwrap.dedent(CASE).replace(line, f"{key}= {value}", 1))
    Path("day.csv").write_text(DAY)
    code, out, err = gridferry("check", "case.toml")
    assert code in (0, 1)
    assert err == ""
    assert ("sound" in out) == (code == 0)
