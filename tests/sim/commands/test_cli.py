"""The command ``gridferry``: what it prints, writes and returns when all is well."""

import json
import re
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest

from gridferry.sim.config.reading import configs_dir
from gridferry.sim.loop.runner import load_run
from gridferry.sim.results.record_tables import all_tables
from gridferry.sim.results.run_directory import open_results

# design of the summary: what every run with a truck says
KEYS = {
    "": {"status", "config", "controller", "steps", "step_s", "seed", "currency", "balance_error_rel_max"},
    "cost": {
        *("income", "grid", "mess", "truck", "ess", "res", "profit", "procurement_cost", "controllable_cost"),
    },
    "grid": {"import_mwh", "export_mwh", "losses_mwh", "v_min_pu", "v_max_pu", "violations", "diverged_steps"},
    "plan_vs_ac": {"v_max_abs_pu", "v_rms_pu", "losses_rel_error"},
    "fleet": {
        *("trips", "km", "cycles_max", "charged_mwh", "discharged_mwh", "soc_min", "soc_max", "soc_end"),
        "shortfall_mwh",
    },
    "solver": {"calls", "failures", "fallbacks", "seconds_total"},
}
# what depends on the clock of the machine, or on where the run lies
OF_THE_MACHINE = ("solver", "directory")

# columns of names that look like numbers
NAMES = ("bus", "line", "from_bus", "to_bus")

PLUGIN = """
import os, signal
from pathlib import Path
from gridferry.controllers.contract import ControllerError
from gridferry.controllers.rules import Rules

class Mine(Rules):
    '''The rules, with something happening at step 25 where a file asks for it.'''

    def plan(self, observation, forecast):
        for name in ("SIGINT", "SIGKILL"):
            asked = Path(__file__).with_name(name)
            if observation.step == 25 and asked.exists():
                asked.unlink()
                os.kill(os.getpid(), getattr(signal, name))
        if observation.step == 3 and Path(__file__).with_name("FAIL").exists():
            raise ControllerError("no plan today")
        return super().plan(observation, forecast)
"""


def command(*arguments, cwd):
    """Run the command as users do, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "gridferry.sim.cli", *map(str, arguments)],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished run of a config with every kind of device."""
    folder = tmp_path_factory.mktemp("finished")
    done = command("run", "two_feeders", "--steps", 6, "--out", folder / "run", "--json", cwd=folder)
    assert done.returncode == 0
    assert list(folder.iterdir()) == [folder / "run"]
    return folder / "run", done


def without_clock(summary):
    return {key: value for key, value in summary.items() if key not in OF_THE_MACHINE}


# ------------------------------------------------------------------------------------------------------------------ run


def test_run_json_prints_one_object_with_the_promised_keys_and_nothing_else(finished):
    directory, done = finished
    assert done.stderr == ""
    assert done.stdout.count("\n") == 1
    summary = json.loads(done.stdout)
    for table, keys in KEYS.items():
        assert keys <= set(summary[table] if table else summary), table
    assert summary.pop("directory") == str(directory)
    assert summary == json.loads((directory / "summary.json").read_text())
    assert {path.name for path in directory.iterdir()} == {
        *("config.toml", "manifest.json", "results.duckdb", "summary.json", "plan.csv")
    }


