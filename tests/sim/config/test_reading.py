"""Reading configs: what extends, overrides and command-line choices make of them, and writing them again."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gridferry.controllers.devices.trucks.config import Labour, Mileage
from gridferry.networks.faults import InputError
from gridferry.sim.case.loading import load_config
from gridferry.sim.config.json_schema import config_schema
from gridferry.sim.config.reading import config_of_document, configs_dir, find_config, list_configs, write_config

SHIPPED = [name for name, _, _ in list_configs()]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the three-bus case and its data."""
    (tmp_path / "data").mkdir()
    shutil.copy(configs_dir() / "three_bus.toml", tmp_path / "base.toml")
    shutil.copy(configs_dir() / "data" / "three_bus_profiles.csv", tmp_path / "data")
    return tmp_path


@pytest.mark.parametrize("name", SHIPPED)
def test_written_config_reads_back_equal_from_another_folder(name: str, tmp_path: Path) -> None:
    loaded = load_config(name)
    write_config(loaded.document, tmp_path / "config.toml")
    again = load_config(tmp_path / "config.toml")
    assert again.config == loaded.config
    assert again.document == loaded.document


@pytest.mark.parametrize("name", SHIPPED)
def test_config_survives_the_way_through_json_to_another_process(name: str, tmp_path: Path) -> None:
    loaded = load_config(name)
    sent = json.loads(json.dumps(loaded.document, default=lambda one: one.isoformat()))
    assert config_of_document(sent, tmp_path).config == loaded.config


def test_config_that_arrives_faulty_from_elsewhere_is_refused(tmp_path: Path) -> None:
    document = dict(load_config("three_bus").document) | {"time": {"start": "noon", "step_s": 600, "steps": 3}}
    with pytest.raises(InputError, match=r"time\.start"):
        config_of_document(document, tmp_path)


