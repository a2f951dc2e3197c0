"""Kinds of devices that a config names: their tables are checked, described and extended as those of ours."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from cases import REPOSITORY
from gridferry.controllers.devices.registry import BUILT_IN, TAKEN_COLUMNS, TAKEN_TABLES, find_kind
from gridferry.networks.faults import InputError
from gridferry.sim.case.input_files import input_files
from gridferry.sim.case.loading import load_config
from gridferry.sim.case.plant import build_plant
from gridferry.sim.config.json_schema import config_schema
from gridferry.sim.config.reading import config_of_document, write_config
from gridferry.sim.results.kind_tables import kind_columns
from gridferry.sim.results.records import INFO_TABLES, TABLES

PLUGIN = REPOSITORY / "tests" / "plugins" / "constant_load.py"
ENTRY = """
[[constant_loads]]
name = "pump"
network = "dn1"
bus = 3
drawn_mw = "day.p_pv_mw"
rating_mw = 0.4
"""
USE = 'extends = "three_bus"\n[devices]\nuse = ["constant_load.py:ConstantLoad"]\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a config that has a kind of its own, in a file beside it."""
    folder = tmp_path / "case"
    folder.mkdir()
    shutil.copy(PLUGIN, folder)
    (folder / "works.toml").write_text(USE + ENTRY)
    return folder


def written(folder: Path, text: str) -> Path:
    path = folder / "other.toml"
    path.write_text(text)
    return path


def reported(path: Path, *settings: str) -> list[str]:
    """Messages of all faults that reading a config, and building its plant, raise."""
    with pytest.raises(InputError) as caught:
        build_plant(load_config(path, settings))
    return [str(fault) for fault in caught.value.faults]


def test_a_config_has_the_tables_of_the_kinds_that_it_names(folder: Path) -> None:
    config = load_config(folder / "works.toml").config
    assert [kind.table for kind in config.kinds] == [*[*BUILT_IN][:-1], "constant_loads", "generators"]
    (pump,) = config.entries(find_kind(f"{folder}/constant_load.py:ConstantLoad"))
    assert (pump.name, pump.bus, pump.drawn_mw, pump.rating_mw, pump.tariff) == ("pump", 3, "day.p_pv_mw", 0.4, 0.0)
    assert [kind.table for kind in load_config("three_bus").config.kinds] == [*BUILT_IN]


def test_a_written_config_with_a_kind_of_its_own_reads_back_equal(folder: Path) -> None:
    loaded = load_config(folder / "works.toml")
    sent = json.loads(json.dumps(loaded.document, default=lambda one: one.isoformat()))
    assert config_of_document(sent, folder.parent).config == loaded.config
    write_config(loaded.document, folder / "again.toml")
    assert load_config(folder / "again.toml").config == loaded.config


def test_entries_of_a_kind_are_patched_by_an_extending_config_and_by_settings(folder: Path) -> None:
    path = written(folder, 'extends = "works.toml"\n[constant_loads.pump]\nrating_mw = 0.7\n')
    config: Any = load_config(path, ["constant_loads.pump.tariff=12"]).config
    (pump,) = config.constant_loads
    assert (pump.rating_mw, pump.tariff, pump.bus) == (0.7, 12.0, 3)