def test_run_prints_a_table_that_no_terminal_is_too_narrow_for(gridferry, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    code, out, err = gridferry("run", "three_bus", "--steps", 2, "--out", "my run")
    assert (code, err) == (0, "")
    summary = load_run("my run").summary
    assert f"{summary['cost']['profit']:,.2f}" in out
    assert f"{summary['grid']['v_min_pu']:.5f}" in out
    assert "…" not in out
    assert "results: my run" in out


def test_run_takes_seed_steps_settings_and_controller(gridferry):
    arguments = ("run", "three_bus", "--seed", 7, "--steps", 3, "--controller", "idle", "--out", "run", "--json")
    code, out, _ = gridferry(*arguments, "--set", "trucks.T1.soc_initial=0.6", "--set", "name='My case'")
    summary = json.loads(out)
    assert code == 0
    assert [summary[key] for key in ("seed", "steps", "controller", "config")] == [7, 3, "idle", "My case"]
    assert summary["fleet"]["soc_end"] == 0.6
    used = tomllib.loads(Path("run/config.toml").read_text())
    assert (used["seed"], used["trucks"][0]["soc_initial"]) == (7, 0.6)


def test_settings_are_those_of_the_controller_that_is_chosen(gridferry):
    options = ("--controller", "rules", "--set", "controller.power_share=0.25", "--steps", 1, "--out")
    assert gridferry("run", "ieee33_day", *options, "run")[0] == 0
    assert tomllib.loads(Path("run/config.toml").read_text())["controller"]["power_share"] == 0.25
    code, _, err = gridferry("run", "three_bus", "--controller", "idle", "--set", "controller.power_share=0.25")
    assert code == 2
    assert "--set: controller.power_share = 0.25: no such option" in err
    code, _, err = gridferry("run", "three_bus", "--controller", "idle", "--set", "controller.use=rules")
    assert code == 2
    assert "contradicts --controller" in err


def test_run_without_out_makes_a_directory_named_after_the_config(gridferry):
    code, out, _ = gridferry("run", "three_bus", "--steps", 1, "--set", "name=My run", "--json")
    assert code == 0
    (directory,) = Path("runs").iterdir()
    assert re.fullmatch(r"My-run-\d{8}-\d{6}-\d{3}", directory.name)
    assert json.loads(out)["directory"] == str(directory)


def test_run_that_exists_is_kept_unless_overwriting_is_requested(gridferry):
    gridferry("run", "three_bus", "--steps", 1, "--out", "run")
    before = {path: path.read_bytes() for path in Path("run").iterdir()}
    code, out, err = gridferry("run", "three_bus", "--steps", 2, "--out", "run", "--json")
    assert (code, out) == (2, "")
    assert "--out: run: contains a run" in err
    assert "--overwrite" in err
    assert {path: path.read_bytes() for path in Path("run").iterdir()} == before
    assert gridferry("run", "three_bus", "--steps", 2, "--out", "run", "--overwrite")[0] == 0
    assert load_run("run").summary["steps"] == 2


def test_config_and_run_on_paths_with_spaces_and_umlauts(gridferry):
    folder = Path("Fälle für uns")
    folder.mkdir()
    (folder / "über.toml").write_text('extends = "three_bus"\nname = "case"\n')
    assert gridferry("check", folder / "über.toml")[0] == 0
    code, out, _ = gridferry("run", folder / "über.toml", "--steps", 2, "--out", folder / "Lauf 1", "--json")
    assert code == 0
    assert json.loads(out)["directory"] == str(folder / "Lauf 1")
    assert gridferry("compare", folder / "Lauf 1")[0] == 0
    assert gridferry("export", folder / "Lauf 1", "--format", "csv")[0] == 0
    code, out, _ = gridferry("validate", folder / "Lauf 1" / "plan.csv", folder / "über.toml", "--json")
    assert json.loads(out)["feasible"] == (code == 0)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """A plug-in's run of 40 steps, to compare interrupted ones with; its folder and its summary."""
    folder = tmp_path_factory.mktemp("plugin")
    (folder / "mine.py").write_text(PLUGIN)
    options = ("three_bus", "--controller", f"{folder}/mine.py:Mine", "--set", "record.flush_steps=7", "--steps", 40)
    done = command("run", *options, "--out", "whole", "--json", cwd=folder)
    assert done.returncode == 0
    return folder, options, json.loads(done.stdout)


@pytest.mark.slow
@pytest.mark.parametrize(("sent", "kept"), [("SIGINT", range(26, 27)), ("SIGKILL", range(21, 26))])
def test_run_that_is_stopped_keeps_its_results_and_resumes_to_the_same(gridferry, uninterrupted, tmp_path, sent, kept):
    folder, options, whole = uninterrupted
    (folder / sent).touch()
    stopped = command("run", *options, "--json", cwd=tmp_path)
    (directory,) = (tmp_path / "runs").iterdir()
    with open_results(directory) as results:
        steps, last = results.execute("SELECT count(*), max(step) FROM step").fetchone()
    # a killed run has what was written last, every 7 steps at least, and earlier where they take long
    assert steps in kept
    assert last == steps - 1
    if sent == "SIGINT":
        assert stopped.returncode == 3
        assert "--resume" in stopped.stderr
        message = json.loads(stopped.stdout)
        assert (message["status"], message["steps"]) == ("failed", 26)
        assert load_run(directory).manifest["failure"] == "interrupted after 26 of 40 steps"
    else:
        assert stopped.returncode == -signal.SIGKILL
    # a newer run of another name, and an older one that was finished, are not meant
    gridferry("run", "three_bus", "--steps", 1, "--set", "name=three_bus-2", "--set", 'controller.on_failure="stop"')
    code, out, err = gridferry("run", *options, "--resume", "--json")
    assert (code, err) == (0, "")
    resumed = json.loads(out)
    assert resumed["directory"] == str(directory.relative_to(tmp_path))
    assert without_clock(resumed) == without_clock(whole)
    assert (directory / "plan.csv").read_text() == (folder / "whole" / "plan.csv").read_text()
    assert gridferry("run", *options, "--resume")[0] == 2  # nothing is left to go on with


def test_run_whose_controller_stops_it_exits_3_and_keeps_the_results(gridferry, uninterrupted, tmp_path):
    spec = tmp_path / "mine.py"
    spec.write_text(PLUGIN)
    (tmp_path / "FAIL").touch()
    stopping = ("three_bus", "--controller", f"{spec}:Mine", "--set", "controller.on_failure=stop")
    code, out, err = gridferry("run", *stopping, "--out", "run", "--json")
    assert code == 3
    assert "step 3" in err
    assert "no plan today" in err
    assert "results so far: run" in err
    summary = json.loads(out)
    assert (summary["status"], summary["steps"]) == ("failed", 3)
    assert len(load_run("run").table("device")) == 3
    code, out, _ = gridferry("run", *stopping, "--out", "again")
    assert (code, out) == (3, "")


def test_run_that_fails_at_once_still_has_a_summary(gridferry, tmp_path):
    (tmp_path / "broken.py").write_text(PLUGIN.replace("observation.step == 3", "observation.step == 0"))
    (tmp_path / "FAIL").touch()
    options = ("--controller", "broken.py:Mine", "--set", "controller.on_failure=stop", "--out", "run", "--json")
    code, out, _ = gridferry("run", "three_bus", *options)
    assert code == 3
    assert json.loads(out)["steps"] == 0


# ---------------------------------------------------------------------------------------------- validate and compare


def plan_csv(path, p_mw, steps=3):
    rows = "".join(f"{step},T1,{p_mw},0.0,S3\n" for step in range(steps))
    path.write_text("step,device,p_mw,q_mvar,station\n" + rows)
    return path


def test_validate_exits_0_for_a_feasible_plan_1_for_a_violation_2_for_no_plan(gridferry, tmp_path):
    plan = plan_csv(tmp_path / "plan.csv", 0.0)
    code, out, err = gridferry("validate", plan, "three_bus", "--set", "time.steps=6", "--json")
    assert (code, err) == (0, "")
    verdict = json.loads(out)
    assert (verdict["feasible"], verdict["violations"], verdict["summary"]["controller"]) == (True, [], "replay")
    assert list(tmp_path.iterdir()) == [plan]

    strict = ("--set", "time.steps=6", "--set", "networks.dn1.v_min_pu=0.9999")
    code, out, _ = gridferry("validate", plan, "three_bus", *strict, "--out", "kept", "--json")
    assert code == 1
    worst = json.loads(out)["violations"][0]
    assert (worst["kind"], worst["limit"]) == ("voltage", 0.9999)
    v = load_run("kept").table("bus")["v_pu"]
    assert worst["value"] == v.min()
    assert worst["excess"] == pytest.approx(0.9999 - v.min())

    code, out, _ = gridferry("validate", plan, "three_bus", *strict)
    assert code == 1
    assert "not AC-feasible" in out
    assert f"bus {worst['element']}: {worst['value']:.6f} pu" in out

    plan.write_text("step,device,p_mw,q_mvar,station\n0,T9,0,0,S3\n1,T1,x,0,S3\n")
    code, out, err = gridferry("validate", plan, "three_bus", "--json")
    assert (code, out) == (2, "")
    assert all(re.search(words, err) for words in ("line 2.*T9", "line 3.*x"))
    assert gridferry("validate", "nothing.csv", "three_bus")[0] == 2


def test_compare_puts_the_figures_of_runs_side_by_side(gridferry, finished):
    directory, done = finished
    gridferry("run", "three_bus", "--steps", 2, "--out", "other")
    code, out, _ = gridferry("compare", directory, "other", "--json")
    assert code == 0
    first, second = json.loads(out)["runs"]
    assert first == json.loads(done.stdout)
    assert second == load_run("other").summary | {"directory": "other"}
    code, out, _ = gridferry("compare", directory, "other")
    assert code == 0
    line = next(one for one in out.splitlines() if "import, MWh" in one)
    assert line.split()[-2:] == [f"{one['grid']['import_mwh']:,.4f}" for one in (first, second)]


def test_compare_with_what_is_no_run_is_refused(gridferry, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "summary.json").write_text("[1]")
    code, out, err = gridferry("compare", "empty", "gone", "odd", "--json")
    assert (code, out) == (2, "")
    assert err.count("summary.json") == 3
    assert "no JSON object" in err


# ------------------------------------------------------------------------------------------- list, check, schema, new


def test_list_names_what_there_is_and_suggests_what_was_meant(gridferry):
    expected = {"networks": "ieee85_v2", "controllers": "replay", "configs": "two_feeders"}
    for what, name in expected.items():
        code, out, _ = gridferry("list", what)
        assert code == 0
        assert name in out
        code, out, _ = gridferry("list", what, "--json")
        assert name in [one["name"] for one in json.loads(out)[what]]
    code, out, err = gridferry("list", "controler")
    assert (code, out) == (2, "")
    assert 'did you mean "controllers"?' in err


@pytest.mark.parametrize("path", sorted(configs_dir().glob("*.toml")), ids=lambda path: path.stem)
def test_check_finds_our_configs_sound(gridferry, path):
    code, out, err = gridferry("check", path, "--json")
    assert (code, err) == (0, "")
    assert json.loads(out) == {"config": str(path), "passed": True, "faults": []}


def test_check_lists_all_faults_of_a_config(gridferry, tmp_path):
    (tmp_path / "bad.toml").write_text(
        'extends = "three_bus"\nfoo = 1\n[trucks.T1]\nstation = "S9"\nsoc_min = 0.9\n[controller]\nuse = "rulez"\n'
    )
    code, out, _ = gridferry("check", "bad.toml", "--json")
    assert code == 1
    keys = [one["key"] for one in json.loads(out)["faults"]]
    assert keys == ["trucks[0].soc_min = 0.9", "foo = 1", 'trucks[0].station = "S9"', 'controller.use = "rulez"']
    code, out, _ = gridferry("check", "bad.toml")
    assert code == 1
    assert "4 faults" in out
    for missing in ("gone.toml", "gone"):
        code, out, err = gridferry("check", missing)
        assert (code, out) == (2, "")
        assert missing in err


def test_check_says_which_promise_a_controller_breaks(gridferry, tmp_path):
    (tmp_path / "bad.py").write_text(
        "from dataclasses import replace\nfrom gridferry.controllers.contract import Controller, hold\n"
        "class Bad(Controller):\n    '''Asks for too much.'''\n    def plan(self, observation, forecast):\n"
        "        plan = hold(self.plant, observation)\n        return replace(plan, p_mw=plan.p_mw + 99.0)\n"
    )
    code, out, _ = gridferry("check", "bad.py:Bad")
    assert code == 1
    assert "FAILED" in out
    code, out, _ = gridferry("check", "bad.py:Bad", "--json")
    assert code == 1
    assert [one for one in json.loads(out)["findings"] if not one["passed"]]
    assert gridferry("check", "idle")[0] == 0
    assert gridferry("check", "gone.py:Bad")[0] == 2
    assert gridferry("check", "bad.py:Good")[0] == 2


def test_new_controller_writes_a_plug_in_that_passes_the_check_and_runs(gridferry):
    code, out, _ = gridferry("new", "controller", "night_rule")
    assert code == 0
    assert "night_rule.py" in out
    assert gridferry("check", "night_rule.py:NightRule")[0] == 0
    run = ("run", "three_bus", "--steps", 3, "--controller", "night_rule.py:NightRule", "--out", "run", "--json")
    code, out, _ = gridferry(*run)
    assert code == 0
    assert json.loads(out)["solver"]["failures"] == 0
    assert gridferry("new", "controller", "night_rule")[0] == 2
    assert gridferry("new", "controller", "2rules")[0] == 2


def accepts(schema, value, root):
    """Whether a JSON schema, as pydantic writes them, accepts a value."""
    if "$ref" in schema:
        return accepts(root["$defs"][schema["$ref"].rpartition("/")[2]], value, root)
    if "anyOf" in schema and not any(accepts(one, value, root) for one in schema["anyOf"]):
        return False
    if ("enum" in schema and value not in schema["enum"]) or ("const" in schema and value != schema["const"]):
        return False
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    kinds = {
        "object": isinstance(value, dict),
        "array": isinstance(value, list),
        "string": isinstance(value, str),
        "number": number,
        "integer": number and isinstance(value, int),
        "boolean": isinstance(value, bool),
        "null": value is None,
    }
    if "type" in schema and not kinds[schema["type"]]:
        return False
    if isinstance(value, dict):
        own = schema.get("properties", {})
        others = schema.get("additionalProperties", True)
        return set(schema.get("required", ())) <= set(value) and all(
            accepts(own[key], one, root) if key in own else others is True or (others and accepts(others, one, root))
            for key, one in value.items()
        )
    if isinstance(value, list):
        return len(value) >= schema.get("minItems", 0) and all(
            accepts(schema.get("items", {}), one, root) for one in value
        )
    if isinstance(value, str):
        return schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", 10**9) and (
            re.search(schema.get("pattern", ""), value) is not None
        )
    if number:
        low, high = schema.get("minimum", -np.inf), schema.get("maximum", np.inf)
        return low <= value <= high and (
            schema.get("exclusiveMinimum", -np.inf) < value < schema.get("exclusiveMaximum", np.inf)
        )
    return True