def test_a_good_config_is_read_without_what_its_case_is_built_from() -> None:
    heavy = (
        "pandapower",
        "power_grid_model",
        "mosaik",
        "cvxpy",
        "pyarrow",
        "pandas",
        "gridferry.sim.case.case",
        "gridferry.sim.case.plant",
    )
    program = f"""
import sys
from gridferry.sim.config.reading import read_config
read_config("three_bus")
print(*[name for name in {heavy} if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_file_names_refer_to_the_folder_of_the_config(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parent)
    loaded = load_config(os.path.relpath(folder / "base.toml"))
    assert Path(loaded.config.profiles["day"].file) == folder / "data" / "three_bus_profiles.csv"
    assert loaded.base_dir == folder


@pytest.mark.parametrize(
    ("spec", "absolute"),
    [
        ("nets/a.json", True),
        ("a.m", True),
        ("mine.py:net", True),
        ("ieee33", False),
        ("simbench:1-MV-rural--0-sw", False),
        ("pandapower.networks:case33bw", False),
    ],
)
def test_feeders_given_as_files_become_absolute_and_names_stay(spec: str, absolute: bool) -> None:
    config = load_config("three_bus", [f"networks.dn1.feeder={spec}"]).config
    assert config.networks[0].feeder == (f"{configs_dir()}/{spec}" if absolute else spec)


def test_extending_config_keeps_files_of_the_other_folder(folder: Path) -> None:
    (folder / "variants").mkdir()
    (folder / "variants" / "cheap.toml").write_text('extends = "../base.toml"\nname = "cheap"\n[prices]\nbuy = 1.0\n')
    loaded = load_config(folder / "variants" / "cheap.toml")
    assert Path(loaded.config.profiles["day"].file).is_file()
    assert (loaded.config.name, loaded.config.prices.buy) == ("cheap", 1.0)
    assert loaded.config.prices.sell == "day.sell_price_usd_per_mwh"


def test_tables_of_an_extending_config_patch_entries_by_name_and_number(folder: Path) -> None:
    (folder / "patched.toml").write_text(
        'extends = "base"\n[trucks.T1]\nsoc_initial = 0.4\n[loads.1]\np_mw = 0.25\n[[batteries]]\n'
        'name = "B"\nnetwork = "dn1"\nbus = 3\nenergy_mwh = 1\np_max_mw = 1\n'
    )
    shutil.copy(folder / "base.toml", folder / "base")
    config, base = load_config(folder / "patched.toml").config, load_config(folder / "base.toml").config
    assert config.trucks[0].soc_initial == 0.4
    assert config.trucks[0].energy_mwh == base.trucks[0].energy_mwh
    assert config.loads[0] == base.loads[0]
    assert (config.loads[1].p_mw, config.loads[1].q_mvar) == (0.25, base.loads[1].q_mvar)
    assert [one.name for one in config.batteries] == ["B"]


def test_published_variant_differs_from_the_physical_case_in_its_conventions_only() -> None:
    published, physical = load_config("three_bus_as_published").config, load_config("three_bus").config
    truck = published.trucks[0]
    assert truck.eta_charge == 0.75
    assert truck.eta_discharge == pytest.approx(1 / 0.75)
    assert (truck.mileage, truck.labour, truck.flat_hours) == (Mileage.LONGEST_LEG, Labour.FLAT_IF_USED, 8.0)
    assert published.prices.export_ratio == 0.5
    back = {"eta_discharge": 0.75, "allow_published_efficiency": False, "mileage": Mileage.LEG, "labour": Labour.TRAVEL}
    assert truck.model_copy(update=back) == physical.trucks[0]
    assert published.model_copy(
        update={
            "name": physical.name,
            "title": physical.title,
            "trucks": physical.trucks,
            "prices": physical.prices,
        }
    ) == (physical)


def test_configs_extending_each_other_in_a_circle_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text('extends = "b.toml"\n')
    (tmp_path / "b.toml").write_text('extends = "a.toml"\n')
    with pytest.raises(InputError, match=r'b\.toml: extends = "a\.toml": goes round in a circle'):
        load_config(tmp_path / "a.toml")


def test_settings_reach_tables_entries_by_name_and_number_and_become_toml_values() -> None:
    config = load_config(
        "two_feeders",
        [
            "time.steps=10",
            "trucks.T1.soc_min=0.3",
            "batteries[1].soc_max = 0.8",
            "links.mvdc1.terminals.1.s_max_mva=2",
            "roads.distance_km.0.1=7.5",
            "prices.buy={column = 'year.load_mw', scale = 2.0}",
            "title=plain words",
            "seed=9",
            "controllers.'my.py:X'.gap=0.1",
        ],
    ).config
    assert config.time.steps == 10
    assert config.trucks[0].soc_min == 0.3
    assert [one.soc_max for one in config.batteries] == [0.9, 0.8]
    assert config.links[0].terminals[1].s_max_mva == 2.0
    assert config.roads is not None
    assert config.roads.distance_km is not None
    assert config.roads.distance_km[0] == [0.0, 7.5, 10.0]
    assert (config.title, config.seed) == ("plain words", 9)
    assert [settings for spec, settings in config.controllers.items() if spec.endswith("my.py:X")] == [{"gap": 0.1}]


def test_later_setting_wins() -> None:
    assert load_config("three_bus", ["seed=1", "seed=2"]).config.seed == 2
    assert load_config("three_bus", ["seed=1"], seed=5).config.seed == 5


def test_chosen_controller_brings_its_own_settings_and_keeps_on_failure(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        'extends = "three_bus"\n[controller]\non_failure = "stop"\ndepth = 3\n[controllers.other]\ngap = 0.5\n'
    )
    other = load_config(path, ["controllers.other.wide=1"], controller="other").config.controller
    assert (other.use, other.on_failure, other.settings()) == ("other", "stop", {"gap": 0.5, "wide": 1})
    none = load_config(path, controller="idle").config.controller
    assert (none.use, none.on_failure, none.settings()) == ("idle", "stop", {})
    same = load_config(path, controller="rules").config.controller
    assert same.settings() == {"depth": 3}


def test_settings_under_its_name_reach_the_controller_of_the_config_and_its_own_keys_win(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        'extends = "three_bus"\n[controller]\nuse = "other"\ndepth = 3\n[controllers.other]\ngap = 0.5\ndepth = 1\n'
    )
    settings = {"depth": 3, "gap": 0.5}
    assert load_config(path).config.controller.settings() == settings
    assert load_config(path, controller="other").config.controller.settings() == settings
    assert load_config(path, ["controller.gap=0.1"]).config.controller.settings() == {"depth": 3, "gap": 0.1}
    found = load_config(path, ["controllers.other.gap=0.2"])
    assert found.config.controller.settings() == {"depth": 3, "gap": 0.2}
    assert config_of_document(found.document, tmp_path).config.controller == found.config.controller


def test_settings_of_the_command_line_are_for_the_chosen_controller() -> None:
    chosen = load_config("three_bus", ["controller.gap=0.1", "controllers.other.gap=0.5"], controller="other")
    assert chosen.config.controller.settings() == {"gap": 0.1}
    with pytest.raises(InputError, match="contradicts --controller"):
        load_config("three_bus", ["controller.use=rules"], controller="other")


def test_controller_file_of_the_command_line_is_found_from_the_working_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = folder / "work"
    work.mkdir()
    (work / "mine.py").touch()
    (folder / "theirs.py").touch()
    monkeypatch.chdir(work)
    assert load_config(folder / "base.toml", controller="mine.py:A").config.controller.use == f"{work}/mine.py:A"
    assert load_config(folder / "base.toml", controller="theirs.py:A").config.controller.use == f"{folder}/theirs.py:A"


def test_files_among_controller_settings_become_absolute_and_words_stay(folder: Path) -> None:
    (folder / "plan.csv").touch()
    loaded = load_config(folder / "base.toml", ["controller.plan=plan.csv", "controller.mode=fast.csv"])
    assert loaded.config.controller.settings() == {"plan": str(folder / "plan.csv"), "mode": "fast.csv"}


def test_shipped_configs_are_found_by_bare_name_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_config("three_bus") == find_config("three_bus.toml") == configs_dir() / "three_bus.toml"
    assert {"three_bus", "three_bus_as_published", "ieee33_day", "two_feeders"} <= set(SHIPPED)
    assert all(title for _, title, _ in list_configs())


def test_schema_describes_every_key_and_lets_an_extending_config_leave_keys_out() -> None:
    schema = config_schema()
    assert {"required": ["extends"]} in schema["anyOf"]
    undescribed = [
        f"{title}.{key}"
        for title, table in schema["$defs"].items()
        for key, one in table.get("properties", {}).items()
        if "description" not in one and key not in ("name", "network", "bus", "kind", "file")
    ]
    assert not [one for one in undescribed if one.split(".")[0] not in ("SimulatorsConfig",)]
    assert schema["$defs"]["TruckConfig"]["properties"]["energy_mwh"]["exclusiveMinimum"] == 0
    patch = [one["type"] for one in schema["properties"]["trucks"]["anyOf"]]
    assert patch == ["array", "object"]