def test_errors_of_forecasts_have_a_table_by_the_name_that_a_kind_gives_them(folder: Path) -> None:
    config: Any = load_config(folder / "works.toml", ["forecast.errors.works.relative_std=0.2"]).config
    assert config.forecast.errors.of("works").relative_std == 0.2
    assert "no such key" in reported(folder / "works.toml", "forecast.errors.work.relative_std=0.2")[0]


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("constant_loads.pump.raiting_mw=1", ["constant_loads[0].raiting_mw = 1", 'did you mean "rating_mw"?']),
        ("constant_loads.pump.rating_mw=-1", ["constant_loads[0].rating_mw = -1", "above 0 (the most it draws [MW])"]),
        ("constant_loads.pump.drawn_mw=true", ["constant_loads[0].drawn_mw = true", "a number", '"source.column"']),
        ("constant_loads.pump.drawn_mw=dya.load", ["constant_loads[0].drawn_mw", 'did you mean "day"?']),
        ("constant_loads.pump.tariff=1e7", ["constant_loads[0]", "nobody pays a million"]),
        ("constant_load.pump.tariff=1", ["constant_load", 'did you mean "constant_loads"?']),
        ("constant_loads.pmup.tariff=1", ["constant_loads.pmup", 'did you mean "pump"?']),
        ("constant_loads.pump.rating_mw=101", ["constant_loads[0].rating_mw = 101", "no distribution feeder"]),
        ("constant_loads.pump.bus=99", ["constant_loads[0].bus = 99", "no such bus in dn1; there is 1, 2, 3"]),
        ("constant_loads.pump.network=dn2", ["constant_loads[0].network", 'did you mean "dn1"?']),
        ("constant_loads=3", ["constant_loads = 3", "[[constant_loads]]", "(loads that draw a profile"]),
    ],
)
def test_faults_of_a_kind_are_reported_as_those_of_ours(folder: Path, setting: str, expected: list[str]) -> None:
    (fault,) = reported(folder / "works.toml", setting)
    assert all(part in fault for part in expected), fault


def test_the_schema_of_a_config_has_its_kinds(folder: Path) -> None:
    schema = config_schema(folder / "works.toml")
    properties = schema["$defs"]["ConstantLoadConfig"]["properties"]
    assert properties["rating_mw"]["description"] == "the most it draws [MW]"
    assert schema["properties"]["constant_loads"]["description"] == "loads that draw a profile, at most their rating"
    assert "works" in schema["$defs"]["ErrorSettings"]["properties"]
    assert "constant_loads" not in config_schema()["properties"]


def test_the_command_prints_that_schema_and_counts_such_devices(gridferry, folder: Path) -> None:
    code, out, _ = gridferry("schema", folder / "works.toml")
    assert code == 0
    assert json.loads(out) == config_schema(folder / "works.toml")
    code, out, _ = gridferry("check", folder / "works.toml")
    assert code == 0
    ran, said = out.splitlines()
    assert "this check ran code: " in ran
    assert "constant_load.py" in ran
    assert said == ("sound: 1 networks, 3 buses, 1 trucks, 1 constant loads, 2 generators, 144 steps of 600 s")
    (folder / "constant_load.py").unlink()
    for command in ("schema", "run"):
        code, out, err = gridferry(command, folder / "works.toml")
        assert (code, out) == (2, "")
        assert "works.toml: devices.use[0] = " in err
        assert err.count("\n") == 1


# --------------------------------------------------------------------------------------- kinds that are not to be found


def kind_file(folder: Path, name: str, old: str, new: str) -> None:
    """Write a file with a kind that differs from the plug-in's."""
    text = PLUGIN.read_text()
    assert old in text
    (folder / name).write_text(text.replace(old, new))


@pytest.mark.parametrize(
    ("use", "expected"),
    [
        ("[3]", ["devices.use[0] = 3", "text in quotes"]),
        ('"constant_load.py:ConstantLoad"', ["devices.use", "expected an array"]),
        ('["gone.py:Load"]', ["devices.use[0]", "no file "]),
        ('["constant_load.py"]', ["devices.use[0]", "name the class too", "there is ConstantLoad"]),
        ('["constant_load.py:Constant"]', ["devices.use[0]", 'did you mean "ConstantLoad"?']),
        ('["constant_load.py:ConstantLoadConfig"]', ["devices.use[0]", "is no device; derive it from"]),
        ('["batterys"]', ["devices.use[0]", 'did you mean "batteries"?']),
        ('["no_such_package.kinds:Load"]', ["devices.use[0]", "no module no_such_package.kinds"]),
        ('["taken.py:ConstantLoad"]', ["devices.use[0]", '"batteries"', "taken by ours"]),
        (
            '["constant_load.py:ConstantLoad", "twin.py:ConstantLoad"]',
            ["devices.use[1]", '"constant_loads"', "taken by", "constant_load.py"],
        ),
        ('["key.py:ConstantLoad"]', ["devices.use[0]", '"stations"', "a word that every config has"]),
        ('["record.py:ConstantLoad"]', ["devices.use[0]", '"plan"', "a name in the results"]),
        ('["word.py:ConstantLoad"]', ["devices.use[0]", "'constant loads'", '"constant_load"', "letters, digits"]),
        ('["lacking.py:ConstantLoad"]', ["devices.use[0]", "Config has no field for the series drawn", "add it"]),
        ('["column.py:ConstantLoad"]', ["devices.use[0]", "ConstantLoad: loss_mwh", "choose others"]),
        ('["broken.py:ConstantLoad"]', ["devices.use[0]", "ZeroDivisionError", "broken.py, line 1"]),
    ],
)
def test_a_kind_that_cannot_be_used_is_one_fault(folder: Path, use: str, expected: list[str]) -> None:
    table = '"constant_loads"'
    kind_file(folder, "taken.py", table, '"batteries"')
    kind_file(folder, "twin.py", "at most their rating", "no more than their rating")
    kind_file(folder, "key.py", table, '"stations"')
    kind_file(folder, "record.py", table, '"plan"')
    kind_file(folder, "word.py", table, '"constant loads"')
    kind_file(folder, "lacking.py", '"drawn_mw": Series', '"drawn": Series')
    kind_file(folder, "column.py", '"cut_mw": Column', '"Loss_MWh": Column')
    (folder / "broken.py").write_text("1 / 0\n")
    path = written(folder, f'extends = "three_bus"\n[devices]\nuse = {use}\n' + ENTRY)
    (fault,) = reported(path)
    assert fault.startswith(f"{path}: ")
    assert all(part in fault for part in expected), fault