def test_schema_accepts_our_configs_and_refuses_broken_ones(gridferry):
    code, out, _ = gridferry("schema")
    assert code == 0
    schema = json.loads(out)
    for path in sorted(configs_dir().glob("*.toml")):
        as_json = json.loads(json.dumps(tomllib.loads(path.read_text()), default=lambda time: time.isoformat()))
        assert accepts(schema, as_json, schema), path
        assert not accepts(schema, as_json | {"tiem": {}}, schema)
        assert not accepts(schema, as_json | {"seed": "one"}, schema)
        assert not accepts(schema, as_json | {"trucks": [{"name": "T1", "p_max_mw": -1.0}]}, schema)


# --------------------------------------------------------------------------------------------------------------- export


def assert_same(name, found, expected):
    """Compare a column of a file with that of the database, exactly."""
    if pd.api.types.is_numeric_dtype(expected.dtype):
        assert np.array_equal(np.asarray(found, float), expected.to_numpy(float, na_value=np.nan), equal_nan=True), name
    else:
        assert [one or "" for one in found] == expected.fillna("").tolist(), name


@pytest.mark.parametrize("to", ["csv", "parquet", "hdf5"])
def test_export_has_the_values_of_the_database(gridferry, finished, to):
    directory, _ = finished
    code, out, _ = gridferry("export", directory, "--format", to, "--out", "a/b", "--json")
    assert code == 0
    files = [Path(one) for one in json.loads(out)["files"]]
    assert all(one.is_file() for one in files)
    with open_results(directory) as results:
        tables = {name: results.execute(f"SELECT * FROM {name} ORDER BY rowid").df() for name in all_tables(results)}
    assert len(tables["device"]) == 6 * 5
    assert {"trucks", "batteries", "links", "generators"} <= set(tables)
    for name, table in tables.items():
        if to == "hdf5":
            with h5py.File("a/b/results.h5") as file:
                assert list(file[name]) == sorted(table.columns)
                for column in table:
                    values = file[name][column][()]
                    missing = values.dtype.kind == "i" and (values == -1).any()
                    if values.dtype.kind == "O":
                        values = [one.decode() for one in values]
                    assert_same(column, np.where(values == -1, np.nan, values) if missing else values, table[column])
            continue
        path = f"a/b/{name}.{to}"
        read = (
            pd.read_parquet(path)
            if to == "parquet"
            else pd.read_csv(path, float_precision="round_trip", dtype=dict.fromkeys(NAMES, str))
        )
        assert read.columns.tolist() == table.columns.tolist()
        for column in table:
            values = read[column]
            numeric = pd.api.types.is_numeric_dtype(table[column].dtype)
            assert_same(
                column, values.to_numpy(float, na_value=np.nan) if numeric else values.fillna(""), table[column]
            )


def test_export_of_nothing_or_to_nothing_is_refused(gridferry, finished, tmp_path):
    (tmp_path / "file").touch()
    for arguments, words in (
        (("gone",), "no such file"),
        ((finished[0], "--format", "xlsx"), "csv, parquet, hdf5"),
        ((finished[0], "--out", "file"), "cannot be created"),
    ):
        code, _, err = gridferry("export", *arguments)
        assert code == 2
        assert words in err
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "results.duckdb").write_bytes(b"no database" * 1000)
    code, _, err = gridferry("export", "torn")
    assert code == 2
    assert "cannot be opened" in err


def test_version_and_help_and_unknown_options(gridferry):
    assert re.fullmatch(r"gridferry \d+\.\d+\.\d+\S*\n", gridferry("--version")[1])
    code, out, _ = gridferry("--help")
    assert code == 0
    for name in ("run", "validate", "compare", "list", "check", "new", "schema", "export"):
        assert f" {name} " in out
    assert gridferry("run", "three_bus", "--bogus")[0] == 2
    assert gridferry("bogus")[0] == 2
    assert gridferry("run")[0] == 2