def test_names_of_the_record_are_those_of_its_tables() -> None:
    assert {*TABLES, *INFO_TABLES, "checkpoint"} == TAKEN_TABLES
    own = find_kind("links")
    assert set(kind_columns(own)) == {*TAKEN_COLUMNS, *own.columns, *own.costs}


def test_a_check_that_raises_is_a_fault_with_file_and_line(folder: Path) -> None:
    kind_file(folder, "raises.py", "if self.tariff > 1e6:", 'if self.tariff > {}["none"]:')
    path = written(folder, 'extends = "three_bus"\n[devices]\nuse = ["raises.py:ConstantLoad"]\n' + ENTRY)
    (fault,) = reported(path)
    assert "devices.use" in fault
    assert "KeyError: 'none'" in fault
    assert "raises.py, line " in fault


# --------------------------------------------------------------------------------------------------- whose code may run


def test_code_outside_the_folder_of_the_config_that_names_it_does_not_run(folder: Path) -> None:
    (folder.parent / "trap.py").write_text("raise SystemExit('ran')\n")
    (folder / "link.py").symlink_to(folder.parent / "trap.py")
    for use in ("../trap.py:Trap", f"{folder.parent}/trap.py:Trap", "link.py:Trap", "../trap.py"):
        (fault,) = reported(written(folder, f'extends = "three_bus"\n[devices]\nuse = ["{use}"]\n'))
        assert "is code outside the config's own folder" in fault
        assert str(folder) in fault


def test_a_module_of_the_working_folder_does_not_run_unless_it_is_the_configs(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = folder.parent / "work"
    work.mkdir()
    (work / "here_only.py").write_text("raise SystemExit('ran')\n")
    monkeypatch.chdir(work)
    (fault,) = reported(written(folder, 'extends = "three_bus"\n[devices]\nuse = ["here_only:Kind"]\n'))
    assert "is code outside the config's own folder" in fault
    path = written(folder, USE.replace("constant_load.py", "constant_load") + ENTRY)
    assert "constant_loads" in load_config(path).config.model_dump()


def test_a_setting_of_the_command_line_may_name_code_anywhere(folder: Path) -> None:
    config = load_config("three_bus", [f'devices.use=["{folder}/constant_load.py:ConstantLoad"]']).config
    assert "constant_loads" in config.model_dump()


def test_an_extended_config_names_code_of_its_own_folder(folder: Path) -> None:
    path = folder.parent / "top.toml"
    path.write_text('extends = "case/works.toml"\nname = "top"\n')
    assert load_config(path).config.devices.use == [f"{folder}/constant_load.py:ConstantLoad"]


def test_code_of_a_kind_is_an_input_of_the_run(folder: Path) -> None:
    assert folder / "constant_load.py" in input_files(load_config(folder / "works.toml"))
